public import AdaptiveRollout
import Rollouts

/// Which of ARPO's two rules is replayed.
public enum ARPORule: String, Sendable, Hashable, CaseIterable {
  /// Branch with probability clip(bp + w dH, 0, 1).
  case code
  /// Branch iff alpha + beta dH > tau.
  case paper

  /// The timing that belongs to the rule.
  public var timing: BranchTiming { self == .code ? .lagged : .postResult }

  /// The normaliser that belongs to the rule.
  public var normalizer: EntropyNormalizer { self == .code ? .logVocabulary : .vocabulary }
}

/// What sums of entropies are divided by.
public enum EntropyNormalizer: String, Sendable, Hashable, CaseIterable {
  /// V, as ARPO's paper prints it.
  case vocabulary = "V"
  /// ln V, as its code has it.
  case logVocabulary = "lnV"

  /// The divisor; `nil` without a vocabulary of two ids or more.
  public func value(vocabSize: Int?) -> Double? {
    guard let vocabSize, vocabSize > 1 else { return nil }
    return self == .vocabulary ? Double(vocabSize) : logarithm(Double(vocabSize))
  }
}

/// How ARPO's branching rule is replayed: what is not given here is the run's own, or else the default of ARPO's scripts.
public struct BranchingOptions: Sendable {
  /// The rule.
  public var rule = ARPORule.code
  /// The segment whose entropy decides; `nil`: the rule's own.
  public var timing: BranchTiming?
  /// The divisor of sums; `nil`: the rule's own.
  ///
  /// The code's rule always divides by ln V.
  public var normalizer: EntropyNormalizer?
  /// Base probability bp of the code's rule, alpha of the paper's.
  public var alpha: Double?
  /// w of the code's rule, beta of the paper's.
  public var beta: Double?
  /// The paper's threshold.
  public var tau: Double?
  /// k: generated tokens that enter an entropy value.
  public var windowTokens: Int?
  /// Candidates per position that enter the code's entropy value.
  public var topK: Int?
  /// Entropy estimator; `nil`: for the code's rule its own sum, for the paper's `topk`, and `exact` for both where the log
  /// has no candidates.
  public var estimator: Estimator?
  /// Replicates behind every interval; 0 computes none.
  public var bootstrapReplicates = 1000
  /// Seed of the bootstrap's weights.
  public var seed: UInt64 = 0
  /// Where kept numbers go when there are many; `nil`: they stay in memory.
  public var spill: SpillFactory?

  /// The defaults.
  public init() {}

  /// The parameters for a run.
  public func settings(of run: ReplayRun) -> BranchingSettings {
    var out = run.branching
    out.branchProbability = alpha ?? out.branchProbability
    out.alpha = alpha ?? out.alpha
    out.entropyWeight = beta ?? out.entropyWeight
    out.tau = tau ?? out.tau
    out.windowTokens = windowTokens ?? out.windowTokens
    out.topK = topK ?? out.topK
    return out
  }

  /// The timing in use.
  public var usedTiming: BranchTiming { timing ?? rule.timing }

  /// The normaliser in use.
  public var usedNormalizer: EntropyNormalizer { rule == .code ? .logVocabulary : normalizer ?? rule.normalizer }
}

/// The entropies that decisions of a group are made by.
struct DecisionEntropies {
  /// What the paper's rule reads.
  let paper: PathValues
  /// What the code's rule reads, where it is not its own sum over candidates.
  let code: PathValues?
  /// The estimator that stands behind each trajectory; `nil`: it has none.
  let estimators: [Estimator?]
  private let candidates: [ARPOCandidates]

  init(_ tree: RolloutTree, estimator: Estimator?, topK: Int) {
    let group = tree.group
    candidates = tree.paths.indices.map { ARPOCandidates(group.trajectories[$0], path: tree.paths[$0], topK: topK) }
    let hasCandidates = group.trajectories.contains { $0.columns?.topLogprobs != nil }
    let hasExact = group.trajectories.contains { $0.columns?.entropies != nil }
    let used = estimator ?? (hasCandidates || !hasExact ? .topk : .exact)
    let entropy = GroupEntropy(group, estimators: [used])
    let values = entropy.values(used, in: tree)
    paper = values
    code = used == .topk ? nil : values
    estimators = tree.paths.indices.map { values.hasValue($0) ? used : nil }
  }

  /// Entropies as the code's rule reads them, at the first positions of a range of a path.
  func codeValues(_ t: Int, _ range: Range<Int>, paths: [RolloutPath]) -> [Double] {
    if let code { return code.values(t, range) }
    var out: [Double] = []
    out.reserveCapacity(range.count)
    for piece in paths[t].pieces {
      let part = piece.range.clamped(to: range)
      if !part.isEmpty { out += candidates[piece.owner].values(over: part, window: part.count) }
    }
    return out
  }
}
