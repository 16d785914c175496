import ArgumentParser
import CKernels

@main
struct ArpoReplay: ParsableCommand {
  static func main() {
    arpo_tune_allocator()
    arpo_run_as_batch()
    main(nil)
  }

  static let configuration = CommandConfiguration(
    commandName: "arpo-replay",
    abstract: "Replays rollout logs of tool-using LLM agents: audits, compares, learns.",
    discussion: """
        arpo-replay import runs.db logs/*.jsonl.zst  # logs into a database
        arpo-replay audit runs.db           # entropy after tool calls, by tool
        arpo-replay branches runs.db        # would ARPO have branched here?
        arpo-replay budget runs.db          # tool calls that branching saved
        arpo-replay simulate runs.db        # ARPO, AEPO, Tree-GRPO, global
        arpo-replay tree runs.db GROUP      # a group's rollouts, drawn
        arpo-replay attribute runs.db --strategy arpo-hard  # advantages, kept
        arpo-replay compare runs.db         # strategies side by side
        arpo-replay score runs.db           # accuracy, pass@k, tool budget
        arpo-replay rescore runs.db --policy DIR  # exact entropies, logprobs
        arpo-replay learn runs.db --policy DIR --attribution arpo-hard --out run1
        arpo-replay demonstrate --out demo  # the whole circle, in minutes
        arpo-replay analyze run.jsonl.zst   # one log, everything, no database
        arpo-replay query runs.db tools     # SQL, useful queries included

      stdout is data, stderr is talk. Exit codes: \(ExitStatus.summary)
      """,
    version: "0.1.0",
    subcommands: [
      ImportCommand.self, AuditCommand.self, BranchesCommand.self, BudgetCommand.self, SimulateCommand.self,
      TreeCommand.self, AttributeCommand.self, CompareCommand.self, ScoreCommand.self, AnalyzeCommand.self,
      LearnCommand.self, QueryCommand.self, SchemaCommand.self, ExportCommand.self, SampleCommand.self,
      EvaluateCommand.self, DemonstrateCommand.self, RescoreCommand.self, MismatchCommand.self,
    ])
}
