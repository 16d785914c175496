import AdaptiveRollout
import ArgumentParser
import Replay
import RolloutStore

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Rollouts simulated over the logged trees, algorithms side by side.",
    discussion: """
        arpo-replay simulate runs.db                  # ARPO, AEPO, Tree-GRPO, global
        arpo-replay simulate runs.db --rollouts 32 --initial-rollouts 8 --beam-size 3
        arpo-replay simulate runs.db --algorithm arpo:code --algorithm global
        arpo-replay simulate runs.db --repetitions 1000 --seed 7 --format csv

      Each group is sampled anew by the algorithm's own loop; what it asks for is taken from the log. A rollout that \
      begins at a point takes a logged continuation of that point that no other rollout of the simulated group has: one \
      more independent draw of the policy. If none is left, nobody sampled that branch. It then runs on a stand-in: \
      another logged continuation of the same point lends its length, calls and entropies, and its reward counts as \
      unknown. The table says how much stands on stand-ins; rewards never do.

      Spread is the expected standard deviation (n - 1) of a group's rewards: of r - mean, the advantage of Dr. GRPO. It \
      is taken over pairs of leaves, pairs that share a prefix and others each by those that the log holds, so that what \
      nobody sampled does not hide how alike siblings are. Its means are over the groups in which every algorithm that \
      has a spread in any group has one, so that algorithms are compared on the same groups. Signal is the share of groups \
      whose logged rewards differ.

      Exit codes: \(ExitStatus.summary)
      """)

  @OptionGroup var source: DatabaseArguments
  @OptionGroup var values: EvidenceArguments

  @Option(
    name: .customLong("algorithm"),
    help: "arpo:code, arpo:paper, aepo:code, aepo:paper, tree-grpo or global; repeatable (default: all).")
  var algorithms: [String] = []

  @OptionGroup var simulation: SimulationArguments

  @Option(help: "Tree-GRPO's trees (default: as many as give about M leaves).")
  var trees: Int?

  @Option(help: "Tree-GRPO's N: nodes continued in a round, of each tree.")
  var expansions = 2

  @Option(help: "Tree-GRPO's L: rounds.")
  var rounds = 1

  @Option(help: "Tree-GRPO's K: leaves kept of each tree.")
  var kept = 3

  @OptionGroup var ruleOptions: RuleArguments
  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func validate() throws {
    _ = try chosen()
    if let trees, !(1...1000).contains(trees) { throw ValidationError("--trees is 1 to 1000") }
    guard (0...1000).contains(expansions), (0...1000).contains(rounds), expansions * rounds <= 10_000 else {
      throw ValidationError("--expansions and --rounds are 0 to 1000, their product at most 10000")
    }
    guard (1...10_000).contains(kept) else { throw ValidationError("--kept is 1 or more") }
  }

  private func chosen() throws -> [SamplingAlgorithm] {
    let names = algorithms.flatMap { $0.split(separator: ",").map(String.init) }
    let chosen = try names.map { name in
      guard let algorithm = SamplingAlgorithm(rawValue: name) else {
        throw ValidationError(
          "--algorithm \(name): known are \(SamplingAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return algorithm
    }
    guard Set(chosen).count == chosen.count else { throw ValidationError("--algorithm names one twice") }
    return chosen.isEmpty ? SamplingAlgorithm.allCases : chosen
  }

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var selection = try source.selection(in: store)
      selection.vocabSize = ruleOptions.vocabSize
      try values.apply(to: &selection, store)
      var options = simulation.options(ruleOptions.options(bootstrap))
      options.algorithms = try chosen()
      options.trees = trees
      options.expansions = expansions
      options.rounds = rounds
      options.kept = kept
      var simulated = RolloutSimulation(options: options)
      selection.withProbabilities = options.algorithms.contains(where: \.needsEntropy)
      let used = options
      let progress = GroupProgress(of: try store.groupCount(selection), traits: .standardError)
      try store.forEachGroup(
        selection, workers: source.threads, transform: { try RolloutSimulation.simulate($0, options: used) },
        consume: {
          simulated.add($0)
          progress.advance()
        })
      progress.finish()
      try SimulationOutput(report: simulated.finish()).write(output.format, output.traits)
      return .ok
    }
  }
}
