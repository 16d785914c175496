/// One prompt group under several strategies.
public struct GroupAttribution: Sendable {
  /// The group's tree, with its tokens.
  public let tree: RolloutTree
  /// What the strategies saw of it.
  public let group: AttributionGroup
  /// By strategy, the advantages of the group's leaves in their order; a leaf with one that is not finite is missing.
  public let advantages: [[PathAdvantages]]
  /// By strategy, what it needs and the log does not have; its leaves are then all missing.
  public let unmet: [AttributionNeeds]

  /// Applies strategies to a group.
  ///
  /// - Parameters:
  ///   - tree: the group's.
  ///   - strategies: what to apply.
  ///   - batches: by strategy, what ``AttributionBatches`` collected from all groups of the run.
  ///   - alsoNeeds: what the caller reads of the group besides.
  public init(
    _ tree: RolloutTree, _ strategies: [any AttributionStrategy], _ batches: AttributionBatches,
    alsoNeeds: AttributionNeeds = []
  ) {
    self.tree = tree
    let group = AttributionGroup(tree, needs: AttributionGroup.needs(of: strategies).union(alsoNeeds))
    self.group = group
    unmet = strategies.map { group.unmet($0.needs) }
    advantages = zip(strategies.indices, unmet).map { s, unmet in
      unmet.isEmpty
        ? strategies[s].advantages(of: group, in: batches[s]).map(\.finite)
        : group.leaves.map { _ in PathAdvantages.missing }
    }
  }
}

/// Statistics of a run's batches by strategy: the first of the two phases in which groups stream by.
///
///     var batches = AttributionBatches(strategies)
///     if batches.isNeeded { for group in groups { batches += AttributionBatches(strategies, of: group) } }
///     for group in groups { use(GroupAttribution(group, strategies, batches)) }
///
/// Its size follows the number of steps and not that of groups.
public struct AttributionBatches: Sendable {
  private var statistics: [BatchStatistics]
  /// Whether any strategy looks at more than a group.
  public let isNeeded: Bool

  /// Nothing collected yet.
  public init(_ strategies: [any AttributionStrategy]) {
    statistics = strategies.map { _ in BatchStatistics() }
    isNeeded = strategies.contains { $0.scope == .batch }
  }

  /// What one group contributes; nothing to a strategy whose needs the group does not meet.
  public init(_ strategies: [any AttributionStrategy], of tree: RolloutTree) {
    self.init(strategies)
    let ofBatches = strategies.filter { $0.scope == .batch }
    let group = AttributionGroup(tree, needs: AttributionGroup.needs(of: ofBatches))
    for (s, strategy) in strategies.enumerated() where strategy.scope == .batch && group.unmet(strategy.needs).isEmpty {
      strategy.collect(group, into: &statistics[s])
    }
  }

  /// The batches as a strategy collected them.
  public subscript(strategy: Int) -> BatchStatistics { statistics[strategy] }

  /// Adds what was collected elsewhere for the same strategies.
  public static func += (a: inout AttributionBatches, b: AttributionBatches) {
    for s in a.statistics.indices { a.statistics[s] += b.statistics[s] }
  }
}
