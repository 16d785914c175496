import ArgumentParser
import Foundation
import Learner
import RolloutStore

struct LearnCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learn",
    abstract: "Fine-tunes a checkpoint on the logged trees, offline.",
    discussion: """
        arpo-replay learn runs.db --policy DIR --attribution arpo-hard --out run1
        arpo-replay learn runs.db --policy DIR --attribution grpo --dry-run
        arpo-replay learn runs.db --policy DIR --attribution grpo --out run1 \\
          --resume                                         # after Ctrl-C, a crash
        arpo-replay query runs.db \\
          "SELECT step, value FROM learner_metrics WHERE name = 'actor/kl_loss'"

      Trees are computed packed: each shared prefix once, gradients as of the trajectories one by one \
      (--verify-packing shows it on the first update). What comes out is a PEFT adapter (or, with --train full, a \
      checkpoint in the source's types and shards) that transformers, PEFT and vLLM load, with learner_run.json (all \
      that is needed to repeat it) and metrics.jsonl (by verl's and TRL's names; also in the database).

      Losses:
      \(Self.lossLines)

      Logprobs of the policy that wrote the log are taken from the log; where it lacks them the run does not begin \
      before --behaviour says what to do. Divisors of all aggregations count tokens before masking.

      Exit codes: \(ExitStatus.summary)
      """)

  private static let lossLines = PolicyLosses.names.compactMap { name in
    PolicyLosses.named(name).map { "  \(name): \($0.formula)" }
  }.joined(separator: "\n")

  @Argument(help: "The database.")
  var database: String

  @Option(help: "The checkpoint to start from: a Hugging Face folder (qwen2, qwen3, llama).")
  var policy: String

  @Option(name: [.short, .customLong("out")], help: "Folder of the run; must be new or empty.")
  var out: String?

  @OptionGroup(title: "Data") var data: LearnDataOptions
  @OptionGroup(title: "Objective") var loss: LearnLossOptions
  @OptionGroup(title: "Training") var training: LearnTrainingOptions
  @OptionGroup(title: "Limits") var stops: LearnStopOptions

  @Flag(help: "Go on with the run in --out, from its last checkpoint.")
  var resume = false

  @Flag(help: "Start over in a folder that holds a run.")
  var overwrite = false

  @Flag(help: "Compute one update and its gradient, show what it would do, change nothing.")
  var dryRun = false

  @Flag(
    help:
      "Compute the first update packed and trajectory by trajectory; stop if the gradients differ by more than 1e-4.")
  var verifyPacking = false

  @Option(help: "Updates between checkpoints; 0 = only at the end.")
  var checkpointEvery = 10

  @Flag(help: "Keep the last checkpoint and the scores when the run is complete.")
  var keepCheckpoints = false

  @OptionGroup var output: OutputArguments

  @Flag(help: "No progress.")
  var quiet = false

  func validate() throws {
    guard out != nil || dryRun else { throw ValidationError("give the folder of the run with --out, or --dry-run") }
    if resume, overwrite { throw ValidationError("--resume and --overwrite are two ways: choose one") }
    guard checkpointEvery >= 0 else { throw ValidationError("--checkpoint-every is 0 or more") }
    if loss.needsAdvantages, data.attribution == nil {
      throw ValidationError(
        "\(loss.loss) needs advantages: give --attribution (arpo-replay attribute --list-strategies shows them)")
    }
  }

  func run() throws {
    try Talk.guarded {
      var run = LearnRun(
        database: database, policy: policy, out: out ?? "", data: data, loss: loss, training: training, stops: stops)
      run.isResumed = resume
      run.overwrites = overwrite
      run.isDryRun = dryRun
      run.verifiesPacking = verifyPacking
      run.checkpointEvery = checkpointEvery
      run.keepsCheckpoints = keepCheckpoints
      run.isQuiet = quiet
      run.format = output.format
      run.outputTraits = output.traits
      return try run.execute()
    }
  }
}
