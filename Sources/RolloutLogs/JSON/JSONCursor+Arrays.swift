import Foundation
import Rollouts

/// The column readers: whole arrays of numbers into flat storage, which is where an import spends its time.
extension JSONCursor {
  /// What a column of reals showed while it was read.
  struct RealScan {
    /// The largest value, minus infinity if there is none.
    var largest = -Float.infinity
    /// Elements that are null.
    var missing = 0
  }

  /// An array of whole numbers in `0 ... Int32.max`, appended to `out`.
  /// - Parameter expected: how many there probably are; only saves growing.
  mutating func integers(into out: inout [Int32], _ what: StaticString, expecting expected: Int = 0) throws(RecordError)
  {
    guard peek() == UInt8(ascii: "[") else { throw fail("\(what) is not an array", .wrongType) }
    var p = at &+ 1
    let base = base
    let raw = UnsafeRawPointer(base)
    // Never more than the record has room for, whatever it announces.
    out.reserveCapacity(out.count + Swift.min(expected, (end - p) / 2))
    while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
    if base[p] == UInt8(ascii: "]") {
      move(to: p &+ 1)
      return
    }
    while true {
      while base[p] == 0x20 { p &+= 1 }
      let start = p
      // One to seven digits and what ends them, in one word; all else is looked at slowly.
      let w = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: p, as: UInt64.self))
      let digits = Self.leadingDigits(w)
      var x = Self.number(of: digits, in: w)
      p &+= digits
      if digits == 0 || digits == 8 || (base[p] != UInt8(ascii: ",") && base[p] != UInt8(ascii: "]"))
        || (base[start] == 0x30 && digits > 1)
      {
        move(to: start)
        let value = try integer("an element of \(what)")
        guard let id = Int32(exactly: value), id >= 0 else {
          move(to: start)
          throw fail("an element of \(what) is \(value), not a whole number in 0...\(Int32.max)", .outOfRange)
        }
        x = UInt64(id)
        p = at
      }
      out.append(Int32(truncatingIfNeeded: x))
      if base[p] == UInt8(ascii: ",") {
        p &+= 1
        continue
      }
      while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
      if base[p] == UInt8(ascii: ",") {
        p &+= 1
        while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
        continue
      }
      if base[p] == UInt8(ascii: "]") { break }
      move(to: p)
      throw fail(p >= end ? "the record ends inside \(what)" : "expected ',' or ']' in \(what)")
    }
    move(to: p &+ 1)
  }

  /// An array of finite numbers and nulls as a column; null becomes NaN.
  mutating func reals(_ what: StaticString, expecting expected: Int = 0, scan: inout RealScan) throws(RecordError)
    -> RealColumn
  {
    guard peek() == UInt8(ascii: "[") else { throw fail("\(what) is not an array", .wrongType) }
    let start = at
    var floats: [Float] = []
    floats.reserveCapacity(Swift.min(expected, (end - at) / 2))
    var isExact = true
    var maxDigits = 0
    try readReals(what, &floats, { Float($0) }, &scan, &isExact, &maxDigits)
    if isExact { return RealColumn(floats: floats, precision: .float32) }
    if maxDigits <= 9 { return RealColumn(floats: floats, precision: .float32Decimal) }
    // Some number says more than a float32 holds: read the array again and keep doubles.
    move(to: start)
    var doubles: [Double] = []
    var again = RealScan()
    try readReals(what, &doubles, { $0 }, &again, &isExact, &maxDigits)
    return RealColumn(doubles: doubles)
  }

  @inline(__always)
  private mutating func readReals<T>(
    _ what: StaticString, _ out: inout [T], _ convert: (Double) -> T, _ scan: inout RealScan, _ isExact: inout Bool,
    _ maxDigits: inout Int
  ) throws(RecordError) {
    let nan = convert(.nan)
    let base = base
    let raw = UnsafeRawPointer(base)
    var p = at &+ 1
    var exact = true
    var digitsSeen = 0
    var largest = -Float.infinity
    var missing = 0
    var failure: RecordError?
    DecimalConversion.powersOfFive.withUnsafeBufferPointer { table in
      DecimalConversion.exactPowersOfTen.withUnsafeBufferPointer { powers in
        guard let table = table.baseAddress, let powers = powers.baseAddress else { return }
        while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
        if base[p] == UInt8(ascii: "]") { return }
        while true {
          while base[p] == 0x20 { p &+= 1 }
          let start = p
          let negative = base[p] == UInt8(ascii: "-")
          if negative { p &+= 1 }
          var digit = base[p] &- 0x30
          if digit < 10 {
            let first = p
            var m = UInt64(digit)
            p &+= 1
            digit = base[p] &- 0x30
            while digit < 10 {
              m = m &* 10 &+ UInt64(digit)
              p &+= 1
              digit = base[p] &- 0x30
            }
            var significant = p &- first
            let leadingZero = base[first] == 0x30
            var exponent = 0
            if base[p] == UInt8(ascii: ".") {
              p &+= 1
              let fraction = p
              var w = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: p, as: UInt64.self))
              var n = Self.leadingDigits(w)
              while n == 8 {
                m = m &* 100_000_000 &+ Self.eightDigits(w)
                p &+= 8
                w = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: p, as: UInt64.self))
                n = Self.leadingDigits(w)
              }
              m = m &* UInt64(powers[n]) &+ Self.number(of: n, in: w)
              p &+= n
              exponent = fraction &- p
              significant = significant &+ (p &- fraction)
              if p == fraction { significant = 99 }
              if leadingZero {
                // Zeros before the first other digit say nothing.
                significant = first &+ 1 == fraction &- 1 ? significant &- 1 : 99
                if base[fraction] == 0x30 {
                  var z = fraction
                  while base[z] == 0x30 { z &+= 1 }
                  significant = significant &- (z &- fraction)
                }
              }
            } else if leadingZero, significant > 1 {
              significant = 99
            }
            if base[p] | 0x20 == UInt8(ascii: "e") {
              // Python prints numbers below 1e-4 so, and likely tokens have them.
              let sign = base[p &+ 1]
              let q = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") ? p &+ 2 : p &+ 1
              let e = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: q, as: UInt64.self))
              let n = Self.leadingDigits(e)
              if n == 0 || n > 4 {
                significant = 99
              } else {
                let power = Int(Self.number(of: n, in: e))
                exponent = sign == UInt8(ascii: "-") ? exponent &- power : exponent &+ power
                p = q &+ n
              }
            }
            var value = 0.0
            if significant <= 19 {
              digitsSeen = Swift.max(digitsSeen, significant)
              if m < 1 << 53, exponent <= 0, exponent >= -22 {
                value = Double(m) / powers[0 &- exponent]
              } else if let v = DecimalConversion.double(significand: m, exponent: exponent, table: table) {
                value = v
              } else {
                value = strtod(raw.advanced(by: negative ? start &+ 1 : start).assumingMemoryBound(to: CChar.self), nil)
              }
              if negative { value = -value }
            } else {
              do throws(RecordError) {
                move(to: start)
                value = try real("an element of \(what)")
                digitsSeen = Swift.max(digitsSeen, Self.significantDigits(base, start..<at))
                p = at
              } catch {
                failure = error
                return
              }
            }
            let narrow = Float(value)
            if exponent < -37 || exponent > 18 || significant > 19, !narrow.isNormal, value != 0 {
              if value.isInfinite {
                move(to: start)
                failure = fail("an element of \(what) is not finite", .notFinite)
                return
              }
              // Too large or too small for a float32, however few digits it has.
              digitsSeen = 99
              if value > 0 { largest = Swift.max(largest, .leastNonzeroMagnitude) }
            }
            exact = exact && Double(narrow) == value
            largest = Swift.max(largest, narrow)
            out.append(convert(value))
          } else if base[p] == UInt8(ascii: "n"), !negative,
            raw.loadUnaligned(fromByteOffset: p, as: UInt32.self) == 0x6C6C_756E
          {
            p &+= 4
            missing &+= 1
            out.append(nan)
          } else {
            do throws(RecordError) {
              move(to: start)
              _ = try real("an element of \(what)")
              failure = fail("an element of \(what) is not a number", .wrongType)
            } catch {
              failure = error
            }
            return
          }
          if base[p] == UInt8(ascii: ",") {
            p &+= 1
            continue
          }
          while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
          if base[p] == UInt8(ascii: ",") {
            p &+= 1
            while base[p] <= 0x20 && base[p] != 0 { p &+= 1 }
            continue
          }
          if base[p] == UInt8(ascii: "]") { return }
          move(to: p)
          failure = fail(p >= end ? "the record ends inside \(what)" : "expected ',' or ']' in \(what)")
          return
        }
      }
    }
    if let failure { throw failure }
    move(to: p &+ 1)
    isExact = exact
    maxDigits = digitsSeen
    scan.largest = Swift.max(scan.largest, largest)
    scan.missing += missing
  }

  /// How many of a word's bytes, from the lowest, are ASCII digits.
  @inline(__always)
  private static func leadingDigits(_ w: UInt64) -> Int {
    // A byte is a digit if its upper half is 3 and stays 3 when 6 is added to it. Bytes above 0xF9 carry into the byte behind
    // them, which does not matter: they are no digits themselves.
    let wrong =
      ((w & 0xF0F0_F0F0_F0F0_F0F0) ^ 0x3030_3030_3030_3030)
      | (((w &+ 0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0) ^ 0x3030_3030_3030_3030)
    return wrong.trailingZeroBitCount >> 3
  }

  /// The number that the first `n` bytes of a word spell, `n` below 8; 0 for none.
  @inline(__always)
  private static func number(of n: Int, in w: UInt64) -> UInt64 {
    // Shifted up, the digits have zeros in front of them. Two shifts, since one by 64 is not defined for n = 0.
    eightDigits((w &<< UInt64(truncatingIfNeeded: 56 &- 8 &* n)) &<< 8)
  }

  /// The number that eight ASCII digits spell, by three multiplications that join neighbours.
  @inline(__always)
  private static func eightDigits(_ w: UInt64) -> UInt64 {
    var v = w & 0x0F0F_0F0F_0F0F_0F0F
    v = (v &* 2561) >> 8 & 0x00FF_00FF_00FF_00FF
    v = (v &* 6_553_601) >> 16 & 0x0000_FFFF_0000_FFFF
    return (v &* 42_949_672_960_001) >> 32
  }

  private static func significantDigits(_ base: UnsafePointer<UInt8>, _ range: Range<Int>) -> Int {
    var n = 0
    for i in range {
      if base[i] | 0x20 == UInt8(ascii: "e") { break }
      guard base[i] &- 0x30 < 10 else { continue }
      if n > 0 || base[i] != 0x30 { n += 1 }
    }
    return n
  }

  /// An array of 0/1 or false/true, appended to `out`.
  mutating func mask(into out: inout [UInt8], _ what: StaticString) throws(RecordError) {
    guard take(UInt8(ascii: "[")) else { throw fail("\(what) is not an array", .wrongType) }
    var first = true
    while try nextElement(first: &first) {
      switch peek() {
      case UInt8(ascii: "0") where base[at + 1] &- 0x30 >= 10 && base[at + 1] != UInt8(ascii: "."):
        out.append(0)
        move(to: at + 1)
      case UInt8(ascii: "1") where base[at + 1] &- 0x30 >= 10 && base[at + 1] != UInt8(ascii: "."):
        out.append(1)
        move(to: at + 1)
      default:
        switch try value() {
        case .bool(let b): out.append(b ? 1 : 0)
        case .double(0): out.append(0)
        case .double(1): out.append(1)
        default: throw fail("an element of \(what) is not 0 or 1", .wrongType)
        }
      }
    }
  }
}
