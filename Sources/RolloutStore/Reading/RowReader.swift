import GRDB
import GRDBSQLite

/// A statement that is run again and again, whose rows are read in place, as SQLite holds them.
///
///     try reader.forEach(id) { row in lengths.append(row.int(0)) }
///     let id = try reader.first { $0.bind(name) } read: { row in row.int64(0) }
struct RowReader {
  private let db: Database
  private let statement: Statement

  /// A statement of the connection, prepared once.
  init(_ db: Database, _ sql: String) throws {
    self.db = db
    statement = try db.cachedStatement(sql: sql)
  }

  /// A row, valid until the next one is asked for; columns count from 0.
  struct Row {
    fileprivate let handle: OpaquePointer

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    /// 0 for NULL.
    func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    /// 0 for NULL.
    func int(_ column: Int32) -> Int { Int(int64(column)) }

    /// `nil` for NULL.
    func optionalInt(_ column: Int32) -> Int? { isNull(column) ? nil : int(column) }

    /// `nil` for NULL.
    func double(_ column: Int32) -> Double? { isNull(column) ? nil : sqlite3_column_double(handle, column) }

    /// `nil` for NULL.
    func text(_ column: Int32) -> String? {
      // Asked for as a text, it would be copied for a zero byte at its end.
      guard let bytes = blob(column) else { return nil }
      return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes where SQLite holds them, which is until the next row is asked for; `nil` for NULL.
    func blob(_ column: Int32) -> UnsafeRawBufferPointer? {
      // The pointer first: asking for it may change how the value is held. A blob of no bytes has none.
      let bytes = sqlite3_column_blob(handle, column)
      if bytes == nil, isNull(column) { return nil }
      return UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(handle, column)))
    }
  }

  /// Runs the statement with its parameters bound, and calls the body with each row.
  /// - Parameter second: `nil` for a statement that has one parameter.
  func forEach(_ first: Int64, _ second: Int64? = nil, body: (Row) throws -> Void) throws {
    try begin {
      $0.bind(first)
      if let second { $0.bind(second) }
    }
    defer { close() }
    while let row = try next() { try body(row) }
  }

  /// What is read from the first row; `nil` if there is none.
  func first<Value>(_ values: (inout Parameters) -> Void, read: (Row) throws -> Value) throws -> Value? {
    try begin(values)
    defer { close() }
    return try next().map(read)
  }

  /// Runs the statement with its parameter bound and gives its first row, which stays valid until `close` or the next run
  /// of the statement.
  func open(_ parameter: Int64) throws -> Row? {
    try begin { $0.bind(parameter) }
    return try next()
  }

  /// Ends a run of the statement.
  func close() { sqlite3_reset(statement.sqliteStatement) }

  private func begin(_ values: (inout Parameters) -> Void) throws {
    let handle = statement.sqliteStatement
    // A statement that was left amid its rows, by an error, starts over.
    sqlite3_reset(handle)
    var parameters = Parameters(handle)
    values(&parameters)
    guard parameters.failure == SQLITE_OK else { throw DatabaseError(code: parameters.failure, of: db) }
  }

  private func next() throws -> Row? {
    let handle = statement.sqliteStatement
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return Row(handle: handle)
    case SQLITE_DONE: return nil
    case let code: throw DatabaseError(code: code, of: db)
    }
  }
}
