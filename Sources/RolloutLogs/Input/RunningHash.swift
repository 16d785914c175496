import Foundation

/// The SHA-256 of a stream, computed by a thread of its own once the stream is long enough to gain by it.
///
/// One thread adds bytes; each stretch must stay as it is until `release` says that it has been hashed.
final class RunningHash {
  /// The hash of everything added before it was asked for.
  final class Mark: @unchecked Sendable {
    fileprivate let condition: NSCondition
    // Written once, behind the condition's lock.
    fileprivate var sha: SHA256?

    fileprivate init(_ condition: NSCondition) { self.condition = condition }

    /// As hexadecimal digits; waits for the thread if need be.
    var hex: String {
      condition.lock()
      while sha == nil { condition.wait() }
      defer { condition.unlock() }
      return sha?.hex ?? ""
    }
  }

  private enum Work: @unchecked Sendable {
    case bytes(UnsafeRawBufferPointer)
    case mark(Mark)
  }

  /// What both threads touch, behind the condition's lock; `sha` belongs to the thread while it runs.
  private final class State: @unchecked Sendable {
    let condition = NSCondition()
    var queue: [Work] = []
    var added = 0
    var done = 0
    var isStopped = false
    var sha = SHA256()

    func run() {
      while true {
        condition.lock()
        while queue.isEmpty, !isStopped { condition.wait() }
        if queue.isEmpty {
          condition.unlock()
          return
        }
        let batch = queue
        queue.removeAll(keepingCapacity: true)
        condition.unlock()
        for work in batch { perform(work) }
      }
    }

    func perform(_ work: Work) {
      if case .bytes(let bytes) = work { sha.add(bytes) }
      condition.withLock {
        if case .mark(let mark) = work { mark.sha = sha } else { done += 1 }
        condition.broadcast()
      }
    }
  }

  private let state = State()
  private var hasThread = false

  deinit {
    state.condition.withLock {
      state.isStopped = true
      state.condition.broadcast()
    }
  }

  /// Adds bytes, at once or in the thread.
  /// - Parameter inThread: hash in the thread from now on.
  /// - Returns: a number for `release`.
  func add(_ bytes: UnsafeRawBufferPointer, inThread: Bool) -> Int {
    if inThread, !hasThread {
      hasThread = true
      let state = state
      let thread = Thread { state.run() }
      thread.stackSize = 1 << 19
      thread.start()
    }
    state.added += 1
    put(.bytes(bytes))
    return state.added
  }

  /// Waits until the bytes of that number have been hashed.
  func release(_ number: Int) {
    guard hasThread else { return }
    state.condition.lock()
    while state.done < number { state.condition.wait() }
    state.condition.unlock()
  }

  /// The hash at this point of the stream.
  func mark() -> Mark {
    let mark = Mark(state.condition)
    put(.mark(mark))
    return mark
  }

  private func put(_ work: Work) {
    guard hasThread else { return state.perform(work) }
    state.condition.withLock {
      state.queue.append(work)
      state.condition.broadcast()
    }
  }
}
