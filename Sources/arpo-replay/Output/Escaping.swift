/// Marks that one base character keeps; towers of more would smear over the lines above and below.
private let marksKept = 6

/// A text from a log, made safe to show on a terminal: one line, no control sequence, nothing that reorders or hides.
///
/// Control characters and characters that are not shown (among them bidirectional overrides and zero-width ones) come
/// out as visible escapes such as `\n`, `\x1b` and `\u{202e}`; without Unicode every other character is a `?`.
///
/// - Parameter limit: columns that will be shown; the rest may be left out, but the result is then still wider.
func terminalSafe(_ text: String, unicode: Bool, limit: Int? = nil) -> String {
  if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
  var out = String.UnicodeScalarView()
  var columns = 0
  var marks = 0
  for scalar in text.unicodeScalars {
    if let limit, columns > 2 * limit + 4 { break }
    // These choose between two drawings of the character before; terminals disagree about the width of the result.
    if (0xFE00...0xFE0F).contains(scalar.value) { continue }
    if let escape = visibleEscape(scalar) {
      out.append(contentsOf: escape.unicodeScalars)
      columns += escape.utf8.count
      marks = 0
      continue
    }
    let width = displayWidth(of: scalar)
    marks = width == 0 ? marks + 1 : 0
    if marks > marksKept { continue }
    out.append(scalar)
    columns += width
  }
  let safe = String(out)
  return unicode ? safe : String(safe.map { $0.isASCII ? $0 : "?" })
}

/// How a scalar that must not reach a terminal is written, `nil` if it may.
private func visibleEscape(_ scalar: Unicode.Scalar) -> String? {
  switch scalar {
  case "\n": return "\\n"
  case "\r": return "\\r"
  case "\t": return "\\t"
  case " "..."~": return nil
  default: break
  }
  let hex = String(scalar.value, radix: 16)
  switch scalar.properties.generalCategory {
  case .control: return "\\x" + (hex.utf8.count < 2 ? "0" : "") + hex
  case .format, .lineSeparator, .paragraphSeparator, .surrogate: return "\\u{\(hex)}"
  default: return scalar.properties.isDefaultIgnorableCodePoint ? "\\u{\(hex)}" : nil
  }
}

/// Text from logs in messages.
enum Escaping {
  /// A text from a log on one line of some columns at the most, safe to show on a terminal.
  static func line(
    _ text: String, width: Int, unicode: Bool = TerminalTraits.standardError.unicode
  ) -> String {
    let traits = TerminalTraits(isTTY: false, width: width, limit: width, color: false, unicode: unicode)
    return traits.cut(terminalSafe(text, unicode: unicode, limit: width), to: width)
  }
}

/// A field of a CSV line: quoted where RFC 4180 asks for it.
func csvField(_ text: String) -> String {
  let needsQuotes = text.utf8.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
  if !needsQuotes { return text }
  var out = "\""
  for scalar in text.unicodeScalars {
    if scalar == "\"" { out.unicodeScalars.append(scalar) }
    out.unicodeScalars.append(scalar)
  }
  return out + "\""
}

/// Passes JSON on and writes characters that a terminal would act upon as `\u` escapes.
///
/// JSON allows them raw within strings, and they occur nowhere else; so the document stays the same.
struct TerminalSafeJSON<Base: TextOutputStream>: TextOutputStream {
  private(set) var base: Base

  init(_ base: Base) {
    self.base = base
  }

  mutating func write(_ string: String) {
    if string.utf8.allSatisfy({ $0 < 0x7F }) { return base.write(string) }
    var out = String.UnicodeScalarView()
    for scalar in string.unicodeScalars {
      if scalar.value < 0x7F || visibleEscape(scalar) == nil {
        out.append(scalar)
        continue
      }
      for unit in String(scalar).utf16 {
        let hex = String(unit, radix: 16)
        out.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex).unicodeScalars)
      }
    }
    base.write(String(out))
  }
}
