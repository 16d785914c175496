import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RolloutStore

@Suite struct OrderedPipelineTests {
  private struct Failure: Error {}

  /// Results come in the order of production, however long each takes, and never more than allowed are on their way.
  @Test(arguments: [(1, 1), (1, 3), (2, 2), (3, 8), (4, 5)]) func resultsComeInOrder(workers: Int, capacity: Int) throws
  {
    let onTheirWay = Mutex((now: 0, most: 0))
    var results: [Int] = []
    try OrderedPipeline(
      workers: workers, capacity: capacity,
      produce: { emit in
        for i in 0..<300 {
          guard emit(i) else { return }
          onTheirWay.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        }
      },
      makeTransform: {
        { i in
          if i % 7 == 0 { usleep(useconds_t(i % 5) * 100) }
          return i * i
        }
      }
    ).consume { result in
      onTheirWay.withLock { $0.now -= 1 }
      results.append(result)
    }
    #expect(results == (0..<300).map { $0 * $0 })
    // One more than allowed may have been taken by the consumer, who has not said so yet.
    #expect(onTheirWay.withLock { $0.most } <= capacity + 1)
  }

  /// The same for items that are all there, of which few or none may be left over for the last round.
  @Test(arguments: [(1, 1), (1, 3), (2, 2), (2, 6), (3, 8), (8, 4)], [0, 1, 2, 5, 6, 7, 300]) func givenItems(
    shape: (workers: Int, capacity: Int), count: Int
  ) throws {
    let onTheirWay = Mutex((now: 0, most: 0))
    var results: [Int] = []
    try OrderedPipeline(
      workers: shape.workers, capacity: shape.capacity, items: Array(0..<count),
      makeTransform: {
        { i in
          onTheirWay.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
          if i % 7 == 0 { usleep(useconds_t(i % 5) * 100) }
          return i * i
        }
      }
    ).consume { result in
      onTheirWay.withLock { $0.now -= 1 }
      results.append(result)
    }
    #expect(results == (0..<count).map { $0 * $0 })
    #expect(onTheirWay.withLock { $0.most } <= shape.capacity + 1)
  }

  /// An error of the consumer ends it early.
  @Test func anErrorAmidGivenItems() {
    let made = Atomic(0)
    #expect(throws: Failure.self) {
      try OrderedPipeline(
        workers: 3, capacity: 5, items: Array(0..<10_000),
        makeTransform: {
          { i in
            made.add(1, ordering: .relaxed)
            return i
          }
        }
      ).consume { if $0 == 20 { throw Failure() } }
    }
    #expect(made.load(ordering: .relaxed) < 100)
  }

  /// What was produced before the producer failed still comes out.
  @Test func anErrorOfTheProducerComesLast() {
    var results: [Int] = []
    #expect(throws: Failure.self) {
      try OrderedPipeline(
        workers: 2, capacity: 4,
        produce: { emit in
          for i in 0..<10 { _ = emit(i) }
          throw Failure()
        },
        makeTransform: { { $0 } }
      ).consume { results.append($0) }
    }
    #expect(results == Array(0..<10))
  }

  /// An error of the consumer stops a producer that would never end, and all threads have ended when it comes out.
  @Test func anErrorOfTheConsumerStopsAll() {
    let produced = Atomic(0)
    let made = Atomic(0)
    #expect(throws: Failure.self) {
      try OrderedPipeline(
        workers: 3, capacity: 4,
        produce: { emit in
          while emit(produced.add(1, ordering: .relaxed).newValue) {}
        },
        makeTransform: { { made.add(1, ordering: .relaxed).newValue + $0 } }
      ).consume { (_: Int) in
        if made.load(ordering: .relaxed) > 20 { throw Failure() }
      }
    }
    let (a, b) = (produced.load(ordering: .relaxed), made.load(ordering: .relaxed))
    usleep(20_000)
    #expect(a == produced.load(ordering: .relaxed) && b == made.load(ordering: .relaxed))
  }

  /// What nobody consumes yet is produced as far as there is room, and no further once it was stopped.
  @Test func theProducerBeginsByItself() {
    let produced = Atomic(0)
    let isDone = Atomic(false)
    let pipeline = OrderedPipeline<Int, Int>(
      workers: 2, capacity: 5,
      produce: { emit in
        while emit(produced.add(1, ordering: .relaxed).newValue) {}
        isDone.store(true, ordering: .relaxed)
      }, makeTransform: { { $0 } })
    let deadline = Date.now + 10
    while produced.load(ordering: .relaxed) < 6, Date.now < deadline { usleep(1000) }
    usleep(5000)
    #expect(produced.load(ordering: .relaxed) == 6)
    pipeline.stop()
    while !isDone.load(ordering: .relaxed), Date.now < deadline { usleep(1000) }
    #expect(isDone.load(ordering: .relaxed) && produced.load(ordering: .relaxed) == 6)
  }

  @Test func nothingToDo() throws {
    var count = 0
    try OrderedPipeline(
      workers: 2, capacity: 2, produce: { (_: (Int) -> Bool) in }, makeTransform: { { $0 } }
    ).consume { (_: Int) in count += 1 }
    #expect(count == 0)
  }
}
