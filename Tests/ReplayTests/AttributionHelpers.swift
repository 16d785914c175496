import Replay
import Rollouts
import TestSupport

/// Random prompt groups with nested forks, inserted tokens, unscored leaves and multiplicities.
enum RandomGroups {
  /// A path's stretches from few different tokens, so that prefixes are often equal without a declared fork.
  static func stretches(_ count: Int, _ random: inout SeededGenerator) -> [Stretch] {
    (0..<count).flatMap { _ in
      let think = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int32.random(in: 0..<2, using: &random) }
      let tool = ["search", "python"].randomElement(using: &random) ?? "search"
      let last: [Stretch] = [
        .think(think), .call([9], tool), .result([Int32.random(in: 3..<5, using: &random)], tool),
      ]
      return Array(last.prefix(Int.random(in: 1...3, using: &random)))
    }
  }

  /// - Parameter declared: whether the group declares forks.
  static func group(
    _ random: inout SeededGenerator, declared: Bool, id: String = "g", step: Int? = 1, constant: Bool = false
  ) -> ReplayGroup {
    var members: [ReplayTrajectory] = []
    var lengths: [Int] = []
    let level = Double.random(in: -1...1, using: &random)
    for i in 0..<Int.random(in: 1...10, using: &random) {
      let forks = declared && i > 0 && Int.random(in: 0..<3, using: &random) > 0
      let parent = forks ? Int.random(in: 0..<i, using: &random) : nil
      let branch = parent.map { Int.random(in: 0...lengths[$0], using: &random) } ?? 0
      let reward = constant ? level : Double(Int.random(in: -3...3, using: &random)) / 3
      var t = madeTrajectory(
        "\(id)/\(i)", parent: parent, at: branch,
        stretches(Int.random(in: 1...4, using: &random), &random),
        reward: Int.random(in: 0..<8, using: &random) == 0 ? nil : reward)
      t.multiplicity = Int.random(in: 0..<5, using: &random) == 0 ? 2 : 1
      t.step = step
      lengths.append(branch + (t.columns?.count ?? 0))
      members.append(t)
    }
    return madeGroup(members, id: id)
  }

  /// The group with its trajectories in another order; `order[i]` is the old position of the new i-th.
  static func permuted(_ group: ReplayGroup, _ order: [Int]) -> ReplayGroup {
    var out = group
    out.trajectories = order.map { old in
      var t = group.trajectories[old]
      t.declaredParent = t.declaredParent.flatMap { order.firstIndex(of: $0) }
      return t
    }
    return out
  }
}

extension AttributionGroup {
  /// With all that any strategy needs.
  init(_ group: ReplayGroup) throws {
    try self.init(RolloutTree(group), needs: AttributionGroup.needs(of: AttributionStrategies.all))
  }

  /// One value a token and leaf under a strategy of this group alone; `nil` = missing.
  func tokens(_ strategy: any AttributionStrategy) -> [[Double]?] {
    zip(leaves, strategy.advantages(of: self)).map { leaf, a in a == .missing ? nil : tokenValues(a, leaf) }
  }
}

/// The token ids of a path, from its stored pieces.
func pathTokens(_ tree: RolloutTree, _ t: Int) -> [Int32] {
  tree.paths[t].pieces.flatMap { piece in
    let offset = tree.paths[piece.owner].storageBranch
    let ids = tree.group.trajectories[piece.owner].columns?.tokenIDs ?? []
    return ids[(piece.range.lowerBound - offset)..<(piece.range.upperBound - offset)]
  }
}
