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
