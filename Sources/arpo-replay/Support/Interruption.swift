import Dispatch
import Foundation
import Synchronization

/// Ctrl-C and SIGTERM as a flag that long work asks between steps.
///
/// A second Ctrl-C ends the program at once, which is safe: what is committed stays.
final class Interruption: Sendable {
  private let flag: InterruptionFlag
  // Dispatch sources are safe to use from any thread; the protocol just does not say so.
  private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

  init() {
    let flag = InterruptionFlag()
    self.flag = flag
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { flag.receive() }
      source.resume()
      return source
    }
  }

  var isRequested: Bool { flag.isSet }
}

private final class InterruptionFlag: Sendable {
  private let value = Atomic<Bool>(false)

  var isSet: Bool { value.load(ordering: .relaxed) }

  func receive() {
    if value.exchange(true, ordering: .relaxed) { _exit(ExitStatus.interrupted.rawValue) }
    Talk.say("\nstopping after this block; again to stop at once")
  }
}
