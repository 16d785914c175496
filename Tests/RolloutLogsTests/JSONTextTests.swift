import Foundation
import TestSupport
import Testing

@testable import RolloutLogs

/// Strings, nesting, and the reading over of values.
@Suite struct JSONTextTests {
  @Test func escapes() throws {
    let text = #""q\" b\\ s\/ n\n t\t r\r b\b f\f u\u0041\u00e9\u20ac p\ud83e\udd89 z\u0000""#
    #expect(
      try JSONValue(parsing: text).string == "q\" b\\ s/ n\n t\t r\r b\u{8} f\u{C} uAé€ p🦉 z\u{0}")
    // Raw, as Python writes it without ensure_ascii, with U+2028 and U+0085.
    #expect(try JSONValue(parsing: "\"é🦉\u{2028}\u{85}\u{7F}\"").string == "é🦉\u{2028}\u{85}\u{7F}")
  }

  /// A lone half of a pair is not text; what stands beside it is kept.
  @Test(arguments: [
    (#""a\ud83eb""#, "a\u{FFFD}b"), (#""\udd89\ud83e""#, "\u{FFFD}\u{FFFD}"),
    (#""\ud83e\ud83e\udd89""#, "\u{FFFD}🦉"),
    (#""\ud83e\u0041""#, "\u{FFFD}A"), (#""\ud83e\n""#, "\u{FFFD}\n"), (#""\ud83e""#, "\u{FFFD}"),
  ]) func loneSurrogates(text: String, expected: String) throws {
    #expect(try JSONValue(parsing: text).string == expected)
  }

  @Test(arguments: [
    #""a"#, #""\""#, #""\x""#, #""\u12""#, #""\u12G4""#, #""\u+123""#, "\"a\nb\"", "\"a\tb\"", "\"\u{1F}\"",
    "\"a\u{0}b\"", "'a'", "a",
  ]) func badStringsAreErrors(text: String) {
    #expect(throws: RecordError.self) { try JSONValue(parsing: text) }
  }

  /// Every length and every place of a quote, a backslash and a control character within words of eight bytes.
  @Test func theEndOfAStringIsFoundAtEveryOffset() throws {
    for length in 0..<40 {
      let plain = String(repeating: "é", count: length / 2) + String(repeating: "x", count: length % 2)
      #expect(try JSONValue(parsing: "\"\(plain)\"").string == plain)
      let ascii = String(repeating: "y", count: length)
      #expect(try JSONValue(parsing: "\"\(ascii)\\n\(ascii)\"").string == "\(ascii)\n\(ascii)")
      #expect(throws: RecordError.self) { try JSONValue(parsing: "\"\(ascii)") }
      #expect(throws: RecordError.self) { try JSONValue(parsing: "\"\(ascii)\u{1}\(ascii)\"") }
      #expect(throws: RecordError.self) { try JSONValue(parsing: "\"\(ascii)\\") }
    }
  }

  @Test func nestingIsLimited() throws {
    for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
      func nested(_ depth: Int) -> String {
        String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
      }
      _ = try JSONValue(parsing: nested(JSONCursor.maxDepth))
      for depth in [JSONCursor.maxDepth + 1, 100_000] {
        #expect { try JSONValue(parsing: nested(depth)) } throws: { ($0 as? RecordError)?.reason == .tooDeep }
        #expect { try JSONNumberTests.cursor(nested(depth)) { _ = try $0.skipValue() } } throws: {
          ($0 as? RecordError)?.reason == .tooDeep
        }
      }
    }
  }

  @Test func randomDocumentsComeBackAndAreReadOver() throws {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<400 {
      let value = Self.random(depth: 4, &random)
      let text = value.text()
      #expect(try JSONValue(parsing: text) == value)
      let foundation = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
      #expect(
        try JSONSerialization.jsonObject(with: Data(Self.spaced(text, &random).utf8), options: .fragmentsAllowed)
          as? NSObject == foundation as? NSObject)
      let padded = Self.spaced(text, &random)
      #expect(try JSONValue(parsing: padded) == value)
      let range = try JSONNumberTests.cursor(" \(text) ,1") { try $0.skipValue() }
      #expect(range == 1..<(1 + text.utf8.count))
    }
  }

  static func random(depth: Int, _ random: inout SeededGenerator) -> JSONValue {
    switch Int.random(in: 0..<(depth == 0 ? 5 : 8), using: &random) {
    case 0: return .null
    case 1: return .bool(Bool.random(using: &random))
    case 2: return .int(Int64.random(in: -1_000_000...1_000_000, using: &random))
    case 3: return .double(Double(Int.random(in: -99...99, using: &random)) + 0.5)
    case 4:
      let letters = ["a", "é", "🦉", "\"", "\\", "\n", "\u{2028}", "\u{1}", "]", "}", ","]
      return .string(
        (0..<Int.random(in: 0...12, using: &random)).map { _ in letters.randomElement(using: &random)! }.joined())
    case 5:
      return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in Self.random(depth: depth - 1, &random) })
    default:
      return .object(
        (0..<Int.random(in: 0...4, using: &random)).map {
          JSONValue.Member("k\($0)", Self.random(depth: depth - 1, &random))
        })
    }
  }

  /// The text with white space between its tokens.
  static func spaced(_ text: String, _ random: inout SeededGenerator) -> String {
    var out = ""
    var isString = false
    var isEscaped = false
    for scalar in text.unicodeScalars {
      let isToken = !isString && "{}[],:".unicodeScalars.contains(scalar)
      if isToken { out += [" ", "\n", "\t", "\r\n", ""].randomElement(using: &random)! }
      out.unicodeScalars.append(scalar)
      if isToken { out += [" ", "\n", ""].randomElement(using: &random)! }
      if isEscaped {
        isEscaped = false
      } else if isString, scalar == "\\" {
        isEscaped = true
      } else if scalar == "\"" {
        isString.toggle()
      }
    }
    return out
  }

  @Test(arguments: [
    "", " ", "{", "[", "{]", "[}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{,}"#, #"{a:1}"#, "[1,]", "[,]", "[1 2]",
    #"{"a":1 "b":2}"#,
    "tru", "nulL", "falsy", "1 2", "{}{}", "]", "\u{0}", "[\u{0}]", "#", "[1,\u{0}", "True", "None",
  ]) func otherTextsAreErrors(text: String) {
    #expect(throws: RecordError.self) { try JSONValue(parsing: text) }
  }

  @Test func theErrorSaysWhere() {
    #expect { try JSONValue(parsing: #"{"a":1,"b":?}"#) } throws: { ($0 as? RecordError)?.offset == 11 }
    #expect { try JSONValue(parsing: #"{"a":"\q"}"#) } throws: { ($0 as? RecordError)?.offset == 7 }
  }

  // MARK: UTF-8

  @Test func validityIsThatOfTheStandardLibrary() {
    var random = SeededGenerator(seed: 11)
    let pieces: [[UInt8]] = [
      [0x41], [0xC3, 0xA9], [0xE2, 0x82, 0xAC], [0xF0, 0x9F, 0xA6, 0x89], [0xED, 0x9F, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF],
      [0xEE, 0x80, 0x80],
      [UInt8](repeating: 0x20, count: 31), [UInt8](repeating: 0x61, count: 33),
    ]
    var invalid = 0
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...6, using: &random)).flatMap { _ in pieces.randomElement(using: &random)! }
      for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
        let at = bytes.indices.randomElement(using: &random)!
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        default: bytes = Array(bytes[..<at])
        }
      }
      let found = bytes.withUnsafeBufferPointer { UTF8Check.firstInvalid(in: $0) }
      let isValid = String(validating: bytes, as: UTF8.self) != nil
      #expect((found == nil) == isValid, "\(bytes)")
      if let found {
        invalid += 1
        // All before it is valid, and nothing that follows could make it so.
        #expect(String(validating: bytes[..<found], as: UTF8.self) != nil, "\(bytes)")
        #expect(
          (found + 1...min(found + 4, bytes.count)).allSatisfy {
            String(validating: bytes[found..<$0], as: UTF8.self) == nil
          })
      }
    }
    #expect(invalid > 3000)
  }
}
