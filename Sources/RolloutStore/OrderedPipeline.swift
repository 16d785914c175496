import CKernels
import Foundation
import Synchronization

/// Producer → several workers → consumer, with results in the order of production.
///
///     try OrderedPipeline(workers: 2, capacity: 6, produce: …, makeTransform: …).consume { … }
///
/// The producer runs in a thread of its own, the workers in theirs, the consumer in the caller's. At most `capacity` items
/// are on their way at once, which bounds memory however long the stream is. The producer begins at once, the workers with
/// the consumer; all end when everything is consumed, or by `stop`. Items that are all there already need no producer.
///
/// Whoever has to wait does so on a semaphore of its own, so that a thread is woken only when there is something for it:
/// with one condition for all, every block of a log woke every thread.
final class OrderedPipeline<Item: Sendable, Result: Sendable>: Sendable {
  private let workers: Int
  /// What the workers take by themselves; `nil` where a producer hands them one item after the other.
  private let given: [Item]?
  /// Results that must be there before a consumer is woken who waits; he gets the last ones however few they are.
  private let batch: Int
  private let makeTransform: @Sendable () -> (Item) -> Result
  private let state = Mutex(State())
  /// Counts items that may still be produced, or taken where they are given.
  private let room = DispatchSemaphore(value: 0)
  /// Counts items that wait for a worker.
  private let work = DispatchSemaphore(value: 0)
  /// Signalled when the result has come that the consumer waits for, or the end.
  private let ready = DispatchSemaphore(value: 0)
  private let threads = DispatchGroup()

  private struct State {
    var waiting: [(Int, Item)] = []
    var results: [Int: Result] = [:]
    var produced = 0
    var consumed = 0
    var isFinished = false
    var isStopped = false
    /// Of the given items, those that a worker has taken.
    var taken = 0
    var isConsumerWaiting = false
    var error: (any Error)?

    /// Whether the consumer has something to do that is worth waking it.
    func isReady(_ batch: Int) -> Bool {
      guard results[consumed] != nil else { return isFinished && consumed == produced }
      return results.count >= batch || consumed + results.count == produced
    }

    /// Whether the consumer must be woken; at most once for every time that it waits.
    mutating func wakesConsumer(_ batch: Int) -> Bool {
      guard isConsumerWaiting, isReady(batch) else { return false }
      isConsumerWaiting = false
      return true
    }
  }

  /// - Parameters:
  ///   - produce: calls its argument with one item after the other; `false` from it means stop.
  ///   - makeTransform: called once in each worker, so that a worker can own buffers.
  init(
    workers: Int, capacity: Int, produce: @escaping @Sendable ((Item) -> Bool) throws -> Void,
    makeTransform: @escaping @Sendable () -> (Item) -> Result
  ) {
    self.workers = max(1, workers)
    self.makeTransform = makeTransform
    given = nil
    batch = 1
    for _ in 0..<capacity { room.signal() }
    start {
      do {
        try produce { self.offer($0) }
        self.finish(nil)
      } catch {
        self.finish(error)
      }
    }
  }

  /// - Parameter items: all there are.
  init(
    workers: Int, capacity: Int, items: [Item], makeTransform: @escaping @Sendable () -> (Item) -> Result
  ) {
    self.workers = max(1, workers)
    self.makeTransform = makeTransform
    given = items
    // Short work is not worth a change of threads for every result.
    batch = max(1, capacity / 2)
    state.withLock { state in
      state.produced = items.count
      state.isFinished = true
    }
    for _ in 0..<capacity { room.signal() }
  }

  /// Gets the results in order, and returns when all threads have ended.
  ///
  /// When the body throws, everything stops and its error comes out.
  func consume(_ body: (Result) throws -> Void) throws {
    // Before the caller's resources go away.
    defer {
      stop()
      threads.wait()
    }
    let home = arpo_current_processor()
    for number in 0..<workers {
      start {
        arpo_spread_thread(home, Int32(number))
        let transform = self.makeTransform()
        while let (number, item) = self.take() { self.put(transform(item), number) }
      }
    }
    while let result = try nextResult() { try body(result) }
  }

  /// Lets the threads end when they are done with what they have in hand.
  func stop() {
    state.withLock { state in
      state.isStopped = true
      state.waiting.removeAll()
    }
    for _ in 0..<workers {
      room.signal()
      work.signal()
    }
  }

  private func start(_ body: @escaping @Sendable () -> Void) {
    threads.enter()
    let thread = Thread { [threads] in
      body()
      threads.leave()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  private func offer(_ item: Item) -> Bool {
    room.wait()
    let isStopped = state.withLock { state in
      if !state.isStopped {
        state.waiting.append((state.produced, item))
        state.produced += 1
      }
      return state.isStopped
    }
    if !isStopped { work.signal() }
    return !isStopped
  }

  private func finish(_ error: (any Error)?) {
    let wakes = state.withLock { state in
      state.isFinished = true
      state.error = error
      return state.wakesConsumer(batch)
    }
    if wakes { ready.signal() }
    for _ in 0..<workers { work.signal() }
  }

  private func take() -> (Int, Item)? {
    if let given { return take(from: given) }
    work.wait()
    return state.withLock { $0.isStopped || $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
  }

  private func take(from items: [Item]) -> (Int, Item)? {
    room.wait()
    let number: Int? = state.withLock { state in
      guard !state.isStopped, state.taken < items.count else { return nil }
      defer { state.taken += 1 }
      return state.taken
    }
    return number.map { ($0, items[$0]) }
  }

  private func put(_ result: Result, _ number: Int) {
    let wakes = state.withLock { state in
      state.results[number] = result
      return state.wakesConsumer(batch)
    }
    if wakes { ready.signal() }
  }

  private enum Next: Sendable {
    case result(Result)
    case end
    case notYet
  }

  /// Results that were produced before the producer failed still come out; then its error is thrown.
  private func nextResult() throws -> Result? {
    while true {
      let next: Next = try state.withLock { state in
        if let result = state.results.removeValue(forKey: state.consumed) {
          state.consumed += 1
          return .result(result)
        }
        if state.isFinished, state.consumed == state.produced {
          if let error = state.error { throw error }
          return .end
        }
        state.isConsumerWaiting = true
        return .notYet
      }
      switch next {
      case .result(let result):
        room.signal()
        return result
      case .end: return nil
      case .notYet: ready.wait()
      }
    }
  }
}
