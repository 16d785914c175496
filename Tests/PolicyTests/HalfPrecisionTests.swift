import Testing

@testable import Policy

@Suite("16-bit floats")
struct HalfPrecisionTests {
  @Test("every half and every bfloat16 survives the way through float32")
  func roundTrips() {
    for bits in UInt16.min...UInt16.max {
      let half = HalfPrecision.float(half: bits)
      let brain = HalfPrecision.float(bfloat16: bits)
      if half.isNaN {
        #expect(HalfPrecision.float(half: HalfPrecision.half(half)).isNaN)
      } else {
        #expect(HalfPrecision.half(half) == bits)
      }
      if brain.isNaN {
        #expect(HalfPrecision.float(bfloat16: HalfPrecision.bfloat16(brain)).isNaN)
      } else {
        #expect(HalfPrecision.bfloat16(brain) == bits)
      }
    }
  }

  @Test("the values between two neighbours go to the nearer one, the middle to the even one")
  func rounding() {
    for bits in UInt16(0)..<0x7C00 {
      let low = HalfPrecision.float(half: bits)
      // The largest half is followed by infinity, at the place of 65536.
      let high = bits == 0x7BFF ? 65536 : HalfPrecision.float(half: bits + 1)
      let middle = low + (high - low) / 2
      let even = bits & 1 == 0 ? bits : bits + 1
      #expect(HalfPrecision.half(middle) == even)
      #expect(HalfPrecision.half(middle.nextDown) == bits)
      #expect(HalfPrecision.half(middle.nextUp) == bits + 1)
      #expect(HalfPrecision.half(-middle) == even | 0x8000)
    }
    for bits in stride(from: UInt16(0), to: 0x7F80, by: 7) {
      let low = HalfPrecision.float(bfloat16: bits)
      let middle = Float(bitPattern: UInt32(bits) << 16 | 0x8000)
      #expect(HalfPrecision.bfloat16(middle) == (bits & 1 == 0 ? bits : bits + 1))
      #expect(HalfPrecision.bfloat16(Float(bitPattern: middle.bitPattern - 1)) == bits)
      #expect(HalfPrecision.bfloat16(Float(bitPattern: middle.bitPattern + 1)) == bits + 1)
      #expect(HalfPrecision.bfloat16(low) == bits)
    }
    #expect(HalfPrecision.half(1e9) == 0x7C00)
    #expect(HalfPrecision.half(1e-30) == 0)
    #expect(HalfPrecision.bfloat16(.greatestFiniteMagnitude) == 0x7F80)
  }

  #if !(os(macOS) && arch(x86_64))
    @Test("halves agree with the compiler's own")
    func agreesWithFloat16() {
      for bits in UInt16.min...UInt16.max where !Float16(bitPattern: bits).isNaN {
        #expect(HalfPrecision.float(half: bits) == Float(Float16(bitPattern: bits)))
      }
    }
  #endif
}
