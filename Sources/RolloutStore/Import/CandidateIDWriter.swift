import GRDB

/// Writes the ids of candidates behind the other columns of several records, so that whoever reads entropies, which need no
/// ids, finds the pages that it reads together.
final class CandidateIDWriter {
  private let insert: Inserter
  private var kept: [(block: Int64, ids: [UInt8])] = []
  private var bytes = 0
  /// Bytes that are kept at most.
  private static let limit = 1 << 20

  init(_ db: Database) throws {
    insert = try Inserter(db, "INSERT INTO candidate_ids (block, ids) VALUES (?,?)")
  }

  /// Takes the ids of a block's candidates; they may stay here until the next ``flush()``.
  func add(_ ids: [UInt8], block: Int64) throws {
    guard !ids.isEmpty else { return }
    kept.append((block, ids))
    bytes += ids.count
    if bytes > Self.limit { try flush() }
  }

  /// Writes what is kept: before a commit, and before somebody reads it.
  func flush() throws {
    for (block, ids) in kept {
      try ids.withUnsafeBytes { ids in
        try insert.run { row in
          row.bind(block)
          row.bind(lasting: ids)
        }
      }
    }
    forget()
  }

  /// Drops what is kept, whose blocks were rolled back.
  func forget() {
    kept.removeAll(keepingCapacity: true)
    bytes = 0
  }
}
