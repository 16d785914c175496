/// DAPO: GRPO (verl) of the shaped reward in the groups that dynamic sampling keeps, one value a leaf.
///
/// Dynamic sampling drops a group whose raw rewards are all equal, judged before shaping; a group of one leaf stays.
/// The scored leaves of a dropped group get exactly 0. Shaping takes from a long response's reward, see
/// ``OverlongShaping``. Epsilon 1e-6, divisor N - 1. Sources: verl recipe/dapo, reward_manager/dapo.py.
public struct DAPO: AttributionStrategy {
  /// `nil`: rewards are taken as they are.
  public let shaping: OverlongShaping?

  /// DAPO with or without overlong shaping.
  public init(shaping: OverlongShaping? = nil) { self.shaping = shaping }

  public let name = "dapo"
  public let source = "verl recipe/dapo/dapo_ray_trainer.py, reward_manager/dapo.py"
  public let invariants = AttributionInvariants.groupSumsToZero
  public var parameters: [AttributionParameter] {
    let tokens = 1...1e9
    return GRPO(.verl).fixedParameters + [
      AttributionParameter(
        "cap", shaping.map { Double($0.cap) }, "longest response in tokens; turns overlong shaping on",
        allowed: tokens, isWhole: true),
      AttributionParameter(
        "buffer", shaping.map { Double($0.buffer) }, "tokens before the cap over which the penalty grows",
        allowed: tokens, isWhole: true),
      AttributionParameter("factor", shaping?.factor, "the penalty at the cap", allowed: 0...1e6),
    ]
  }

  /// One of the shaping's measures; those that are not set are those of DAPO's script: cap 20480, buffer
  /// a fifth of it, factor 1.
  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy {
    guard var shaping else {
      let cap = parameter == "cap" ? Int(value) : 20_480
      let script = DAPO(shaping: OverlongShaping(cap: cap, buffer: max(1, cap / 5), factor: 1))
      return parameter == "cap" ? script : script.setting(parameter, to: value)
    }
    switch parameter {
    case "cap": shaping.cap = Int(value)
    case "buffer": shaping.buffer = Int(value)
    default: shaping.factor = value
    }
    return DAPO(shaping: shaping)
  }
  public var formula: String {
    let reward =
      shaping.map {
        "r' = r + min(-(length - (\($0.cap) - \($0.buffer))) / \($0.buffer) * \($0.factor), 0)"
      } ?? "r' = r"
    return "A = (r' - mean) / (std + 1e-06), \(reward); groups of equal r are dropped: 0"
  }

  /// Whether dynamic sampling keeps a group.
  public func keeps(_ group: AttributionGroup) -> Bool {
    let scored = group.scored
    let leaves = scored.reduce(0) { $0 + group.leaves[$1].multiplicity }
    return leaves == 1 || (leaves > 1 && !areEqual(scored.compactMap { group.leaves[$0].reward }))
  }

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    guard keeps(group) else { return group.leaves.map { $0.reward == nil ? .missing : .constant(0) } }
    var out = [Double?](repeating: nil, count: group.leaves.count)
    group.perLeaf(
      Array(group.leaves.indices), into: &out,
      reward: { leaf in leaf.reward.map { $0 + (shaping?.penalty(length: leaf.length) ?? 0) } },
      GRPO(.verl).advantages(rewards:weights:))
    return out.map { PathAdvantages($0) }
  }
}

/// DAPO's soft punishment of long responses: a reward falls linearly over the last tokens before the cap.
public struct OverlongShaping: Sendable, Hashable {
  /// Longest response, in tokens.
  public var cap: Int
  /// Tokens before the cap over which the punishment grows, at least 1.
  public var buffer: Int
  /// The punishment at the cap.
  public var factor: Double

  /// A punishment of these measures.
  public init(cap: Int, buffer: Int, factor: Double) {
    self.cap = cap
    self.buffer = buffer
    self.factor = factor
  }

  /// What is used where the training's own measures are unknown: cap = longest response, buffer = a third of it.
  public init(longestResponse: Int) {
    self.init(cap: longestResponse, buffer: max(1, longestResponse / 3), factor: 1)
  }

  /// What is added to the reward, at most 0; `length` counts all response tokens, inserted ones too.
  public func penalty(length: Int) -> Double {
    min(-Double(length - (cap - buffer)) / Double(buffer) * factor, 0)
  }
}

extension DAPO {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    guard keeps(group) else {
      out.define("A", "the group's rewards are equal: dynamic sampling drops it", 0)
      return out
    }
    if let shaping {
      // The penalties of all leaves are in the mean.
      for leaf in group.leaves {
        guard let reward = leaf.reward, shaping.penalty(length: leaf.length) != 0 else { continue }
        let over = Arithmetic(leaf.length) - (Arithmetic(shaping.cap) - Arithmetic(shaping.buffer))
        out.define(
          "r'(\(leaf.id))", "r + min(-(length - (cap - buffer)) / buffer factor, 0)",
          .number(reward)
            + .smaller((0 - over) / Arithmetic(shaping.buffer) * .number(shaping.factor), 0))
      }
    }
    let (rewards, weights, at) = group.scoredRewards(Array(group.leaves.indices), leaf: token.leaf) { leaf in
      leaf.reward.map { $0 + (shaping?.penalty(length: leaf.length) ?? 0) }
    }
    GRPO(.verl).explain(at, rewards: rewards, weights: weights, into: &out)
    return out
  }
}
