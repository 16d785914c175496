/// Emphasis of a piece of text.
///
/// It never carries meaning of its own: every page reads the same without it.
enum TextStyle: String, Sendable {
  case plain = ""
  case bold = "1"
  case dim = "2"
  case red = "31"
  case green = "32"
  case yellow = "33"
  case blue = "34"
  case magenta = "35"
  case cyan = "36"
}

extension TerminalTraits {
  /// The text in a style, where the stream takes colour.
  func styled(_ text: String, _ style: TextStyle) -> String {
    color && style != .plain && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// A thin horizontal rule.
  func rule(_ columns: Int) -> String {
    styled(String(repeating: unicode ? "─" : "-", count: max(columns, 0)), .dim)
  }

  /// Where there is no value.
  var absent: String { unicode ? "–" : "-" }

  /// Between the ends of an interval.
  var rangeMark: String { unicode ? "…" : ".." }

  /// Between facts on a line.
  var separator: String { unicode ? " · " : " | " }
}
