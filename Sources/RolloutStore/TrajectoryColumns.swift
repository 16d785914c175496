import Foundation
import GRDB
import GRDBSQLite
import Rollouts

/// Reads a trajectory's own token columns back from its segments' blobs.
enum TrajectoryColumns {
  static let sql = """
    SELECT s.end_index - s.start_index, s.generated, t.token_ids, t.loss_mask, t.logprobs, t.top_logprobs, t.entropies
    FROM segment s LEFT JOIN segment_tokens t ON t.segment = s.id WHERE s.trajectory = ? ORDER BY s.ordinal
    """

  static func read(_ id: Int64, _ db: Database, _ decoder: ColumnDecoder) throws -> TokenColumns {
    let statement = try db.cachedStatement(sql: sql)
    let rows = try Row.fetchAll(statement, arguments: [id])
    var assembler = ColumnAssembler()
    for row in rows {
      let blobs = (2...6).map { row[$0] as Data? }
      try assembler.append(count: row[0], generated: row[1], blobs, decoder)
    }
    return assembler.columns
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
  ///   - total: tokens that will come, so that columns do not grow step by step.
  ///   - withCandidateIDs: false leaves them out, unless `lacksPlaces` says that this does not do.
  init(total: Int = 0, withCandidateIDs: Bool = true) {
    self.total = total
    self.withCandidateIDs = withCandidateIDs
    columns.tokenIDs.reserveCapacity(total)
    columns.lossMask.reserveCapacity(total)
  }

  mutating func append(count: Int, generated: Int, _ blobs: [Data?], _ decoder: ColumnDecoder) throws {
    guard count > 0 else { return }
    let before = columns.count
    decoder.expect(tokens: count)
    guard let ids = blobs[0] else { throw ColumnError("a segment of \(count) tokens has no token ids") }
    try ids.withUnsafeBytes { try decoder.integers($0, into: &columns.tokenIDs) }
    guard columns.count == before + count else { throw ColumnError("a segment's token ids are not \(count)") }
    if let mask = blobs[1] {
      try mask.withUnsafeBytes { try decoder.mask($0, into: &columns.lossMask) }
    } else {
      columns.lossMask.append(contentsOf: repeatElement(generated > 0 ? 1 : 0, count: count))
    }
    guard columns.lossMask.count == columns.count else { throw ColumnError("a mask of the wrong length") }
    try append(blobs[2], to: \.logprobs, before, decoder)
    try append(blobs[4], to: \.entropies, before, decoder)
    if let blob = blobs[3] {
      var top = columns.topLogprobs ?? TopLogprobs(counts: [Int32](repeating: 0, count: before))
      columns.topLogprobs = nil
      let isFirst = top.logprobs.count == 0
      if !withCandidateIDs, isFirst { top.places = [UInt8](repeating: 255, count: before) }
      guard try blob.withUnsafeBytes({ try decoder.candidates($0, into: &top, withIDs: withCandidateIDs) }) else {
        lacksPlaces = true
        return
      }
      if isFirst, top.counts.count > before {
        let expected = top.logprobs.count / (top.counts.count - before) * (total - before)
        if withCandidateIDs { top.tokenIDs.reserveCapacity(expected) }
        top.logprobs.floats.reserveCapacity(expected)
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

  private mutating func append(
    _ blob: Data?, to path: WritableKeyPath<TokenColumns, RealColumn?>, _ before: Int,
    _ decoder: ColumnDecoder
  ) throws {
    if let blob {
      var column = columns[keyPath: path] ?? RealColumn(floats: [Float](repeating: .nan, count: before))
      columns[keyPath: path] = nil
      try blob.withUnsafeBytes { try decoder.reals($0, into: &column) }
      columns[keyPath: path] = column
    } else if var column = columns[keyPath: path] {
      columns[keyPath: path] = nil
      column.append(RealColumn(floats: [Float](repeating: .nan, count: columns.count - before)))
      columns[keyPath: path] = column
    }
    guard columns[keyPath: path].map({ $0.count == columns.count }) ?? true else {
      throw ColumnError("a column of the wrong length")
    }
  }
}
