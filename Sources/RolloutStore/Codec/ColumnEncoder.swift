import CKernels
import Rollouts

/// Turns token columns into blobs (see ColumnCodec.swift).
///
/// One thread uses one encoder.
final class ColumnEncoder {
  private var out: [UInt8] = []
  private var planes: [UInt8] = []
  private var packed: [UInt8] = []

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
  /// - Parameters:
  ///   - sampled: the sampled token of each row, if their places among the candidates are to be stored.
  ///   - withIDs: false leaves out the ids, for a blob of their own.
  func candidates(
    _ top: TopLogprobs, _ range: Range<Int>, _ flat: Range<Int>, sampled: ArraySlice<Int32> = [], withIDs: Bool = true
  ) -> [UInt8]? {
    guard !flat.isEmpty else { return nil }
    begin(withIDs ? .candidates : .candidatesWithoutIDs)
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
    appendPlaces(top.tokenIDs[flat], counts, sampled)
    if withIDs { top.tokenIDs[flat].withUnsafeBytes { append(words: $0, width: 4) } }
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

  private func appendPlaces(_ ids: ArraySlice<Int32>, _ counts: ArraySlice<Int32>, _ sampled: ArraySlice<Int32>) {
    let rows = counts.count
    guard sampled.count == rows else { return out.append(0) }
    if bad.count < rows { bad = [UInt8](repeating: 0, count: rows) }
    let isPlain = bad.withUnsafeMutableBufferPointer { places in
      ids.withUnsafeBufferPointer { ids in
        counts.withUnsafeBufferPointer { counts in
          sampled.withUnsafeBufferPointer { sampled in
            arpo_sampled_places(ids.baseAddress, counts.baseAddress, rows, sampled.baseAddress, places.baseAddress) != 0
          }
        }
      }
    }
    out.append(isPlain ? 1 : 0)
    if isPlain { bad.withUnsafeBufferPointer { append(plane: UnsafeBufferPointer(rebasing: $0[..<rows])) } }
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
    var smallest: UInt8 = 0
    var largest: UInt8 = 0
    arpo_plane_range(plane.baseAddress, n, &smallest, &largest)
    if smallest == largest {
      out.append(1)
      out.append(smallest)
      return
    }
    let others = count(plane, from: Int32(smallest) + 1)
    if largest - smallest < 4 {
      let sizes = (sparse: 2 * others + 8, bits: n / 8 + others / 4 + 5, quarters: n / 4 + 2)
      if sizes.sparse < min(sizes.bits, sizes.quarters) { return appendSparse(plane, smallest, others) }
      if sizes.bits < sizes.quarters { return appendBits(plane, smallest, others) }
      return appendQuarters(plane, smallest)
    }
    // Fifteen values from the smallest on, or up to the largest.
    let above = count(plane, from: Int32(smallest) + 15)
    let below = n - count(plane, from: Int32(largest) - 14)
    let nibbles = n / 2 + min(above, below) + 3
    if 2 * others + 8 < min(n, nibbles) { return appendSparse(plane, smallest, others) }
    // A few bytes less are not worth the escapes.
    if nibbles < n - n / 16 { return appendNibbles(plane, below < above ? largest - 14 : smallest) }
    out.append(0)
    out.append(contentsOf: plane)
  }

  private func count(_ plane: UnsafeBufferPointer<UInt8>, from value: Int32) -> Int {
    arpo_plane_count_from(plane.baseAddress, plane.count, value)
  }

  private func appendBits(_ plane: UnsafeBufferPointer<UInt8>, _ base: UInt8, _ others: Int) {
    let n = plane.count
    let size = (n + 7) / 8
    // One more than can be used: the packing writes before it counts.
    if packed.count < size + n + 1 { packed = [UInt8](repeating: 0, count: size + n + 1) }
    packed.withUnsafeMutableBufferPointer { packed in
      if let start = packed.baseAddress { _ = arpo_plane_pack1(plane.baseAddress, n, base, start, start + size) }
    }
    out.append(6)
    out.append(base)
    append(varint: others)
    out.append(contentsOf: packed[..<size])
    packed.withUnsafeMutableBufferPointer { packed in
      if let start = packed.baseAddress { arpo_plane_pack2(start + size, others, base &+ 1, start) }
    }
    out.append(contentsOf: packed[..<((others + 3) / 4)])
  }

  private func appendSparse(_ plane: UnsafeBufferPointer<UInt8>, _ base: UInt8, _ others: Int) {
    out.append(5)
    out.append(base)
    append(varint: others)
    var previous = 0
    for i in plane.indices where plane[i] != base {
      append(varint: i - previous)
      out.append(plane[i])
      previous = i + 1
    }
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

  // MARK: Steps

  private var best: [Float] = []
  private var steps: [UInt16] = []
  private var bad: [UInt8] = []

  /// Appends the candidates as steps if at least three quarters of the rows allow it.
  private func appendSteps(_ values: ArraySlice<Float>, _ counts: ArraySlice<Int32>) -> Bool {
    let rows = counts.count
    if best.count < rows { best = [Float](repeating: 0, count: rows) }
    if bad.count < rows { bad = [UInt8](repeating: 0, count: rows) }
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
