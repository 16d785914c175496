import Foundation

/// A pull parser over the bytes of one record.
///
/// The bytes must be followed by a zero byte, and `padding` bytes behind them must be readable: scans stop at the zero
/// instead of testing the end at every byte, and words of eight bytes may be loaded anywhere inside. A zero byte is not
/// legal in JSON, neither outside a string nor raw inside one, so no scan runs past it.
public struct JSONCursor {
  /// Bytes behind the record that must be readable, the first of them zero.
  public static let padding = 64
  /// Arrays and objects inside each other.
  public static let maxDepth = 256

  let base: UnsafePointer<UInt8>
  let end: Int
  /// Offset of the next byte.
  private(set) var at = 0

  public init(_ bytes: UnsafeBufferPointer<UInt8>) {
    base = bytes.baseAddress ?? Self.nothing
    end = bytes.count
  }

  // Never written after it is made.
  private nonisolated(unsafe) static let nothing: UnsafePointer<UInt8> = {
    let p = UnsafeMutablePointer<UInt8>.allocate(capacity: padding)
    p.initialize(repeating: 0, count: padding)
    return UnsafePointer(p)
  }()

  // MARK: Structure

  func fail(_ message: String, _ reason: QuarantineReason = .invalidJSON) -> RecordError {
    RecordError(reason, message, at: at)
  }

  @inline(__always)
  mutating func skipSpace() {
    while base[at] <= 0x20 && (base[at] == 0x20 || base[at] == 0x0A || base[at] == 0x0D || base[at] == 0x09) {
      at &+= 1
    }
  }

  /// The next byte that is not white space; 0 at the end.
  @inline(__always)
  mutating func peek() -> UInt8 {
    skipSpace()
    return base[at]
  }

  mutating func expect(_ byte: UInt8) throws(RecordError) {
    guard peek() == byte else {
      throw fail("expected '\(Character(UnicodeScalar(byte)))'\(at >= end ? " but the record ends" : "")")
    }
    at &+= 1
  }

