/// A random number generator whose whole state is one number: the same seed gives the same draws on every machine.
///
/// splitmix64 (Steele, Lea, Flood 2014).
public struct SeededRandom: RandomNumberGenerator, Sendable, Hashable {
  private var state: UInt64

  /// A generator that starts from a seed.
  public init(seed: UInt64) { state = seed }

  /// What the state grows by with each draw: 2^64 over the golden ratio.
  @inlinable public static var increment: UInt64 { 0x9E37_79B9_7F4A_7C15 }

  /// splitmix64's finaliser: a bijection whose every output bit depends on every input bit.
  @inlinable public static func mix(_ x: UInt64) -> UInt64 {
    var x = x
    x = (x ^ x >> 30) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ x >> 27) &* 0x94D0_49BB_1331_11EB
    return x ^ x >> 31
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= Self.increment
    return Self.mix(state)
  }

  /// Uniform on [0, 1), in steps of 2^-53.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform on 0 ..< bound, without bias (Lemire 2019).
  ///
  /// - Parameter bound: 1 or more.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "there is no number below 0")
    let n = UInt64(bound)
    var product = next().multipliedFullWidth(by: n)
    if product.low < n {
      let least = (0 &- n) % n
      while product.low < least { product = next().multipliedFullWidth(by: n) }
    }
    return Int(product.high)
  }

  /// The values in a random order, each as likely as any other (Fisher and Yates).
  ///
  /// The standard library does not promise that its `shuffled(using:)` stays what it is; seeds have to.
  public mutating func shuffled<Value>(_ values: [Value]) -> [Value] {
    var out = values
    for i in out.indices.dropLast() { out.swapAt(i, i + below(out.count - i)) }
    return out
  }
}
