#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A number by a printf format for one `Double`.
private func printed(_ format: String, _ arguments: any CVarArg...) -> String {
  var buffer = [CChar](repeating: 0, count: 64)
  let written = withVaList(arguments) { vsnprintf(&buffer, buffer.count, format, $0) }
  let count = min(max(Int(written), 0), buffer.count - 1)
  return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A number with some decimals; very large and very small ones with an exponent.
///
/// No zero has a sign.
func decimals(_ x: Double, _ digits: Int = 4) -> String {
  guard x.isFinite else { return x.isNaN ? "nan" : x < 0 ? "-inf" : "inf" }
  let size = abs(x)
  let isSmall = size > 0 && digits > 0 && size < 0.5 * pow(10, Double(-digits))
  if size >= 1e7 || isSmall { return printed("%.*e", Int32(max(digits, 1)), x) }
  let text = printed("%.*f", Int32(digits), x)
  return text.utf8.first == 0x2D && !text.utf8.contains { (0x31...0x39).contains($0) } ? String(text.dropFirst()) : text
}

/// A difference: always with its sign, save for zero.
func signedDecimals(_ x: Double, _ digits: Int = 4) -> String {
  let text = decimals(x, digits)
  return x > 0 && text.utf8.contains { (0x31...0x39).contains($0) } ? "+" + text : text
}

/// A share of one as a percentage with one decimal.
func percentText(_ share: Double) -> String { decimals(100 * share, 1) + " %" }

extension TerminalTraits {
  /// A count with its thousands set apart.
  func grouped(_ n: Int) -> String {
    let digits = Array(String(n.magnitude))
    var out = n < 0 ? "-" : ""
    for (i, digit) in digits.enumerated() {
      if i > 0, (digits.count - i) % 3 == 0 { out += unicode ? "\u{2009}" : "," }
      out.append(digit)
    }
    return out
  }

  /// A count and what is counted.
  func counted(_ n: Int, _ one: String, _ many: String? = nil) -> String {
    "\(grouped(n)) \(n == 1 ? one : many ?? one + "s")"
  }
}
