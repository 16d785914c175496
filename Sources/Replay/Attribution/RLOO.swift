/// RLOO: r - mean of the other leaves = N / (N - 1) (r - mean), one value a leaf; no standard deviation, no epsilon.
///
/// One leaf: its reward in verl, 0 in TRL. Equal rewards of two or more leaves: exactly 0. Sources: verl core_algos.py,
/// TRL rloo_trainer.py.
public struct RLOO: GroupRewardStrategy {
  /// The programs, which differ in the rule for one leaf.
  public enum Variant: Sendable, Hashable {
    /// One leaf keeps its reward.
    case verl
    /// One leaf gets 0.
    case trl
  }

  /// Whose rule holds.
  public let variant: Variant

  /// RLOO as a program computes it.
  public init(_ variant: Variant) { self.variant = variant }

  public var name: String { variant == .verl ? "rloo" : "rloo:trl" }
  public var formula: String { "A = N / (N - 1) (r - mean); one leaf: \(variant == .verl ? "r" : "0")" }
  public var source: String { variant == .verl ? "verl core_algos.py" : "TRL rloo_trainer.py" }
  public var invariants: AttributionInvariants { .groupSumsToZero }

  public func advantages(rewards: [Double], weights: [Int]) -> [Double?] {
    let n = Double(weights.reduce(0, +))
    if n == 1 { return rewards.map { variant == .verl ? $0 : 0 } }
    if areEqual(rewards) { return rewards.map { _ in 0 } }
    let mean = weightedMeanStd(rewards, weights, divisorLess: 1).mean
    return rewards.map { n / (n - 1) * ($0 - mean) }
  }
}

extension RLOO {
  public func explain(_ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation) {
    let r = out.given("r", "the leaf's reward", rewards[at])
    let n = weights.reduce(0, +)
    if n == 1 {
      let isKept = variant == .verl
      out.define("A", "the only scored leaf: \(isKept ? "its reward" : "0")", isKept ? r : 0)
    } else if areEqual(rewards) {
      out.define("A", "the rewards of the group are equal", 0)
    } else {
      let mean = out.mean("mean", "of the group's scored leaves", rewards, weights)
      let count = out.given("N", "scored leaves, by multiplicity", Double(n))
      out.define("A", "N / (N - 1) (r - mean)", count / (count - 1) * (r - mean))
    }
  }
}
