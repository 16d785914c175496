import AdaptiveRollout

/// What a log records of its own decisions, held against the rule.
public struct RecordedBranches: Sendable, Equatable {
  /// Forks with a `branch` object.
  public var forks = 0
  /// Recorded decisions that have a draw and a probability, of runs whose coin is known: forks, and attempts that were
  /// declined.
  public var drawn = 0
  /// The same of runs that name an algorithm whose coin is not known: nothing is held against anything.
  public var unchecked = 0
  /// Of them, those whose draw gives what was done by the probability beside it.
  public var consistent = 0
  /// Recorded decisions whose draw could be held against the run's own rule as replayed from the logged entropies.
  ///
  /// AEPO's are not: its rule looks at how many branchings of the prompt came in a row, which logs do not say.
  public var replayed = 0
  /// Of them, those that came out as logged.
  public var reproduced = 0
  /// Largest difference of a recorded probability from the replayed one.
  public var largestDifference: Double?
  /// Groups whose forks came in the order of ARPO's loop under the run's own settings.
  public var groupsInOrder = 0
  /// Groups whose forks did not, though the run names its settings.
  public var groupsInOtherOrder = 0

  /// Nothing recorded.
  public init() {}

  /// What a group records.
  ///
  /// The run's own settings are used, not those that a user replays with.
  init(_ tree: RolloutTree, points: [BranchPoint], settings: BranchingSettings, options: BranchingOptions) {
    let group = tree.group
    for t in group.trajectories where t.branch != nil { forks += 1 }
    let hasDecisions = group.trajectories.contains { !$0.decisions.isEmpty }
    if forks == 0, !hasDecisions { return }
    let own = group.run.branching
    let coin = LoggedCoin(of: group.run)
    let entropies = DecisionEntropies(tree, estimator: nil, topK: own.topK)
    let replay = BranchReplay(tree, topk: entropies.paper, settings: own, codeValues: entropies.code)
    let pieces = tree.ownedPieces(tree.forks)
    var changes: [TurnPlace: CodeDecision] = [:]
    for event in replay.events { changes[TurnPlace(owner: event.trajectory, end: event.at)] = event.codeLagged }
    for (t, path) in tree.paths.enumerated() {
      if let branch = group.trajectories[t].branch, path.parent != nil {
        let before = pieces[t].last { $0.range.lowerBound < path.branch }
        add(branch, branched: true, changes[TurnPlace(owner: before?.owner ?? t, end: path.branch)], coin, own)
      }
      for decision in group.trajectories[t].decisions where decision.branched == false {
        add(decision.branch, branched: false, changes[TurnPlace(owner: t, end: decision.at)], coin, own)
      }
    }
  }

  private mutating func add(
    _ branch: LoggedBranch, branched: Bool, _ replayed: CodeDecision?, _ coin: LoggedCoin?,
    _ settings: BranchingSettings
  ) {
    if let draw = branch.draw, let probability = branch.probability {
      guard let coin else { return unchecked += 1 }
      drawn += 1
      if coin.branches(draw: draw, probability: probability) == branched { consistent += 1 }
    }
    guard coin == .arpo, let change = replayed?.deltaH, let probability = replayed?.probability else { return }
    if let logged = branch.probability {
      largestDifference = max(largestDifference ?? 0, abs(logged - probability))
    }
    guard let draw = branch.draw else { return }
    self.replayed += 1
    if LoggedCoin.arpo.rule(settings).branches(deltaH: change, draw: draw) == branched { reproduced += 1 }
  }

  /// Adds another group's.
  static func += (a: inout RecordedBranches, b: RecordedBranches) {
    a.forks += b.forks
    a.drawn += b.drawn
    a.unchecked += b.unchecked
    a.consistent += b.consistent
    a.replayed += b.replayed
    a.reproduced += b.reproduced
    a.largestDifference = [a.largestDifference, b.largestDifference].compactMap { $0 }.max()
    a.groupsInOrder += b.groupsInOrder
    a.groupsInOtherOrder += b.groupsInOtherOrder
  }
}
