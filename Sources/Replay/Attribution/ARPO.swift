/// ARPO's soft attribution: every leaf keeps its own GRPO advantage on shared tokens too, one value a leaf.
///
/// It is GRPO (verl) by definition: epsilon 1e-6, divisor N - 1, one leaf r / (1 + epsilon), equal rewards exactly 0. The
/// gradient on a shared token is then that of the mean advantage as long as the ratio is inside the clip range; see
/// ``SharedTokenLoss``. Source: ARPO paper section 3.2; its code has only this one.
public struct ARPOSoft: GroupRewardStrategy {
  public let name = "arpo-soft"
  public let formula = "A = (r - mean) / (std + 1e-06) of each leaf, on shared tokens too"
  public let source = "ARPO paper section 3.2, core_algos.py (GRPO)"
  public let invariants = AttributionInvariants.groupSumsToZero
  public let parameters = GRPO(.verl).fixedParameters

  /// The strategy; it has no parameters.
  public init() {}

  public func advantages(rewards: [Double], weights: [Int]) -> [Double?] {
    GRPO(.verl).advantages(rewards: rewards, weights: weights)
  }
}

/// ARPO's hard attribution: a token gets the mean GRPO advantage of the scored leaves that pass through it.
///
/// Leaves count by multiplicity; a token of one leaf keeps that leaf's value. The paper shows one level of forks; with
/// nested ones the value is constant on each node of the tree. Advantages of leaves are GRPO's (verl): epsilon 1e-6,
/// divisor N - 1, one leaf r / (1 + epsilon). Equal rewards: exactly 0. Source: ARPO paper section 3.2.
public struct ARPOHard: AttributionStrategy {
  /// The tree that says which tokens are shared.
  public enum Tree: Sendable, Hashable {
    /// The group's own forks.
    case own
    /// Every common token prefix.
    case any
  }

  /// Which tokens are shared.
  public let sharing: Tree

  /// Hard attribution on one of a group's trees.
  public init(_ tree: Tree) { sharing = tree }

  public var name: String { sharing == .own ? "arpo-hard" : "arpo-hard:any" }
  public var formula: String {
    let shared = sharing == .own ? "the tree's forks" : "any common token prefix"
    return "A(token) = mean over the leaves through it of (r - mean) / (std + 1e-06); shared: \(shared)"
  }
  public let source = "ARPO paper section 3.2"
  public var needs: AttributionNeeds { sharing == .own ? [] : [.tokens, .anyTree] }
  public let kind = AttributionKind.token
  public let invariants = AttributionInvariants.sharedTokensAgree
  public let parameters = GRPO(.verl).fixedParameters

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    guard let tree = sharing == .own ? group.tree : group.anyTree else { return group.leaves.map { _ in .missing } }
    return advantages(of: group, leafValues: group.verlAdvantages, tree: tree)
  }

  /// The means of any leaf values over the nodes of a tree; a leaf without a value takes no part.
  func advantages(of group: AttributionGroup, leafValues: [Double?], tree: NodeTree) -> [PathAdvantages] {
    let means = tree.nodes.map { node in
      var values: [Double] = []
      var weights: [Int] = []
      for t in node.leaves {
        guard let value = leafValues[t] else { continue }
        values.append(value)
        weights.append(group.leaves[t].multiplicity)
      }
      return weightedMeanStd(values, weights, divisorLess: 0).mean
    }
    return group.leaves.indices.map { t in
      leafValues[t] == nil ? .missing : group.spread(means, over: tree, leaf: t)
    }
  }
}

extension ARPOSoft {
  public func explain(_ at: Int, rewards: [Double], weights: [Int], into out: inout Explanation) {
    GRPO(.verl).explain(at, rewards: rewards, weights: weights, into: &out)
    out.note("each leaf keeps its own value on tokens that it shares")
  }
}

extension ARPOHard {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    guard let tree = sharing == .own ? group.tree : group.anyTree,
      let node = tree.through[token.leaf].last(where: { tree.nodes[$0].range.contains(token.index) })
    else { return .undefined("the token is on no node of the tree") }
    var out = Explanation()
    var parts: [Arithmetic] = []
    var count = 0
    for t in tree.nodes[node].leaves where group.leaves[t].reward != nil {
      let (rewards, weights, at) = group.scoredRewards(Array(group.leaves.indices), leaf: t)
      let id = group.leaves[t].id
      let a = out.leafAdvantage(id, at, rewards, weights)
      let weight = group.leaves[t].multiplicity
      parts.append(weight == 1 ? a : Arithmetic(weight) * a)
      count += weight
    }
    out.define("A", "mean over the scored leaves that pass through the token", .sum(parts) / Arithmetic(count))
    return out
  }
}

extension Explanation {
  /// verl's GRPO advantage of one of several leaves; what all of them share is written down once.
  fileprivate mutating func leafAdvantage(_ id: String, _ at: Int, _ rewards: [Double], _ weights: [Int]) -> Arithmetic
  {
    let epsilon = GRPOPreset.verl.epsilon
    let r = Arithmetic.number(rewards[at])
    if weights.reduce(0, +) == 1 {
      return define("A(\(id))", "the only scored leaf: r / (1 + epsilon)", r / (1 + .number(epsilon)))
    }
    if areEqual(rewards) { return define("A(\(id))", "the rewards of the group are equal", 0) }
    let mean = self["mean"].map { .number($0) } ?? mean("mean", "of the group's scored leaves", rewards, weights)
    let std =
      self["std"].map { .number($0) }
      ?? deviation("std", "of the group's scored leaves, divisor N - 1", rewards, weights, mean: mean, divisorLess: 1)
    return define("A(\(id))", "(r - mean) / (std + epsilon)", (r - mean) / (std + .number(epsilon)))
  }
}
