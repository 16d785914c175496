import Replay

/// JSON text as commands write it.
enum DocumentText {
  /// The value on one line, safe to show on a terminal.
  static func json(_ value: DocumentValue) -> String {
    var out = TerminalSafeJSON("")
    value.write(into: &out)
    return out.base
  }
}
