import Foundation
import GRDB
import Rollouts

/// Numbers for token texts, one series a run, for logs that name tokens by their text.
///
/// The texts stand in the database; memory holds the ones met lately.
struct StringTable {
  private let db: Database
  private var known: [Int64: [TokenString: Int32]] = [:]
  private var next: [Int64: Int32] = [:]
  private var remembered = 0
  private static let limit = 400_000

  init(_ db: Database) { self.db = db }

  /// Replaces the record's own numbers by the run's.
  mutating func intern(_ columns: inout TokenColumns, run: Int64) throws {
    guard let strings = columns.strings else { return }
    if remembered > Self.limit {
      known.removeAll()
      remembered = 0
    }
    let map = try strings.map { try number(of: $0, run: run) }
    columns.tokenIDs = columns.tokenIDs.map { map[Int($0)] }
    if var top = columns.topLogprobs {
      top.tokenIDs = top.tokenIDs.map { map[Int($0)] }
      columns.topLogprobs = top
    }
  }

  private mutating func number(of string: TokenString, run: Int64) throws -> Int32 {
    if let number = known[run]?[string] { return number }
    // A text ends at its first zero character in the database, so such a token is known by its bytes.
    let bytes = string.bytes.map { Data($0) } ?? (string.text.utf8.contains(0) ? Data(string.text.utf8) : nil)
    let text = string.text.withoutZeros
    let number: Int32
    if let found = try Int32.fetchOne(
      db.cachedStatement(
        // Without statistics SQLite would take the primary key, and read the run's texts one after the other.
        sql: """
          SELECT number FROM token_string INDEXED BY token_string_text WHERE run = ? AND text = ? AND bytes IS ?
          """),
      arguments: [run, text, bytes])
    {
      number = found
    } else {
      number =
        try next[run]
        ?? ((Int32.fetchOne(db, sql: "SELECT max(number) FROM token_string WHERE run = ?", arguments: [run]) ?? -1) + 1)
      try db.cachedStatement(sql: "INSERT INTO token_string (run, number, text, bytes) VALUES (?,?,?,?)").execute(
        arguments: [run, number, text, bytes])
      next[run] = number + 1
    }
    known[run, default: [:]][string] = number
    remembered += 1
    return number
  }
}
