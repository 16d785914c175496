/// Pseudo-random numbers of a named stream (splitmix64; Steele, Lea, Flood 2014): the same on every machine.
///
/// Each use has its own stream, so that one more draw in one place changes nothing in another, and a resumed run has no
/// state to restore but its counters.
public struct SeededStream: RandomNumberGenerator {
  private var state: UInt64

  /// The stream of a name; `counter` tells its instances apart, such as epochs.
  public init(seed: UInt64, stream: String, counter: UInt64 = 0) {
    state = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)
    for byte in stream.utf8 { state = Self.mix(state ^ UInt64(byte)) }
    state = Self.mix(state ^ 0x100 ^ counter &* 0xD6E8_FEB8_6659_FD93)
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// A number in 0..<1 with 53 random bits.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  private static func mix(_ x: UInt64) -> UInt64 {
    var x = x
    x = (x ^ x >> 30) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ x >> 27) &* 0x94D0_49BB_1331_11EB
    return x ^ x >> 31
  }
}
