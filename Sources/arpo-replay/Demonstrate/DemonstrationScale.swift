import ArgumentParser

/// How large a demonstration is.
struct DemonstrationScale: ParsableArguments {
  @Option(help: "Repetitions from scratch: another table, other weights, another log.")
  var seeds = 5

  @Option(help: "First seed.")
  var firstSeed: UInt64 = 1

  @Option(help: "Format examples of the supervised start.")
  var examples = 2000

  @Option(help: "Passes over them.")
  var exampleEpochs = 8

  @Option(help: "Prompt groups of the log, half of them lookups (at most 26) and half sums.")
  var groups = 48

  @Option(help: "Rollouts of a group.")
  var rollouts = 12

  @Option(help: "Of them, those that start from the prompt; the others branch.")
  var initialRollouts = 6

  @Option(help: "Passes of the update over the log.")
  var epochs = 8

  @Option(help: "Learning rate of the update (LoRA).")
  var learningRate = 2e-3

  @Option(help: "Fresh responses to each of the 126 questions, before and after.")
  var samples = 4

  func validate() throws {
    guard seeds > 0 else { throw ValidationError("--seeds is 1 or more") }
    guard examples > 0, exampleEpochs > 0, epochs > 0 else { throw ValidationError("counts are 1 or more") }
    guard (2...52).contains(groups) else { throw ValidationError("--groups is 2 to 52") }
    guard initialRollouts > 0, rollouts >= initialRollouts else {
      throw ValidationError("--rollouts is at least --initial-rollouts, which is 1 or more")
    }
    guard samples > 0 else { throw ValidationError("--samples is 1 or more") }
    guard learningRate > 0, learningRate.isFinite else { throw ValidationError("--learning-rate is above 0") }
  }
}
