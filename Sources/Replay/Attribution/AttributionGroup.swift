/// What attribution needs of a prompt group: rewards, generated runs, nodes of the tree.
///
/// It has no token columns, so the groups of a whole batch can be kept where their tokens cannot.
public struct AttributionGroup: Sendable {
  /// The group's id.
  public let id: String
  /// One for each trajectory, in the group's order.
  public let leaves: [AttributionLeaf]
  /// Whether any trajectory has text only; its unit is the segment.
  public let isTextOnly: Bool
  /// The tree under the effective forks.
  public let tree: NodeTree
  /// The tree of all common token prefixes; `nil` unless it was asked for, and where there is text only.
  public let anyTree: NodeTree?
  /// By leaf, its model calls; empty unless anchors were asked for.
  public let steps: [[AttributionStep]]
  /// The entropies that were asked for.
  let entropies: [Estimator: PathValues]

  /// Takes from a tree what strategies read.
  ///
  /// - Parameters:
  ///   - tree: the group's.
  ///   - needs: what the strategies need together.
  public init(_ tree: RolloutTree, needs: AttributionNeeds) {
    id = tree.group.id
    isTextOnly = tree.paths.contains { $0.unit == .segment }
    leaves = zip(tree.paths, tree.group.trajectories).map { AttributionLeaf($0, $1) }
    self.tree = tree.nodes()
    anyTree = needs.contains(.anyTree) && !isTextOnly ? tree.nodes(tree.anyForks()) : nil
    steps = needs.contains(.anchors) ? attributionSteps(tree) : []
    let estimators = needs.estimators
    if estimators.isEmpty {
      entropies = [:]
    } else {
      let values = GroupEntropy(tree.group, estimators: Set(estimators))
      entropies = Dictionary(uniqueKeysWithValues: estimators.map { ($0, values.values($0, in: tree)) })
    }
  }

  /// What some strategies need together.
  public static func needs(of strategies: [any AttributionStrategy]) -> AttributionNeeds {
    strategies.reduce(into: []) { $0.formUnion($1.needs) }
  }

  /// The needs that the group cannot meet: tokens and their tree where there is only text, and entropies where no
  /// generated token has any or they were not asked for.
  public func unmet(_ needs: AttributionNeeds) -> AttributionNeeds {
    var out: AttributionNeeds = []
    if isTextOnly { out.insert(.tokens) }
    if anyTree == nil { out.insert(.anyTree) }
    if steps.isEmpty { out.insert(.anchors) }
    if !hasEntropy(.topk) { out.insert(.topkEntropy) }
    if !hasEntropy(.exact) { out.insert(.exactEntropy) }
    return out.intersection(needs)
  }

  /// The leaves that have a reward.
  public var scored: [Int] { leaves.indices.filter { leaves[$0].reward != nil } }

  /// Whether a generated token of any path has an entropy of this kind.
  public func hasEntropy(_ estimator: Estimator) -> Bool {
    guard let values = entropies[estimator] else { return false }
    return leaves.indices.contains { values.hasValue($0) }
  }

  /// The entropies of a leaf's generated tokens in path order, `NaN` where there is none.
  func generatedEntropies(_ estimator: Estimator, _ t: Int) -> [Double] {
    guard let values = entropies[estimator] else {
      return [Double](repeating: .nan, count: leaves[t].generatedCount)
    }
    return leaves[t].generated.flatMap { values.values(t, $0) }
  }

  /// Values of scored leaves under a function of rewards and multiplicities, the other leaves left out.
  func perLeaf(
    _ members: [Int], into out: inout [Double?], reward: (AttributionLeaf) -> Double? = { $0.reward },
    _ function: (_ rewards: [Double], _ weights: [Int]) -> [Double?]
  ) {
    let scored = members.filter { leaves[$0].reward != nil }
    if scored.isEmpty { return }
    let values = function(scored.compactMap { reward(leaves[$0]) }, scored.map { leaves[$0].multiplicity })
    for (t, value) in zip(scored, values) { out[t] = value }
  }

  /// The verl GRPO advantage of each leaf, which several strategies start from.
  var verlAdvantages: [Double?] {
    var out = [Double?](repeating: nil, count: leaves.count)
    perLeaf(Array(leaves.indices), into: &out, GRPO(.verl).advantages(rewards:weights:))
    return out
  }

  /// Runs of a path in which each node's generated tokens have the node's value.
  func spread(_ values: [Double], over tree: NodeTree, leaf t: Int) -> PathAdvantages {
    var runs: [AdvantageRun] = []
    var g = 0
    let generated = leaves[t].generated
    for n in tree.through[t] {
      let node = tree.nodes[n].range
      while g < generated.count, generated[g].upperBound <= node.lowerBound { g += 1 }
      var k = g
      while k < generated.count, generated[k].lowerBound < node.upperBound {
        runs.append(AdvantageRun(range: generated[k].clamped(to: node), value: values[n]))
        k += 1
      }
    }
    return .runs(runs)
  }
}

/// A trajectory as attribution sees it.
public struct AttributionLeaf: Sendable {
  /// The trajectory's id.
  public let id: String
  /// `nil` = unscored.
  public let reward: Double?
  /// How many identical leaves it stands for.
  public let multiplicity: Int
  /// Training step: the leaf's batch.
  public let step: Int?
  /// The root rollout that it descends from.
  public let root: Int
  /// Tokens of the path.
  public let length: Int
  /// Maximal runs of generated tokens.
  public let generated: [Range<Int>]
  /// Generated tokens of the path.
  public let generatedCount: Int
  /// The path's segments.
  public let segments: [PathSegment]

  init(_ path: RolloutPath, _ trajectory: ReplayTrajectory) {
    id = trajectory.id
    reward = trajectory.reward
    multiplicity = trajectory.multiplicity
    step = trajectory.step
    root = path.root
    length = path.length
    generated = path.maskRuns
    generatedCount = path.generatedCount
    segments = path.segments
  }
}
