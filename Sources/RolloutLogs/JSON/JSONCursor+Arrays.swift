import CKernels
import Foundation
import Rollouts

/// The column readers: whole arrays of numbers into flat storage, which is where an import spends its time.
///
/// An array is opened, then read in one or more parts, each of which ends behind a comma or behind the closing bracket.
/// The shapes in which loggers write numbers are read by the kernels in CKernels, any other element here.
extension JSONCursor {
  /// What a column of reals showed while it was read.
  struct RealScan {
    /// Some element is above 0.
    var hasPositive = false
    /// Elements that are null.
    var missing = 0
  }

  /// Elements that a kernel writes at once.
  private static let chunk = 2048
  /// Elements read here before a kernel is asked again that could not go on.
  private static let slowElements = 32

  private var text: arpo_text { arpo_text(begin: base, end: base + end) }

  /// Takes the opening bracket; false if the array is empty, and then its closing bracket is taken too.
  mutating func openArray(_ what: StaticString) throws(RecordError) -> Bool {
    guard peek() == UInt8(ascii: "[") else { throw fail("\(what) is not an array", .wrongType) }
    move(to: at &+ 1)
    guard peek() == UInt8(ascii: "]") else { return true }
    move(to: at &+ 1)
    return false
  }

  /// Takes what stands behind an element; false if it is the closing bracket.
  private mutating func takeSeparator(_ what: StaticString) throws(RecordError) -> Bool {
    switch peek() {
    case UInt8(ascii: ","):
      move(to: at &+ 1)
      skipSpace()
      return true
    case UInt8(ascii: "]"):
      move(to: at &+ 1)
      return false
    default: throw fail(at >= end ? "the record ends inside \(what)" : "expected ',' or ']' in \(what)")
    }
  }

  /// An array of whole numbers in `0 ... Int32.max`, appended to `out`.
  mutating func integers(into out: inout [Int32], _ what: StaticString) throws(RecordError) {
    if try openArray(what) { _ = try readIntegers(into: &out, what) }
  }