  /// Takes the byte if it is next.
  @inline(__always)
  mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    at &+= 1
    return true
  }

  /// Moves to the next member of an object whose opening brace has been taken; `nil` behind the last one.
  mutating func nextKey(first: inout Bool) throws(RecordError) -> StringBytes? {
    if take(UInt8(ascii: "}")) { return nil }
    if first { first = false } else { try expect(UInt8(ascii: ",")) }
    guard peek() == UInt8(ascii: "\"") else { throw fail("expected a key") }
    let key = try stringBytes()
    try expect(UInt8(ascii: ":"))
    return key
  }

  /// Moves to the next element of an array whose opening bracket has been taken; `false` behind the last one.
  mutating func nextElement(first: inout Bool) throws(RecordError) -> Bool {
    if take(UInt8(ascii: "]")) { return false }
    if first { first = false } else { try expect(UInt8(ascii: ",")) }
    return true
  }

  /// Fails unless only white space is left.
  mutating func expectEnd() throws(RecordError) {
    skipSpace()
    guard at == end else { throw fail("more text behind the value") }
  }

  /// Takes `null` if it is next.
  mutating func takeNull() -> Bool {
    guard peek() == UInt8(ascii: "n"), isWord("null") else { return false }
    at &+= 4
    return true
  }

  private func isWord(_ word: StaticString) -> Bool {
    memcmp(base + at, word.utf8Start, word.utf8CodeUnitCount) == 0
  }

  // MARK: Strings

  /// The raw bytes between the quotes of a string.
  struct StringBytes {
    var start: Int
    var end: Int
    var hasEscapes: Bool
  }

  @inline(__always)
  func bytes(_ s: StringBytes, equal word: StaticString) -> Bool {
    s.end &- s.start == word.utf8CodeUnitCount && memcmp(base + s.start, word.utf8Start, s.end &- s.start) == 0
  }

  /// Takes a string without decoding it.
  mutating func stringBytes() throws(RecordError) -> StringBytes {
    guard peek() == UInt8(ascii: "\"") else { throw fail("expected a string", .wrongType) }
    at &+= 1
    let start = at
    var escapes = false
    let raw = UnsafeRawPointer(base)
    while true {
      // Eight bytes without quote, backslash or control character.
      while true {
        let w = raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        let quote = w ^ 0x2222_2222_2222_2222
        let slash = w ^ 0x5C5C_5C5C_5C5C_5C5C
        let ones: UInt64 = 0x0101_0101_0101_0101
        let hits =
          ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((w &- 0x2020_2020_2020_2020) & ~w)
        if hits & 0x8080_8080_8080_8080 != 0 { break }
        at &+= 8
      }
      let b = base[at]
      if b == UInt8(ascii: "\"") {
        at &+= 1
        return StringBytes(start: start, end: at &- 1, hasEscapes: escapes)
      }
      if b == UInt8(ascii: "\\") {
        escapes = true
        guard at &+ 1 < end else { throw fail("the record ends inside a string") }
        at &+= 2
      } else if b < 0x20 {
        throw fail(at >= end ? "the record ends inside a string" : "raw control character in a string")
      } else {
        at &+= 1
      }
    }
  }

  /// Takes a string and decodes it.
  ///
  /// A lone surrogate escape becomes U+FFFD.
  mutating func string() throws(RecordError) -> String {
    let s = try stringBytes()
    return try decoded(s)
  }

  /// The bytes of a string, not decoded.
  func raw(_ s: StringBytes) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: base + s.start, count: s.end - s.start)
  }

  func decoded(_ s: StringBytes) throws(RecordError) -> String {
    let raw = raw(s)
    if !s.hasEscapes { return String(decoding: raw, as: UTF8.self) }
    var out: [UInt8] = []
    out.reserveCapacity(raw.count)
    var i = 0
    while i < raw.count {
      // What stands before the next escape is taken as it is.
      let plain = UnsafeBufferPointer(rebasing: raw[i...])
      let slash = plain.baseAddress.flatMap { memchr($0, 0x5C, plain.count) }
      let length = slash.map { UnsafeRawPointer(plain.baseAddress!).distance(to: $0) } ?? plain.count
      out.append(contentsOf: plain[..<length])
      i += length
      if i == raw.count { break }
      i += 2
      switch raw[i - 1] {
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(raw[i - 1])
      case UInt8(ascii: "u"):
        guard let first = hex4(raw, at: i) else {
          throw RecordError(.invalidJSON, "bad \\u escape", at: s.start + i)
        }
        i += 4
        var scalar = UInt32(first)
        if first & 0xFC00 == 0xD800, i + 6 <= raw.count, raw[i] == UInt8(ascii: "\\"), raw[i + 1] == UInt8(ascii: "u"),
          let second = hex4(raw, at: i + 2), second & 0xFC00 == 0xDC00
        {
          scalar = 0x10000 + (UInt32(first & 0x3FF) << 10 | UInt32(second & 0x3FF))
          i += 6
        }
        out.append(contentsOf: Array(String(UnicodeScalar(scalar) ?? "\u{FFFD}").utf8))
      default: throw RecordError(.invalidJSON, "bad escape in a string", at: s.start + i - 1)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private func hex4(_ raw: UnsafeBufferPointer<UInt8>, at i: Int) -> UInt16? {
    guard i + 4 <= raw.count else { return nil }
    var x: UInt16 = 0
    for k in i..<(i + 4) {
      guard let d = Character(UnicodeScalar(raw[k])).hexDigitValue, raw[k] < 0x80 else { return nil }
      x = x << 4 | UInt16(d)
    }
    return x
  }

  // MARK: Skipping

  /// Takes any value without decoding it and returns the range of its bytes, for those who look for what stands behind it.
  ///
  /// Strings are checked for being closed, numbers and words only for their characters; `checkedValue` checks all.
  mutating func skipValue() throws(RecordError) -> Range<Int> {
    skipSpace()
    let start = at
    var depth = 0
    var closers: [UInt8] = []
    repeat {
      switch peek() {
      case UInt8(ascii: "\""): _ = try stringBytes()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        guard depth <= Self.maxDepth else { throw fail("nested deeper than \(Self.maxDepth)", .tooDeep) }
        closers.append(base[at] &+ 2)
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        guard let closer = closers.popLast(), closer == base[at] else { throw fail("unbalanced brackets") }
        depth -= 1
        at += 1
      case UInt8(ascii: ","), UInt8(ascii: ":"):
        guard depth > 0 else { throw fail("unexpected character") }
        at += 1
      case 0:
        throw fail(at >= end ? "the record ends inside a value" : "zero byte")
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "t"), UInt8(ascii: "f"),
        UInt8(ascii: "n"), UInt8(ascii: "N"), UInt8(ascii: "I"):
        while true {
          let b = base[at]
          let isPart =
            (b >= 0x30 && b <= 0x39) || (b >= 0x61 && b <= 0x7A) || (b >= 0x41 && b <= 0x5A) || b == 0x2B || b == 0x2D
            || b == 0x2E
          if !isPart { break }
          at += 1
        }
      default: throw fail("unexpected character")
      }
    } while depth > 0
    return start..<at
  }

  /// The text of a range of bytes.
  func text(_ range: Range<Int>) -> String {
    String(decoding: UnsafeBufferPointer(start: base + range.lowerBound, count: range.count), as: UTF8.self)
  }

  // MARK: Numbers

  /// A JSON number, or Python's `NaN`, `Infinity`, `-Infinity`.
  enum Number {
    case int(Int64)
    case double(Double)
  }

  mutating func number() throws(RecordError) -> Number {
    skipSpace()
    let start = at
    if base[at] == UInt8(ascii: "N"), isWord("NaN") {
      at += 3
      return .double(.nan)
    }
    let negative = base[at] == UInt8(ascii: "-")
    if negative { at += 1 }
    if base[at] == UInt8(ascii: "I"), isWord("Infinity") {
      at += 8
      return .double(negative ? -.infinity : .infinity)
    }
    let digitsStart = at
    while base[at] &- 0x30 < 10 { at += 1 }
    guard at > digitsStart else {
      throw fail(at >= end ? "the record ends where a value should be" : "expected a value")
    }
    if base[digitsStart] == 0x30, at > digitsStart + 1 { throw fail("a number with a leading zero") }
    var isInteger = true
    if base[at] == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      let fraction = at
      while base[at] &- 0x30 < 10 { at += 1 }
      guard at > fraction else { throw fail("a number without digits behind the point") }
    }
    if base[at] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      at += 1
      if base[at] == UInt8(ascii: "+") || base[at] == UInt8(ascii: "-") { at += 1 }
      let exponent = at
      while base[at] &- 0x30 < 10 { at += 1 }
      guard at > exponent else { throw fail("a number without digits in its exponent") }
    }
    if isInteger, at - digitsStart <= 19 {
      var magnitude: UInt64 = 0
      for i in digitsStart..<at { magnitude = magnitude &* 10 &+ UInt64(base[i] &- 0x30) }
      if !negative, let value = Int64(exactly: magnitude) { return .int(value) }
      if negative, magnitude == 0 { return .double(-0.0) }
      if negative, magnitude <= UInt64(Int64.max) { return .int(-Int64(magnitude)) }
      if negative, magnitude == UInt64(Int64.max) + 1 { return .int(.min) }
    }
    return .double(strtod(UnsafeRawPointer(base + start).assumingMemoryBound(to: CChar.self), nil))
  }

  /// A finite double.
  mutating func real(_ what: @autoclosure () -> String) throws(RecordError) -> Double {
    let b = peek()
    guard b &- 0x30 < 10 || b == 0x2D || b == 0x4E || b == 0x49 else {
      throw fail("\(what()) is not a number", .wrongType)
    }
    let value: Double
    switch try number() {
    case .int(let i): value = Double(i)
    case .double(let d): value = d
    }
    guard value.isFinite else { throw fail("\(what()) is not finite", .notFinite) }
    return value
  }

  /// A whole number.
  mutating func integer(_ what: @autoclosure () -> String) throws(RecordError) -> Int {
    let b = peek()
    guard b &- 0x30 < 10 || b == 0x2D || b == 0x4E || b == 0x49 else {
      throw fail("\(what()) is not a number", .wrongType)
    }
    switch try number() {
    case .int(let i): return Int(i)
    case .double(let d):
      guard d.isFinite else { throw fail("\(what()) is not finite", .notFinite) }
      guard let i = Int(exactly: d) else { throw fail("\(what()) is not a whole number", .wrongType) }
      return i
    }
  }

  /// Moves the cursor; only for the array readers in the extensions.
  @inline(__always)
  mutating func move(to offset: Int) { at = offset }
}
