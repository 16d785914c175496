/// How the rollouts of one prompt group are sampled.
public struct RolloutPlan: Sendable, Hashable {
  /// The way that rollouts come about.
  public enum Strategy: Sendable, Hashable {
    /// All rollouts from the prompt, none branches: GRPO and its kin.
    case global
    /// Some rollouts from the prompt; the others branch off where entropy says so.
    case adaptive(AdaptiveBranching)
    /// Chains from the prompt, then continuations from nodes drawn at random (Tree-GRPO).
    case randomExpansion(RandomExpansion)
  }

  /// How rollouts come about.
  public var strategy: Strategy
  /// M: rollouts of the group.
  ///
  /// A random expansion has its own numbers and ignores it.
  public var rollouts: Int
  /// Tool calls that one rollout may make, those of an inherited prefix included; `nil`: no limit.
  public var callLimit: Int?

  /// A plan of these parts.
  public init(strategy: Strategy, rollouts: Int, callLimit: Int? = nil) {
    self.strategy = strategy
    self.rollouts = rollouts
    self.callLimit = callLimit
  }

  /// Leaves that the group ends with.
  public var leaves: Int {
    if case .randomExpansion(let expansion) = strategy { return expansion.leaves }
    return max(0, rollouts)
  }
}

/// Which segment's entropy decides a branching after a tool result.
public enum BranchTiming: String, Sendable, Hashable, CaseIterable {
  /// The segment that ended in the tool call: what ARPO's code uses.
  case lagged
  /// The first tokens behind the result: what the papers say.
  case postResult = "post-result"
}

/// Branching by entropy: ARPO, AEPO.
public struct AdaptiveBranching: Sendable, Hashable {
  /// When rollouts from the prompt fill a group whose rollouts have all ended.
  public enum TopUp: Sendable, Hashable {
    /// One a round: the codes.
    case onePerRound
    /// All that are missing, at once: the papers.
    case all
  }

  /// Says whether to branch.
  public var rule: BranchRule
  /// N: rollouts from the prompt at the start.
  ///
  /// With ``premonitoring`` it is found there instead.
  public var initialRollouts: Int
  /// Z: attempts that each rollout has after a tool result; `beam_size - 1` in the code.
  public var attempts: Int
  /// The segment whose entropy decides.
  public var timing: BranchTiming
  /// What a sum of entropies is divided by: ln V in the codes, V in the paper.
  public var normalizer: Double
  /// How missing rollouts are filled up.
  public var topUp: TopUp
  /// AEPO's choice of N by entropy; `nil`: N is given.
  public var premonitoring: Premonitoring?

  /// Branching of these parts.
  public init(
    rule: BranchRule, initialRollouts: Int, attempts: Int = 1, timing: BranchTiming, normalizer: Double, topUp: TopUp,
    premonitoring: Premonitoring? = nil
  ) {
    self.rule = rule
    self.initialRollouts = initialRollouts
    self.attempts = attempts
    self.timing = timing
    self.normalizer = normalizer
    self.topUp = topUp
    self.premonitoring = premonitoring
  }
}

/// AEPO's pre-monitoring: one rollout, thrown away, whose entropy says how many of the group come from the prompt.
///
/// N = M sigmoid(scale (H_root - H_tool)): the more the policy is unsure of its tool calls, the more it branches.
public struct Premonitoring: Sendable, Hashable {
  /// How M sigmoid(…) becomes a whole number; both keep it between 1 and M.
  public enum Rounding: Sendable, Hashable {
    /// int(x) + 1: the code.
    case downPlusOne
    /// To the nearest: the paper does not say.
    case nearest
  }

  /// The factor in the sigmoid: 0.5 in the code, beta in the paper.
  public var scale: Double
  /// How N is rounded.
  public var rounding: Rounding
  /// Whether H_tool is the mean over all segments (the code) or only over those behind a tool result (the paper).
  public var countsFirstSegment: Bool
  /// Tokens of the probe that H_root is had from.
  public var probeTokens: Int

  /// Pre-monitoring of these parts.
  public init(scale: Double = 0.5, rounding: Rounding, countsFirstSegment: Bool, probeTokens: Int = 50) {
    self.scale = scale
    self.rounding = rounding
    self.countsFirstSegment = countsFirstSegment
    self.probeTokens = probeTokens
  }

  /// N, between 1 and M.
  ///
  /// - Parameters:
  ///   - root: H of the probe.
  ///   - tool: mean H of the segments.
  ///   - rollouts: M.
  public func initialRollouts(root: Double, tool: Double, rollouts: Int) -> Int {
    let share = Double(rollouts) / (1 + logisticTail(scale * (root - tool)))
    guard share.isFinite else { return max(1, rollouts) }
    let n = rounding == .downPlusOne ? Int(share) + 1 : Int(share.rounded())
    return max(1, min(n, rollouts))
  }
}

/// Tree-GRPO's expansion (generation_ts.py, `run_llm_loop_tree_search`): no entropy in it.
public struct RandomExpansion: Sendable, Hashable {
  /// M: trees, each begun with one chain from the prompt.
  public var trees: Int
  /// N: nodes that each tree is continued from in a round, drawn with replacement from those that are no leaf, the prompt
  /// included.
  public var expansions: Int
  /// L: rounds.
  public var rounds: Int
  /// K: leaves that each tree keeps, drawn without replacement.
  public var kept: Int

  /// An expansion with these numbers; the defaults are those of the published script.
  public init(trees: Int = 2, expansions: Int = 2, rounds: Int = 1, kept: Int = 3) {
    self.trees = trees
    self.expansions = expansions
    self.rounds = rounds
    self.kept = kept
  }

  /// Leaves of all trees that are kept.
  public var leaves: Int { max(0, trees) * max(0, min(kept, 1 + max(0, expansions) * max(0, rounds))) }
}
