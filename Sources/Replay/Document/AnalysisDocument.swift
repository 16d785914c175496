import Rollouts

/// The analyses of one run's log as a JSON document, for other programs: the keys that the project's reference files
/// have, in their order.
///
///     var document = AnalysisDocument(parts: [.budget, .branching])
///     for group in groups { try document.add(group) }
///     for (key, value) in try document.finish() { … }
///
/// Groups are added in canonical order. Units are those of the analyses: nats, and path indices.
public struct AnalysisDocument {
  /// A top-level key.
  public enum Part: String, Sendable, Hashable, CaseIterable {
    /// "token", or "segment" if any trajectory has text only.
    case unit
    case trajectories
    case groups
    case budget
    /// The nodes of each group's tree.
    case tree
    /// The same if every common token prefix is shared.
    case anyTree = "tree_any"
    /// Owned tokens by trajectory and estimator; an estimator without any value on the path is left out.
    case entropy
    case windows
    /// The entropies at another temperature.
    case atTemperature = "at_temperature"
    case branching
    /// By strategy.
    case advantages
    /// Pairs of strategies.
    case comparisons
    /// By strategy, where the advantages sit.
    case shares
  }

  private let parts: Set<Part>
  private let temperature: TemperatureChange?
  private let options: AuditOptions
  private var isTextOnly = false
  private var trajectories: [DocumentValue] = []
  private var groups: [(String, DocumentValue)] = []
  private var groupBudgets: [(String, DocumentValue)] = []
  private var budget = ToolBudget()
  private var entropy: [(String, DocumentValue)] = []
  private var hasEntropy = false
  private var rescaled: [(String, DocumentValue)] = []
  private var accumulator: RunAccumulator?
  private var branching = BranchingDocument()
  private var hasTopK = false
  private var attribution: AttributionDocument?

  /// - Parameters:
  ///   - parts: the keys wanted.
  ///   - temperature: for `at_temperature`, which is left out without it.
  ///   - spill: where the numbers of a large log go; `nil`: they stay in memory.
  public init(
    parts: Set<Part> = Set(Part.allCases), temperature: TemperatureChange? = nil, spill: SpillFactory? = nil
  ) {
    self.parts = parts
    self.temperature = temperature
    var options = AuditOptions()
    options.bootstrapReplicates = 0
    options.spill = spill
    self.options = options
    let needsAdvantages = !parts.isDisjoint(with: [.advantages, .comparisons, .shares])
    if needsAdvantages || !parts.isDisjoint(with: [.tree, .anyTree]) {
      attribution = AttributionDocument(hasAdvantages: needsAdvantages)
    }
  }

  /// Takes in a group.
  ///
  /// - Throws: ``RolloutTreeError``, or what the spill storage throws.
  public mutating func add(_ group: ReplayGroup) throws {
    let tree = try RolloutTree(group)
    isTextOnly = isTextOnly || tree.paths.contains { $0.unit == .segment }
    if parts.contains(.trajectories) { trajectories += tree.paths.indices.map { trajectoryDocument(tree, $0) } }
    if parts.contains(.groups) {
      groups.append((group.id, GroupStatistics(group.trajectories).document))
    }
    if parts.contains(.budget) {
      let own = ToolBudget(tree)
      groupBudgets.append((group.id, own.document))
      budget += own
    }
    attribution?.add(tree)
    if !parts.isDisjoint(with: [.entropy, .branching]) {
      let entropy = GroupEntropy(group, estimators: [.topk, .topkRenormalized, .lower, .upper, .sampledNLL])
      if parts.contains(.entropy) { addEntropy(tree, entropy) }
      if parts.contains(.branching) {
        let topk = entropy.values(.topk, in: tree)
        hasTopK = hasTopK || tree.paths.indices.contains { topk.coverage($0) > 0 }
        branching.add(tree, topk: topk)
      }
    }
    if let temperature, parts.contains(.atTemperature) {
      let estimators: [Estimator] = [.topk, .topkRenormalized, .sampledNLL]
      let entropy = GroupEntropy(group, estimators: Set(estimators), temperature: temperature)
      for t in tree.paths.indices {
        rescaled.append((group.trajectories[t].id, ownedValues(tree, t, entropy, estimators)))
      }
    }
    if parts.contains(.windows) {
      var kept = accumulator ?? RunAccumulator(group.run, options: options)
      accumulator = nil
      try kept.add(EntropyAudit.analyse(group, options: options))
      accumulator = kept
    }
  }

