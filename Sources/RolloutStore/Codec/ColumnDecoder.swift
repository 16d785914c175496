import CKernels
import Rollouts

/// Reads the blobs that `ColumnEncoder` writes.
///
/// One thread uses one decoder.
///
/// Blobs are not trusted: every length is checked, and a blob that does not add up throws.
final class ColumnDecoder {
  private let planes = Scratch()
  private let values = Scratch()
  private let rows = Scratch()
  let spare = Scratch()

  /// Tokens of the segment whose blobs are read; many if it is not known.
  private var tokens = 1 << 14
  /// Tokens of the trajectory that the segment is part of; 0 if it is not known.
  private var total = 0
  /// More elements than this are a damaged blob.
  private var maxCount = 0

  /// Says how many tokens the segment has whose blobs come next, and about how many its trajectory has, so that columns do
  /// not grow step by step.
  func expect(tokens: Int, of total: Int = 0) {
    self.tokens = tokens
    self.total = total
  }

  /// A few bytes can announce any number of equal elements: what a blob may hold depends on its size and its segment's.
  private func limit(_ blob: UnsafeRawBufferPointer) {
    maxCount = min(1 << 28, max(1 << 20, 1024 * tokens, 64 * blob.count))
  }

  init() {}

  /// Appends whole numbers to `out`.
  func integers(_ blob: UnsafeRawBufferPointer, into out: inout [Int32]) throws(ColumnError) {
    limit(blob)
    var reader = try BlobReader(blob, .integers)
    let count = try reader.count(maxCount)
    try words(&reader, count: count, into: &out)
    try reader.finish()
  }

  /// Appends reals to a column.
  func reals(_ blob: UnsafeRawBufferPointer, into out: inout RealColumn) throws(ColumnError) {
    limit(blob)
    var reader = try BlobReader(blob, .reals)
    let precision = try reader.precision()
    let count = try reader.count(maxCount)
    try reals(&reader, precision, count, into: &out)
    try reader.finish()
  }

  /// Appends a mask to `out`.
  func mask(_ blob: UnsafeRawBufferPointer, into out: inout [UInt8]) throws(ColumnError) {
    limit(blob)
    var reader = try BlobReader(blob, .mask)
    var value = try reader.byte()
    guard value <= 1 else { throw ColumnError("a mask begins with \(value)") }
    let start = out.count
    for _ in 0..<(try reader.count(maxCount)) {
      let run = try reader.count(maxCount)
      guard out.count - start + run <= maxCount else { throw ColumnError("a mask is too long") }
      out.append(contentsOf: repeatElement(value, count: run))
      value ^= 1
    }
    try reader.finish()
  }

  /// Appends candidates.
  func candidates(
    _ blob: UnsafeRawBufferPointer, ids: UnsafeRawBufferPointer? = nil, into out: inout TopLogprobs
  ) throws(ColumnError) {
    _ = try candidates(blob, ids: ids, into: &out, withIDs: true)
  }

