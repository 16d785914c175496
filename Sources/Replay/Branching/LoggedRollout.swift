import AdaptiveRollout

/// A logged group played through the state machine: the machine asks, the log answers, and its forks are taken as they are.
///
/// It works if the run names M and N and the group's forks come as ARPO's loop makes them: behind tool results, no more
/// than Z from a rollout in a round, roots at the start or when no rollout is under way.
struct LoggedRollout {
  /// By point, whether the group could still fork.
  private(set) var budgets: [TurnPlace: BranchPoint.Budget] = [:]
  /// The decisions in the order in which they came up, with the point of each.
  private(set) var decisions: [(place: TurnPlace, decision: BranchDecision)] = []
  /// By rollout of the machine, the logged trajectory.
  private(set) var trajectories: [Int] = []

  /// - Parameter useDraws: decide by the recorded draws where there are some, instead of doing what was done.
  /// - Returns: `nil` where the log is not of this kind.
  init?(_ tree: RolloutTree, _ turns: TurnTree, useDraws: Bool = false) {
    let settings = tree.group.run.branching
    guard let rollouts = settings.rollouts, let initial = settings.initialRollouts,
      let normalizer = EntropyNormalizer.logVocabulary.value(vocabSize: tree.group.run.vocabSize)
    else { return nil }
    let branching = AdaptiveBranching(
      rule: (LoggedCoin(of: tree.group.run) ?? .arpo).rule(settings),
      initialRollouts: initial, attempts: max(0, (settings.beamSize ?? 2) - 1), timing: .lagged,
      normalizer: normalizer, topUp: .onePerRound)
    var machine = AdaptiveRollout(
      RolloutPlan(strategy: .adaptive(branching), rollouts: rollouts, callLimit: settings.callLimit), seed: 0)
    var answers = LoggedAnswers(tree, turns, useDraws: useDraws)
    var actions = machine.start()
    while !actions.isEmpty {
      var outcomes: [SegmentOutcome] = []
      for action in actions {
        guard let outcome = answers.answer(action) else { return nil }
        outcomes.append(outcome)
      }
      guard let round = try? machine.observe(outcomes) else { return nil }
      for decision in round.decisions {
        guard let place = answers.place(of: decision.rollout) else { return nil }
        decisions.append((place, decision))
        budgets[place] = decision.outcome == .noBudget ? .spent : .open
      }
      actions = round.actions
    }
    trajectories = answers.trajectories
    if trajectories.count != tree.count { return nil }
  }
}

/// The log's side of a replay.
private struct LoggedAnswers {
  let tree: RolloutTree
  let turns: TurnTree
  let useDraws: Bool
  /// By trajectory, its turns from the prompt on.
  private var ways: [[Int]]
  private var roots: [Int] = []
  /// By turn that ends in a point: trajectories forked there, not yet asked for.
  private var forks: [Int: [Int]] = [:]
  /// By rollout of the machine.
  private(set) var trajectories: [Int] = []
  private var depths: [Int] = []

  init(_ tree: RolloutTree, _ turns: TurnTree, useDraws: Bool) {
    self.tree = tree
    self.turns = turns
    self.useDraws = useDraws
    ways = turns.ways(count: tree.count)
    for (t, path) in tree.paths.enumerated() {
      if path.parent == nil || path.branch == 0 {
        roots.append(t)
      } else if let point = ways[t].last(where: { turns.turns[$0].end == path.branch && turns.turns[$0].leaf == nil }) {
        forks[point, default: []].append(t)
      }
    }
    roots.reverse()
    for point in forks.keys { forks[point]?.reverse() }
  }

  mutating func answer(_ action: RolloutAction) -> SegmentOutcome? {
    switch action {
    case .premonitor: return nil
    case .begin:
      guard let t = roots.popLast() else { return nil }
      trajectories.append(t)
      depths.append(0)
    case .fork(_, let parent, let segments, _):
      guard ways[trajectories[parent]].count >= segments,
        let t = forks[ways[trajectories[parent]][segments - 1]]?.popLast()
      else { return nil }
      trajectories.append(t)
      depths.append(segments)
    case .advance: break
    }
    guard let rollout = action.rollout, trajectories.indices.contains(rollout) else { return nil }
    return outcome(rollout)
  }

  private mutating func outcome(_ rollout: Int) -> SegmentOutcome? {
    let t = trajectories[rollout]
    guard ways[t].indices.contains(depths[rollout]) else { return nil }
    let number = ways[t][depths[rollout]]
    let turn = turns.turns[number]
    depths[rollout] += 1
    if turn.leaf != nil { return SegmentOutcome(rollout: rollout, entropies: turn.codeLast, ending: .finished) }
    // Forks first: an attempt that was declined leaves none.
    var recorded = (forks[number] ?? []).reversed().map { child -> RecordedAttempt in
      useDraws ? tree.group.trajectories[child].branch?.draw.map { .draw($0) } ?? .outcome(true) : .outcome(true)
    }
    let declined = tree.group.trajectories[t].decisions.filter { $0.at == turn.end && $0.branched == false }
    recorded += declined.map { useDraws ? $0.branch.draw.map { .draw($0) } ?? .outcome(false) : .outcome(false) }
    while recorded.count < max(1, (tree.group.run.branching.beamSize ?? 2) - 1) { recorded.append(.outcome(false)) }
    return SegmentOutcome(
      rollout: rollout, entropies: turn.codeLast, ending: .toolCalls(turn.calls), recorded: recorded)
  }

  /// The point behind a rollout's last turn.
  func place(of rollout: Int) -> TurnPlace? {
    guard trajectories.indices.contains(rollout), depths[rollout] > 0 else { return nil }
    let turn = turns.turns[ways[trajectories[rollout]][depths[rollout] - 1]]
    return TurnPlace(owner: turn.owner, end: turn.end)
  }
}

extension TurnTree {
  /// By trajectory, its turns from the prompt to its end; empty where it has none.
  func ways(count: Int) -> [[Int]] {
    var out = [[Int]](repeating: [], count: count)
    var waiting: [(turn: Int, way: [Int])] = roots.flatMap(\.turns).map { ($0, [$0]) }
    while let (turn, way) = waiting.popLast() {
      if let leaf = turns[turn].leaf { out[leaf] = way }
      for continuation in turns[turn].continuations {
        for next in continuation.turns { waiting.append((next, way + [next])) }
      }
    }
    return out
  }
}
