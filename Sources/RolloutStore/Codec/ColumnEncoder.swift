import CKernels
import CZstd
import Foundation
import Rollouts

/// Turns token columns into blobs (see ColumnCodec.swift).
///
/// One thread uses one encoder.
final class ColumnEncoder {
  private let context: OpaquePointer?
  private var out: [UInt8] = []
  private var planes: [UInt8] = []
  private var packed: [UInt8] = []

  init() { context = ZSTD_createCCtx() }

  deinit { ZSTD_freeCCtx(context) }

  /// Whole numbers such as token ids.
  func integers(_ values: ArraySlice<Int32>) -> [UInt8] {
    begin(.integers)
    append(varint: values.count)
    values.withUnsafeBytes { append(words: $0, width: 4) }
    return out
  }

  func reals(_ column: RealColumn, _ range: Range<Int>) -> [UInt8] {
    begin(.reals)
    out.append(column.precision.rawValue)
    append(varint: range.count)
    append(reals: column, range)
    return out
  }

  /// A mask; `nil` if all its values are equal.
  func mask(_ values: ArraySlice<UInt8>) -> [UInt8]? {
    guard let first = values.first, values.contains(where: { $0 != first }) else { return nil }
    begin(.mask)
    out.append(first)
    var runs: [Int] = []
    var previous: UInt8?
    for value in values {
      if value == previous { runs[runs.count - 1] += 1 } else { runs.append(1) }
      previous = value
    }
    append(varint: runs.count)
    for run in runs { append(varint: run) }
    return out
  }

  /// The candidates of rows `range`, whose flat values are `flat`; `nil` if no row has any.
  func candidates(_ top: TopLogprobs, _ range: Range<Int>, _ flat: Range<Int>) -> [UInt8]? {
    guard !flat.isEmpty else { return nil }
    begin(.candidates)
    out.append(top.logprobs.precision.rawValue)
    append(varint: range.count)
    let counts = top.counts[range]
    if let k = counts.first, counts.allSatisfy({ $0 == k }) {
      out.append(0)
      append(varint: Int(k))
    } else {
      out.append(1)
      for k in counts { append(varint: Int(k)) }
    }
    top.tokenIDs[flat].withUnsafeBytes { append(words: $0, width: 4) }
    if top.logprobs.precision == .float64 || !appendSteps(top.logprobs.floats[flat], counts) {
      out.append(0)
      append(reals: top.logprobs, flat)
    }
    return out
  }

  /// The advantages of a path.
  ///
  /// - Parameters:
  ///   - values: one for each generated token.
  ///   - generated: the path's generated runs.
  ///   - length: of the path.
  func advantages(_ values: [Double], generated: [Range<Int>], length: Int) -> [UInt8] {
    begin(.advantages)
    append(varint: generated.count)
    var end = 0
    for run in generated {
      append(varint: run.lowerBound - end)
      append(varint: run.count)
      end = run.upperBound
    }
    append(varint: length - end)
    var stretches: [Int] = []
    var distinct: [Double] = []
    for value in values {
      if value.bitPattern == distinct.last?.bitPattern {
        stretches[stretches.count - 1] += 1
      } else {
        stretches.append(1)
        distinct.append(value)
      }
    }
    // A length takes a byte, a value up to eight.
    if distinct.count * 2 < values.count {
      out.append(1)
      append(varint: stretches.count)
      for length in stretches { append(varint: length) }
      append(reals: RealColumn(doubles: distinct), 0..<distinct.count)
    } else {
      out.append(0)
      append(reals: RealColumn(doubles: values), 0..<values.count)
    }
    return out
  }

  // MARK: Parts

  private func begin(_ coding: ColumnCoding) {
    out.removeAll(keepingCapacity: true)
    out.append(coding.rawValue)
  }

  private func append(varint value: Int) {
    var rest = UInt64(value)
    while rest >= 0x80 {
      out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    out.append(UInt8(rest))
  }

  private func append(reals column: RealColumn, _ range: Range<Int>) {
    if column.precision == .float64 {
      column.doubles[range].withUnsafeBytes { append(words: $0, width: 8) }
    } else {
      column.floats[range].withUnsafeBytes { append(words: $0, width: 4) }
    }
  }

  private func append(words: UnsafeRawBufferPointer, width: Int) {
    let count = words.count / width
    guard count > 0 else { return }
    if planes.count < words.count { planes = [UInt8](repeating: 0, count: words.count) }
    planes.withUnsafeMutableBufferPointer { planes in
      arpo_planes_split(words.baseAddress, count, Int32(width), planes.baseAddress)
      for b in 0..<width { append(plane: UnsafeBufferPointer(rebasing: planes[(b * count)..<((b + 1) * count)])) }
    }
  }

  private func append(plane: UnsafeBufferPointer<UInt8>) {
    let n = plane.count
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 256) { histogram in
      arpo_plane_histogram(plane.baseAddress, n, histogram.baseAddress)
      if histogram[Int(plane[0])] == n {
        out.append(1)
        out.append(plane[0])
        return
      }
      var base = 0
      while histogram[base] == 0 { base += 1 }
      func count(_ values: Int) -> Int {
        (base..<min(256, base + values)).reduce(0) { $0 + Int(histogram[$1]) }
      }
      let isBelow4 = count(4) == n
      let simple = min(n, isBelow4 ? n / 4 + 2 : n, n / 2 + (n - count(15)) + 3)
      // Bytes that an ideal code of single bytes takes; zstd comes close, and finds repetitions besides.
      if n >= 256, Self.entropy(histogram, n) + Double(n) / 5 < Double(simple), appendCompressed(plane, below: simple) {
        return
      }
      if isBelow4 {
        appendQuarters(plane, UInt8(base))
      } else if simple < n {
        appendNibbles(plane, UInt8(base))
      } else {
        out.append(0)
        out.append(contentsOf: plane)
      }
    }
  }