  /// Appends candidates, and instead of their ids, if so asked, the places of the sampled tokens among them.
  ///
  /// Returns false, and appends nothing, if the blob does not tell the places.
  /// - Parameter ids: the blob of the ids, where they have one of their own.
  func candidates(
    _ blob: UnsafeRawBufferPointer, ids: UnsafeRawBufferPointer? = nil, into out: inout TopLogprobs, withIDs: Bool
  ) throws(ColumnError) -> Bool {
    limit(blob)
    let known: [ColumnCoding] = [.candidatesWithoutIDs, .candidatesWithoutPlaces]
    let coding = known.first { $0.rawValue == blob.first } ?? .candidates
    var reader = try BlobReader(blob, coding)
    let precision = try reader.precision()
    let rows = try reader.count(maxCount)
    let firstRow = out.counts.count
    var flat = 0
    var each: Int?
    if try reader.byte() == 0 {
      let k = try reader.count(maxCount)
      each = k
      flat = rows * k
      guard flat <= maxCount else { throw ColumnError("too many candidates") }
      out.counts.append(contentsOf: repeatElement(Int32(k), count: rows))
    } else {
      for _ in 0..<rows {
        let k = try reader.count(maxCount)
        flat += k
        out.counts.append(Int32(k))
      }
      guard flat <= maxCount else { throw ColumnError("too many candidates") }
    }
    let hasPlaces = coding == .candidatesWithoutPlaces ? false : try reader.byte() != 0
    let hasIDs = coding != .candidatesWithoutIDs
    if out.logprobs.count == 0 { reserve(&out, flat, of: rows, before: firstRow, withIDs: withIDs) }
    if withIDs {
      if hasPlaces { try skipPlane(&reader, rows) }
      if hasIDs {
        try words(&reader, count: flat, into: &out.tokenIDs)
      } else {
        try separateIDs(ids, count: flat, into: &out.tokenIDs)
      }
    } else {
      guard hasPlaces else {
        out.counts.removeLast(rows)
        return false
      }
      let places = UnsafeMutableBufferPointer(start: planes.room(UInt8.self, rows), count: rows)
      try plane(&reader, into: places)
      out.places.append(contentsOf: places)
      if hasIDs, flat > 0 { for _ in 0..<4 { try skipPlane(&reader, flat) } }
    }
    if try reader.byte() == 0 {
      try reals(&reader, precision, flat, into: &out.logprobs)
    } else {
      guard precision != .float64 else { throw ColumnError("steps of doubles") }
      let shape = Shape(counts: out.counts[firstRow...], each: each, flat: flat)
      try steps(&reader, shape, precision, into: &out.logprobs)
    }
    try reader.finish()
    return true
  }

  private func separateIDs(_ blob: UnsafeRawBufferPointer?, count: Int, into out: inout [Int32]) throws(ColumnError) {
    guard let blob else { throw ColumnError("candidates without their ids") }
    var reader = try BlobReader(blob, .integers)
    guard try reader.count(maxCount) == count else { throw ColumnError("not as many ids as candidates") }
    try words(&reader, count: count, into: &out)
    try reader.finish()
  }

  /// The advantages of a path.
  func advantages(_ blob: UnsafeRawBufferPointer) throws(ColumnError) -> StoredAdvantages {
    limit(blob)
    var reader = try BlobReader(blob, .advantages)
    var out = StoredAdvantages()
    var end = 0
    var tokens = 0
    for _ in 0..<(try reader.count(maxCount)) {
      let start = end + (try reader.count(maxCount))
      end = start + (try reader.count(maxCount))
      tokens += end - start
      guard end <= maxCount else { throw ColumnError("a path of more than \(maxCount) tokens") }
      out.generated.append(start..<end)
    }
    out.length = end + (try reader.count(maxCount - end))
    if try reader.byte() == 0 {
      try words(&reader, count: tokens, into: &out.values)
    } else {
      let count = try reader.count(tokens)
      var covered = 0
      for _ in 0..<count {
        let length = try reader.count(tokens - covered)
        covered += length
        out.stretches.append(length)
      }
      guard covered == tokens else { throw ColumnError("stretches of \(covered) tokens, not of \(tokens)") }
      try words(&reader, count: count, into: &out.values)
    }
    try reader.finish()
    return out
  }

  // MARK: Parts

  private func reals(
    _ reader: inout BlobReader, _ precision: RealColumn.Precision, _ count: Int, into out: inout RealColumn
  ) throws(ColumnError) {
    switch (precision, out.precision) {
    case (.float64, _):
      var values: [Double] = []
      try words(&reader, count: count, into: &values)
      out.append(RealColumn(doubles: values))
    case (_, .float64):
      var values: [Float] = []
      try words(&reader, count: count, into: &values)
      out.append(RealColumn(floats: values, precision: precision))
    default:
      out.precision = max(out.precision, precision)
      try words(&reader, count: count, into: &out.floats)
    }
  }

  /// Reserves room for the candidates of a trajectory, given those of its first rows; a guess, as numbers are not trusted.
  private func reserve(_ out: inout TopLogprobs, _ flat: Int, of rows: Int, before: Int, withIDs: Bool) {
    guard rows > 0, total > before + rows else { return }
    let expected = min(flat / rows * (total - before), 1 << 24)
    out.logprobs.floats.reserveCapacity(expected)
    if withIDs { out.tokenIDs.reserveCapacity(expected) } else { out.places.reserveCapacity(total) }
    out.counts.reserveCapacity(total)
  }

