import Foundation
import GRDB
import TestSupport
import Testing

@testable import RolloutStore

/// Transactions reach the write-ahead log in large pieces; what others see, and what a crash leaves, stays the same.
@Suite struct GroupedWritesTests {
  /// A database with a table of blobs, open for writing with a cache so small that transactions spill.
  private static func writer(_ path: String) throws -> DatabaseQueue {
    _ = try Store.open(path, for: .writing)
    var configuration = Configuration()
    configuration.prepareDatabase {
      try $0.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA cache_size = 10; PRAGMA wal_autocheckpoint = 0")
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try queue.write { try $0.execute(sql: "CREATE TABLE piece (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)") }
    return queue
  }

  private static func piece(_ id: Int) -> Data {
    var random = SeededGenerator(seed: UInt64(id))
    return Data((0..<(id * 977 % 9000)).map { _ in UInt8.random(in: 0...255, using: &random) })
  }

  private static func insert(_ ids: Range<Int>, _ db: Database) throws {
    for id in ids { try db.execute(sql: "INSERT INTO piece VALUES (?, ?)", arguments: [id, piece(id)]) }
  }

  /// What a copy of the files holds: the database as a crash at this moment would leave it.
  private static func afterCrash(_ path: String) throws -> [Int] {
    let copy = try TemporaryFolder()
    for end in ["", "-wal"] where FileManager.default.fileExists(atPath: path + end) {
      try FileManager.default.copyItem(atPath: path + end, toPath: copy.path("copy.db") + end)
    }
    return try DatabaseQueue(path: copy.path("copy.db")).read { db in
      #expect(try String.fetchOne(db, sql: "PRAGMA integrity_check") == "ok")
      return try rows(db)
    }
  }

  /// Ids of the rows, all of whose bytes are right.
  private static func rows(_ db: Database) throws -> [Int] {
    try Row.fetchAll(db, sql: "SELECT id, bytes FROM piece ORDER BY id").map { row in
      #expect(row["bytes"] == piece(row["id"]))
      return row["id"]
    }
  }

  @Test func whatIsCommittedIsThere() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("runs.db")
    let writer = try Self.writer(path)
    let reader = try DatabaseQueue(path: path)
    var committed = 0
    // Transactions of one page, of more than is kept, and of several times that.
    for count in [1, 60, 2, 300, 1, 1] {
      let next = committed + count
      try writer.inDatabase { db in
        try db.beginTransaction()
        try Self.insert(committed..<next, db)
        #expect(try Self.rows(db) == Array(0..<next))
        #expect(try reader.read(Self.rows) == Array(0..<committed))
        #expect(try Self.afterCrash(path) == Array(0..<committed))
        try db.commit()
      }
      committed = next
      #expect(try reader.read(Self.rows) == Array(0..<committed))
      #expect(try Self.afterCrash(path) == Array(0..<committed))
    }
  }

  @Test func whatIsRolledBackIsNot() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("runs.db")
    let writer = try Self.writer(path)
    try writer.inDatabase { db in
      try db.inTransaction {
        try Self.insert(0..<20, db)
        return .commit
      }
      for end in [21, 400] {
        try db.beginTransaction()
        try Self.insert(20..<end, db)
        try db.rollback()
        #expect(try Self.rows(db) == Array(0..<20))
      }
      // A part that is taken back, behind pages that were written before, which are written again.
      try db.inTransaction {
        try Self.insert(20..<200, db)
        try db.inSavepoint {
          try Self.insert(200..<400, db)
          try db.execute(sql: "UPDATE piece SET bytes = x'00' WHERE id < 100")
          return .rollback
        }
        try Self.insert(200..<220, db)
        return .commit
      }
      #expect(try Self.rows(db) == Array(0..<220))
    }
    #expect(try Self.afterCrash(path) == Array(0..<220))
    #expect(try DatabaseQueue(path: path).read(Self.rows) == Array(0..<220))
  }

  /// The log begins at its front again after it was copied back.
  @Test func theLogIsUsedAgain() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("runs.db")
    let writer = try Self.writer(path)
    for round in 0..<5 {
      try writer.write { try Self.insert((round * 80)..<(round * 80 + 80), $0) }
      #expect(try Self.afterCrash(path) == Array(0..<(round * 80 + 80)))
      let mode = round % 2 == 0 ? "RESTART" : "TRUNCATE"
      try writer.inDatabase { try $0.execute(sql: "PRAGMA wal_checkpoint(\(mode))") }
      #expect(try Self.afterCrash(path) == Array(0..<(round * 80 + 80)))
    }
  }
}
