/// A strategy whose advantage is a function of the group's rewards alone, one value a leaf.
public protocol GroupRewardStrategy: AttributionStrategy {
  /// The advantages of scored leaves; `nil` where the strategy leaves one undefined.
  ///
  /// - Parameters:
  ///   - rewards: of one group's scored leaves, at least one.
  ///   - weights: their multiplicities.
  func advantages(rewards: [Double], weights: [Int]) -> [Double?]
}

extension GroupRewardStrategy {
  /// The function's values on the scored leaves.
  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    var out = [Double?](repeating: nil, count: group.leaves.count)
    group.perLeaf(Array(group.leaves.indices), into: &out, advantages(rewards:weights:))
    return out.map { PathAdvantages($0) }
  }
}

/// GRPO: (r - mean) / (std + epsilon) over the group's scored leaves, one value a leaf.
///
/// The programs differ in the divisor of the standard deviation, in epsilon and in what a group of one leaf gets; see
/// ``GRPOPreset``. Equal rewards of two or more leaves: exactly 0. Batch-scaled GRPO is ``BatchScaledGRPO``.
public struct GRPO: GroupRewardStrategy {
  /// The program whose conventions hold.
  public let preset: GRPOPreset

  /// GRPO as a program computes it.
  public init(_ preset: GRPOPreset) { self.preset = preset }

  public var name: String { "grpo:\(preset.name)" }
  public var formula: String { preset.formula }
  public var source: String { preset.source }
  public var invariants: AttributionInvariants { preset.scale == .others ? [] : .groupSumsToZero }
  public var parameters: [AttributionParameter] {
    preset.scale == .none
      ? [] : [.epsilon(preset.epsilon, isSettable: true), .ddof(preset.ddof, isSettable: true)]
  }

  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy {
    var other = preset
    if parameter == "epsilon" { other.epsilon = value } else { other.ddof = Int(value) }
    return GRPO(other)
  }

  public func advantages(rewards: [Double], weights: [Int]) -> [Double?] {
    if weights.reduce(0, +) == 1 {
      return rewards.map { preset.singleton.value($0, epsilon: preset.epsilon) }
    }
    if areEqual(rewards) { return rewards.map { _ in 0 } }
    if preset.scale == .others { return leaveOneOut(rewards, weights) }
    let (mean, std) = weightedMeanStd(rewards, weights, divisorLess: preset.ddof)
    let divisor = preset.scale == .none ? 1 : (std ?? 0) + preset.epsilon
    return rewards.map { ($0 - mean) / divisor }
  }

  /// The parameters as a strategy that builds on this one has them.
  var fixedParameters: [AttributionParameter] { [.epsilon(preset.epsilon), .ddof(preset.ddof)] }

  /// r - mean of the others, divided by (their standard deviation + epsilon) where that is above 0.
  private func leaveOneOut(_ rewards: [Double], _ weights: [Int]) -> [Double?] {
    rewards.indices.map { i in
      var others = weights
      others[i] -= 1
      let left = rewards.indices.filter { others[$0] > 0 }
      let (mean, std) = weightedMeanStd(
        left.map { rewards[$0] }, left.map { others[$0] }, divisorLess: preset.ddof)
      guard let std, std > 0 else { return rewards[i] - mean }
      return (rewards[i] - mean) / (std + preset.epsilon)
    }
  }
}