  /// How many candidates the rows have.
  private struct Shape {
    var counts: ArraySlice<Int32>
    /// Of every row, if it is the same.
    var each: Int?
    /// Of all rows together.
    var flat: Int
  }

  private func steps(
    _ reader: inout BlobReader, _ shape: Shape, _ precision: RealColumn.Precision, into out: inout RealColumn
  ) throws(ColumnError) {
    // Straight into the column, unless it keeps doubles.
    if out.precision == .float64 {
      var floats: [Float] = []
      try steps(&reader, shape, into: &floats)
      out.append(RealColumn(floats: floats, precision: precision))
    } else {
      out.precision = max(out.precision, precision)
      try steps(&reader, shape, into: &out.floats)
    }
  }

  /// Appends the candidates that best values and steps stand for.
  private func steps(
    _ reader: inout BlobReader, _ shape: Shape, into out: inout [Float]
  ) throws(ColumnError) {
    let (counts, flat) = (shape.counts, shape.flat)
    let exponent = Int(try reader.byte())
    guard exponent <= 30 else { throw ColumnError("steps of 2^-\(exponent)") }
    let best = values.room(Float.self, counts.count)
    arpo_planes_join(try planes(&reader, 4, counts.count), counts.count, 4, best)
    let low = try planes(&reader, 2, flat)
    let start = out.count
    counts.withUnsafeBufferPointer { counts in
      out.append(count: flat) {
        arpo_steps_decode(
          best, low, low + flat, counts.baseAddress, counts.count, 1 / Float(1 << exponent), $0)
      }
    }
    try exceptions(&reader, shape, in: &out, from: start)
  }

  /// Puts the candidates of rows that steps do not reproduce in their places.
  private func exceptions(
    _ reader: inout BlobReader, _ shape: Shape, in out: inout [Float], from start: Int
  ) throws(ColumnError) {
    let counts = shape.counts
    let failed = try reader.count(counts.count)
    guard failed > 0 else { return }
    let rows = rows.room(Int32.self, failed)
    var total = 0
    for i in 0..<failed {
      rows[i] = Int32(try reader.count(counts.count - 1))
      guard i == 0 || rows[i] > rows[i - 1] else { throw ColumnError("exceptions out of order") }
      total += Int(counts[counts.startIndex + Int(rows[i])])
    }
    let exceptions = values.room(Float.self, total)
    arpo_planes_join(try planes(&reader, 4, total), total, 4, exceptions)
    out.withUnsafeMutableBufferPointer { out in
      counts.withUnsafeBufferPointer { counts in
        guard var to = out.baseAddress?.advanced(by: start) else { return }
        var (row, from) = (0, exceptions)
        if let each = shape.each {
          for i in 0..<failed {
            (to + Int(rows[i]) * each).update(from: from, count: each)
            from += each
          }
          return
        }
        for i in 0..<failed {
          while row < Int(rows[i]) {
            to += Int(counts[row])
            row += 1
          }
          to.update(from: from, count: Int(counts[row]))
          from += Int(counts[row])
        }
      }
    }
  }

  private func words<T: BitwiseCopyable>(
    _ reader: inout BlobReader, count: Int, into out: inout [T]
  ) throws(ColumnError) {
    let width = MemoryLayout<T>.size
    let planes = try planes(&reader, width, count)
    out.append(count: count) { arpo_planes_join(planes, count, Int32(width), $0) }
  }

  /// Some planes of as many values, one after the other, which stay until the next ones are read.
  private func planes(_ reader: inout BlobReader, _ number: Int, _ count: Int) throws(ColumnError)
    -> UnsafeMutablePointer<UInt8>
  {
    let room = planes.room(UInt8.self, number * count)
    // Nothing stands for the planes of no values.
    guard count > 0 else { return room }
    for b in 0..<number {
      try plane(&reader, into: UnsafeMutableBufferPointer(start: room + b * count, count: count))
    }
    return room
  }
}
