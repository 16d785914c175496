/// Pseudo-random 64-bit numbers that depend on names and counters only: the same on every machine and in any order.
struct CounterHash: Sendable, Hashable {
  private(set) var state: UInt64

  init(state: UInt64) { self.state = state }

  init(seed: UInt64) { state = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15) }

  /// Takes in a string, and that it ends.
  mutating func combine(_ s: String) {
    for byte in s.utf8 { state = Self.mix(state ^ UInt64(byte)) }
    state = Self.mix(state ^ 0x100)
  }

  /// The number for a counter.
  func value(_ counter: UInt64) -> UInt64 { Self.mix(state &+ (counter &+ 1) &* 0x9E37_79B9_7F4A_7C15) }

  /// A bijection whose every output bit depends on every input bit (splitmix64's finaliser, Steele et al.
  ///
  /// 2014).
  private static func mix(_ x: UInt64) -> UInt64 {
    var x = x
    x = (x ^ x >> 30) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ x >> 27) &* 0x94D0_49BB_1331_11EB
    return x ^ x >> 31
  }
}
