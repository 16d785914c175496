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
