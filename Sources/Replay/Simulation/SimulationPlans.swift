public import AdaptiveRollout

/// A way to sample a group, by name.
public enum SamplingAlgorithm: String, Sendable, Hashable, CaseIterable {
  /// ARPO as its code has it: a coin, decided on the segment before the call.
  case arpoCode = "arpo:code"
  /// ARPO as its paper has it: a threshold, decided on the tokens behind the result.
  case arpoPaper = "arpo:paper"
  /// AEPO's code, its pre-monitoring and penalty included.
  case aepoCode = "aepo:code"
  /// AEPO's paper.
  case aepoPaper = "aepo:paper"
  /// Tree-GRPO's random expansion.
  case treeGRPO = "tree-grpo"
  /// All rollouts from the prompt.
  case global

  /// Whether the algorithm looks at entropies.
  public var needsEntropy: Bool { self != .treeGRPO && self != .global }
}

/// The numbers of a simulation; what is not given is the run's own, or else the default of ARPO's 7B script.
public struct SimulationOptions: Sendable {
  /// The algorithms, in the order of the report.
  public var algorithms = SamplingAlgorithm.allCases
  /// M: rollouts of a group; 16 in the script.
  public var rollouts: Int?
  /// N: rollouts from the prompt at the start; 8 in the script.
  public var initialRollouts: Int?
  /// Branches at a branching point, the rollout itself included; 2 in the script.
  public var beamSize: Int?
  /// Tool calls that a rollout may make; `nil`: as logged, else no limit (sources disagree: 3, 5, 6).
  public var callLimit: Int?
  /// Tree-GRPO's trees; `nil`: as many as give about M leaves.
  public var trees: Int?
  /// Tree-GRPO's N.
  public var expansions = 2
  /// Tree-GRPO's L.
  public var rounds = 1
  /// Tree-GRPO's K.
  public var kept = 3
  /// AEPO's penalty of consecutive branchings, a round.
  public var penaltySlope = 0.05
  /// How often each group is simulated under each plan.
  public var repetitions = 100
  /// Parameters of the branching rules; `rule` is not looked at, each algorithm has its own.
  public var branching = BranchingOptions()

  /// The defaults.
  public init() {}

  /// M for a run.
  public func rollouts(of run: ReplayRun) -> Int { rollouts ?? run.branching.rollouts ?? 16 }

  /// N for a run, at most M.
  public func initialRollouts(of run: ReplayRun) -> Int {
    min(initialRollouts ?? run.branching.initialRollouts ?? 8, rollouts(of: run))
  }

  /// Z for a run.
  public func attempts(of run: ReplayRun) -> Int { max(0, (beamSize ?? run.branching.beamSize ?? 2) - 1) }

  /// The tool limit for a run.
  public func callLimit(of run: ReplayRun) -> Int? { callLimit ?? run.branching.callLimit }

  /// Tree-GRPO's numbers for a run.
  public func expansion(of run: ReplayRun) -> RandomExpansion {
    let leaves = max(1, min(kept, 1 + expansions * rounds))
    let (whole, rest) = rollouts(of: run).quotientAndRemainder(dividingBy: leaves)
    let trees = trees ?? max(1, whole + (rest >= leaves - rest ? 1 : 0))
    return RandomExpansion(trees: trees, expansions: expansions, rounds: rounds, kept: kept)
  }

  /// The plan of an algorithm for a run; `nil`: it needs a vocabulary size that the log does not name.
  public func plan(_ algorithm: SamplingAlgorithm, for run: ReplayRun) -> RolloutPlan? {
    var strategy = RolloutPlan.Strategy.global
    switch algorithm {
    case .global: break
    case .treeGRPO: strategy = .randomExpansion(expansion(of: run))
    default:
      guard let adaptive = adaptive(algorithm, for: run) else { return nil }
      strategy = .adaptive(adaptive)
    }
    return RolloutPlan(strategy: strategy, rollouts: rollouts(of: run), callLimit: callLimit(of: run))
  }

  private func adaptive(_ algorithm: SamplingAlgorithm, for run: ReplayRun) -> AdaptiveBranching? {
    let settings = branching.settings(of: run)
    let isPaper = algorithm == .arpoPaper || algorithm == .aepoPaper
    let own = isPaper ? ARPORule.paper : .code
    let divisor = isPaper ? branching.normalizer ?? own.normalizer : own.normalizer
    guard let normalizer = divisor.value(vocabSize: run.vocabSize) else { return nil }
    let (bp, w) = (settings.branchProbability, settings.entropyWeight)
    let rule: BranchRule
    var premonitoring: Premonitoring?
    switch algorithm {
    case .arpoPaper: rule = .arpoPaper(alpha: settings.alpha, beta: w, tau: settings.tau)
    case .aepoCode:
      rule = .aepoCode(branchProbability: bp, entropyWeight: w)
      premonitoring = Premonitoring(rounding: .downPlusOne, countsFirstSegment: true)
    case .aepoPaper:
      rule = .aepoPaper(alpha: settings.alpha, gamma: w, tau: settings.tau, slope: penaltySlope)
      premonitoring = Premonitoring(rounding: .nearest, countsFirstSegment: false)
    default: rule = .arpoCode(branchProbability: bp, entropyWeight: w)
    }
    return AdaptiveBranching(
      rule: rule, initialRollouts: initialRollouts(of: run), attempts: attempts(of: run),
      timing: branching.timing ?? own.timing, normalizer: normalizer, topUp: isPaper ? .all : .onePerRound,
      premonitoring: premonitoring)
  }
}
