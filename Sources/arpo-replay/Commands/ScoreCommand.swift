import ArgumentParser
import Replay
import RolloutStore

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Outcomes by run, step and benchmark, beside the tool budget.",
    discussion: """
        arpo-replay score runs.db                        # a row a run
        arpo-replay score runs.db --by data_source       # by benchmark
        arpo-replay score runs.db --by step --k 1,8 --success 0.5
        arpo-replay score runs.db --by data_source --against grpo-run

      accuracy: mean reward of scored leaves. pass@k: chance that one of k leaves reaches --success, without bias (1 - \
      C(n - c, k) / C(n, k)), over groups with k scored leaves; leaves that share a prefix are no independent tries. \
      format: share of leaves that failed the format: a named reward with "format" in its name (--format-reward) of 0 or \
      less, else a reward of -1 (--failed-reward), as ARPO's. calls: tool calls a trajectory, executed and on all paths: \
      what independent rollouts would have cost. 95 % intervals by a Poisson bootstrap over prompt groups; --against pairs \
      runs by group id.

      Exit codes: \(ExitStatus.summary)
      """)

  @OptionGroup var source: DatabaseArguments

  @Option(help: "Split runs by data_source, step or both; repeatable.")
  var by: [String] = []

  @Option(help: "The k of pass@k, with commas between.")
  var k = "1,5"

  @Option(help: "Reward from which a leaf succeeds.")
  var success = 1.0

  @Option(help: "Reward of a leaf that failed the format.")
  var failedReward = -1.0

  @Option(help: "Name of the reward that judges the format.")
  var formatReward: String?

  @Option(help: "A run to take the difference in accuracy from.")
  var against: String?

  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func validate() throws {
    _ = try dimensions()
    _ = try ks()
    if !success.isFinite || !failedReward.isFinite {
      throw ValidationError("--success and --failed-reward are numbers")
    }
  }

  private func dimensions() throws -> Set<OutcomeDimension> {
    // The run is always a dimension.
    let names = by.flatMap { $0.split(separator: ",") }.map(String.init).filter { $0 != "run" }
    return try Set(
      names.map { name in
        guard let dimension = OutcomeDimension(rawValue: name) else {
          throw ValidationError("--by \(name): known are run, data_source, step")
        }
        return dimension
      })
  }

  private func ks() throws -> [Int] {
    let parsed = k.split(separator: ",").map { Int($0.filter { !$0.isWhitespace }) }
    guard !parsed.isEmpty, parsed.allSatisfy({ ($0 ?? 0) >= 1 }) else {
      throw ValidationError("--k wants whole numbers from 1 on, with commas between, not \(k)")
    }
    return parsed.compactMap { $0 }
  }

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var rules = OutcomeRules()
      rules.success = success
      rules.failedReward = failedReward
      rules.formatReward = formatReward
      rules.ks = try ks()
      var selection = try source.selection(in: store)
      selection.withProbabilities = false
      selection.withOutcomes = true
      if let against {
        let known = try store.runs(selection).map(\.id)
        guard known.contains(against) else {
          throw StoreError(.failed, "there is no run \(against) among those selected: \(known.joined(separator: ", "))")
        }
      }
      var table = OutcomeTable(
        rules: rules, by: try dimensions(), replicates: bootstrap.replicates, seed: bootstrap.seed,
        spill: Spill.factory)
      let progress = GroupProgress(of: try store.groupCount(selection), traits: .standardError)
      let chosen = rules
      try store.forEachGroup(
        selection, workers: source.threads, transform: { GroupOutcome(try RolloutTree($0), rules: chosen) },
        consume: {
          try table.add($0)
          progress.advance()
        })
      progress.finish()
      let renderer = ScoreRenderer(
        rows: try table.rows(against: against), rules: rules, dimensions: try dimensions(), against: against,
        traits: output.traits)
      try renderer.write(output.format)
      return .ok
    }
  }
}
