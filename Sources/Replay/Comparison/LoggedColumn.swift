extension PathAdvantages {
  /// Logged advantages along a path.
  ///
  /// A list belongs to the tokens whose number it has: all of the path, those that the record stores (from its branch on), or
  /// the generated ones of either. Other tokens have no value (`NaN`); a list of any other length is none.
  public init(logged: LoggedAdvantages?, _ leaf: AttributionLeaf, branch: Int) {
    let owned = leaf.generated.map { max($0.lowerBound, branch)..<max($0.upperBound, branch) }
    let ownedCount = owned.reduce(0) { $0 + $1.count }
    switch logged {
    case nil: self = .missing
    case .leaf(let value): self = .constant(value)
    case .tokens(let values) where values.count == leaf.length:
      self = .tokens(leaf.generated.flatMap { values[$0] })
    case .tokens(let values) where values.count == leaf.length - branch:
      self = .tokens(leaf.generated.joined().map { $0 < branch ? .nan : values[$0 - branch] })
    case .tokens(let values) where values.count == leaf.generatedCount: self = .tokens(values)
    case .tokens(let values) where values.count == ownedCount:
      self = .tokens([Double](repeating: .nan, count: leaf.generatedCount - ownedCount) + values)
    case .tokens: self = .missing
    }
  }
}

extension GroupAttribution {
  /// The log's own advantages of the group's leaves, as one more column; `nil` if no trajectory has any.
  public var logged: [PathAdvantages]? {
    let trajectories = tree.group.trajectories
    guard trajectories.contains(where: { $0.loggedAdvantages != nil }) else { return nil }
    return trajectories.enumerated().map { t, trajectory in
      PathAdvantages(
        logged: trajectory.loggedAdvantages, group.leaves[t], branch: tree.paths[t].storageBranch)
    }
  }
}
