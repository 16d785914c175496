import Policy

/// Lays the trees of an update out in forests of at most a number of tokens.
///
/// Whole trees go first-fit-decreasing into forests. A tree larger than the budget is cut into parts that repeat the path
/// from the root; every trained node is scored in the first part that has it, so its loss terms enter once, while
/// gradients flow through the repeated path.
public struct TreePacking: Sendable {
  /// Most tokens of a forest; a single path that is longer has a forest of its own.
  public let budget: Int

  /// Packing to a budget, in tokens.
  public init(budget: Int) { self.budget = max(1, budget) }

  /// The forests of an update.
  ///
  /// The order is deterministic: by first tree.
  public func bundles(_ trees: [TrainingTree]) throws -> [PackedBundle] {
    let places = TrainedPlaces(trees)
    var whole: [(size: Int, trees: [Int])] = []
    var split: [Int] = []
    for t in trees.indices.sorted(by: { (trees[$1].tokens.count, $0) < (trees[$0].tokens.count, $1) }) {
      let size = trees[t].tokens.count
      if size > budget {
        split.append(t)
      } else if let bin = whole.firstIndex(where: { $0.size + size <= budget }) {
        whole[bin].size += size
        whole[bin].trees.append(t)
      } else {
        whole.append((size, [t]))
      }
    }
    var out = try whole.map { bin in
      let members = bin.trees.sorted()
      return PackedBundle(forests: [try forest(members, trees, places)], trees: members)
    }
    for t in split { out.append(PackedBundle(forests: try parts(of: t, trees[t], places), trees: [t])) }
    return out.sorted { $0.trees[0] < $1.trees[0] }
  }

  /// Every trajectory on its own, as trainers without sharing compute it; a trained node is scored in each of its
  /// trajectories' forests, and `leaf` says for which.
  func flattened(_ trees: [TrainingTree]) throws -> [FlatRow] {
    var out: [FlatRow] = []
    for (t, tree) in trees.enumerated() {
      for leaf in tree.leaves {
        let path = pathNodes(to: leaf.end, in: tree)
        var positions: [Int32: Int32] = [:]
        for (i, n) in path.enumerated() { positions[n] = Int32(i) }
        out.append(
          FlatRow(
            tree: t,
            forest: try TokenForest(
              tokens: path.map { tree.tokens[Int($0)] }, parents: path.indices.map { Int32($0) - 1 }),
            scored: leaf.nodes.compactMap { positions[$0] }))
      }
    }
    return out
  }

  private func forest(_ members: [Int], _ trees: [TrainingTree], _ places: TrainedPlaces) throws -> PackedForest {
    var tokens: [Int32] = []
    var parents: [Int32] = []
    var scored: [Int32] = []
    var ids: [Int] = []
    for t in members {
      let start = Int32(tokens.count)
      tokens += trees[t].tokens
      parents += trees[t].parents.map { $0 < 0 ? -1 : $0 + start }
      for (i, n) in places.nodes[t].enumerated() {
        scored.append(n + start)
        ids.append(places.starts[t] + i)
      }
    }
    return PackedForest(forest: try TokenForest(tokens: tokens, parents: parents), scored: scored, places: ids)
  }

  /// Parts of a tree: leaves in the order of their ends are put together until the budget is reached.
  private func parts(of t: Int, _ tree: TrainingTree, _ places: TrainedPlaces) throws -> [PackedForest] {
    var out: [PackedForest] = []
    var isDone = [Bool](repeating: false, count: tree.tokens.count)
    var members: [Bool] = []
    var size = 0
    func close() throws {
      guard size > 0 else { return }
      // A part whose every trained node was scored before has nothing to compute.
      if let part = try part(tree, members, t, places, &isDone) { out.append(part) }
    }
    // Ends in pre-order, so that neighbours share most of their paths.
    for end in Set(tree.leaves.map(\.end)).sorted() {
      let path = pathNodes(to: end, in: tree)
      let added = members.isEmpty ? path.count : path.reduce(0) { $0 + (members[Int($1)] ? 0 : 1) }
      if size > 0, size + added > budget {
        try close()
        members = []
        size = 0
      }
      if members.isEmpty { members = [Bool](repeating: false, count: tree.tokens.count) }
      for n in path where !members[Int(n)] {
        members[Int(n)] = true
        size += 1
      }
    }
    try close()
    return out
  }

  private func part(
    _ tree: TrainingTree, _ members: [Bool], _ t: Int, _ places: TrainedPlaces, _ isDone: inout [Bool]
  ) throws -> PackedForest? {
    let kept = places.nodes[t].enumerated().filter { members[Int($1)] && !isDone[Int($1)] }
    if kept.isEmpty { return nil }
    var position = [Int32](repeating: -1, count: tree.tokens.count)
    var tokens: [Int32] = []
    var parents: [Int32] = []
    for n in tree.tokens.indices where members[n] {
      position[n] = Int32(tokens.count)
      tokens.append(tree.tokens[n])
      parents.append(tree.parents[n] < 0 ? -1 : position[Int(tree.parents[n])])
    }
    var scored: [Int32] = []
    var ids: [Int] = []
    for (i, n) in kept {
      isDone[Int(n)] = true
      scored.append(position[Int(n)])
      ids.append(places.starts[t] + i)
    }
    return PackedForest(forest: try TokenForest(tokens: tokens, parents: parents), scored: scored, places: ids)
  }

  private func pathNodes(to end: Int32, in tree: TrainingTree) -> [Int32] {
    var path: [Int32] = []
    var n = end
    while n >= 0 {
      path.append(n)
      n = tree.parents[Int(n)]
    }
    return path.reversed()
  }
}

/// One trajectory as a chain of its own.
struct FlatRow {
  /// Its tree's position in the update.
  var tree: Int
  var forest: TokenForest
  /// By trained token of the trajectory, its node in the chain.
  var scored: [Int32]
}
