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

extension DrGRPO {
  public func explain(_ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation) {
    let r = out.given("r", "the leaf's reward", rewards[at])
    if areEqual(rewards) {
      out.define("A", "the rewards of the group are equal, or there is one only", 0)
    } else {
      out.define("A", "r - mean", r - out.mean("mean", "of the group's scored leaves", rewards, weights))
    }
  }
}
