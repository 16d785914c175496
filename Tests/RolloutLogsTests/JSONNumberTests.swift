import Foundation
import Rollouts
import TestSupport
import Testing

@testable import RolloutLogs

/// Numbers are read exactly as `strtod` reads them, and a column knows how wide it has to be.
@Suite struct JSONNumberTests {
  // MARK: Reading

  /// Runs a body on the cursor of a text.
  static func cursor<T>(_ text: String, _ body: (inout JSONCursor) throws -> T) throws -> T {
    var bytes = Array(text.utf8)
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding))
    return try bytes.withUnsafeBufferPointer { all in
      var cursor = JSONCursor(UnsafeBufferPointer(rebasing: all[..<count]))
      return try body(&cursor)
    }
  }

  static func reals(_ text: String) throws -> (column: RealColumn, scan: JSONCursor.RealScan) {
    try cursor(text) { cursor in
      var scan = JSONCursor.RealScan()
      let column = try cursor.reals("column", scan: &scan)
      try cursor.expectEnd()
      return (column, scan)
    }
  }

  static func integers(_ text: String) throws -> [Int32] {
    try cursor(text) { cursor in
      var out: [Int32] = []
      try cursor.integers(into: &out, "column")
      try cursor.expectEnd()
      return out
    }
  }

  static func reason(_ body: () throws -> Void) -> QuarantineReason? {
    do { try body() } catch { return (error as? RecordError)?.reason }
    return nil
  }

  // MARK: Reals

  /// Decimals of 1 to 20 digits with exponents, plain and with `e`, half of them where rounding is hardest.
  @Test func twoHundredThousandDecimals() throws {
    var random = SeededGenerator(seed: 1)
    var wrong: [String] = []
    for _ in 0..<100 {
      let texts = (0..<2000).map { _ in Self.decimal(&random) }
      // A number that needs a double, so that all are kept as doubles.
      let column = try Self.reals("[" + texts.joined(separator: ",") + ",0.1234567890123]").column
      #expect(column.precision == .float64 && column.count == texts.count + 1)
      for (text, value) in zip(texts, column.doubles) where value.bitPattern != strtod(text, nil).bitPattern {
        wrong.append("\(text) is \(value)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(5))")
  }

  static func decimal(_ random: inout SeededGenerator) -> String {
    let sign = Bool.random(using: &random) ? "-" : ""
    if Int.random(in: 0..<4, using: &random) == 0 {
      // The exact middle of two doubles and its neighbours.
      let double = Double(bitPattern: UInt64.random(in: 0x3FC0_0000_0000_0000...0x4130_0000_0000_0000, using: &random))
      let text = String(format: "%.\(Int.random(in: 15...19, using: &random))g", (double + double.nextUp) / 2)
      return text.contains("e") ? sign + "0.5" : sign + text
    }
    let count = Int.random(in: 1...20, using: &random)
    var digits = (0..<count).map { _ in String(Int.random(in: 0...9, using: &random)) }.joined()
    let point = Int.random(in: 0...count, using: &random)
    var whole = String(digits.prefix(point))
    digits = String(digits.dropFirst(point))
    whole = String(whole.drop { $0 == "0" })
    let zeros =
      Int.random(in: 0..<6, using: &random) == 0
      ? String(repeating: "0", count: Int.random(in: 1...40, using: &random)) : ""
    var text = sign + (whole.isEmpty ? "0" : whole)
    if !digits.isEmpty { text += "." + (whole.isEmpty ? zeros : "") + digits }
    if Int.random(in: 0..<3, using: &random) == 0 {
      let exponent = Int.random(in: -330...280, using: &random)
      text +=
        (Bool.random(using: &random) ? "e" : "E") + (exponent >= 0 && Bool.random(using: &random) ? "+" : "")
        + "\(exponent)"
    }
    return text
  }

  @Test func everyPowerOfTenAndEveryCountOfDigits() throws {
    for digits in 1...20 {
      let nines = String(repeating: "9", count: digits)
      let one = "1" + String(repeating: "0", count: digits - 1)
      for exponent in stride(from: -345, through: 308 - digits, by: 1) {
        for text in ["\(nines)e\(exponent)", "\(one)e\(exponent)"] {
          let value = try Self.reals("[\(text),0.1234567890123]").column.doubles[0]
          #expect(value == strtod(text, nil), "\(text)")
        }
      }
      for point in 0...min(60, digits + 40) {
        let text =
          point >= digits
          ? "0." + String(repeating: "0", count: point - digits) + nines
          : nines.prefix(digits - point) + (point == 0 ? "" : "." + nines.suffix(point))
        let value = try Self.reals("[\(text),0.1234567890123]").column.doubles[0]
        #expect(value == strtod(String(text), nil), "\(text)")
      }
    }
  }

  @Test(arguments: [
    ("[]", RealColumn.Precision.float32), ("[0,-0,0.5,-1.25,-0.0,3e0,1e2]", .float32), ("[null]", .float32),
    // Nine digits print a float32.
    ("[-0.1]", .float32Decimal), ("[-0.693147182]", .float32Decimal), ("[-12.3456789,0.5]", .float32Decimal),
    ("[-0.000123456789]", .float32Decimal), ("[-1.23456789e-5]", .float32Decimal), ("[0.100000000]", .float32Decimal),
    ("[-0.69314718055994]", .float64), ("[-1.234567891,-0.5]", .float64), ("[-1234567890.5]", .float64),
    // A float32 of many digits is one all the same.
    ("[-0.0001220703125]", .float32), ("[-0.1051783710718155,-0.5]", .float64),
    // What a float32 cannot hold at all.
    ("[1e39]", .float64), ("[-1e39]", .float64), ("[1e-46]", .float64), ("[-3.1e-42]", .float64),
  ]) func aColumnIsAsWideAsItsNumbers(text: String, precision: RealColumn.Precision) throws {
    let column = try Self.reals(text).column
    #expect(column.precision == precision, "\(text): \(column)")
  }

  @Test func narrowColumnsHoldTheNearestFloat32() throws {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<200 {
      let floats = (0..<20).map { _ in -Float.random(in: 0..<20, using: &random) }
      let shortest = try Self.reals("[" + floats.map(\.description).joined(separator: ", ") + "]").column
      #expect(shortest.precision <= .float32Decimal && shortest.floats == floats)
      let exact = try Self.reals("[" + floats.map { Double($0).description }.joined(separator: ",") + "]").column
      #expect(exact.precision == .float32 && exact.floats == floats)
    }
  }

  @Test func nullIsMissingAndZeroIsNot() throws {
    let (column, scan) = try Self.reals("[null, 0.0 ,null,-1.5\n,\tnull ]")
    #expect(column[0] == nil && column[1] == 0 && column[3] == -1.5 && column.count == 5 && scan.missing == 3)
    let wide = try Self.reals("[null,-0.12345678901,null]").column
    #expect(wide[0] == nil && wide[1] == -0.12345678901 && wide.precision == .float64)
  }

  @Test func valuesAboveZeroAreSeen() throws {
    for text in ["[-3,-0.5,null]", "[null]", "[-1,-1e-60,0]", "[-0.0,0,0.0]"] {
      #expect(try !Self.reals(text).scan.hasPositive, "\(text)")
    }
    for text in ["[-3,0.1234567890123,null]", "[-1,1e-60]", "[-1,0.5,-1]", "[1]"] {
      #expect(try Self.reals(text).scan.hasPositive, "\(text)")
    }
  }

  @Test(arguments: [
    ("[NaN]", QuarantineReason.notFinite), ("[-1,Infinity]", .notFinite), ("[-Infinity]", .notFinite),
    ("[1e400]", .notFinite),
    ("[-1e999]", .notFinite), ("[\"1\"]", .wrongType), ("[true]", .wrongType), ("[[1]]", .wrongType),
    ("[{}]", .wrongType),
    ("{}", .wrongType), ("\"x\"", .wrongType), ("1", .wrongType), ("[1", .invalidJSON),
    ("[1 2]", .invalidJSON), ("[01]", .invalidJSON), ("[-01.5]", .invalidJSON), ("[00]", .invalidJSON),
    ("[1.]", .invalidJSON),
    ("[1.e5]", .invalidJSON), ("[1e]", .invalidJSON), ("[1e+]", .invalidJSON), ("[-]", .invalidJSON),
    ("[0x10]", .invalidJSON),
    ("[1_000]", .invalidJSON), ("[1.5.5]", .invalidJSON), ("[--1]", .invalidJSON), ("[1-2]", .invalidJSON),
    ("[nullx]", .invalidJSON), ("[1]]", .invalidJSON), ("[0.5f]", .invalidJSON),
  ]) func malformedColumnsAreErrors(text: String, reason: QuarantineReason) {
    #expect(Self.reason { _ = try Self.reals(text) } == reason, "\(text)")
  }

  @Test(arguments: ["[.5]", "[+1]", "[nul]", "[nulL]", "[,1]", "[1,,2]", "[1,]", "[a]", "[-null]", "[", "[1,"])
  func otherMalformedColumnsAreErrorsToo(text: String) {
    #expect([.invalidJSON, .wrongType].contains(Self.reason { _ = try Self.reals(text) }), "\(text)")
  }

  // MARK: Whole numbers

  @Test func wholeNumbers() throws {
    #expect(try Self.integers("[]") == [] && Self.integers(" [ 0 , 7,2147483647\t, 151664 ] ") == [0, 7, .max, 151664])
    #expect(try Self.integers("[1.0,2e1,-0,0.0]") == [1, 20, 0, 0])
    var random = SeededGenerator(seed: 2)
    let ids = (0..<5000).map { _ in
      Int32.random(in: 0...Int32.max >> Int32.random(in: 0...30, using: &random), using: &random)
    }
    #expect(try Self.integers("[" + ids.map(String.init).joined(separator: ",") + "]") == ids)
  }

  @Test(arguments: [
    ("[-1]", QuarantineReason.outOfRange), ("[2147483648]", .outOfRange), ("[99999999999999999999]", .wrongType),
    ("[9999999999]", .outOfRange),
    ("[1.5]", .wrongType), ("[\"1\"]", .wrongType), ("[null]", .wrongType), ("[NaN]", .notFinite),
    ("[1e99]", .wrongType),
    ("[1 2]", .invalidJSON), ("[1", .invalidJSON), ("[01]", .invalidJSON), ("{}", .wrongType), ("[true]", .wrongType),
  ]) func otherNumbersAreNoIDs(text: String, reason: QuarantineReason) {
    #expect(Self.reason { _ = try Self.integers(text) } == reason, "\(text)")
  }

  @Test func masks() throws {
    func mask(_ text: String) throws -> [UInt8] {
      try Self.cursor(text) { cursor in
        var out: [UInt8] = []
        try cursor.mask(into: &out, "mask")
        return out
      }
    }
    #expect(try mask("[0, 1,true,false , 1.0,0.0]") == [0, 1, 1, 0, 1, 0] && mask("[]") == [])
    for text in ["[2]", "[-1]", "[10]", "[0.5]", "[null]", "[\"1\"]"] {
      #expect(Self.reason { _ = try mask(text) } == .wrongType, "\(text)")
    }
  }

  @Test func numbersOfADocument() throws {
    for (text, value) in [
      ("0", JSONValue.int(0)), ("-7", .int(-7)), ("9223372036854775807", .int(.max)),
      ("-9223372036854775808", .int(.min)),
      ("9223372036854775808", .double(9223372036854775808)), ("1e2", .double(100)), ("-0", .double(-0.0)),
      ("0.1", .double(0.1)),
      ("Infinity", .double(.infinity)), ("-Infinity", .double(-.infinity)),
    ] { #expect(try JSONValue(parsing: text) == value) }
    #expect(try JSONValue(parsing: "NaN").double?.isNaN == true)
    #expect(
      try JSONValue(parsing: "1e2").int == 100 && JSONValue(parsing: "1.5").int == nil
        && JSONValue(parsing: "1e99").int == nil)
  }

  // MARK: Kernels

  /// Kernels take over behind the first bytes of a record.
  private static let room = String(repeating: " ", count: 64)

  /// Long arrays in every shape that loggers print, mixed with those that they do not.
  @Test(arguments: [",", ", ", " , ", ",\n"]) func longColumnsAreReadLikeSingleNumbers(separator: String) throws {
    var random = SeededGenerator(seed: 5)
    let texts = (0..<6000).map { _ -> String in
      let x = -Double.random(in: 0..<1, using: &random) * pow(10, Double(Int.random(in: -9...3, using: &random)))
      switch Int.random(in: 0..<12, using: &random) {
      case 0: return "null"
      case 1: return "\(Int(x))"
      case 2: return "\(Float(x))"
      case 3: return String(format: "%.20f", x)
      case 4: return String(format: "%.3e", x)
      case 5: return String(format: "%.17E", x)
      case 6: return "0.0"
      case 7: return "-0.0"
      default: return Double(Float(x)).description
      }
    }
    let column = try Self.reals(Self.room + "[" + texts.joined(separator: separator) + "]").column
    #expect(column.count == texts.count && column.precision == .float64)
    for (i, text) in texts.enumerated() {
      let wanted = text == "null" ? nil : strtod(text, nil)
      #expect(column[i]?.bitPattern == wanted?.bitPattern, "\(text)")
    }
    let floats = texts.filter { $0 == Float($0).map { Double($0).description } }
    let narrow = try Self.reals(Self.room + "[" + floats.joined(separator: separator) + "]").column
    #expect(narrow.precision == .float32 && narrow.floats == floats.compactMap(Float.init))
  }

  @Test(arguments: [",", ", ", ",\t"]) func longListsOfIDsAreReadLikeSingleNumbers(separator: String) throws {
    var random = SeededGenerator(seed: 6)
    let ids = (0..<6000).map { _ in
      Int32.random(in: 0...Int32.max >> Int32.random(in: 0...30, using: &random), using: &random)
    }
    #expect(try Self.integers(Self.room + "[" + ids.map(String.init).joined(separator: separator) + "]") == ids)
  }

  /// Whatever is wrong in the middle of a long array is the same error as alone, at its own place.
  @Test(arguments: [
    "-", "--1", "1.", ".5", "01", "-01.5", "1e", "1e+", "0x10", "nul", "nullx", "1.5.5", "1-2", "\"1\"", "true", "[1]",
    "NaN",
    "Infinity", "", "1 2", "0.5f", "1e400", "+1", "1_0",
  ])
  func errorsInLongColumns(element: String) {
    func failure(_ count: Int, _ before: String) -> (reason: QuarantineReason, place: Int?)? {
      let front = before + "[" + String(repeating: "-0.4321987654321,", count: count)
      do { _ = try Self.reals(front + element + ",-0.5]") } catch {
        guard let error = error as? RecordError else { return nil }
        return (error.reason, error.offset.map { $0 - front.utf8.count })
      }
      return nil
    }
    let alone = failure(0, "")
    #expect(alone != nil)
    for count in [1, 2, 7, 8, 63, 64, 65, 500] {
      let inside = failure(count, Self.room)
      #expect(inside?.reason == alone?.reason && inside?.place == alone?.place, "\(count) \(element)")
    }
  }

  @Test func arraysThatAreCutOffAreErrors() {
    let text = Self.room + "[" + String(repeating: "-0.4321987654321,12345,", count: 40)
    for n in 65..<text.utf8.count {
      let cut = String(text.prefix(n))
      #expect(Self.reason { _ = try Self.reals(cut) } != nil)
      #expect(Self.reason { _ = try Self.integers(cut) } != nil)
    }
  }
}
