import Foundation

/// Keeps two imports from writing one database at once: a lock on a file beside it, released when the process ends in
/// whatever way.
final class ImportLock {
  private let path: String
  private let descriptor: Int32

  /// Waits for another import, saying so once.
  /// - Parameter waiting: called with the other import's process id before waiting.
  init(database: String, isCancelled: () -> Bool, waiting: (String) -> Void) throws {
    path = database + "-import"
    var told = false
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw StoreError(.failed, "\(path): \(String(cString: strerror(errno)))")
      }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
        // Its last holder may have removed the file between opening and locking.
        var mine = stat()
        var there = stat()
        if fstat(descriptor, &mine) == 0, stat(path, &there) == 0, mine.st_ino == there.st_ino {
          self.descriptor = descriptor
          ftruncate(descriptor, 0)
          let text = "\(getpid())\n"
          _ = text.withCString { write(descriptor, $0, strlen($0)) }
          return
        }
        close(descriptor)
        continue
      }
      close(descriptor)
      if !told {
        let holder = (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(
          in: .whitespacesAndNewlines)
        waiting(holder ?? "?")
        told = true
      }
      if isCancelled() { throw StoreError(.busy, "another import is writing \(database)") }
      usleep(50_000)
    }
  }

  deinit {
    unlink(path)
    close(descriptor)
  }
}
