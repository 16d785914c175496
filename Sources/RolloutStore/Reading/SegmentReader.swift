import GRDB
import Replay
import Rollouts

/// Reads the segments of trajectories, and joins the token columns that stand in them.
struct SegmentReader {
  private let db: Database
  private let selection: GroupSelection
  private let decoder: ColumnDecoder
  private let evidenceSet: Int64?
  private var statements: [Columns: SegmentStatement] = [:]
  private let storage: TokenStorage

  /// What a statement reads.
  private struct Columns: Hashable {
    var source: ColumnSource
    var withCandidateIDs: Bool
  }

  init(_ db: Database, _ selection: GroupSelection, _ decoder: ColumnDecoder, evidenceSet: Int64?) throws {
    self.db = db
    self.selection = selection
    self.decoder = decoder
    self.evidenceSet = evidenceSet
    storage = try TokenStorage(db)
  }

  /// Fills in a trajectory's segments and columns.
  mutating func read(_ stored: inout StoredTrajectory) throws {
    // Some candidates cannot do without their ids.
    if try !read(&stored, withCandidateIDs: selection.withCandidateIDs) {
      stored.trajectory.segments.removeAll()
      stored.segmentTokens.removeAll()
      _ = try read(&stored, withCandidateIDs: true)
    }
  }

  /// Returns false if the ids of the candidates must not be left out.
  private mutating func read(_ stored: inout StoredTrajectory, withCandidateIDs: Bool) throws -> Bool {
    var assembler = ColumnAssembler(
      total: stored.hasTokens ? stored.owned : 0, withCandidateIDs: withCandidateIDs)
    var vocabulary: [Int32] = []
    stored.trajectory.segments.reserveCapacity(8)
    let statement = try statement(Columns(source: stored.source, withCandidateIDs: withCandidateIDs))
    defer { storage.blocks?.close() }
    try statement.rows.forEach(stored.row, stored.source.usesEvidence ? evidenceSet : nil) { row in
      let segment = statement.segment(row, isText: !stored.hasTokens || stored.source == .retokenized)
      stored.trajectory.segments.append(segment)
      guard stored.hasTokens, !assembler.lacksPlaces else { return }
      let count = statement.tokens(row)
      if evidenceSet != nil { stored.segmentTokens.append(count) }
      let generated = stored.source == .retokenized ? (segment.isInserted ? 0 : count) : statement.generated(row)
      try assembler.append(
        count: count, generated: generated, statement.blobs(row, in: storage.blocks), decoder)
      if let ids = statement.vocabulary(row) { try decoder.integers(ids, into: &vocabulary) }
    }
    if assembler.lacksPlaces { return false }
    guard stored.hasTokens else { return true }
    var columns = assembler.columns
    if !vocabulary.isEmpty { columns.renameCandidates(from: vocabulary) }
    stored.trajectory.columns = columns
    return true
  }

  private mutating func statement(_ columns: Columns) throws -> SegmentStatement {
    if let known = statements[columns] { return known }
    let made = try SegmentStatement(
      db, storage, selection, columns.source, withCandidateIDs: columns.withCandidateIDs)
    statements[columns] = made
    return made
  }
}
