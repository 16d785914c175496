public import AdaptiveRollout

/// Pseudo-random numbers of a named stream: the same on every machine.
///
/// Each use has its own stream, so that one more draw in one place changes nothing in another, and a resumed run has no
/// state to restore but its counters.
public struct SeededStream: RandomNumberGenerator {
  /// The stream's numbers.
  public var random: SeededRandom

  /// The stream of a name; `counter` tells its instances apart, such as epochs.
  public init(seed: UInt64, stream: String, counter: UInt64 = 0) {
    var state = SeededRandom.mix(seed &+ SeededRandom.increment)
    for byte in stream.utf8 { state = SeededRandom.mix(state ^ UInt64(byte)) }
    random = SeededRandom(seed: SeededRandom.mix(state ^ 0x100 ^ counter &* 0xD6E8_FEB8_6659_FD93))
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 { random.next() }
}
