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

      Tokens are those of all paths. "tree mean" is hard attribution: as runs, and written out as one Float a token, which is \
      what the Python script py_entropy.py makes. "all strategies" has trees, entropies and both phases of every strategy.
      """)

  @Argument(help: "Native logs, shortest first.")
  var logs: [String]

  @Option(help: "Folder with native_sqlite.py and py_entropy.py; only for the first log.")
  var peers: String?

  @Option(help: "Rounds; the best counts.")
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
      if let numpy { print("| \(name) | tree mean: numpy | - | \(fixed(numpy / 1e6, 1)) M | 1 |") }
      let timings = try Timings(Store.open(db, for: .reading), rounds: max(1, rounds))
      for (what, seconds) in timings.lines {
        let rate = Double(timings.tokens) / seconds
        print(
          "| \(name) | \(what) | \(fixed(seconds, 5)) | \(fixed(rate / 1e6, 0)) M | "
            + "\(numpy.map { fixed(rate / $0, 0) } ?? "-") |")
      }
      let whole = try Spawn.run([tool, "attribute", db, "--strategy", "all", "--summary", "--format", "json"])
      print(
        "| \(name) | attribute --strategy all, whole process, \(fixed(whole.memory, 0)) MiB | \(fixed(whole.seconds, 2)) "
          + "| \(fixed(Double(timings.tokens) / whole.seconds / 1e6, 1)) M | - |")
      let compare = try Spawn.run([tool, "compare", db, "--format", "json"])
      print(
        "| \(name) | compare, whole process, \(fixed(compare.memory, 0)) MiB | \(fixed(compare.seconds, 2)) "
          + "| \(fixed(Double(timings.tokens) / compare.seconds / 1e6, 1)) M | - |")
      guard whole.status == 0, compare.status == 0 else { throw ValidationError("a run failed") }
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

/// Best times of the parts of attribution, summed over groups.
private struct Timings {
  /// Tokens of all paths.
  var tokens = 0
  var lines: [(what: String, seconds: Double)] = []

  init(_ store: Store, rounds: Int) throws {
    let strategies = AttributionStrategies.all
    var parts = Parts(strategies.count)
    // Groups stream by, so that a log of any length can be timed; each is timed in rounds of its own.
    var batches = AttributionBatches(strategies)
    try store.forEachGroup(transform: { $0 }) { batches += AttributionBatches(strategies, of: try RolloutTree($0)) }
    try store.forEachGroup(transform: { $0 }) { group in
      var best = Parts(strategies.count)
      for round in 0..<rounds { best.takeSmaller(try Self.time(group, strategies, batches), isFirst: round == 0) }
      parts.add(best)
      tokens += try RolloutTree(group).paths.reduce(0) { $0 + $1.length }
    }
    let hard = strategies.firstIndex { $0.name == "arpo-hard" } ?? 0
    lines = [
      ("trees and nodes", parts.tree), ("tree mean: runs", parts.strategies[hard]),
      ("tree mean: one Float a token", parts.strategies[hard] + parts.written),
      ("entropies and other evidence", parts.evidence),
      ("all \(strategies.count) strategies", parts.tree + parts.evidence + parts.strategies.reduce(0, +)),
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

    mutating func takeSmaller(_ other: Parts, isFirst: Bool) {
      if isFirst { return self = other }
      tree = min(tree, other.tree)
      evidence = min(evidence, other.evidence)
      written = min(written, other.written)
      for s in strategies.indices { strategies[s] = min(strategies[s], other.strategies[s]) }
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
