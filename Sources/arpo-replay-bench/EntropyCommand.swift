import ArgumentParser
import Foundation
import Replay
import RolloutStore
import Rollouts

/// The entropy phase alone, the same work as py_entropy.py's first phase: the truncated entropy of every token with
/// candidates from the database, the mean of the first 20 tokens, and the windows after every tool result, by tool.
struct EntropyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "entropy", abstract: "Entropy of every token and all windows from a database, in this process.")

  @Argument(help: "A database that arpo-replay made.")
  var database: String

  @Option(help: "Tokens that count, to compare with a program that computes shared prefixes again.")
  var tokens: Int?

  @Option(help: "Times that it is done; the best counts.")
  var repeats = 3

  func run() throws {
    let clock = ContinuousClock()
    var best = Double.infinity
    var result = Sums()
    for _ in 0..<max(1, repeats) {
      let start = clock.now
      let store = try Store.open(database, for: .reading)
      result = try Sums.all(of: store)
      let d = (clock.now - start).components
      best = min(best, Double(d.seconds) + Double(d.attoseconds) * 1e-18)
    }
    let counted = Double(tokens ?? result.tokens)
    print("arpo-replay\tentropy\t\(fixed(best, 4))\t-\t-\t\(fixed(counted / best, 0))\t-\tfrom the database")
    for (name, sum) in result.windows.sorted(by: { $0.key < $1.key }) {
      print("# after \(name): n \(sum.count) mean rise \(fixed(sum.rise / Double(max(1, sum.count)), 4))")
    }
  }

  /// What the groups add up to.
  struct Sums: Sendable {
    var tokens = 0
    /// By tool and window.
    var windows: [String: (count: Int, rise: Double)] = [:]

    static let ranges = [0..<10, 10..<50, 50..<Int.max]

    static func all(of store: Store) throws -> Sums {
      var selection = GroupSelection()
      selection.withTexts = false
      selection.withCandidateIDs = false
      var all = Sums()
      try store.forEachGroup(
        selection, workers: ProcessInfo.processInfo.activeProcessorCount, transform: { try Sums($0) },
        consume: { all.add($0) })
      return all
    }

    init() {}

    init(_ group: ReplayGroup) throws {
      let tree = try RolloutTree(group)
      let entropy = GroupEntropy(group, estimators: [.topk]).values(.topk, in: tree)
      for (t, path) in tree.paths.enumerated() {
        tokens += path.length - path.branch
        guard let first = path.generation.first,
          let baseline = Self.mean(entropy.values(t, first.lowerBound..<min(first.lowerBound + 20, first.upperBound)))
        else { continue }
        for (r, result) in path.results.enumerated() {
          guard let segment = path.window(after: r) else { continue }
          for range in Self.ranges {
            let start = min(segment.lowerBound + range.lowerBound, segment.upperBound)
            let end =
              range.upperBound == .max
              ? segment.upperBound : min(segment.lowerBound + range.upperBound, segment.upperBound)
            let values = entropy.values(t, start..<end).filter { !$0.isNaN }
            if values.isEmpty { continue }
            var cell = windows["\(result.tool) from token \(range.lowerBound)"] ?? (0, 0)
            cell.count += values.count
            cell.rise += values.reduce(0, +) - baseline * Double(values.count)
            windows["\(result.tool) from token \(range.lowerBound)"] = cell
          }
        }
      }
    }

    private static func mean(_ values: [Double]) -> Double? {
      let known = values.filter { !$0.isNaN }
      return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
    }

    mutating func add(_ other: Sums) {
      tokens += other.tokens
      for (name, cell) in other.windows {
        let sum = windows[name] ?? (0, 0)
        windows[name] = (sum.count + cell.count, sum.rise + cell.rise)
      }
    }
  }
}