  /// The next elements of an opened array of whole numbers in `0 ... Int32.max`, appended to `out`.
  ///
  /// Returns whether more follow.
  mutating func readIntegers(into out: inout [Int32], _ what: StaticString, upTo limit: Int = .max) throws(RecordError)
    -> Bool
  {
    var left = limit
    while left > 0 {
      var step = arpo_numbers_end()
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: Self.chunk) { room in
        step = arpo_read_integers(text, base + at, room.baseAddress, min(left, room.count))
        out.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<step.count]))
      }
      move(to: step.at - base)
      if step.closed != 0 { return false }
      left -= step.count
      if left == 0 { break }
      if step.count > 0 { continue }
      skipSpace()
      let start = at
      let value = try integer("an element of \(what)")
      guard let id = Int32(exactly: value), id >= 0 else {
        move(to: start)
        throw fail("an element of \(what) is \(value), not a whole number in 0...\(Int32.max)", .outOfRange)
      }
      out.append(id)
      left -= 1
      if try !takeSeparator(what) { return false }
    }
    return true
  }

  /// An array of finite numbers and nulls as a column; null becomes NaN.
  mutating func reals(_ what: StaticString, scan: inout RealScan) throws(RecordError) -> RealColumn {
    var column = RealColumn()
    if try openArray(what) { _ = try readReals(into: &column, what, scan: &scan) }
    return column
  }

  /// The next elements of an opened array of finite numbers and nulls, as a column that replaces `column`, whose storage is
  /// used again.
  ///
  /// Returns whether more follow.
  mutating func readReals(
    into column: inout RealColumn, _ what: StaticString, upTo limit: Int = .max, scan: inout RealScan
  ) throws(RecordError) -> Bool {
    let start = at
    var floats = column.floats
    column = RealColumn()
    floats.removeAll(keepingCapacity: true)
    var isExact = true
    var maxDigits = 0
    let goesOn = try readReals(what, &floats, limit, { Float($0) }, &scan, &isExact, &maxDigits)
    if isExact || maxDigits <= 9 {
      column = RealColumn(floats: floats, precision: isExact ? .float32 : .float32Decimal)
      return goesOn
    }
    // Some number says more than a float32 holds: read the elements again and keep doubles.
    move(to: start)
    var doubles: [Double] = []
    doubles.reserveCapacity(floats.count)
    var again = RealScan()
    _ = try readReals(what, &doubles, limit, { $0 }, &again, &isExact, &maxDigits)
    column = RealColumn(doubles: doubles)
    return goesOn
  }

  private mutating func readReals<T: BitwiseCopyable>(
    _ what: StaticString, _ out: inout [T], _ limit: Int, _ convert: (Double) -> T, _ scan: inout RealScan,
    _ isExact: inout Bool, _ maxDigits: inout Int
  ) throws(RecordError) -> Bool {
    var left = limit
    var found = arpo_reals_scan()
    defer {
      if found.inexact != 0 { isExact = false }
      scan.hasPositive = scan.hasPositive || found.positive != 0
      scan.missing += found.missing
      if found.significand > 0 { maxDigits = max(maxDigits, found.significand < 1_000_000_000 ? 9 : 19) }
    }
    while left > 0 {
      var step = arpo_numbers_end()
      DecimalConversion.powersOfFive.withUnsafeBufferPointer { table in
        withUnsafeTemporaryAllocation(of: T.self, capacity: Self.chunk) { room in
          let raw = UnsafeMutableRawPointer(room.baseAddress)
          let isFloat = T.self == Float.self
          step = arpo_read_reals(
            text, base + at, table.baseAddress, Int32(DecimalConversion.exponents.lowerBound),
            isFloat ? raw?.assumingMemoryBound(to: Float.self) : nil,
            isFloat ? nil : raw?.assumingMemoryBound(to: Double.self), min(left, room.count), &found)
          out.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<step.count]))
        }
      }
      move(to: step.at - base)
      if step.closed != 0 { return false }
      left -= step.count
      if left == 0 { break }
      if step.count > 0 { continue }
      let before = out.count
      let goesOn = try readSlowly(what, &out, min(left, Self.slowElements), convert, &scan, &isExact, &maxDigits)
      if !goesOn { return false }
      left -= out.count - before
    }
    return true
  }

  @inline(__always)
  private mutating func readSlowly<T>(
    _ what: StaticString, _ out: inout [T], _ limit: Int, _ convert: (Double) -> T, _ scan: inout RealScan,
    _ isExact: inout Bool, _ maxDigits: inout Int
  ) throws(RecordError) -> Bool {
    let nan = convert(.nan)
    let base = base
    let raw = UnsafeRawPointer(base)
    var p = at
    var exact = true
    var digitsSeen = 0
    var largest = -Float.infinity
    var missing = 0
    var left = limit
    var isClosed = false
    var failure: RecordError?
    DecimalConversion.powersOfFive.withUnsafeBufferPointer { table in
      DecimalConversion.exactPowersOfTen.withUnsafeBufferPointer { powers in
        guard let table = table.baseAddress, let powers = powers.baseAddress else { return }
        while Self.isSpace(base[p]) { p &+= 1 }
        while left > 0 {
          left &-= 1
          while Self.isSpace(base[p]) { p &+= 1 }
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
          while Self.isSpace(base[p]) { p &+= 1 }
          if base[p] == UInt8(ascii: ",") {
            p &+= 1
            while Self.isSpace(base[p]) { p &+= 1 }
            continue
          }
          if base[p] == UInt8(ascii: "]") {
            isClosed = true
            p &+= 1
            return
          }
          move(to: p)
          failure = fail(p >= end ? "the record ends inside \(what)" : "expected ',' or ']' in \(what)")
          return
        }
      }
    }
    if let failure { throw failure }
    move(to: p)
    isExact = isExact && exact
    maxDigits = Swift.max(maxDigits, digitsSeen)
    scan.hasPositive = scan.hasPositive || largest > 0
    scan.missing += missing
    return !isClosed
  }

  @inline(__always)
  private static func isSpace(_ byte: UInt8) -> Bool {
    byte <= 0x20 && (byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09)
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
    if try openArray(what) { _ = try readMask(into: &out, what) }
  }

  /// The next elements of an opened array of 0/1 or false/true, appended to `out`.
  ///
  /// Returns whether more follow.
  mutating func readMask(into out: inout [UInt8], _ what: StaticString, upTo limit: Int = .max) throws(RecordError)
    -> Bool
  {
    var left = limit
    while left > 0 {
      var step = arpo_numbers_end()
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.chunk) { room in
        step = arpo_read_bits(base + at, room.baseAddress, min(left, room.count))
        out.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<step.count]))
      }
      move(to: step.at - base)
      if step.closed != 0 { return false }
      left -= step.count
      if left == 0 { break }
      switch try value() {
      case .bool(let b): out.append(b ? 1 : 0)
      case .int(0), .double(0): out.append(0)
      case .int(1), .double(1): out.append(1)
      default: throw fail("an element of \(what) is not 0 or 1", .wrongType)
      }
      left -= 1
      if try !takeSeparator(what) { return false }
    }
    return true
  }
}
