import AdaptiveRollout
import ArgumentParser
import Replay

/// Parameters of ARPO's rules.
struct RuleArguments: ParsableArguments {
  @Option(
    name: [.long, .customLong("bp")],
    help: "Base probability of the code's rule, alpha of the paper's (default: the run's own, else 0.5).")
  var alpha: Double?

  @Option(
    name: [.long, .customLong("w")],
    help: "Entropy weight of the code's rule, beta of the paper's (default: the run's own, else 0.2).")
  var beta: Double?

  @Option(help: "Threshold of the paper's rule (default: the run's own, else 0.5).")
  var tau: Double?

  @Option(name: .customLong("k"), help: "Generated tokens in an entropy value (default: the run's own, else 20).")
  var windowTokens: Int?

  @Option(help: "Candidates a token in the code's entropy value (default: the run's own, else 10).")
  var topK: Int?

  @Option(help: "Which segment decides: lagged or post-result (default: code lagged, paper post-result).")
  var timing: String?

  @Option(help: "Divisor of the paper's dH: V or lnV (default: V; the code's is always lnV).")
  var normalizer: String?

  @Option(
    help: """
      Entropies to use: exact, topk, topk-renormalized or sampled-nll (default: the code's sum over top-k, the paper's \
      topk; logged exact ones where there are no candidates).
      """)
  var estimator: String?

  @Option(help: "Vocabulary size, for logs that do not name it.")
  var vocabSize: Int?

  func validate() throws {
    for (name, value) in [("alpha", alpha), ("beta", beta), ("tau", tau)] {
      if let value, !value.isFinite { throw ValidationError("--\(name) is a finite number") }
    }
    if let windowTokens, windowTokens < 1 { throw ValidationError("--k is 1 or more") }
    if let topK, topK < 1 { throw ValidationError("--top-k is 1 or more") }
    if let vocabSize, vocabSize < 2 { throw ValidationError("--vocab-size is 2 or more") }
    if let timing, BranchTiming(rawValue: timing) == nil {
      throw ValidationError("--timing is lagged or post-result, not \(timing)")
    }
    if let normalizer, EntropyNormalizer(rawValue: normalizer) == nil {
      throw ValidationError("--normalizer is V or lnV, not \(normalizer)")
    }
    let known: [Estimator] = [.exact, .topk, .topkRenormalized, .sampledNLL]
    if let estimator, !known.contains(where: { $0.rawValue == estimator }) {
      throw ValidationError(
        "there is no estimator \(estimator) here; known: \(known.map(\.rawValue).joined(separator: ", "))")
    }
  }

  /// The options they make, with those of the bootstrap.
  func options(_ bootstrap: BootstrapArguments) -> BranchingOptions {
    var out = BranchingOptions()
    out.alpha = alpha
    out.beta = beta
    out.tau = tau
    out.windowTokens = windowTokens
    out.topK = topK
    out.timing = timing.flatMap(BranchTiming.init)
    out.normalizer = normalizer.flatMap(EntropyNormalizer.init)
    out.estimator = estimator.flatMap(Estimator.init)
    out.bootstrapReplicates = bootstrap.replicates
    out.seed = bootstrap.seed
    out.spill = Spill.factory
    return out
  }
}

/// The numbers of a simulation.
struct SimulationArguments: ParsableArguments {
  @Option(help: "M, rollouts of a group (default: the run's own, else 16).")
  var rollouts: Int?

  @Option(help: "N, rollouts from the prompt at the start (default: the run's own, else 8).")
  var initialRollouts: Int?

  @Option(help: "Branches at a branching point, the rollout itself included: Z + 1 (default: the run's own, else 2).")
  var beamSize: Int?

  @Option(help: "Tool calls that a rollout may make (default: the run's own, else no limit).")
  var callLimit: Int?

  @Option(help: "How often each group is simulated.")
  var repetitions = 100

  func validate() throws {
    if let rollouts, !(1...10_000).contains(rollouts) { throw ValidationError("--rollouts is 1 to 10000") }
    if let initialRollouts, initialRollouts < 1 { throw ValidationError("--initial-rollouts is 1 or more") }
    if let rollouts, let initialRollouts, initialRollouts > rollouts {
      throw ValidationError("--initial-rollouts is at most --rollouts")
    }
    if let beamSize, !(1...10_000).contains(beamSize) { throw ValidationError("--beam-size is 1 to 10000") }
    if let callLimit, callLimit < 0 { throw ValidationError("--call-limit is 0 or more") }
    guard (1...1_000_000).contains(repetitions) else { throw ValidationError("--repetitions is 1 to 1000000") }
  }

  /// The options they make.
  func options(_ branching: BranchingOptions) -> SimulationOptions {
    var out = SimulationOptions()
    out.rollouts = rollouts
    out.initialRollouts = initialRollouts
    out.beamSize = beamSize
    out.callLimit = callLimit
    out.repetitions = repetitions
    out.branching = branching
    return out
  }
}
