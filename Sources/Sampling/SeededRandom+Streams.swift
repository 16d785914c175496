public import AdaptiveRollout

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension SeededRandom {
  /// One of many independent streams of a seed, told apart by name.
  public init(seed: UInt64, stream: String) {
    // FNV-1a over the name.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in stream.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    self.init(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ hash)
  }

  /// Normal with mean 0 and deviation 1 (Box and Muller 1958).
  public mutating func normal() -> Double {
    let u = 1 - unit()
    let angle = 2 * Double.pi * unit()
    return (-2 * log(u)).squareRoot() * cos(angle)
  }
}