  /// The keys and values, in the order of ``Part``.
  ///
  /// - Throws: what the spill storage throws.
  public func finish() throws -> [(key: String, value: DocumentValue)] {
    var out: [(key: String, value: DocumentValue)] = []
    func put(_ part: Part, _ value: DocumentValue) {
      if parts.contains(part) { out.append((part.rawValue, value)) }
    }
    put(.unit, .string(isTextOnly ? "segment" : "token"))
    put(.trajectories, .array(trajectories))
    put(.groups, .object(groups))
    put(.budget, .object([("run", budget.document), ("groups", .object(groupBudgets))]))
    if let attribution { put(.tree, attribution.tree) }
    if !isTextOnly {
      if let attribution { put(.anyTree, attribution.anyTree) }
      if hasEntropy { put(.entropy, .object(entropy)) }
      if let accumulator { put(.windows, try windowsDocument(accumulator)) }
      if let temperature {
        put(
          .atTemperature,
          .object([
            ("from", .double(temperature.from)), ("to", .double(temperature.to)), ("entropy", .object(rescaled)),
          ]))
      }
      if hasTopK { put(.branching, branching.document) }
    }
    if let attribution, !parts.isDisjoint(with: [.advantages, .comparisons, .shares]) {
      let found = try attribution.attribution(isTextOnly: isTextOnly)
      put(.advantages, .object(found.advantages))
      put(.comparisons, .array(found.comparisons))
      put(.shares, .object(found.shares))
    }
    return out
  }

  private mutating func addEntropy(_ tree: RolloutTree, _ entropy: GroupEntropy) {
    let estimators: [Estimator] = [.topk, .topkRenormalized, .lower, .upper, .sampledNLL]
    for t in tree.paths.indices {
      let present = estimators.filter { entropy.values($0, in: tree).hasValue(t) }
      hasEntropy = hasEntropy || present.contains(.topk) || present.contains(.sampledNLL)
      self.entropy.append((tree.group.trajectories[t].id, ownedValues(tree, t, entropy, present)))
    }
  }
}

/// The values of a trajectory's owned tokens under some estimators.
private func ownedValues(
  _ tree: RolloutTree, _ t: Int, _ entropy: GroupEntropy, _ estimators: [Estimator]
) -> DocumentValue {
  let path = tree.paths[t]
  return .object(
    estimators.map { estimator in
      let values = entropy.values(estimator, in: tree).values(t, path.branch..<path.length)
      return (estimator.rawValue, .array(values.map { $0.isNaN ? .null : .double($0) }))
    })
}

private func trajectoryDocument(_ tree: RolloutTree, _ t: Int) -> DocumentValue {
  let path = tree.paths[t]
  let source = tree.group.trajectories[t]
  let segments = path.segments.map { s in
    DocumentValue.array([.string(s.kind.rawValue), .int(s.start), .int(s.end), .text(s.tool)])
  }
  return .object([
    ("id", .string(source.id)), ("group", .string(tree.group.id)),
    ("parent", .text(path.parent.map { tree.group.trajectories[$0].id })), ("branch", .int(path.branch)),
    ("length", .int(path.length)), ("generated", .int(path.generatedCount)), ("reward", .number(source.reward)),
    ("multiplicity", .int(source.multiplicity)), ("step", .integer(source.step)),
    ("root", .string(tree.group.trajectories[path.root].id)), ("segments", .array(segments)),
  ])
}

extension GroupStatistics {
  /// As an object.
  public var document: DocumentValue {
    .object([
      ("records", .int(records)), ("leaves", .int(leaves)), ("scored", .int(scored)), ("step", .integer(step)),
      ("data_source", .text(dataSource)), ("mean", .number(mean)), ("std_sample", .number(stdSample)),
      ("std_population", .number(stdPopulation)), ("min", .number(min)), ("max", .number(max)),
      ("equal", isEqual.map { .bool($0) } ?? .null),
    ])
  }
}

extension ToolBudget {
  /// As an object.
  public var document: DocumentValue {
    func counts(_ byTool: [String: Int]) -> DocumentValue {
      .object(byTool.keys.map { RowName.name($0) }.sorted().map { ($0.text, .int(byTool[$0.text] ?? 0)) })
    }
    return .object([
      ("trajectories", .int(trajectories)), ("executed", .int(executed)), ("independent", .int(independent)),
      ("saved", .int(saved)), ("executed_by_tool", counts(executedByTool)),
      ("independent_by_tool", counts(independentByTool)), ("generated_unique", .int(generatedUnique)),
      ("generated_flat", .int(generatedFlat)), ("total_unique", .int(totalUnique)), ("total_flat", .int(totalFlat)),
    ])
  }
}
