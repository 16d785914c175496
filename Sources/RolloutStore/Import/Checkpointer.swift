import Foundation
import GRDBSQLite

/// Copies the write-ahead log into the database file while an import goes on writing, on a connection and a thread of its
/// own: the writer would stand still for it otherwise.
///
/// Durability is the same: what is committed stands in the write-ahead log, and SQLite syncs both files around each copy.
final class Checkpointer {
  private let state: State
  /// Pages of write-ahead log at which the writer waits until all is copied, so that it begins at the front again.
  private static let limit: Int32 = 16_384

  /// `nil` if there is no second connection to be had; the writer then copies as SQLite does by itself.
  init?(database path: String) {
    var handle: OpaquePointer?
    guard sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK, let handle else {
      sqlite3_close(handle)
      return nil
    }
    sqlite3_busy_timeout(handle, 1000)
    sqlite3_exec(handle, "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -200", nil, nil, nil)
    let state = State(handle)
    self.state = state
    let thread = Thread { state.run() }
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Something was committed.
  func committed() { state.wake(waitingAbove: Self.limit) }

  /// Ends the thread and closes its connection.
  func stop() { state.stop() }

  /// What both threads touch, behind the condition's lock; the connection is the thread's alone.
  private final class State: @unchecked Sendable {
    private let handle: OpaquePointer
    private let condition = NSCondition()
    private var isWanted = false
    private var isBusy = false
    private var isStopped = false
    private var hasEnded = false
    private var pages: Int32 = 0

    init(_ handle: OpaquePointer) { self.handle = handle }

    func run() {
      while next() {
        var inLog: Int32 = 0
        var copied: Int32 = 0
        // A failure is the writer's to find, whose own checkpoint at the end fails too.
        sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, &inLog, &copied)
        condition.withLock {
          pages = inLog
          isBusy = false
          condition.broadcast()
        }
      }
      sqlite3_close(handle)
      condition.withLock {
        hasEnded = true
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

    func wake(waitingAbove limit: Int32) {
      condition.withLock {
        isWanted = true
        condition.broadcast()
        guard pages > limit else { return }
        while isWanted || isBusy { condition.wait() }
      }
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
