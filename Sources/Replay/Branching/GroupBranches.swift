import AdaptiveRollout
public import Rollouts

/// What one prompt group contributes to a replay of the branching rule.
///
/// Made on any thread, added to a ``BranchAudit`` in canonical order.
public struct GroupBranches: Sendable {
  /// How the log's forks are known.
  public enum ForkEvidence: String, Sendable, Hashable {
    /// The log names parents.
    case declared
    /// It does not; forks were found by common prefixes.
    case inferred
    /// There is no fork.
    case none
  }

  /// The run.
  public let run: ReplayRun
  /// The group's id.
  public let id: String
  /// Its step.
  public let step: Int?
  /// Data set of its first trajectory.
  public let dataSource: String?
  /// Trajectories, and those of them without tokens.
  public let trajectories: Int
  /// Trajectories without tokens.
  public let textOnly: Int
  /// Calls that were executed.
  public let executedCalls: Int
  /// What the log holds, by trajectories.
  public let evidence: [Evidence: Int]
  /// Where the forks lie.
  public let forks: ForkSummary
  /// How they are known.
  public let forkEvidence: ForkEvidence
  /// The decision points, in canonical order.
  public internal(set) var points: [BranchPoint]
  /// The forks behind tool results that have two scored branches.
  public let worth: [ForkWorth]
  /// What the log records of its forks, held against itself and against the replay.
  public internal(set) var recorded = RecordedBranches()

  /// Replays the rule on a group.
  ///
  /// Pure: the same group gives the same numbers on any thread.
  ///
  /// - Throws: where the declared forks contradict each other.
  public init(_ group: ReplayGroup, options: BranchingOptions) throws(RolloutTreeError) {
    let tree = try RolloutTree(group)
    let settings = options.settings(of: group.run)
    let entropies = DecisionEntropies(tree, estimator: options.estimator, topK: settings.topK)
    run = group.run
    id = group.id
    step = group.step
    dataSource = group.trajectories.first?.dataSource
    trajectories = tree.count
    textOnly = tree.paths.count { $0.unit == .segment }
    executedCalls = ToolBudget(tree).executed
    evidence = Dictionary(group.trajectories.map { ($0.evidence, 1) }, uniquingKeysWith: +)
    let replay = BranchReplay(tree, topk: entropies.paper, settings: settings, codeValues: entropies.code)
    forks = ForkSummary(tree, replay)
    let hasForks = tree.paths.contains { $0.parent != nil }
    forkEvidence = tree.declaresForks ? .declared : hasForks ? .inferred : .none
    let turns = TurnTree(tree, entropies, window: settings.windowTokens)
    let reader = PointReader(
      tree: tree, replay: replay, entropies: entropies, settings: settings, options: options)
    points = replay.events.map(reader.point)
    worth = turns.forkWorth(points)
    recorded = RecordedBranches(tree, points: points, settings: settings, options: options)
    if forkEvidence == .declared { setBudgets(tree, turns) }
  }

  /// Plays the log's own rollouts through the machine, so that each decision is known to have come before or after the
  /// budget was spent.
  private mutating func setBudgets(_ tree: RolloutTree, _ turns: TurnTree) {
    guard let replayed = LoggedRollout(tree, turns) else {
      recorded.groupsInOtherOrder = run.branching.rollouts == nil || run.branching.initialRollouts == nil ? 0 : 1
      return
    }
    recorded.groupsInOrder = 1
    for i in points.indices {
      let place = TurnPlace(owner: points[i].trajectory, end: points[i].at)
      points[i].budget = replayed.budgets[place] ?? .unknown
    }
  }
}

/// A point of a tree: the trajectory that owns the token before it, and the index behind that token.
struct TurnPlace: Hashable {
  var owner: Int
  var end: Int
}

/// Reads what the rule in use says of an event.
private struct PointReader {
  let tree: RolloutTree
  let replay: BranchReplay
  let entropies: DecisionEntropies
  let settings: BranchingSettings
  let options: BranchingOptions
  private let forksAt: [TurnPlace: [Int]]

