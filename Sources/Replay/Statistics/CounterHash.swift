import AdaptiveRollout

/// Pseudo-random 64-bit numbers that depend on names and counters only: the same on every machine and in any order.
struct CounterHash: Sendable, Hashable {
  private(set) var state: UInt64

  init(state: UInt64) { self.state = state }

  init(seed: UInt64) { state = SeededRandom.mix(seed &+ SeededRandom.increment) }

  /// Takes in a string, and that it ends.
  mutating func combine(_ s: String) {
    for byte in s.utf8 { state = SeededRandom.mix(state ^ UInt64(byte)) }
    state = SeededRandom.mix(state ^ 0x100)
  }

  /// The number for a counter.
  func value(_ counter: UInt64) -> UInt64 {
    SeededRandom.mix(state &+ (counter &+ 1) &* SeededRandom.increment)
  }
}
