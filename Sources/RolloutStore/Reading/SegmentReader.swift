import GRDB
import Replay
import Rollouts

/// Reads the segments of trajectories, and joins the token columns that stand in them.
struct SegmentReader {
  private let db: Database
  private let selection: GroupSelection
  private let decoder: ColumnDecoder
  private let evidenceSet: Int64?
  private var rows: [Columns: RowReader] = [:]

  /// What a statement reads.
  private struct Columns: Hashable {
    var source: ColumnSource
    var withCandidateIDs: Bool
  }

  init(_ db: Database, _ selection: GroupSelection, _ decoder: ColumnDecoder, evidenceSet: Int64?) {
    self.db = db
    self.selection = selection
    self.decoder = decoder
    self.evidenceSet = evidenceSet
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
    try rows(Columns(source: stored.source, withCandidateIDs: withCandidateIDs)).forEach(stored.row, evidenceSet ?? 0) {
      row in
      let segment = segment(row, isText: !stored.hasTokens || stored.source == .retokenized)
      stored.trajectory.segments.append(segment)
      guard stored.hasTokens, !assembler.lacksPlaces else { return }
      let count = row.int(10)
      if evidenceSet != nil { stored.segmentTokens.append(count) }
      let generated = stored.source == .retokenized ? (segment.isInserted ? 0 : count) : row.int(9)
      try assembler.append(count: count, generated: generated, SegmentBlobs(row, from: 11), decoder)
      if let ids = row.blob(17) { try decoder.integers(ids, into: &vocabulary) }
    }
    if assembler.lacksPlaces { return false }
    guard stored.hasTokens else { return true }
    var columns = assembler.columns
    if !vocabulary.isEmpty { columns.renameCandidates(from: vocabulary) }
    stored.trajectory.columns = columns
    return true
  }

  private func segment(_ row: RowReader.Row, isText: Bool) -> Segment {
    var segment = Segment(
      kind: row.text(0).flatMap(SegmentKind.init) ?? .other, start: row.int(1), end: row.int(2), tool: row.text(3),
      toolCallID: row.text(4))
    if selection.withTexts {
      segment.status = row.text(5)
      segment.latency = row.double(6)
      segment.arguments = row.text(7)
    }
    segment.text = row.text(8)
    // Tokens have a mask that says it of each.
    segment.isContext = isText && segment.kind != .toolResult && row.int(9) == 0
    return segment
  }

  /// The segments of a trajectory, their texts, and their columns from a source.
  private mutating func rows(_ columns: Columns) throws -> RowReader {
    if let known = rows[columns] { return known }
    // Forks are inferred from the tokens, and where there are none from the text.
    let texts =
      selection.withTexts
      ? "s.status, s.latency_s, s.arguments, s.text" : "NULL, NULL, NULL, iif(t.segment IS NULL, s.text, NULL)"
    // A database of an earlier version is read as it is.
    let hasIDColumn = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= 5
    let made = try RowReader(
      db,
      """
      SELECT s.kind, s.start_index, s.end_index, s.tool, s.tool_call_id, \(texts), s.generated,
        \(columns.source.columns(
          withProbabilities: selection.withProbabilities, withCandidateIDs: columns.withCandidateIDs && hasIDColumn))
      FROM segment s LEFT JOIN segment_tokens t ON t.segment = s.id\(columns.source.join)
      WHERE s.trajectory = ?1 ORDER BY s.ordinal
      """)
    rows[columns] = made
    return made
  }
}