  init(
    tree: RolloutTree, replay: BranchReplay, entropies: DecisionEntropies, settings: BranchingSettings,
    options: BranchingOptions
  ) {
    self.tree = tree
    self.replay = replay
    self.entropies = entropies
    self.settings = settings
    self.options = options
    var forks: [TurnPlace: [Int]] = [:]
    let pieces = tree.ownedPieces(tree.forks)
    for (t, path) in tree.paths.enumerated() where path.parent != nil {
      // The owner of the token before the branch.
      let before = pieces[t].last { $0.range.lowerBound < path.branch }
      forks[TurnPlace(owner: before?.owner ?? t, end: path.branch), default: []].append(t)
    }
    forksAt = forks
  }

  func point(_ event: BranchEvent) -> BranchPoint {
    let t = event.trajectory
    let source = tree.group.trajectories[t]
    let forks = forksAt[TurnPlace(owner: t, end: event.at)] ?? []
    var out = BranchPoint(
      trajectory: t, trajectoryID: source.id, result: event.result, tool: event.tool, at: event.at, forks: forks.count,
      reward: source.reward, evidence: source.evidence.description)
    let told = forks.lazy.compactMap { tree.group.trajectories[$0].branch }.first
    out.recorded =
      source.decisions.first { $0.at == event.at }
      ?? told.map { LoggedDecision(at: event.at, branch: $0, branched: true) }
    if options.rule == .code { readCode(event, into: &out) } else { readPaper(event, into: &out) }
    return out
  }

  private func segment(_ event: BranchEvent) -> Range<Int>? {
    let path = tree.paths[event.trajectory]
    return options.usedTiming == .lagged ? path.segment(before: event.result) : path.window(after: event.result)
  }

  private func readCode(_ event: BranchEvent, into out: inout BranchPoint) {
    let decision = options.usedTiming == .lagged ? event.codeLagged : event.codePostResult
    out.initial = event.codeBaseline
    out.now = decision.now
    out.deltaH = decision.deltaH
    out.probability = decision.probability
    out.chance = decision.probability
    let own = replay.segments[event.trajectory]
    func mean(_ s: ARPOSegment?) -> Double? { s.flatMap { s in s.sum.map { $0 / Double(s.positions) } } }
    out.initialNats = mean(own.first)
    out.nowNats = segment(event).flatMap { s in mean(own.first { $0.range.upperBound == s.upperBound }) }
    if out.nowNats != nil {
      out.estimator = entropies.code == nil ? "arpo" : entropies.estimators[event.trajectory]?.rawValue
    }
  }

  private func readPaper(_ event: BranchEvent, into out: inout BranchPoint) {
    let t = event.trajectory
    let decision = options.usedTiming == .lagged ? event.paperLagged : event.paperPostResult
    let change = options.usedNormalizer == .vocabulary ? decision.byV : decision.byLnV
    out.deltaH = change.deltaH
    out.probability = change.probability
    out.chance = change.branches.map { $0 ? 1 : 0 }
    guard let now = segment(event), let first = tree.paths[t].firstGeneration else { return }
    let k = settings.windowTokens
    let pairs = zip(entropies.paper.values(t, first.prefix(k)), entropies.paper.values(t, now.prefix(k)))
      .filter { !$0.isNaN && !$1.isNaN }
    if pairs.isEmpty { return }
    out.estimator = entropies.estimators[t]?.rawValue
    let (a, b) = (pairs.reduce(0) { $0 + $1.0 }, pairs.reduce(0) { $0 + $1.1 })
    out.initialNats = a / Double(pairs.count)
    out.nowNats = b / Double(pairs.count)
    guard let divisor = options.usedNormalizer.value(vocabSize: tree.group.run.vocabSize) else { return }
    out.initial = a / divisor
    out.now = b / divisor
  }
}

extension TurnTree {
  /// What forks behind tool results are worth.
  fileprivate func forkWorth(_ points: [BranchPoint]) -> [ForkWorth] {
    let changes = Dictionary(
      points.map { (TurnPlace(owner: $0.trajectory, end: $0.at), $0.deltaH) }, uniquingKeysWith: { a, _ in a })
    return turns.compactMap { turn in
      let values = turn.continuations.compactMap { value($0)?.mean }
      guard values.count >= 2, let best = values.max() else { return nil }
      let mean = values.reduce(0, +) / Double(values.count)
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      let isConstant = areEqual(values)
      return ForkWorth(
        deltaH: changes[TurnPlace(owner: turn.owner, end: turn.end)] ?? nil, branches: values.count,
        variance: isConstant ? 0 : squares / Double(values.count - 1), regret: isConstant ? 0 : best - mean)
    }
  }
}
