public import ArgumentParser
public import Evaluation
import Foundation
import RolloutStore

extension BehaviourPolicy: ExpressibleByArgument {}

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Judges a policy offline, before against after an update, on logged trees.",
    discussion: """
        arpo-replay evaluate runs.db --policy DIR --adapter run1  # what it held out
        arpo-replay evaluate runs.db --policy DIR --adapter run1 --all --format json
        arpo-replay evaluate runs.db --policy A --after B --where "step = 12"

      Expected reward by importance weights, multiplied turn by turn over generated tokens (tool results are not weighted), \
      every leaf by its share of the branched tree:
        pdis  per-decision importance sampling: unbiased
        snis  self-normalised within each group: bounded, biased by O(1/n)
        dr    doubly robust with the tree's node values as baseline: pdis's expectation, less variance
      If the weights leave fewer effective leaves than --min-ess, no reward is estimated (exit code 7). Then: the preference \
      margin between best and worst siblings, entropy and KL by tool window on the logged tokens. Intervals: 95 %, Poisson \
      bootstrap over prompt groups.

      Logprobs of the policy that wrote the log come from the log. Estimates hold for the prompts of the log.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Option(help: "The checkpoint before: a Hugging Face folder (qwen2, qwen3, llama).")
  var policy: String

  @Option(help: "The policy after: a PEFT adapter of it, such as the folder of a learn run.")
  var adapter: String?

  @Option(help: "The policy after: another checkpoint or adapter folder.")
  var after: String?

  @Option(help: "A PEFT adapter that the policy before has.")
  var beforeAdapter: String?

  @OptionGroup var selected: SelectionArguments

  @Option(
    name: .customLong("where"),
    help: "Only trajectories for which this SQL holds, over the columns of the view trajectories.")
  var condition: String?

  @Flag(help: "All groups, also those that the update was trained on.")
  var all = false

  @Option(help: "What wrote the log: its logged logprobs (logged), or by your word the policy before (before).")
  var behaviour: BehaviourPolicy = .logged

  @Option(help: "Least share of effective leaves; below it no reward is estimated.")
  var minEss = 0.3

  @Option(help: "Windows after a tool result, as start-end in generated tokens.")
  var windows = "0-10,10-50"

  @Option(parsing: .unconditional, help: "Sampling temperature of the log (default: what its runs say).")
  var temperature: Double?

  @Option(help: "Tokens that are computed at once, shared prefixes counted once.")
  var maxTokens = 4096

  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: ReportArguments

  @Option(help: "Threads; equal results need equal threads.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  func validate() throws {
    guard (adapter == nil) != (after == nil) else {
      throw ValidationError("give the policy after: --adapter or --after")
    }
    guard minEss >= 0, minEss <= 1 else { throw ValidationError("--min-ess is 0 to 1") }
    _ = try WindowList.parse(windows)
    if let temperature, !(temperature > 0 && temperature.isFinite) { throw ValidationError("--temperature is above 0") }
    guard maxTokens > 0 else { throw ValidationError("--max-tokens is 1 or more") }
    guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
  }

  func run() throws {
    try Talk.guarded { try EvaluateRun(command: self).execute() }
  }
}
