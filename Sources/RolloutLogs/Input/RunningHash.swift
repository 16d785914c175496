import Foundation
import Synchronization

/// The SHA-256 of a stream, computed by a thread of its own once the stream is long enough to gain by it.
///
/// One thread adds bytes; each stretch must stay as it is until `release` says that it has been hashed.
final class RunningHash {
  /// The hash of everything added before it was asked for.
  final class Mark: Sendable {
    private let sha = Mutex<SHA256?>(nil)
    private let isKnown = DispatchSemaphore(value: 0)

    /// As hexadecimal digits; waits for the thread if need be.
    var hex: String {
      isKnown.wait()
      // For whoever asks next.
      isKnown.signal()
      return sha.withLock { $0?.hex } ?? ""
    }

    fileprivate func tell(_ value: SHA256) {
      sha.withLock { $0 = value }
      isKnown.signal()
    }
  }

  private enum Work: @unchecked Sendable {
    case bytes(UnsafeRawBufferPointer)
    case mark(Mark)
  }

  /// What both threads touch; one is woken only if it waits.
  private final class Shared: Sendable {
    struct State {
      var queue: [Work] = []
      var done = 0
      var isIdle = false
      var isStopped = false
      /// The stretch that the adding thread waits for.
      var wanted: Int?
    }

    let state = Mutex(State())
    let work = DispatchSemaphore(value: 0)
    let progress = DispatchSemaphore(value: 0)

    func run(_ start: SHA256) {
      var sha = start
      while true {
        let (batch, isStopped) = state.withLock { state in
          state.isIdle = state.queue.isEmpty && !state.isStopped
          defer { state.queue.removeAll(keepingCapacity: true) }
          return (state.queue, state.isStopped)
        }
        if batch.isEmpty {
          if isStopped { return }
          work.wait()
        }
        for item in batch {
          switch item {
          case .mark(let mark): mark.tell(sha)
          case .bytes(let bytes):
            sha.add(bytes)
            let wakes = state.withLock { state in
              state.done += 1
              guard let wanted = state.wanted, wanted <= state.done else { return false }
              state.wanted = nil
              return true
            }
            if wakes { progress.signal() }
          }
        }
      }
    }

    func put(_ item: Work) {
      change { $0.queue.append(item) }
    }

    func stop() {
      change { $0.isStopped = true }
    }

    private func change(_ body: (inout State) -> Void) {
      let wakes = state.withLock { state in
        body(&state)
        defer { state.isIdle = false }
        return state.isIdle
      }
      if wakes { work.signal() }
    }
  }

  /// `nil` as long as bytes are hashed at once.
  private var shared: Shared?
  /// Without a thread: of everything added.
  private var sha = SHA256()
  private var added = 0

  deinit { shared?.stop() }

  /// Adds bytes, at once or in the thread.
  /// - Parameter inThread: hash in the thread from now on.
  /// - Returns: a number for `release`.
  func add(_ bytes: UnsafeRawBufferPointer, inThread: Bool) -> Int {
    if inThread, shared == nil { startThread() }
    guard let shared else {
      sha.add(bytes)
      return 0
    }
    added += 1
    shared.put(.bytes(bytes))
    return added
  }

  private func startThread() {
    let shared = Shared()
    let start = sha
    let thread = Thread { shared.run(start) }
    thread.stackSize = 1 << 19
    thread.start()
    self.shared = shared
  }

  /// Waits until the bytes of that number have been hashed.
  func release(_ number: Int) {
    guard let shared else { return }
    let waits = shared.state.withLock { state in
      guard state.done < number else { return false }
      state.wanted = number
      return true
    }
    if waits { shared.progress.wait() }
  }

  /// The hash at this point of the stream.
  func mark() -> Mark {
    let mark = Mark()
    if let shared { shared.put(.mark(mark)) } else { mark.tell(sha) }
    return mark
  }
}
