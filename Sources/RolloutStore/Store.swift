import CSQLiteSetup
import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// Trouble with the database, in words for the user.
public struct StoreError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable { case missing, notADatabase, otherVersion, busy, failed }

  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// An arpo-replay database: one SQLite file with a public schema (`Migrations/rollouts.sql`).
///
///     let store = try Store.open("runs.db", for: .writing)
///
/// One import writes at a time (WAL, so that readers go on reading).
public final class Store: Sendable {
  public enum Access: Sendable { case reading, writing }

  /// The schema that this version writes and reads.
  public static var schemaVersion: Int { migrations.count + 1 }
  /// `ARPO` in ASCII, in the file's header.
  static let applicationID = 0x4152_504F

  /// Pages of write-ahead log after which a writer copies them back.
  static let autocheckpoint = 2000

  public let path: String
  let queue: DatabaseQueue
  /// Connections that threads read with, kept for the next time.
  let readers = Mutex<[Store]>([])

  private init(path: String, queue: DatabaseQueue) {
    self.path = path
    self.queue = queue
  }

  deinit {
    // First those that only read: the last connection of a database tidies up, if it may write.
    readers.withLock { $0.removeAll() }
  }

  /// Opens a database file; for writing, creates it and brings its schema up to date.
  public static func open(_ path: String, for access: Access) throws -> Store {
    let exists = FileManager.default.fileExists(atPath: path)
    _ = setUp
    if access == .reading, !exists {
      throw StoreError(.missing, "there is no database \(path); make one with: arpo-replay import \(path) LOG…")
    }
    var configuration = Configuration()
    configuration.readonly = access == .reading
    configuration.busyMode = .timeout(patience)
    configuration.prepareDatabase { db in
      if access == .writing {
        // Before anything is changed: another program's database keeps its journal mode.
        if try version(db, path) == 0, try !isEmpty(db), try version(db, path) == 0 {
          throw StoreError(.notADatabase, "\(path) is a SQLite database of another program")
        }
        if !exists { try db.execute(sql: "PRAGMA page_size = 8192") }
        try startWriteAheadLog(db)
        try db.execute(sql: "PRAGMA synchronous = NORMAL")
        // A large log of changes costs less than copying pages back every few megabytes.
        try db.execute(sql: "PRAGMA wal_autocheckpoint = \(autocheckpoint); PRAGMA cache_size = -2000")
      }
      try db.execute(sql: "PRAGMA temp_store = MEMORY")
      // Pages are read where the system keeps them; but mapped pages count as memory, which must not grow with the file.
      if access == .reading { try db.execute(sql: "PRAGMA mmap_size = \(32 << 20)") }
    }
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      let store = Store(path: path, queue: queue)
      if access == .writing { try store.migrate() } else { try store.checkVersion() }
      return store
    } catch let error as DatabaseError {
      if access == .reading, isReadOnly(error), let store = try unchanging(path, configuration) { return store }
      throw translated(error, path)
    }
  }

  private static func isReadOnly(_ error: DatabaseError) -> Bool {
    [.SQLITE_READONLY, .SQLITE_CANTOPEN].contains(error.resultCode)
  }

  /// A database where nothing can be written beside it, as in an archive: SQLite makes a file there even to read, unless it
  /// is told that nobody changes the database.
  /// - Returns: `nil` if that is not why it could not be opened.
  private static func unchanging(_ path: String, _ configuration: Configuration) throws -> Store? {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    guard access(path, R_OK) == 0, access(folder, W_OK) != 0 else { return nil }
    var info = stat()
    if stat(path + "-wal", &info) == 0, info.st_size > 0 {
      throw StoreError(
        .failed,
        "\(path) has changes that stand in \(path)-wal, and nothing can be written to \(folder): copy both elsewhere")
    }
    let place = URL(fileURLWithPath: path).absoluteString + "?immutable=1"
    let store = Store(path: path, queue: try DatabaseQueue(path: place, configuration: configuration))
    try store.checkVersion()
    return store
  }

  /// Settings of SQLite itself, made once and before the first connection; without them it only takes longer.
  private static let setUp: Void = arpo_set_up_sqlite()

  /// Seconds to wait for another program's lock.
  private static let patience = 30.0

  /// Where several programs make the same new database, SQLite tells all but one at once that it is locked instead of
  /// waiting, lest they wait for each other.
  private static func startWriteAheadLog(_ db: Database) throws {
    let deadline = ContinuousClock.now + .seconds(patience)
    while true {
      do {
        return try db.execute(sql: "PRAGMA journal_mode = WAL")
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && ContinuousClock.now < deadline {
        usleep(10_000)
      }
    }
  }

  /// A database of its own that disappears with the value: small ones stay in memory, large ones spill to a file.
  public static func temporary() throws -> Store {
    _ = setUp
    var configuration = Configuration()
    configuration.prepareDatabase { db in
      // With a journal: a record that turns out to be bad is rolled back.
      try db.execute(sql: "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000")
    }
    let store = Store(path: "", queue: try DatabaseQueue(path: "", configuration: configuration))
    try store.migrate()
    return store
  }

  static func translated(_ error: DatabaseError, _ path: String) -> StoreError {
    switch error.resultCode {
    case .SQLITE_BUSY, .SQLITE_LOCKED: StoreError(.busy, "\(path) is locked by another program")
    case .SQLITE_NOTADB: StoreError(.notADatabase, "\(path) is not a SQLite database")
    case .SQLITE_CORRUPT: StoreError(.failed, "\(path) is damaged: \(error.message ?? "malformed")")
    case .SQLITE_FULL: StoreError(.failed, "the disk is full")
    case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM:
      StoreError(.failed, "\(path) cannot be opened: \(error.message ?? error.resultCode.description)")
    default: StoreError(.failed, "\(path): \(error)")
    }
  }

  // MARK: Migrations

  /// Statements that make a new database: changing tables step by step would take longer than making them.
  private static let tables = [
    PackageResources.rollouts_sql, PackageResources.token_blocks_sql, PackageResources.v7_views_sql,
    PackageResources.v2_sql, PackageResources.v3_sql, PackageResources.v4_sql,
  ].map { String(decoding: $0, as: UTF8.self) }

  /// Statements that lead from version n + 1 to version n + 2.
  private static let migrations = [
    PackageResources.v2_sql, PackageResources.v3_sql, PackageResources.v4_sql, PackageResources.v5_sql,
    PackageResources.v6_sql + PackageResources.token_blocks_sql,
    PackageResources.v7_sql + PackageResources.v7_views_sql,
  ].map { String(decoding: $0, as: UTF8.self) }

  private func migrate() throws {
    try queue.writeWithoutTransaction { db in
      guard try Self.version(db, path) < Self.schemaVersion else { return }
      try db.inTransaction(.immediate) {
        // Another program may have been faster.
        let version = try Self.version(db, path)
        if version == 0, try !Self.isEmpty(db) {
          throw StoreError(.notADatabase, "\(path) is a SQLite database of another program")
        }
        for sql in version == 0 ? Self.tables[...] : Self.migrations[(version - 1)...] { try db.execute(sql: sql) }
        try db.execute(
          sql: "PRAGMA user_version = \(Self.schemaVersion); PRAGMA application_id = \(Self.applicationID)")
        return .commit
      }
    }
  }

  private func checkVersion() throws {
    try queue.read { db in
      if try Self.version(db, path) == 0 {
        throw StoreError(.notADatabase, "\(path) is not an arpo-replay database")
      }
    }
  }

  private static func version(_ db: Database, _ path: String) throws -> Int {
    let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    guard version == 0 || application == applicationID else {
      throw StoreError(.notADatabase, "\(path) is a SQLite database of another program")
    }
    guard version <= schemaVersion else {
      throw StoreError(
        .otherVersion,
        "\(path) has schema \(version), this version reads up to \(Self.schemaVersion): update arpo-replay")
    }
    return version
  }

  private static func isEmpty(_ db: Database) throws -> Bool {
    try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0
  }

  /// The statements that make the schema, with their comments.
  public static var schema: String {
    tables.joined() + """

      -- What tells that a file is such a database, and of which version.
      PRAGMA application_id = \(applicationID);
      PRAGMA user_version = \(schemaVersion);

      """
  }
}
