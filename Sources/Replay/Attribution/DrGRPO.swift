/// Dr.GRPO: r - mean over the group's scored leaves, one value a leaf; no standard deviation, no epsilon.
///
/// One leaf, or equal rewards: exactly 0. (verl with norm_adv_by_std_in_grpo=False gives one leaf its reward instead.)
/// Source: understand-r1-zero train_zero_math.py.
public struct DrGRPO: GroupRewardStrategy {
  public let name = "dr-grpo"
  public let formula = "A = r - mean; one leaf: 0"
  public let source = "understand-r1-zero train_zero_math.py"
  public let invariants = AttributionInvariants.groupSumsToZero

  /// The strategy; it has no parameters.
  public init() {}

  public func advantages(rewards: [Double], weights: [Int]) -> [Double?] {
    if areEqual(rewards) { return rewards.map { _ in 0 } }
    let mean = weightedMeanStd(rewards, weights, divisorLess: 1).mean
    return rewards.map { $0 - mean }
  }
}
