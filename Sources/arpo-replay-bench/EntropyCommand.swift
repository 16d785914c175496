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
      // Closed behind the clock, as the other program does.
      withExtendedLifetime(store) {}
    }
    let counted = Double(tokens ?? result.tokens)
    print("arpo-replay\tentropy\t\(fixed(best, 4))\t-\t-\t\(fixed(counted / best, 0))\t-\tfrom the database")
    for (tool, cells) in result.windows.sorted(by: { $0.key < $1.key }) {
      for (range, cell) in zip(Sums.ranges, cells) where cell.count > 0 {
        let rise = fixed(cell.rise / Double(cell.count), 4)
        print("# after \(tool) from token \(range.lowerBound): n \(cell.count) mean rise \(rise)")
      }
    }
  }

  /// What the groups add up to.
  struct Sums: Sendable {
    var tokens = 0
    /// By tool: tokens in each window, and by how much they lie above the trajectory's first ones, in nats.
    var windows: [String: [(count: Int, rise: Double)]] = [:]

    /// Tokens after a tool result.
    static let ranges = [0..<10, 10..<50, 50..<(1 << 40)]
    private static let none = ranges.map { _ in (count: 0, rise: 0.0) }

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
        for event in entropy.windowEvents(t, windows: Self.ranges, baselineTokens: 20) {
          guard let baseline = event.baseline else { continue }
          let cells = event.windows.lazy.map {
            (count: $0.all.count, rise: $0.all.sum - baseline * Double($0.all.count))
          }
          Self.add(cells, to: &windows[path.results[event.result].tool, default: Self.none])
        }
      }
    }

    mutating func add(_ other: Sums) {
      tokens += other.tokens
      for (tool, cells) in other.windows { Self.add(cells, to: &windows[tool, default: Self.none]) }
    }

    private static func add(
      _ cells: some Sequence<(count: Int, rise: Double)>, to sums: inout [(count: Int, rise: Double)]
    ) {
      for (w, cell) in cells.enumerated() {
        sums[w].count += cell.count
        sums[w].rise += cell.rise
      }
    }
  }
}
