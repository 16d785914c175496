/// A line in the making, of pieces with styles.
struct StyledLine: Sendable {
  private var pieces: [(text: String, style: TextStyle)] = []

  /// Adds text that is safe to show.
  mutating func add(_ text: String, _ style: TextStyle = .plain) {
    if let last = pieces.indices.last, pieces[last].style == style {
      pieces[last].text += text
    } else {
      pieces.append((text, style))
    }
  }

  /// The line without blanks at its end.
  func trimmed(_ traits: TerminalTraits) -> String {
    var pieces = pieces
    while let last = pieces.last, last.text.utf8.allSatisfy({ $0 == 0x20 }) { pieces.removeLast() }
    if let last = pieces.indices.last {
      while pieces[last].text.utf8.last == 0x20 { pieces[last].text.removeLast() }
    }
    return pieces.map { traits.styled($0.text, $0.style) }.joined()
  }
}
