/// AEPO's entropy-aware advantage: A (1 + a z), a value for each token.
///
/// A is the leaf's GRPO advantage (verl), z = (H - mean) / std of the token's entropy over the generated tokens with an
/// entropy value of the scored leaves of the batch (by multiplicity; divisor N - 1). Standard deviation 0, or fewer than
/// two tokens: 1. Tokens without a value keep A. No epsilon beside GRPO's. A group of equal rewards: 0. Source: AEPO
/// core_algos.py.
///
/// AEPO's published scripts leave the entropies out of the training batch and so never apply the factor.
public struct AEPO: AttributionStrategy {
  /// The entropy H: ``Estimator/topk`` or ``Estimator/exact``.
  public let estimator: Estimator
  /// Weight of the entropy's z-score.
  public let weight: Double

  /// AEPO on exact entropies, or on those of the listed candidates.
  public init(exact: Bool = false, weight: Double = 0.2) {
    estimator = exact ? .exact : .topk
    self.weight = weight
  }

  public var name: String { estimator == .exact ? "aepo:exact" : "aepo" }
  public var formula: String {
    "A = GRPO (1 + \(weight) (H - mean) / std), H = \(estimator.rawValue) entropy, mean and std over the batch's tokens"
  }
  public let source = "AEPO core_algos.py"
  public var needs: AttributionNeeds { [.tokens, estimator == .exact ? .exactEntropy : .topkEntropy] }
  public let scope = AttributionScope.batch
  public let kind = AttributionKind.token
  public var parameters: [AttributionParameter] {
    GRPO(.verl).fixedParameters + [
      AttributionParameter("weight", weight, "of the entropy's z-score (AEPO's a)", allowed: -1e6...1e6)
    ]
  }

  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy {
    AEPO(exact: estimator == .exact, weight: value)
  }

  public func collect(_ group: AttributionGroup, into batches: inout BatchStatistics) {
    for (t, leaf) in group.leaves.enumerated() {
      // A batch without any entropy is one too.
      if leaf.reward == nil {
        batches[leaf.step].add(WeightedMoments())
      } else {
        batches[leaf.step].add(group.generatedEntropies(estimator, t), weight: leaf.multiplicity)
      }
    }
  }

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    group.verlAdvantages.enumerated().map { t, a in
      guard let a else { return .missing }
      let moments = batches[group.leaves[t].step]
      guard let mean = moments.mean, a != 0 else { return .constant(a) }
      let slope = weight / Self.divisor(moments)
      return .tokens(
        group.generatedEntropies(estimator, t).map { $0.isNaN ? a : a * (1 + slope * ($0 - mean)) })
    }
  }

  /// What deviations are divided by: the standard deviation, or 1 where that is 0 or there is none.
  static func divisor(_ moments: WeightedMoments) -> Double {
    let std = moments.std(divisorLess: 1) ?? 0
    return std == 0 ? 1 : std
  }
}

extension AEPO {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let (rewards, weights, at) = group.scoredRewards(Array(group.leaves.indices), leaf: token.leaf)
    let grpo = GRPO(.verl).explain(
      at, rewards: rewards, weights: weights, into: &out, as: "GRPO", of: "the group's scored leaves")
    let moments = batches[group.leaves[token.leaf].step]
    let before = group.leaves[token.leaf].generated.reduce(0) { $0 + $1.clamped(to: 0..<token.index).count }
    let entropy = group.generatedEntropies(estimator, token.leaf)[before]
    guard let mean = moments.mean, grpo.value != 0, !entropy.isNaN else {
      out.define(
        "A", grpo.value == 0 ? "GRPO, which is 0" : "GRPO: the token has no \(estimator.rawValue) entropy", grpo)
      return out
    }
    let h = out.given("H", "the token's \(estimator.rawValue) entropy, nats", entropy)
    let center = out.given("mean H", "over \(moments.count) generated tokens of the step", mean)
    let std = out.given("std H", "of these, divisor N - 1; 1 where it is 0", Self.divisor(moments))
    out.define("A", "GRPO (1 + a (H - mean H) / std H)", grpo * (1 + .number(weight) * (h - center) / std))
    return out
  }
}
