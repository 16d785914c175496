import GRDB
import Replay
import Rollouts

/// The statement that reads a trajectory's segments, with as few columns as will do, and what its columns mean.
struct SegmentStatement {
  let rows: RowReader
  private let withTexts: Bool
  /// What is read of the segments' blocks, and the first of the columns that say where that stands.
  private let block: (part: TokenBlockReader.Part, first: Int32)?
  /// First of the columns of a segment's own row, of the log's or of an evidence set's; `nil`: neither is read.
  private let own: Int32?

  /// - Parameters:
  ///   - source: of the token columns.
  ///   - withCandidateIDs: false leaves them out.
  init(
    _ db: Database, _ storage: TokenStorage, _ selection: GroupSelection, _ source: ColumnSource,
    withCandidateIDs: Bool
  ) throws {
    withTexts = selection.withTexts
    // Forks are inferred from the tokens, and where there are none from the text.
    let hasTokens = [
      storage.blocks.map { _ in "s.token_block IS NOT NULL" }, storage.rows.map { _ in "t.segment IS NOT NULL" },
    ].compactMap { $0 }.joined(separator: " OR ")
    var columns = ["s.kind", "s.start_index", "s.end_index", "s.generated", "s.tool", "s.tool_call_id"]
    columns += withTexts ? ["s.text", "s.status", "s.latency_s", "s.arguments"] : ["iif(\(hasTokens), NULL, s.text)"]
    if storage.blocks != nil,
      let part = source.partOfBlock(
        withProbabilities: selection.withProbabilities, withCandidateIDs: withCandidateIDs)
    {
      block = (part, Int32(columns.count))
      columns += TokenBlockReader.columns(part)
    } else {
      block = nil
    }
    if storage.rows != nil || source.usesEvidence {
      own = Int32(columns.count)
      columns += source.columns(
        hasRows: storage.rows != nil, withProbabilities: selection.withProbabilities,
        withCandidateIDs: withCandidateIDs && storage.rowsHaveIDColumn)
    } else {
      own = nil
    }
    let join = storage.rows.map { " LEFT JOIN \($0) t ON t.segment = s.id" } ?? ""
    rows = try RowReader(
      db,
      """
      SELECT \(columns.joined(separator: ", ")) FROM segment s\(join)\(source.join)
      WHERE s.trajectory = ?1 ORDER BY s.ordinal
      """)
  }

  func segment(_ row: RowReader.Row, isText: Bool) -> Segment {
    var segment = Segment(
      kind: row.text(0).flatMap(SegmentKind.init) ?? .other, start: row.int(1), end: row.int(2), tool: row.text(4),
      toolCallID: row.text(5))
    segment.text = row.text(6)
    if withTexts {
      segment.status = row.text(7)
      segment.latency = row.double(8)
      segment.arguments = row.text(9)
    }
    // Tokens have a mask that says it of each.
    segment.isContext = isText && segment.kind != .toolResult && generated(row) == 0
    return segment
  }

  /// Units that the policy sampled.
  func generated(_ row: RowReader.Row) -> Int { row.int(3) }

  /// Tokens of the segment.
  func tokens(_ row: RowReader.Row) -> Int {
    guard let own, !row.isNull(own) else { return row.int(2) - row.int(1) }
    return row.int(own)
  }

  /// The token columns, which last until the next row is asked for.
  func blobs(_ row: RowReader.Row, in blocks: TokenBlockReader?) throws -> SegmentBlobs {
    var blobs = own.map { SegmentBlobs(row, from: $0 + 1) } ?? SegmentBlobs()
    if let block, let inBlock = try blocks?.blobs(row, from: block.first, block.part) { blobs.formUnion(inBlock) }
    return blobs
  }

  /// Ids of the vocabulary, where an evidence set says which ones it took the log's for.
  func vocabulary(_ row: RowReader.Row) -> UnsafeRawBufferPointer? { own.flatMap { row.blob($0 + 7) } }
}
