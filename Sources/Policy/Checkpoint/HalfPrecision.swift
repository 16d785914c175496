/// Conversions between float32 and the two 16-bit types, by bits: `Float16` is not there on every platform.
public enum HalfPrecision {
  /// bfloat16 is the upper half of a float32.
  @inline(__always)
  public static func float(bfloat16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// Rounds to the nearest bfloat16, ties to even; NaN stays a quiet NaN, overflow becomes infinity.
  @inline(__always)
  public static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { return UInt16(truncatingIfNeeded: bits >> 16) | 0x0040 }
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }

  /// Widens an IEEE half; exact, subnormals included.
  @inline(__always)
  public static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let rest = UInt32(bits & 0x7FFF)
    if rest >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | rest << 13) }
    // The exponents differ by 112; the multiplication also normalises subnormals.
    let magnitude = Float(bitPattern: rest << 13) * 0x1p112
    return Float(bitPattern: sign | magnitude.bitPattern)
  }

  /// Rounds to the nearest IEEE half, ties to even; NaN stays a quiet NaN, overflow becomes infinity.
  public static func half(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16 & 0x8000)
    let rest = bits & 0x7FFF_FFFF
    if rest > 0x7F80_0000 { return sign | 0x7E00 | UInt16(truncatingIfNeeded: rest >> 13 & 0x01FF) }
    // From 65520 on, halfway between the largest half and the next power, everything rounds to infinity.
    if rest >= 0x477F_F000 { return sign | 0x7C00 }
    if rest >= 0x3880_0000 {
      let shifted = rest - 0x3800_0000
      return sign | UInt16(truncatingIfNeeded: (shifted + 0x0FFF + (shifted >> 13 & 1)) >> 13)
    }
    // Subnormal halves are multiples of 2^-24; adding 0.5 lets the float addition itself round to that grid.
    let rounded = Float(bitPattern: rest) + 0.5
    return sign | UInt16(truncatingIfNeeded: rounded.bitPattern - Float(0.5).bitPattern)
  }
}
