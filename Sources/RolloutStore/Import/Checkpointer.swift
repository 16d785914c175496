import Foundation
import GRDB
import GRDBSQLite

/// Copies the write-ahead log into the database file while an import goes on writing, on a connection and a thread of its
/// own: the writer would stand still for it otherwise.
///
/// Durability is the same: what is committed stands in the write-ahead log, and SQLite syncs both files around each copy.
final class Checkpointer {
  private let db: Database
  private let state: State
  /// Pages of the write-ahead log after the last commit.
  private var pages: Int32 = 0
  private let step: Int32
  private let limit: Int32

  /// - Parameters:
  ///   - db: the writer's connection, which no longer copies by itself until `stop`.
  ///   - stepBytes: what is worth a copy of its own, which syncs two files.
  ///   - limitBytes: length of the write-ahead log from which on the writer has it begin at the front again. That needs a
  ///     moment in which all is copied, and the writer waits for it as soon as little is left to copy; at eight times
  ///     the length it waits however much it is. Pages that are written over cost less than new ones, and a short file
  ///     less than a long one when it is cut off at the end.
  /// - Returns: `nil` if there is no second connection to be had; the writer then copies as SQLite does by itself.
  init?(_ db: Database, path: String, stepBytes: Int = 1600 << 10, limitBytes: Int = 4 << 20) throws {
    let pageBytes = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 4096
    var handle: OpaquePointer?
    guard sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK, let handle else {
      sqlite3_close(handle)
      return nil
    }
    sqlite3_busy_timeout(handle, 1000)
    sqlite3_exec(handle, "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -200", nil, nil, nil)
    let state = State(handle)
    self.state = state
    self.db = db
    step = Int32(stepBytes / pageBytes)
    limit = Int32(limitBytes / pageBytes)
    sqlite3_wal_hook(
      db.sqliteConnection,
      { checkpointer, _, _, pages in
        guard let checkpointer else { return SQLITE_OK }
        Unmanaged<Checkpointer>.fromOpaque(checkpointer).takeUnretainedValue().pages = pages
        return SQLITE_OK
      }, Unmanaged.passUnretained(self).toOpaque())
    let thread = Thread { state.run() }
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Something was committed, and no transaction is open.
  func committed() {
    let left = state.left(of: pages)
    if pages > 8 * limit || (pages > limit && left < step) {
      state.copy(db.sqliteConnection)
    } else if left >= step {
      state.wake()
    }
  }

  /// Ends the thread and closes its connection; the writer copies by itself again.
  func stop() {
    state.stop()
    sqlite3_wal_autocheckpoint(db.sqliteConnection, Int32(Store.autocheckpoint))
  }

  /// What both threads touch, behind the condition's lock; the connection is the thread's alone.
  private final class State: @unchecked Sendable {
    private let handle: OpaquePointer
    private let condition = NSCondition()
    private var isWanted = false
    private var isBusy = false
    private var isStopped = false
    private var hasEnded = false
    /// Pages at the front of the write-ahead log that are copied.
    private var copied: Int32 = 0

    init(_ handle: OpaquePointer) { self.handle = handle }

    func run() {
      while next() { pass(handle) }
      sqlite3_close(handle)
      condition.withLock {
        hasEnded = true
        condition.broadcast()
      }
    }

    private func pass(_ connection: OpaquePointer?) {
      var copied: Int32 = 0
      // A failure is the writer's to find, whose own checkpoint at the end fails too.
      sqlite3_wal_checkpoint_v2(connection, nil, SQLITE_CHECKPOINT_PASSIVE, nil, &copied)
      condition.withLock {
        self.copied = max(0, copied)
        isBusy = false
        condition.broadcast()
      }
    }

    private func next() -> Bool {
      condition.withLock {
        while !isWanted, !isStopped { condition.wait() }
        guard !isStopped else { return false }
        isWanted = false
        isBusy = true
        return true
      }
    }

    /// Pages of a write-ahead log of that length that are not copied.
    func left(of pages: Int32) -> Int32 {
      condition.withLock {
        // It began at the front again.
        if pages < copied { copied = 0 }
        return pages - copied
      }
    }

    func wake() {
      condition.withLock {
        isWanted = true
        condition.broadcast()
      }
    }

    /// Copies what is left on the caller's connection, which is faster than to wake the thread and to wait for it.
    func copy(_ connection: OpaquePointer?) {
      condition.withLock {
        isWanted = false
        while isBusy { condition.wait() }
      }
      pass(connection)
    }

    func stop() {
      condition.withLock {
        isStopped = true
        condition.broadcast()
        while !hasEnded { condition.wait() }
      }
    }
  }
}
