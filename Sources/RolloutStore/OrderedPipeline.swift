import Foundation

/// Producer → several workers → consumer, with results in the order of production.
///
/// The producer runs in a thread of its own, the workers in theirs, the consumer in the caller's. At most `capacity` items
/// are on their way at once, which bounds memory however long the stream is.
enum OrderedPipeline {
  /// - Parameters:
  ///   - produce: calls its argument with one item after the other; `false` from it means stop.
  ///   - makeTransform: called once in each worker, so that a worker can own buffers.
  ///   - consume: gets the results in order. When it throws, everything stops and the error comes out of `run`.
  static func run<Item: Sendable, Result: Sendable>(
    workers: Int, capacity: Int, produce: @escaping @Sendable ((Item) -> Bool) throws -> Void,
    makeTransform: @escaping @Sendable () -> (Item) -> Result, consume: (Result) throws -> Void
  ) throws {
    let state = State<Item, Result>(capacity: capacity)
    var threads: [Thread] = []
    threads.append(
      Thread {
        do {
          try produce { state.offer($0) }
          state.finish(nil)
        } catch {
          state.finish(error)
        }
      })
    for _ in 0..<max(1, workers) {
      threads.append(
        Thread {
          let transform = makeTransform()
          while let (number, item) = state.take() { state.put(transform(item), number) }
          state.leave()
        })
    }
    for thread in threads {
      thread.stackSize = 8 << 20
      thread.start()
    }
    state.workers = max(1, workers)
    defer { state.stopAndWait() }
    while let result = try state.nextResult() { try consume(result) }
  }

  /// What the threads share; every access holds the condition's lock, hence the unchecked conformance.
  private final class State<Item: Sendable, Result: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private let capacity: Int
    private var waiting: [(Int, Item)] = []
    private var results: [Int: Result] = [:]
    private var produced = 0
    private var consumed = 0
    private var isFinished = false
    private var isStopped = false
    private var error: (any Error)?
    private var left = 0
    private var workerCount = 0

    init(capacity: Int) { self.capacity = capacity }

    var workers: Int {
      get { condition.withLock { workerCount } }
      set { condition.withLock { workerCount = newValue } }
    }

    func offer(_ item: Item) -> Bool {
      condition.withLock {
        while produced - consumed >= capacity, !isStopped { condition.wait() }
        guard !isStopped else { return false }
        waiting.append((produced, item))
        produced += 1
        condition.broadcast()
        return true
      }
    }

    func finish(_ error: (any Error)?) {
      condition.withLock {
        isFinished = true
        self.error = error
        condition.broadcast()
      }
    }

    func take() -> (Int, Item)? {
      condition.withLock {
        while waiting.isEmpty, !isFinished, !isStopped { condition.wait() }
        guard !waiting.isEmpty, !isStopped else { return nil }
        return waiting.removeFirst()
      }
    }

    func put(_ result: Result, _ number: Int) {
      condition.withLock {
        results[number] = result
        condition.broadcast()
      }
    }

    func leave() {
      condition.withLock {
        left += 1
        condition.broadcast()
      }
    }

    /// Results that were produced before the producer failed still come out; then its error is thrown.
    func nextResult() throws -> Result? {
      try condition.withLock {
        while true {
          if let result = results.removeValue(forKey: consumed) {
            consumed += 1
            condition.broadcast()
            return result
          }
          if isFinished, consumed == produced {
            if let error { throw error }
            return nil
          }
          condition.wait()
        }
      }
    }

    /// Lets every thread end before the caller's resources go away.
    func stopAndWait() {
      condition.withLock {
        isStopped = true
        waiting.removeAll()
        condition.broadcast()
        while !(isFinished && left == workerCount) { condition.wait() }
      }
    }
  }
}
