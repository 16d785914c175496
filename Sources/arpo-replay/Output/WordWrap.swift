extension TerminalTraits {
  /// Text broken between words, lines ended by newlines.
  ///
  /// - Parameters:
  ///   - text: safe to show.
  ///   - first: what stands before the first line, in columns that the other lines leave blank.
  ///   - indent: those columns.
  func wrapped(
    _ text: String, first: String = "", firstStyle: TextStyle = .plain, indent: Int = 0, style: TextStyle = .plain
  ) -> String {
    let room = max(20, proseWidth - indent)
    var lines: [String] = []
    var line = ""
    // A percent sign stays with its number.
    for word in text.replacing(" %", with: "\u{A0}%").split(separator: " ") {
      if !line.isEmpty, displayWidth(of: line) + 1 + displayWidth(of: String(word)) > room {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    lines.append(line)
    let blank = String(repeating: " ", count: indent)
    return lines.enumerated().map { i, line in
      let lead = i == 0 ? styled(first, firstStyle) + blank.dropFirst(displayWidth(of: first)) : blank
      return lead + styled(line.replacing("\u{A0}%", with: " %"), style) + "\n"
    }.joined()
  }

  /// Columns that prose and charts keep to: longer lines are hard to read.
  var proseWidth: Int { max(40, min(width, 100)) }

  /// A text from a log, made safe for this stream.
  func safe(_ text: String) -> String { terminalSafe(text, unicode: unicode) }
}
