import CKernels

/// Validation of UTF-8, fast where the text is ASCII.
enum UTF8Check {
  /// Offset of the first byte that is not valid UTF-8, or `nil`.
  static func firstInvalid(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    let raw = UnsafeRawPointer(base)
    let n = bytes.count
    var i = 0
    while i < n {
      i &+= arpo_ascii_length(base + i, n &- i)
      // Thirty-two ASCII bytes at a time.
      while i &+ 32 <= n {
        let a = raw.loadUnaligned(fromByteOffset: i, as: SIMD4<UInt64>.self)
        if (a[0] | a[1] | a[2] | a[3]) & 0x8080_8080_8080_8080 != 0 { break }
        i &+= 32
      }
      let stop = min(n, i &+ 32)
      while i < stop {
        let b = base[i]
        if b < 0x80 {
          i &+= 1
          continue
        }
        let length = sequenceLength(base, at: i, end: n)
        if length == 0 { return i }
        i &+= length
      }
    }
    return nil
  }

  /// Length of the well-formed multi-byte sequence at `i`, 0 if it is not well-formed (Unicode 15, table 3-7).
  private static func sequenceLength(_ p: UnsafePointer<UInt8>, at i: Int, end: Int) -> Int {
    let b = p[i]
    func tail(_ k: Int) -> Bool { i + k < end && p[i + k] & 0xC0 == 0x80 }
    switch b {
    case 0xC2...0xDF: return tail(1) ? 2 : 0
    case 0xE0...0xEF:
      guard tail(1), tail(2) else { return 0 }
      if b == 0xE0, p[i + 1] < 0xA0 { return 0 }
      if b == 0xED, p[i + 1] > 0x9F { return 0 }
      return 3
    case 0xF0...0xF4:
      guard tail(1), tail(2), tail(3) else { return 0 }
      if b == 0xF0, p[i + 1] < 0x90 { return 0 }
      if b == 0xF4, p[i + 1] > 0x8F { return 0 }
      return 4
    default: return 0
    }
  }
}
