import GRDB
import Rollouts

/// Reads a trajectory's own token columns back from the blobs of its segments.
enum TrajectoryColumns {
  /// The writer's database has the newest schema.
  static let sql = """
    SELECT s.end_index - s.start_index, s.generated, t.token_ids, t.loss_mask, t.logprobs, t.top_logprobs, t.entropies,
      t.top_token_ids, \(TokenBlockReader.columns(.all).joined(separator: ", "))
    FROM segment s LEFT JOIN segment_columns t ON t.segment = s.id WHERE s.trajectory = ? ORDER BY s.ordinal
    """

  static func read(_ id: Int64, _ db: Database, _ decoder: ColumnDecoder) throws -> TokenColumns {
    var assembler = ColumnAssembler()
    let blocks = try TokenBlockReader(db)
    defer { blocks.close() }
    try RowReader(db, sql).forEach(id) { row in
      let blobs = try blocks.blobs(row, from: 8, .all) ?? SegmentBlobs(row, from: 2)
      try assembler.append(count: row.int(0), generated: row.int(1), blobs, decoder)
    }
    return assembler.columns
  }
}

/// The columns of a segment as they are stored; they last as long as the row.
struct SegmentBlobs {
  var tokenIDs: UnsafeRawBufferPointer?
  var lossMask: UnsafeRawBufferPointer?
  var logprobs: UnsafeRawBufferPointer?
  var topLogprobs: UnsafeRawBufferPointer?
  var entropies: UnsafeRawBufferPointer?
  var topTokenIDs: UnsafeRawBufferPointer?

  init() {}

  /// Six columns of a row.
  init(_ row: RowReader.Row, from column: Int32) {
    tokenIDs = row.blob(column)
    lossMask = row.blob(column + 1)
    logprobs = row.blob(column + 2)
    topLogprobs = row.blob(column + 3)
    entropies = row.blob(column + 4)
    topTokenIDs = row.blob(column + 5)
  }

  /// Takes over the columns that another has.
  mutating func formUnion(_ other: SegmentBlobs) {
    tokenIDs = other.tokenIDs ?? tokenIDs
    lossMask = other.lossMask ?? lossMask
    logprobs = other.logprobs ?? logprobs
    topLogprobs = other.topLogprobs ?? topLogprobs
    entropies = other.entropies ?? entropies
    topTokenIDs = other.topTokenIDs ?? topTokenIDs
  }
}

/// Joins the columns of consecutive segments; a column that a segment lacks is filled with "not in the log".
struct ColumnAssembler {
  private(set) var columns = TokenColumns()
  private let total: Int
  private let withCandidateIDs: Bool
  /// Some segment's candidates cannot do without their ids.
  private(set) var lacksPlaces = false

  /// - Parameters:
  ///   - total: about how many tokens will come, so that columns do not grow step by step.
  ///   - withCandidateIDs: false leaves them out, unless `lacksPlaces` says that this does not do.
  init(total: Int = 0, withCandidateIDs: Bool = true) {
    // The number comes from a database that may be damaged.
    self.total = min(max(0, total), 1 << 20)
    self.withCandidateIDs = withCandidateIDs
    columns.tokenIDs.reserveCapacity(self.total)
    columns.lossMask.reserveCapacity(self.total)
  }

  mutating func append(count: Int, generated: Int, _ blobs: SegmentBlobs, _ decoder: ColumnDecoder) throws {
    guard count > 0 else { return }
    let before = columns.count
    decoder.expect(tokens: count, of: total)
    guard let ids = blobs.tokenIDs else { throw ColumnError("a segment of \(count) tokens has no token ids") }
    try decoder.integers(ids, into: &columns.tokenIDs)
    guard columns.count == before + count else { throw ColumnError("a segment's token ids are not \(count)") }
    if let mask = blobs.lossMask {
      try decoder.mask(mask, into: &columns.lossMask)
    } else {
      columns.lossMask.append(contentsOf: repeatElement(generated > 0 ? 1 : 0, count: count))
    }
    guard columns.lossMask.count == columns.count else { throw ColumnError("a mask of the wrong length") }
    try Self.append(blobs.logprobs, to: &columns.logprobs, before, count, of: total, decoder)
    try Self.append(blobs.entropies, to: &columns.entropies, before, count, of: total, decoder)
    if let blob = blobs.topLogprobs {
      var top = columns.topLogprobs.take() ?? TopLogprobs(counts: [Int32](repeating: 0, count: before))
      if !withCandidateIDs, top.logprobs.count == 0 { top.places = [UInt8](repeating: 255, count: before) }
      guard try decoder.candidates(blob, ids: blobs.topTokenIDs, into: &top, withIDs: withCandidateIDs) else {
        lacksPlaces = true
        return
      }
      columns.topLogprobs = top
    } else if columns.topLogprobs != nil {
      columns.topLogprobs?.counts.append(contentsOf: repeatElement(0, count: count))
      if !withCandidateIDs { columns.topLogprobs?.places.append(contentsOf: repeatElement(255, count: count)) }
    }
    guard columns.topLogprobs.map({ $0.counts.count == columns.count }) ?? true else {
      throw ColumnError("candidates of the wrong length")
    }
  }

  private static func append(
    _ blob: UnsafeRawBufferPointer?, to column: inout RealColumn?, _ before: Int, _ count: Int, of total: Int,
    _ decoder: ColumnDecoder
  ) throws {
    guard blob != nil || column != nil else { return }
    // Taken out, so that the memory has one owner while it grows.
    var values = column.take() ?? RealColumn(floats: [Float](repeating: .nan, count: before))
    if let blob {
      if values.precision != .float64 { values.floats.reserveCapacity(total) }
      try decoder.reals(blob, into: &values)
    } else {
      values.append(RealColumn(floats: [Float](repeating: .nan, count: count)))
    }
    guard values.count == before + count else { throw ColumnError("a column of the wrong length") }
    column = values
  }
}