  private func appendCompressed(_ plane: UnsafeBufferPointer<UInt8>, below limit: Int) -> Bool {
    let bound = ZSTD_compressBound(plane.count)
    if packed.count < bound { packed = [UInt8](repeating: 0, count: bound) }
    let n = packed.withUnsafeMutableBytes {
      ZSTD_compressCCtx(context, $0.baseAddress, $0.count, plane.baseAddress, plane.count, 1)
    }
    guard ZSTD_isError(n) == 0, n < limit else { return false }
    out.append(2)
    append(varint: n)
    out.append(contentsOf: packed[..<n])
    return true
  }

  private func appendNibbles(_ plane: UnsafeBufferPointer<UInt8>, _ base: UInt8) {
    let n = plane.count
    let size = (n + 1) / 2
    // Two more than can be used: the packing writes before it counts.
    if packed.count < size + n + 2 { packed = [UInt8](repeating: 0, count: size + n + 2) }
    let escapes = packed.withUnsafeMutableBufferPointer { packed in
      packed.baseAddress.map { arpo_plane_pack4(plane.baseAddress, n, base, $0, $0 + size) } ?? 0
    }
    out.append(4)
    out.append(base)
    append(varint: escapes)
    out.append(contentsOf: packed[..<(size + escapes)])
  }

  private func appendQuarters(_ plane: UnsafeBufferPointer<UInt8>, _ base: UInt8) {
    let size = (plane.count + 3) / 4
    if packed.count < size { packed = [UInt8](repeating: 0, count: size) }
    packed.withUnsafeMutableBufferPointer { arpo_plane_pack2(plane.baseAddress, plane.count, base, $0.baseAddress) }
    out.append(3)
    out.append(base)
    out.append(contentsOf: packed[..<size])
  }

  /// Order-0 entropy of a plane in bytes: (n log2 n - sum of c log2 c) / 8.
  private static func entropy(_ histogram: UnsafeMutableBufferPointer<UInt32>, _ n: Int) -> Double {
    var sum = 0.0
    for count in histogram where count > 1 {
      sum += Int(count) < weights.count ? Double(weights[Int(count)]) : Double(count) * log2(Double(count))
    }
    return (Double(n) * log2(Double(n)) - sum) / 8
  }

  /// c log2 c for small counts.
  private static let weights: [Float] = (0..<4096).map { $0 == 0 ? 0 : Float(Double($0) * log2(Double($0))) }

  // MARK: Steps

  private var best: [Float] = []
  private var steps: [UInt16] = []
  private var bad: [UInt8] = []

  /// Appends the candidates as steps if at least three quarters of the rows allow it.
  private func appendSteps(_ values: ArraySlice<Float>, _ counts: ArraySlice<Int32>) -> Bool {
    let rows = counts.count
    if best.count < rows {
      best = [Float](repeating: 0, count: rows)
      bad = [UInt8](repeating: 0, count: rows)
    }
    if steps.count < values.count { steps = [UInt16](repeating: 0, count: values.count) }
    var exponent: Int?
    let probe = min(rows, 16)
    // bf16 logits between 2^n and 2^(n+1) lie on multiples of 2^(n-7); 3 … 8 covers logits from 1/2 to 32 and above.
    for e in 3...8 where encodeSteps(values, counts, rows: probe, exponent: e) * 4 <= probe {
      exponent = e
      break
    }
    guard let exponent else { return false }
    let failed = encodeSteps(values, counts, rows: rows, exponent: exponent)
    guard failed * 4 <= rows else { return false }
    out.append(1)
    out.append(UInt8(exponent))
    best.withUnsafeBytes { append(words: UnsafeRawBufferPointer(rebasing: $0[..<(rows * 4)]), width: 4) }
    counts.withUnsafeBufferPointer { counts in
      steps.withUnsafeMutableBufferPointer { arpo_delta16($0.baseAddress, counts.baseAddress, rows) }
    }
    steps.withUnsafeBytes { append(words: UnsafeRawBufferPointer(rebasing: $0[..<(values.count * 2)]), width: 2) }
    append(varint: failed)
    guard failed > 0 else { return true }
    var exceptions: [Float] = []
    var at = values.startIndex
    for (row, k) in counts.enumerated() {
      if bad[row] != 0 {
        append(varint: row)
        exceptions += values[at..<(at + Int(k))]
      }
      at += Int(k)
    }
    exceptions.withUnsafeBytes { append(words: $0, width: 4) }
    return true
  }

  private func encodeSteps(_ values: ArraySlice<Float>, _ counts: ArraySlice<Int32>, rows: Int, exponent: Int) -> Int {
    values.withUnsafeBufferPointer { values in
      counts.withUnsafeBufferPointer { counts in
        best.withUnsafeMutableBufferPointer { best in
          steps.withUnsafeMutableBufferPointer { steps in
            bad.withUnsafeMutableBufferPointer { bad in
              arpo_steps_encode(
                values.baseAddress, counts.baseAddress, rows, 1 / Float(1 << exponent), best.baseAddress,
                steps.baseAddress, bad.baseAddress)
            }
          }
        }
      }
    }
  }
}
