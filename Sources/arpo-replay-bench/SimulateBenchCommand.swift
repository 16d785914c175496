import ArgumentParser
import Foundation
import Replay
import RolloutStore

/// How many groups a second the simulator samples, by algorithm.
struct SimulateBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Simulated groups over the trees of one log, by algorithm: one thread, then all.")

  @Argument(help: "A log that import reads.")
  var log: String

  @Option(help: "Groups that each algorithm samples.")
  var groups = 100_000

  @Option(help: "Rounds; the figures are medians.")
  var rounds = 3

  func validate() throws {
    guard groups > 0, rounds > 0 else { throw ValidationError("--groups and --rounds are 1 or more") }
  }

  func run() throws {
    let scratch = try Scratch()
    let store = try Store.open(scratch.path("runs.db"), for: .writing)
    _ = try Importer(store: store, options: ImportOptions()).run([log])
    var trees: [ReplayGroup] = []
    var selection = GroupSelection()
    selection.withTexts = false
    try store.forEachGroup(selection, transform: { $0 }, consume: { trees.append($0) })
    guard !trees.isEmpty else { throw ValidationError("the log has no group") }
    var options = SimulationOptions()
    options.repetitions = (groups + trees.count - 1) / trees.count
    options.branching.bootstrapReplicates = 0
    let sampled = options.repetitions * trees.count
    print("\(trees.count) logged groups, \(sampled) simulated a round")
    print("algorithm     s, 1 thread  us a group  groups/s, 1 thread  groups/s, \(threads) threads")
    for algorithm in SamplingAlgorithm.allCases {
      options.algorithms = [algorithm]
      let one = try timed(trees, options, workers: 1)
      let all = try timed(trees, options, workers: threads)
      let name = algorithm.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0)
      print(
        "\(name)  \(column(one, 3, 11))  \(column(one / Double(sampled) * 1e6, 2, 10))"
          + "  \(column(Double(sampled) / one, 0, 18))  \(column(Double(sampled) / all, 0, 18))")
    }
  }

  private var threads: Int { max(2, ProcessInfo.processInfo.activeProcessorCount) }

  private func column(_ x: Double, _ digits: Int, _ width: Int) -> String {
    let text = fixed(x, digits)
    return String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// Median seconds; reading and decoding of the groups is not in it, building their turns is.
  private func timed(_ trees: [ReplayGroup], _ options: SimulationOptions, workers: Int) throws -> Double {
    let clock = ContinuousClock()
    var seconds: [Double] = []
    for _ in 0..<rounds {
      let start = clock.now
      let slices = (0..<workers).map { w in trees.enumerated().filter { $0.offset % workers == w }.map(\.element) }
      let failure = FirstError()
      DispatchQueue.concurrentPerform(iterations: workers) { w in
        do {
          for group in slices[w] { _ = try RolloutSimulation.simulate(group, options: options) }
        } catch {
          failure.keep(error)
        }
      }
      if let error = failure.error { throw error }
      let d = (clock.now - start).components
      seconds.append(Double(d.seconds) + Double(d.attoseconds) * 1e-18)
    }
    return median(seconds)
  }
}

/// The first error of several threads.
private final class FirstError: @unchecked Sendable {
  private let lock = NSLock()
  private var kept: (any Error)?

  func keep(_ error: any Error) { lock.withLock { kept = kept ?? error } }

  var error: (any Error)? { lock.withLock { kept } }
}
