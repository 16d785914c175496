/// A strategy whose advantage is a function of the group's rewards alone, one value a leaf.
public protocol GroupRewardStrategy: AttributionStrategy {
  /// The advantages of scored leaves; `nil` where the strategy leaves one undefined.
  ///
  /// - Parameters:
  ///   - rewards: of one group's scored leaves, at least one.
  ///   - weights: their multiplicities.
  func advantages(rewards: [Double], weights: [Int]) -> [Double?]

  /// Adds the terms of the advantage of one of the leaves, `A` the last of them.
  func explain(_ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation)
}

extension GroupRewardStrategy {
  /// The function's values on the scored leaves.
  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    var out = [Double?](repeating: nil, count: group.leaves.count)
    group.perLeaf(Array(group.leaves.indices), into: &out, advantages(rewards:weights:))
    return out.map { PathAdvantages($0) }
  }

  /// The terms for the token's leaf.
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let (rewards, weights, at) = group.scoredRewards(Array(group.leaves.indices), leaf: token.leaf)
    explain(at, rewards: rewards, weights: weights, into: &out)
    return out
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

extension GRPO {
  public func explain(_ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation) {
    explain(at, rewards: rewards, weights: weights, into: &out, as: "A", of: "the group's scored leaves")
  }

  /// The terms of one leaf's advantage under a name, for strategies that build on it.
  @discardableResult
  func explain(
    _ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation, as symbol: String, of members: String
  ) -> Arithmetic {
    let mark = symbol == "A" ? "" : "(\(symbol))"
    let r = out.given("r" + mark, "the leaf's reward", rewards[at])
    if weights.reduce(0, +) == 1 {
      let name = "\(members): only this one"
      switch preset.singleton {
      case .zero: return out.define(symbol, name + ", which gets 0", 0)
      case .raw: return out.define(symbol, name + ": r / (1 + epsilon)", r / (1 + .number(preset.epsilon)))
      case .undefined:
        out.undefine("\(name), and the standard deviation of one is not defined")
        return .number(.nan)
      }
    }
    if areEqual(rewards) { return out.define(symbol, "rewards of \(members) are equal", 0) }
    var (values, counts, whose) = (rewards, weights, members)
    if preset.scale == .others {
      counts[at] -= 1
      let left = rewards.indices.filter { counts[$0] > 0 }
      (values, counts, whose) = (left.map { rewards[$0] }, left.map { counts[$0] }, members + " without this one")
    }
    let mean = out.mean("mean" + mark, "of \(whose)", values, counts)
    if preset.scale == .none { return out.define(symbol, "r - mean", r - mean) }
    guard counts.reduce(0, +) > preset.ddof else {
      return out.define(symbol, "r - mean: the others have no standard deviation", r - mean)
    }
    let std = out.deviation(
      "std" + mark, "of \(whose), divisor N - \(preset.ddof)", values, counts, mean: mean, divisorLess: preset.ddof)
    if preset.scale == .others, std.value == 0 { return out.define(symbol, "r - mean: the others' std is 0", r - mean) }
    return out.define(symbol, "(r - mean) / (std + epsilon)", (r - mean) / (std + .number(preset.epsilon)))
  }
}
