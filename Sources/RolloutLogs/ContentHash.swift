/// A 128-bit hash of content (FNV-1a), for ids that a log does not give.
///
/// Equal on every machine and in every process.
struct ContentHash {
  private var state: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
  private static let prime: UInt128 = 0x0000_0000_0100_0000_0000_0000_0000_013b

  init() {}

  init(_ text: String) { add(text) }

  /// Adds bytes as they are; two calls hash like one with the bytes of both.
  mutating func add(bytes: some Sequence<UInt8>) {
    var h = state
    for byte in bytes { h = (h ^ UInt128(byte)) &* Self.prime }
    state = h
  }

  /// Adds a text and its length, so that "ab", "c" and "a", "bc" differ.
  mutating func add(_ text: String) {
    var copy = text
    copy.withUTF8 { add(bytes: $0) }
    add(UInt64(text.utf8.count))
  }

  /// Adds a number.
  mutating func add(_ number: UInt64) {
    withUnsafeBytes(of: number.littleEndian) { add(bytes: $0) }
  }

  /// Adds token ids and their count.
  mutating func add(_ ids: [Int32]) {
    for id in ids { add(UInt64(UInt32(bitPattern: id))) }
    add(UInt64(ids.count))
  }

  /// All 128 bits as 32 hexadecimal digits.
  var hex: String {
    Self.digits(UInt64(truncatingIfNeeded: state >> 64)) + Self.digits(UInt64(truncatingIfNeeded: state))
  }

  /// Both halves folded into 64 bits, as 16 hexadecimal digits.
  var short: String {
    Self.digits(UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state))
  }

  private static func digits(_ x: UInt64) -> String {
    let s = String(x, radix: 16)
    return String(repeating: "0", count: 16 - s.count) + s
  }
}
