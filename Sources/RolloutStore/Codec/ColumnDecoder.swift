import CKernels
import Rollouts

/// Reads the blobs that `ColumnEncoder` writes.
///
/// One thread uses one decoder.
///
/// Blobs are not trusted: every length is checked, and a blob that does not add up throws.
final class ColumnDecoder {
  private var planes: [UInt8] = []
  private var spare: [UInt8] = []
  private var best: [Float] = []
  private var steps: [UInt16] = []

  /// More elements than this in one segment is a damaged blob.
  private static let maxCount = 1 << 28

  init() {}

  /// Appends whole numbers to `out`.
  func integers(_ blob: UnsafeRawBufferPointer, into out: inout [Int32]) throws(ColumnError) {
    var reader = try BlobReader(blob, .integers)
    let count = try reader.count(Self.maxCount)
    try words(&reader, count: count, into: &out)
    try reader.finish()
  }

  /// Appends reals to a column.
  func reals(_ blob: UnsafeRawBufferPointer, into out: inout RealColumn) throws(ColumnError) {
    var reader = try BlobReader(blob, .reals)
    let precision = try reader.precision()
    let count = try reader.count(Self.maxCount)
    try reals(&reader, precision, count, into: &out)
    try reader.finish()
  }

  /// Appends a mask to `out`.
  func mask(_ blob: UnsafeRawBufferPointer, into out: inout [UInt8]) throws(ColumnError) {
    var reader = try BlobReader(blob, .mask)
    var value = try reader.byte()
    guard value <= 1 else { throw ColumnError("a mask begins with \(value)") }
    for _ in 0..<(try reader.count(Self.maxCount)) {
      let run = try reader.count(Self.maxCount)
      guard out.count + run <= Self.maxCount else { throw ColumnError("a mask is too long") }
      out.append(contentsOf: repeatElement(value, count: run))
      value ^= 1
    }
    try reader.finish()
  }

  /// Appends candidates.
  func candidates(_ blob: UnsafeRawBufferPointer, into out: inout TopLogprobs) throws(ColumnError) {
    var reader = try BlobReader(blob, .candidates)
    let precision = try reader.precision()
    let rows = try reader.count(Self.maxCount)
    let firstRow = out.counts.count
    var flat = 0
    if try reader.byte() == 0 {
      let k = try reader.count(Self.maxCount)
      flat = rows * k
      out.counts.append(contentsOf: repeatElement(Int32(k), count: rows))
    } else {
      for _ in 0..<rows {
        let k = try reader.count(Self.maxCount)
        flat += k
        out.counts.append(Int32(k))
      }
    }
    guard flat <= Self.maxCount else { throw ColumnError("too many candidates") }
    if try reader.byte() != 0 {
      if planes.count < rows { planes = [UInt8](repeating: 0, count: rows) }
      var failure: ColumnError?
      planes.withUnsafeMutableBufferPointer { planes in
        do throws(ColumnError) {
          try plane(&reader, into: UnsafeMutableBufferPointer(rebasing: planes[..<rows]))
        } catch { failure = error }
      }
      if let failure { throw failure }
    }
    try words(&reader, count: flat, into: &out.tokenIDs)
    if try reader.byte() == 0 {
      try reals(&reader, precision, flat, into: &out.logprobs)
    } else {
      guard precision != .float64 else { throw ColumnError("steps of doubles") }
      try steps(&reader, counts: out.counts[firstRow...], flat: flat, precision, into: &out.logprobs)
    }
    try reader.finish()
  }

