#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the receiver of a stream can show.
struct TerminalTraits: Sendable, Equatable {
  var isTTY: Bool
  /// Columns to lay reports and charts out for.
  var width: Int
  /// Columns that a table must keep to; `nil`: a file or a pipe, which takes lines of any length.
  var limit: Int?
  /// Whether escape sequences for colour may be written.
  var color: Bool
  /// Whether characters beyond ASCII may be written.
  var unicode: Bool

  /// Width of a terminal that does not tell its own.
  static let unknownWidth = 100
  /// Width of reports and charts in a file or a pipe.
  static let fileWidth = 120

  init(isTTY: Bool, width: Int, limit: Int?, color: Bool, unicode: Bool) {
    self.isTTY = isTTY
    self.width = width
    self.limit = limit
    self.color = color
    self.unicode = unicode
  }

  /// Judges a stream by its facts.
  ///
  /// - Parameters:
  ///   - isTTY: whether it is a terminal.
  ///   - columns: the terminal's own word on its width; 0 or less counts as none.
  ///   - environment: variables of the process; those in ``variables`` matter.
  ///   - color: what the user asked for; it overrules the environment.
  init(isTTY: Bool, columns: Int?, environment: [String: String], color: ColorChoice = .auto) {
    let told = [columns, environment["COLUMNS"].flatMap { Int($0) }].compactMap { $0 }.first { $0 > 0 }
    let width = told ?? (isTTY ? Self.unknownWidth : Self.fileWidth)
    let isPlain = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
    let hasColor =
      switch color {
      case .auto: isTTY && !isPlain
      case .always: true
      case .never: false
      }
    self.init(
      isTTY: isTTY, width: width, limit: told ?? (isTTY ? width : nil), color: hasColor,
      unicode: Self.isUnicode(environment))
  }

  /// The environment variables that are looked at.
  static let variables = ["NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "LC_CTYPE", "LANG"]

  /// The first of the locale's variables that is set decides.
  private static func isUnicode(_ environment: [String: String]) -> Bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
    let name = locale.lowercased()
    return name.contains("utf-8") || name.contains("utf8")
  }
}

extension TerminalTraits {
  /// Standard output with what the environment says of it.
  static let standardOutput = TerminalTraits(descriptor: STDOUT_FILENO)

  /// Standard error with what the environment says of it.
  static let standardError = TerminalTraits(descriptor: STDERR_FILENO)

  /// Looks a stream of this process up.
  init(descriptor: Int32, color: ColorChoice = .auto) {
    var environment: [String: String] = [:]
    for name in Self.variables {
      if let value = getenv(name) { environment[name] = String(cString: value) }
    }
    let isTTY = isatty(descriptor) == 1
    self.init(
      isTTY: isTTY, columns: isTTY ? Self.columns(of: descriptor) : nil, environment: environment, color: color)
  }

  /// The same stream without colour and with nothing but ASCII.
  var plain: TerminalTraits {
    TerminalTraits(isTTY: isTTY, width: width, limit: limit, color: false, unicode: false)
  }

  private static func columns(of descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
    return Int(size.ws_col)
  }
}
