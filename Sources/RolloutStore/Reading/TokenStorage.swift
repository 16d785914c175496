import GRDB

/// Where a database keeps the token columns of segments: in blocks, in rows of their own as versions before 6 wrote them, or
/// some here and some there.
struct TokenStorage {
  /// `nil` if the database knows no blocks.
  let blocks: TokenBlockReader?
  /// The table with a row a segment; `nil` if it has none.
  let rows: String?
  /// Whether such a row has the candidates' ids in a column of their own.
  let rowsHaveIDColumn: Bool

  /// A database of an earlier version is read as it is.
  init(_ db: Database) throws {
    let version = try RowReader(db, "PRAGMA user_version").first({ _ in }, read: { $0.int(0) }) ?? 0
    rowsHaveIDColumn = version >= 5
    guard version >= 6 else {
      blocks = nil
      rows = "segment_tokens"
      return
    }
    blocks = try TokenBlockReader(db)
    let hasRows = try RowReader(db, "SELECT 1 FROM segment_columns LIMIT 1").first({ _ in }, read: { _ in true })
    rows = hasRows == true ? "segment_columns" : nil
  }
}
