import Foundation
import GRDB
import GRDBSQLite

/// A statement that is run for every row, with its values bound as they are.
///
///     inserter.run { row in
///       row.bind(id)
///       row.bind(name)
///     }
final class Inserter {
  private let db: Database
  private let statement: Statement

  init(_ db: Database, _ sql: String) throws {
    self.db = db
    statement = try db.makeStatement(sql: sql)
  }

  /// Binds the values and runs the statement.
  func run(_ values: (inout Parameters) throws -> Void) throws {
    let handle = statement.sqliteStatement
    var row = Parameters(handle)
    try values(&row)
    // Nothing is stored without the value that was not taken.
    guard row.failure == SQLITE_OK else { throw DatabaseError(code: row.failure, of: db) }
    let code = sqlite3_step(handle)
    sqlite3_reset(handle)
    guard code == SQLITE_DONE else { throw DatabaseError(code: code, of: db) }
  }
}

extension DatabaseError {
  /// What SQLite says about its last call.
  init(code: Int32, of db: Database) {
    self.init(resultCode: ResultCode(rawValue: code), message: String(cString: sqlite3_errmsg(db.sqliteConnection)))
  }
}
