public import Policy

/// Trees, or parts of trees, that the policy computes in one pass.
public struct PackedForest: Sendable {
  /// The tokens.
  public var forest: TokenForest
  /// Nodes of the forest whose logprobs are wanted, ascending.
  public var scored: [Int32]
  /// By scored node, its place among the trained nodes of the whole update.
  public var places: [Int]
}

/// What is evaluated together: forests, and the trees whose loss can be computed once their logprobs are known.
///
/// A bundle has one forest with whole trees, or the several parts of one tree that is larger than the budget.
public struct PackedBundle: Sendable {
  /// The forests.
  public var forests: [PackedForest]
  /// Positions of the trees in the update, ascending.
  public var trees: [Int]
}

/// The trained nodes of an update's trees, numbered through: the place of a node is its tree's first place plus its
/// position among the tree's trained nodes.
struct TrainedPlaces {
  /// By tree, its trained nodes, ascending.
  let nodes: [[Int32]]
  /// By tree, the place of its first trained node.
  let starts: [Int]
  /// Number of places.
  let count: Int

  init(_ trees: [TrainingTree]) {
    nodes = trees.map(\.trainedNodes)
    var starts: [Int] = []
    var count = 0
    for list in nodes {
      starts.append(count)
      count += list.count
    }
    self.starts = starts
    self.count = count
  }
}
