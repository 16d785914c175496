import ArgumentParser
import Replay
import RolloutStore

struct BudgetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "budget",
    abstract: "Tool calls and tokens that shared prefixes saved.",
    discussion: """
        arpo-replay budget runs.db                # by benchmark and tool
        arpo-replay budget runs.db --format csv
        arpo-replay budget runs.db --run step-40

      Executed: every tool call of the tree once. Sampled whole: what the same leaves would have cost if each had been \
      sampled from the prompt. ARPO's paper reports half the tool calls of GRPO (figure 7); this is the part of it that \
      shared prefixes account for, on your own log. It needs no entropies.

      Exit codes: \(ExitStatus.summary)
      """)

  @OptionGroup var source: DatabaseArguments
  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var audit = BudgetAudit(bootstrapReplicates: bootstrap.replicates, seed: bootstrap.seed)
      var selection = try source.selection(in: store)
      selection.withProbabilities = false
      try store.forEachGroup(
        selection, workers: source.threads, transform: { try GroupBudget($0) }, consume: { audit.add($0) })
      try BudgetOutput(report: audit.finish()).write(output.format, output.traits)
      return .ok
    }
  }
}
