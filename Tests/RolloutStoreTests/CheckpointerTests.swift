import Foundation
import GRDB
import TestSupport
import Testing

@testable import RolloutStore

/// The write-ahead log of an import stays short, and what it held stands in the database file.
@Suite struct CheckpointerTests {
  private static let page = 4096
  /// Pages of a commit, a little more than its rows.
  private static let rows = 8

  private let folder: TemporaryFolder
  private let path: String
  private let store: Store

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path("runs.db")
    store = try Store.open(path, for: .writing)
    try store.queue.write { try $0.execute(sql: "CREATE TABLE piece (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)") }
    try store.queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
  }

  private func commit(_ number: Int, _ db: Database) throws {
    try db.inTransaction(.immediate) {
      for i in 0..<Self.rows {
        try db.execute(
          sql: "INSERT INTO piece VALUES (?, ?)",
          arguments: [number * Self.rows + i, Data(repeating: UInt8(i), count: Self.page - 100)])
      }
      return .commit
    }
  }

  private var logBytes: Int {
    (try? FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int) ?? 0
  }

  /// - Parameter commits: how many are copied at once: none waits for the next, or all for the limit.
  @Test(arguments: [0.5, 100]) func theLogBeginsAtTheFrontAgain(commits: Double) throws {
    let step = Int(commits * Double(Self.rows * Self.page))
    let limit = 3 * Self.rows * Self.page
    try store.queue.writeWithoutTransaction { db in
      let checkpointer = try #require(try Checkpointer(db, path: path, stepBytes: step, limitBytes: limit))
      var longest = 0
      for number in 0..<60 {
        try commit(number, db)
        checkpointer.committed()
        longest = max(longest, logBytes)
      }
      checkpointer.stop()
      // All commits together are twenty times the limit.
      #expect(longest < (commits < 1 ? 10 : 2) * limit)
      #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM piece") == 60 * Self.rows)
      #expect(try String.fetchOne(db, sql: "PRAGMA integrity_check") == "ok")
      #expect(try Int.fetchOne(db, sql: "PRAGMA wal_autocheckpoint") == Store.autocheckpoint)
    }
  }

  /// A reader that stays keeps the log from beginning again: the writer goes on, and the reader sees what it saw.
  @Test func aReaderStopsNobody() throws {
    let reader = try DatabaseQueue(path: path)
    try reader.inDatabase { other in
      try other.beginTransaction(.deferred)
      #expect(try Int.fetchOne(other, sql: "SELECT count(*) FROM piece") == 0)
      try store.queue.writeWithoutTransaction { db in
        let checkpointer = try #require(
          try Checkpointer(db, path: path, stepBytes: 3 * Self.rows * Self.page, limitBytes: 5 * Self.rows * Self.page))
        defer { checkpointer.stop() }
        for number in 0..<50 {
          try commit(number, db)
          checkpointer.committed()
        }
        #expect(logBytes > 50 * Self.rows * Self.page)
      }
      #expect(try Int.fetchOne(other, sql: "SELECT count(*) FROM piece") == 0)
      try other.commit()
      #expect(try Int.fetchOne(other, sql: "SELECT count(*) FROM piece") == 50 * Self.rows)
    }
  }
}