  /// The advantages of a path.
  func advantages(_ blob: UnsafeRawBufferPointer) throws(ColumnError) -> StoredAdvantages {
    var reader = try BlobReader(blob, .advantages)
    var out = StoredAdvantages()
    var end = 0
    var tokens = 0
    for _ in 0..<(try reader.count(Self.maxCount)) {
      let start = end + (try reader.count(Self.maxCount))
      end = start + (try reader.count(Self.maxCount))
      tokens += end - start
      guard end <= Self.maxCount else { throw ColumnError("a path of more than \(Self.maxCount) tokens") }
      out.generated.append(start..<end)
    }
    out.length = end + (try reader.count(Self.maxCount - end))
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

  private func steps(
    _ reader: inout BlobReader, counts: ArraySlice<Int32>, flat: Int, _ precision: RealColumn.Precision,
    into out: inout RealColumn
  ) throws(ColumnError) {
    let exponent = Int(try reader.byte())
    guard exponent <= 30 else { throw ColumnError("steps of 2^-\(exponent)") }
    best.removeAll(keepingCapacity: true)
    steps.removeAll(keepingCapacity: true)
    try words(&reader, count: counts.count, into: &best)
    try words(&reader, count: flat, into: &steps)
    counts.withUnsafeBufferPointer { counts in
      steps.withUnsafeMutableBufferPointer { arpo_undelta16($0.baseAddress, counts.baseAddress, counts.count) }
    }
    // Straight into the column, unless it keeps doubles.
    var widened: [Float] = []
    if out.precision == .float64 {
      try fill(&widened, &reader, counts, flat, exponent)
      out.append(RealColumn(floats: widened, precision: precision))
    } else {
      out.precision = max(out.precision, precision)
      try fill(&out.floats, &reader, counts, flat, exponent)
    }
  }

  /// Appends the candidates that best values and steps stand for, and puts the exceptions in their places.
  private func fill(
    _ out: inout [Float], _ reader: inout BlobReader, _ counts: ArraySlice<Int32>, _ flat: Int, _ exponent: Int
  ) throws(ColumnError) {
    let start = out.count
    out.append(contentsOf: repeatElement(0, count: flat))
    out.withUnsafeMutableBufferPointer { out in
      best.withUnsafeBufferPointer { best in
        steps.withUnsafeBufferPointer { steps in
          counts.withUnsafeBufferPointer { counts in
            guard let out = out.baseAddress else { return }
            arpo_steps_decode(
              best.baseAddress, steps.baseAddress, counts.baseAddress, counts.count, 1 / Float(1 << exponent),
              out + start)
          }
        }
      }
    }
    let failed = try reader.count(counts.count)
    guard failed > 0 else { return }
    var rows: [Int] = []
    for _ in 0..<failed { rows.append(try reader.count(counts.count - 1)) }
    let total = rows.reduce(0) { $0 + Int(counts[counts.startIndex + $1]) }
    guard total <= flat else { throw ColumnError("more exceptions than candidates") }
    var exceptions: [Float] = []
    try words(&reader, count: total, into: &exceptions)
    var next = 0
    var at = start
    var taken = 0
    for (row, k) in counts.enumerated() {
      if next < rows.count, rows[next] == row {
        for i in 0..<Int(k) { out[at + i] = exceptions[taken + i] }
        taken += Int(k)
        next += 1
      }
      at += Int(k)
    }
    guard next == rows.count else { throw ColumnError("exceptions out of order") }
  }

  private func words<T: BitwiseCopyable & AdditiveArithmetic>(
    _ reader: inout BlobReader, count: Int, into out: inout [T]
  )
    throws(ColumnError)
  {
    guard count > 0 else { return }
    let width = MemoryLayout<T>.size
    let size = count * width
    if planes.count < size { planes = [UInt8](repeating: 0, count: size) }
    var failure: ColumnError?
    planes.withUnsafeMutableBufferPointer { planes in
      do throws(ColumnError) {
        for b in 0..<width {
          try plane(&reader, into: UnsafeMutableBufferPointer(rebasing: planes[(b * count)..<((b + 1) * count)]))
        }
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    let start = out.count
    // Zeros that are overwritten at once cost less than an array of its own that is copied.
    out.append(contentsOf: repeatElement(.zero, count: count))
    out.withUnsafeMutableBufferPointer { out in
      guard let out = out.baseAddress else { return }
      arpo_planes_join(planes, count, Int32(width), out + start)
    }
  }

  private func plane(_ reader: inout BlobReader, into out: UnsafeMutableBufferPointer<UInt8>) throws(ColumnError) {
    switch try reader.byte() {
    case 0: out.baseAddress?.update(from: try reader.bytes(out.count), count: out.count)
    case 1: out.update(repeating: try reader.byte())
    case 3:
      let base = try reader.byte()
      arpo_plane_unpack2(try reader.bytes((out.count + 3) / 4), out.count, base, out.baseAddress)
    case 4:
      let base = try reader.byte()
      let escapes = try reader.count(out.count)
      let size = (out.count + 1) / 2
      let bytes = try reader.bytes(size + escapes)
      guard arpo_plane_unpack4(bytes, out.count, base, bytes + size, escapes, out.baseAddress) == escapes else {
        throw ColumnError("the escapes of a packed plane do not add up")
      }
    case 5:
      out.update(repeating: try reader.byte())
      var at = 0
      for _ in 0..<(try reader.count(out.count)) {
        at += try reader.count(out.count)
        guard at < out.count else { throw ColumnError("a value behind the end of a sparse plane") }
        out[at] = try reader.byte()
        at += 1
      }
    case 6:
      let base = try reader.byte()
      let others = try reader.count(out.count)
      let bits = try reader.bytes((out.count + 7) / 8)
      let packed = try reader.bytes((others + 3) / 4)
      if spare.count < others { spare = [UInt8](repeating: 0, count: others) }
      let needed = spare.withUnsafeMutableBufferPointer { spare in
        arpo_plane_unpack2(packed, others, base &+ 1, spare.baseAddress)
        return arpo_plane_unpack1(bits, out.count, base, spare.baseAddress, others, out.baseAddress)
      }
      guard needed == others else { throw ColumnError("the others of a plane of bits do not add up") }
    case let tag: throw ColumnError("unknown plane \(tag)")
    }
  }
}

/// Reads a blob front to back, checking its end.
private struct BlobReader {
  private let bytes: UnsafeRawBufferPointer
  private var at = 1

  init(_ bytes: UnsafeRawBufferPointer, _ coding: ColumnCoding) throws(ColumnError) {
    guard let first = bytes.first, first == coding.rawValue else {
      throw ColumnError("a column blob of another kind than \(coding)")
    }
    self.bytes = bytes
  }

  mutating func byte() throws(ColumnError) -> UInt8 {
    guard at < bytes.count else { throw ColumnError("a column blob is cut off") }
    at += 1
    return bytes[at - 1]
  }

  mutating func count(_ limit: Int) throws(ColumnError) -> Int {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let b = try byte()
      value |= UInt64(b & 0x7F) << shift
      if b < 0x80 { break }
      shift += 7
      guard shift < 63 else { throw ColumnError("a number in a column blob is too long") }
    }
    guard value <= UInt64(max(0, limit)) else {
      throw ColumnError("\(value) in a column blob where at most \(limit) fits")
    }
    return Int(value)
  }

  mutating func precision() throws(ColumnError) -> RealColumn.Precision {
    guard let precision = RealColumn.Precision(rawValue: try byte()) else { throw ColumnError("unknown precision") }
    return precision
  }

  mutating func bytes(_ n: Int) throws(ColumnError) -> UnsafePointer<UInt8> {
    guard n <= bytes.count - at, let base = bytes.baseAddress else { throw ColumnError("a column blob is cut off") }
    defer { at += n }
    return base.advanced(by: at).assumingMemoryBound(to: UInt8.self)
  }

  func finish() throws(ColumnError) {
    guard at == bytes.count else { throw ColumnError("\(bytes.count - at) bytes too many in a column blob") }
  }
}
