/// Trees, advantages, comparisons and shares of a run, group by group, for ``AnalysisDocument``.
struct AttributionDocument {
  private var groups: [AttributionGroup] = []
  private let strategies: [any AttributionStrategy]
  private let needs: AttributionNeeds

  /// - Parameter hasAdvantages: `false` = trees are enough.
  init(hasAdvantages: Bool) {
    strategies = hasAdvantages ? AttributionStrategies.all : []
    needs = AttributionGroup.needs(of: strategies).union(.anyTree)
  }

  mutating func add(_ tree: RolloutTree) { groups.append(AttributionGroup(tree, needs: needs)) }

  /// The nodes of every group's tree.
  var tree: DocumentValue { .object(groups.map { ($0.id, nodesDocument($0.tree, $0)) }) }

  /// The nodes of every group's tree of all common prefixes.
  var anyTree: DocumentValue {
    .object(groups.map { group in (group.id, group.anyTree.map { nodesDocument($0, group) } ?? .array([])) })
  }

  /// The advantages of all strategies that the log has the evidence for, the comparisons and the shares.
  func attribution(isTextOnly: Bool) throws -> AttributionParts {
    var out = AttributionParts()
    let compared = Set(AttributionStrategies.pairs.flatMap { [$0.a, $0.b] })
    var rows: [String: [[PathAdvantages]]] = [:]
    for strategy in available(isTextOnly: isTextOnly) {
      var batches = BatchStatistics()
      for group in groups { strategy.collect(group, into: &batches) }
      let advantages = groups.map { strategy.advantages(of: $0, in: batches) }
      out.advantages.append((strategy.name, document(strategy, advantages, batches)))
      guard compared.contains(strategy.name) else { continue }
      rows[strategy.name] = advantages
      var shares = CreditShares()
      for (group, row) in zip(groups, advantages) { shares.add(group, row) }
      out.shares.append((strategy.name, shares.document))
    }
    for pair in AttributionStrategies.pairs {
      guard let a = rows[pair.a], let b = rows[pair.b] else { continue }
      var comparison = ComparisonAccumulator()
      for (g, group) in groups.enumerated() { try comparison.add(group, a[g], b[g]) }
      out.comparisons.append(try comparison.finish().document(pair.a, pair.b))
    }
    return out
  }

  /// Text has no token-weighted strategies and no overlong shaping; exact entropies are used where any are logged.
  private func available(isTextOnly: Bool) -> [any AttributionStrategy] {
    let hasExact = groups.contains { $0.hasEntropy(.exact) }
    let longest = groups.flatMap(\.leaves).reduce(0) { max($0, $1.length) }
    return strategies.compactMap { strategy in
      if strategy.needs.contains(.exactEntropy), !hasExact { return nil }
      if isTextOnly { return strategy.needs.contains(.tokens) ? nil : strategy }
      return strategy is DAPO ? DAPO(shaping: OverlongShaping(longestResponse: longest)) : strategy
    }
  }

  private func document(
    _ strategy: any AttributionStrategy, _ advantages: [[PathAdvantages]], _ batches: BatchStatistics
  ) -> DocumentValue {
    var values: [(String, DocumentValue)] = []
    for (group, row) in zip(groups, advantages) {
      for (leaf, a) in zip(group.leaves, row) {
        values.append((leaf.id, strategy.kind == .leaf ? .number(a.constant) : runsDocument(a, leaf)))
      }
    }
    var members: [(String, DocumentValue)] = [
      ("kind", .string(strategy.kind.rawValue)),
      (strategy.kind == .leaf ? "values" : "runs", .object(values)),
    ]
    if let dapo = strategy as? DAPO {
      members.append(("kept", .object(groups.map { ($0.id, .bool(dapo.keeps($0))) })))
      members.append(("params", dapo.shaping.map(\.document) ?? .null))
    }
    if let aepo = strategy as? AEPO { members += aepo.documentMembers(batches) }
    return .object(members)
  }
}

/// The values of an analysis document that attribution makes.
struct AttributionParts {
  var advantages: [(String, DocumentValue)] = []
  var comparisons: [DocumentValue] = []
  var shares: [(String, DocumentValue)] = []
}
