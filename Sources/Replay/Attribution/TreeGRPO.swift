/// Tree-GRPO: GRPO over the prompt group plus GRPO over the leaf's own tree, one value a leaf.
///
/// A tree is all leaves that descend from one root rollout. Both terms are verl's GRPO: epsilon 1e-6, divisor N - 1,
/// equal rewards 0; hence a tree of one leaf adds r / (1 + epsilon). Source: Tree-GRPO ray_trainer_ts.py, mode `tree`.
public struct TreeGRPO: AttributionStrategy {
  public let name = "tree-grpo"
  public let formula = "A = GRPO over the group + GRPO over the leaves of the same root rollout (verl, epsilon 1e-06)"
  public let source = "Tree-GRPO ray_trainer_ts.py"
  public let parameters = GRPO(.verl).fixedParameters

  /// The strategy; it has no parameters.
  public init() {}

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    let inGroup = group.verlAdvantages
    var inTree = [Double?](repeating: nil, count: group.leaves.count)
    for members in Dictionary(grouping: group.leaves.indices, by: { group.leaves[$0].root }).values {
      group.perLeaf(members, into: &inTree, GRPO(.verl).advantages(rewards:weights:))
    }
    return zip(inGroup, inTree).map { a, b in
      guard let a, let b else { return .missing }
      return .constant(a + b)
    }
  }
}

extension TreeGRPO {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let root = group.leaves[token.leaf].root
    let siblings = group.leaves.indices.filter { group.leaves[$0].root == root }
    let terms = [
      ("group", Array(group.leaves.indices), "the group's scored leaves"),
      ("tree", siblings, "the scored leaves below the same root"),
    ].map { symbol, members, words in
      let (rewards, weights, at) = group.scoredRewards(members, leaf: token.leaf)
      return GRPO(.verl).explain(at, rewards: rewards, weights: weights, into: &out, as: symbol, of: words)
    }
    out.define("A", "group + tree", .sum(terms))
    return out
  }
}
