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
