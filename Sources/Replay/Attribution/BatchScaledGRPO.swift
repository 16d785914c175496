/// TRL's GRPO with scale_rewards "batch": (r - group mean) / (batch std + 1e-4), one value a leaf.
///
/// The standard deviation (divisor N - 1) is that of all scored leaves of the step. A group of one leaf, or of equal
/// rewards: exactly 0. Leaves of one group that belong to different steps are centred apart. Source: TRL
/// grpo_trainer.py.
public struct BatchScaledGRPO: AttributionStrategy {
  public let name = "grpo:trl-batch"
  public let formula = "A = (r - mean) / (std of the batch + 0.0001), std with divisor N - 1; one leaf: 0"
  public let source = "TRL grpo_trainer.py, scale_rewards \"batch\""
  public let scope = AttributionScope.batch
  public let parameters = [AttributionParameter.epsilon(1e-4), .ddof(1)]
  public let invariants = AttributionInvariants.groupSumsToZero

  /// The strategy; it has no parameters.
  public init() {}

  public func collect(_ group: AttributionGroup, into batches: inout BatchStatistics) {
    for leaf in group.leaves {
      if let reward = leaf.reward { batches[leaf.step].add(reward, weight: leaf.multiplicity) }
    }
  }

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    var out = [Double?](repeating: nil, count: group.leaves.count)
    for (step, members) in Dictionary(grouping: group.leaves.indices, by: { group.leaves[$0].step }) {
      let divisor = (batches[step].std(divisorLess: 1) ?? 0) + 1e-4
      group.perLeaf(members, into: &out) { rewards, weights in
        if weights.reduce(0, +) == 1 || areEqual(rewards) { return rewards.map { _ in 0 } }
        let mean = weightedMeanStd(rewards, weights, divisorLess: 1).mean
        return rewards.map { ($0 - mean) / divisor }
      }
    }
    return out.map { PathAdvantages($0) }
  }
}

extension BatchScaledGRPO {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let step = group.leaves[token.leaf].step
    let members = group.leaves.indices.filter { group.leaves[$0].step == step }
    let (rewards, weights, at) = group.scoredRewards(members, leaf: token.leaf)
    let r = out.given("r", "the leaf's reward", rewards[at])
    if weights.reduce(0, +) == 1 || areEqual(rewards) {
      out.define("A", "the rewards of the group are equal, or there is one only", 0)
      return out
    }
    let mean = out.mean("mean", "of the group's scored leaves", rewards, weights)
    let std = out.given(
      "std", "of the rewards of all \(batches[step].count) scored leaves of the step, divisor N - 1",
      batches[step].std(divisorLess: 1) ?? 0)
    out.define("A", "(r - mean) / (std + epsilon)", (r - mean) / (std + 1e-4))
    return out
  }
}
