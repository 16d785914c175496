import Dispatch
import Foundation
import Synchronization

/// Ctrl-C and SIGTERM as a flag that long work asks between steps. A second Ctrl-C ends the program at once, which is
/// safe: what is committed stays.
final class Interruption: Sendable {
  private let flag = Atomic<Bool>(false)
  private let sources: Mutex<[any DispatchSourceSignal]>

  init() {
    sources = Mutex([])
    let made = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in self?.receive() }
      source.resume()
      return source
    }
    sources.withLock { $0 = made }
  }

  private func receive() {
    if flag.exchange(true, ordering: .relaxed) { _exit(ExitStatus.interrupted.rawValue) }
    Talk.say("\nstopping after this block; again to stop at once")
  }

  var isRequested: Bool { flag.load(ordering: .relaxed) }
}
