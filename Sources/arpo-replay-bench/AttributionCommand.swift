import ArgumentParser
import Foundation
import Replay
import RolloutStore

/// Attribution alone: groups are read first, then strategies are timed on what was read.
struct AttributionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribution",
    abstract: "Trees and all strategies over logs, beside numpy's tree mean.",
    discussion: """
        swift run -c release arpo-replay-bench attribution LOG --peers DIR
        swift run -c release arpo-replay-bench attribution SMALL LARGE

      Tokens are those of all paths. A round is one pass over all groups; the best round counts, of numpy the best of \
      three runs. "tree mean" is hard attribution:

        numpy    py_entropy.py: a row a trajectory from SQLite, then each leaf's value added along its parents, the \
      mean, one float32 a token, and these into a table in memory
        ours     groups as they were read; trees of nodes, the mean by node, one Float a token; nothing is stored
        stored   the whole process: tokens and forks from the database, and the values, as runs, back into it

      The lines "trees given" leave the trees out, which numpy's walk makes on its way: they are no comparison. "all \
      strategies" has trees, entropies and both phases of every strategy.
      """)

  @Argument(help: "Native logs, shortest first.")
  var logs: [String]

  @Option(help: "Folder with native_sqlite.py and py_entropy.py; only for the first log.")
  var peers: String?

  @Option(help: "Rounds, each a pass over all groups; the best counts.")
  var rounds = 5

  func run() throws {
    let tool = try tool()
    let scratch = try Scratch()
    print("| log | what | s | tokens/s | times numpy |")
    print("| --- | --- | ---: | ---: | ---: |")
    for (l, log) in logs.enumerated() {
      let db = scratch.path("attribution.db")
      scratch.remove("attribution.db")
      guard try Spawn.run([tool, "import", db, log, "--quiet", "--format", "json"]).status == 0 else {
        throw ValidationError("import failed")
      }
      let name = URL(filePath: log).lastPathComponent
      let numpy = l == 0 ? try numpyTokensPerSecond(log, scratch) : nil
      if let numpy { print("| \(name) | tree mean: numpy, into a table | - | \(fixed(numpy / 1e6, 1)) M | 1 |") }
      let timings = try Timings(Store.open(db, for: .reading), rounds: max(1, rounds))
      for line in timings.lines {
        let rate = Double(timings.tokens) / line.seconds
        print(
          "| \(name) | \(line.what) | \(fixed(line.seconds, 5)) | \(fixed(rate / 1e6, 0)) M | "
            + "\(line.isLikeNumpy ? numpy.map { fixed(rate / $0, 1) } ?? "-" : "-") |")
      }
      let stored = try Spawn.run(
        [tool, "attribute", db, "--strategy", "arpo-hard", "--name", "bench", "--summary", "--format", "json"])
      let storedRate = Double(timings.tokens) / stored.seconds
      print(
        "| \(name) | tree mean: stored, whole process, \(fixed(stored.memory, 0)) MiB | \(fixed(stored.seconds, 2)) "
          + "| \(fixed(storedRate / 1e6, 1)) M | \(numpy.map { fixed(storedRate / $0, 1) } ?? "-") |")
      let whole = try Spawn.run([tool, "attribute", db, "--strategy", "all", "--summary", "--format", "json"])
      print(
        "| \(name) | attribute --strategy all, whole process, \(fixed(whole.memory, 0)) MiB | \(fixed(whole.seconds, 2)) "
          + "| \(fixed(Double(timings.tokens) / whole.seconds / 1e6, 1)) M | - |")
      let compare = try Spawn.run([tool, "compare", db, "--format", "json"])
      print(
        "| \(name) | compare, whole process, \(fixed(compare.memory, 0)) MiB | \(fixed(compare.seconds, 2)) "
          + "| \(fixed(Double(timings.tokens) / compare.seconds / 1e6, 1)) M | - |")
      guard stored.status == 0, whole.status == 0, compare.status == 0 else { throw ValidationError("a run failed") }
    }
  }

  private func numpyTokensPerSecond(_ log: String, _ scratch: borrowing Scratch) throws -> Double? {
    guard let peers else { return nil }
    scratch.remove("numpy.db")
    let db = scratch.path("numpy.db")
    guard try Spawn.run(["python3", "\(peers)/native_sqlite.py", log, db, "orjson"]).status == 0 else { return nil }
    var best: Double?
    for _ in 0..<3 {
      for line in try Spawn.run(["python3", "\(peers)/py_entropy.py", db]).output.split(separator: "\n") {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count >= 8, fields[1] == "attribution", fields[7].hasPrefix("tree mean") else { continue }
        best = max(best ?? 0, Double(fields[5]) ?? 0)
      }
    }
    return best
  }
}

