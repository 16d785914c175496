import GRDB

/// Finds the token columns of segments in the rows of `token_block`, where SQLite holds them.
///
/// The segments of a trajectory come one after the other, so one block is held at a time.
final class TokenBlockReader {
  /// What is read of a segment's columns.
  enum Part {
    /// Ids and mask.
    case tokens
    case withoutCandidateIDs
    case all
  }

  /// Where a segment's columns stand, by its row `s`; what ``blobs(_:from:_:)`` takes.
  static func columns(_ part: Part) -> [String] {
    let tokens = ["token_block", "block_offset", "token_ids_bytes", "loss_mask_bytes"]
    let probabilities = ["logprobs_bytes", "entropies_bytes", "top_logprobs_bytes"]
    let ids = ["top_token_ids_offset", "top_token_ids_bytes"]
    let names =
      switch part {
      case .tokens: tokens
      case .withoutCandidateIDs: tokens + probabilities
      case .all: tokens + probabilities + ids
      }
    return names.map { "s.\($0)" }
  }

  private let withIDs: RowReader
  private let withoutIDs: RowReader
  private var held: (reader: RowReader, row: RowReader.Row, id: Int64, hasIDs: Bool)?

  init(_ db: Database) throws {
    withIDs = try RowReader(
      db, "SELECT b.columns, i.ids FROM token_block b LEFT JOIN candidate_ids i ON i.block = b.id WHERE b.id = ?")
    withoutIDs = try RowReader(db, "SELECT columns FROM token_block WHERE id = ?")
  }

  /// The columns of a segment, which last until a segment of another block is asked for; `nil` if it has no block.
  /// - Parameters:
  ///   - row: has ``columns(_:)`` from `first` on.
  ///   - part: the columns that are wanted.
  func blobs(_ row: RowReader.Row, from first: Int32, _ part: Part) throws -> SegmentBlobs? {
    guard let id = row.optionalInt(first) else { return nil }
    let block = try hold(Int64(id), withIDs: part == .all)
    guard let bytes = block.blob(0) else { throw ColumnError("a block without columns") }
    var rest = Slicer(bytes: bytes, at: row.int(first + 1))
    var blobs = SegmentBlobs()
    blobs.tokenIDs = try rest.next(row.optionalInt(first + 2))
    blobs.lossMask = try rest.next(row.optionalInt(first + 3))
    guard part != .tokens else { return blobs }
    blobs.logprobs = try rest.next(row.optionalInt(first + 4))
    blobs.entropies = try rest.next(row.optionalInt(first + 5))
    blobs.topLogprobs = try rest.next(row.optionalInt(first + 6))
    guard part == .all, let count = row.optionalInt(first + 8) else { return blobs }
    guard let ids = block.blob(1) else { throw ColumnError("a block without candidates' ids") }
    var slicer = Slicer(bytes: ids, at: row.int(first + 7))
    blobs.topTokenIDs = try slicer.next(count)
    return blobs
  }

  /// Lets go of the block that is held.
  func close() {
    held?.reader.close()
    held = nil
  }

  private func hold(_ id: Int64, withIDs: Bool) throws -> RowReader.Row {
    if let held, held.id == id, held.hasIDs == withIDs { return held.row }
    close()
    let reader = withIDs ? self.withIDs : withoutIDs
    guard let row = try reader.open(id) else { throw ColumnError("a segment's block is missing") }
    held = (reader, row, id, withIDs)
    return row
  }

  /// Cuts columns off a block; places come from a database that may be damaged.
  private struct Slicer {
    let bytes: UnsafeRawBufferPointer
    var at: Int

    mutating func next(_ count: Int?) throws -> UnsafeRawBufferPointer? {
      guard let count else { return nil }
      guard at >= 0, count >= 0, at <= bytes.count, count <= bytes.count - at else {
        throw ColumnError("a segment's columns lie outside of their block")
      }
      defer { at += count }
      return UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)])
    }
  }
}