/// Times of the parts of attribution, those of the best round.
private struct Timings {
  struct Line {
    var what: String
    var seconds: Double
    /// Whether numpy's script does at least as much.
    var isLikeNumpy = false
  }

  /// Tokens of all paths.
  var tokens = 0
  var lines: [Line] = []

  init(_ store: Store, rounds: Int) throws {
    let strategies = AttributionStrategies.all
    // Groups stream by in each round, so that a log of any length can be timed.
    var batches = AttributionBatches(strategies)
    try store.forEachGroup(transform: { $0 }) { batches += AttributionBatches(strategies, of: try RolloutTree($0)) }
    var passes: [Parts] = []
    for round in 0..<rounds {
      var parts = Parts(strategies.count)
      try store.forEachGroup(transform: { $0 }) { group in
        parts.add(try Self.time(group, strategies, batches))
        if round == 0 { tokens += try RolloutTree(group).paths.reduce(0) { $0 + $1.length } }
      }
      passes.append(parts)
    }
    func best(_ seconds: (Parts) -> Double) -> Double { passes.map(seconds).min() ?? .nan }
    let hard = strategies.firstIndex { $0.name == "arpo-hard" } ?? 0
    lines = [
      Line(
        what: "tree mean: ours, one Float a token",
        seconds: best { $0.tree + $0.strategies[hard] + $0.written }, isLikeNumpy: true),
      Line(what: "tree mean: trees given, one Float a token", seconds: best { $0.strategies[hard] + $0.written }),
      Line(what: "tree mean: trees given, as runs", seconds: best { $0.strategies[hard] }),
      Line(what: "trees and nodes", seconds: best(\.tree)),
      Line(what: "entropies and other evidence", seconds: best(\.evidence)),
      Line(
        what: "all \(strategies.count) strategies",
        seconds: best { $0.tree + $0.evidence + $0.strategies.reduce(0, +) }),
    ]
  }

  private struct Parts {
    var tree = 0.0
    var evidence = 0.0
    var written = 0.0
    var strategies: [Double]

    init(_ count: Int) { strategies = [Double](repeating: 0, count: count) }

    mutating func add(_ other: Parts) {
      tree += other.tree
      evidence += other.evidence
      written += other.written
      for s in strategies.indices { strategies[s] += other.strategies[s] }
    }
  }

  private static func time(
    _ group: ReplayGroup, _ strategies: [any AttributionStrategy], _ batches: AttributionBatches
  ) throws -> Parts {
    var out = Parts(strategies.count)
    let clock = ContinuousClock()
    func seconds(_ start: ContinuousClock.Instant) -> Double {
      let d = (clock.now - start).components
      return Double(d.seconds) + Double(d.attoseconds) * 1e-18
    }
    var start = clock.now
    let tree = try RolloutTree(group)
    _ = AttributionGroup(tree, needs: [])
    out.tree = seconds(start)
    start = clock.now
    let seen = AttributionGroup(tree, needs: AttributionGroup.needs(of: strategies))
    out.evidence = seconds(start)
    for (s, strategy) in strategies.enumerated() {
      start = clock.now
      // A batch strategy works twice: its first phase is timed on statistics of its own.
      var own = BatchStatistics()
      strategy.collect(seen, into: &own)
      let advantages = strategy.advantages(of: seen, in: batches[s])
      out.strategies[s] = seconds(start)
      guard strategy.name == "arpo-hard" else { continue }
      start = clock.now
      var checksum: Float = 0
      for (leaf, row) in zip(seen.leaves, advantages) {
        var values = [Float](repeating: 0, count: leaf.length)
        values.withUnsafeMutableBufferPointer { values in
          row.forEachRun(leaf.generated) { range, value in
            UnsafeMutableBufferPointer(rebasing: values[range]).update(repeating: Float(value))
          }
        }
        // So that nothing is left out as unused.
        checksum += values.last ?? 0
      }
      out.written = seconds(start)
      if checksum.isNaN { print("no number") }
    }
    return out
  }
}
