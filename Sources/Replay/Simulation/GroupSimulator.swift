import AdaptiveRollout

/// Runs a plan over a group's logged tree: what the machine asks for is taken from the log.
///
/// A rollout that the machine begins or forks takes one of the logged continuations of its point, drawn uniformly among
/// those that no rollout of this run has taken yet: continuations of a point are independent draws of the policy, so any of
/// them is as good as a new sample. If none is left, nobody sampled that branch. It then runs on a *stand-in*: a logged
/// continuation of the same point, drawn with replacement, lends its length, calls and entropies (an unbiased guess of
/// their expectations, as it is one more draw from the same point), while its reward counts as unknown, as does everything
/// that is sampled below.
struct GroupSimulator {
  private let tree: TurnTree
  private let isPaper: Bool
  private let readsBehindResult: Bool
  private let plan: RolloutPlan
  private var taken: [Bool]
  private var walkers: [Walker] = []
  private var random = SeededRandom(seed: 0)

  private struct Walker {
    /// Turns so far, those of the prefix included.
    var path: [Int]
    /// The next turn, chosen on arrival at a point.
    var next: Int?
    /// Depth from which the turns are a stand-in's.
    var standsInFrom = Int.max
    /// Whether the tool limit ended it.
    var isCut = false
    /// The logged trajectory that it turned out to be.
    var leaf: Int?
  }

  init(_ tree: TurnTree, plan: RolloutPlan) {
    self.tree = tree
    self.plan = plan
    var branching: AdaptiveBranching?
    if case .adaptive(let own) = plan.strategy { branching = own }
    isPaper = branching?.rule.isPaper ?? false
    readsBehindResult = branching?.timing == .postResult
    taken = [Bool](repeating: false, count: tree.continuationCount)
  }

  /// One repetition.
  ///
  /// - Parameter seed: the same seed gives the same result.
  mutating func run(seed: UInt64, into tally: inout SimulationTally) throws(RolloutProtocolError) {
    if tree.roots.isEmpty { return }
    for i in taken.indices { taken[i] = false }
    walkers.removeAll(keepingCapacity: true)
    var seeds = SeededRandom(seed: seed)
    var machine = AdaptiveRollout(plan, seed: seeds.next())
    random = SeededRandom(seed: seeds.next())
    tally.repetitions += 1
    var actions = machine.start()
    if actions == [.premonitor] { actions = try machine.premonitored(premonitor(&tally)) }
    while !actions.isEmpty {
      var outcomes: [SegmentOutcome] = []
      outcomes.reserveCapacity(actions.count)
      for action in actions { if let outcome = perform(action, &tally) { outcomes.append(outcome) } }
      let round = try machine.observe(outcomes)
      tally.add(round.decisions)
      actions = round.actions
    }
    finish(machine, &tally)
  }
}

extension GroupSimulator {
  private mutating func perform(_ action: RolloutAction, _ tally: inout SimulationTally) -> SegmentOutcome? {
    switch action {
    case .premonitor: return nil
    case .begin(let rollout, let left):
      let (turn, isNew) = take(tree.roots)
      if !isNew { tally.unsampledRoots += 1 }
      walkers.append(Walker(path: [], next: turn, standsInFrom: isNew ? Int.max : 0))
      return step(rollout, left, &tally)
    case .fork(let rollout, let parent, let segments, let left):
      tally.forks += 1
      var walker = Walker(path: Array(walkers[parent].path.prefix(segments)))
      let point = tree.turns[walker.path[segments - 1]].continuations
      if walkers[parent].standsInFrom < segments {
        walker.standsInFrom = walkers[parent].standsInFrom
        walker.next = anyTurn(point)
        tally.unsampledForks += 1
      } else {
        let (turn, isNew) = take(point)
        walker.next = turn
        if !isNew {
          walker.standsInFrom = segments
          tally.unsampledForks += 1
        }
      }
      walkers.append(walker)
      return step(rollout, left, &tally)
    case .advance(let rollout, let left): return step(rollout, left, &tally)
    }
  }

  /// Plays a walker's next turn.
  ///
  /// Turns are read field by field: a copy of one would count references of all its arrays.
  private mutating func step(_ rollout: Int, _ callsLeft: Int?, _ tally: inout SimulationTally) -> SegmentOutcome {
    let number = walkers[rollout].next ?? 0
    let isStandIn = walkers[rollout].path.count >= walkers[rollout].standsInFrom
    walkers[rollout].path.append(number)
    walkers[rollout].next = nil
    tally.tokens.add(tree.turns[number].tokens, isStandIn)
    let last = isPaper ? tree.turns[number].paperLast : tree.turns[number].codeLast
    let calls = tree.turns[number].calls
    if let callsLeft, calls > callsLeft {
      walkers[rollout].isCut = true
      return SegmentOutcome(rollout: rollout, entropies: last, ending: .finished)
    }
    tally.calls.add(calls, isStandIn)
    if let leaf = tree.turns[number].leaf {
      walkers[rollout].leaf = isStandIn ? nil : leaf
      return SegmentOutcome(rollout: rollout, entropies: last, ending: .finished)
    }
    let next: Int
    if isStandIn {
      next = anyTurn(tree.turns[number].continuations)
    } else {
      let (taken, isNew) = take(tree.turns[number].continuations)
      next = taken
      if !isNew { walkers[rollout].standsInFrom = walkers[rollout].path.count }
    }
    walkers[rollout].next = next
    var outcome = SegmentOutcome(rollout: rollout, entropies: last, ending: .toolCalls(calls))
    if readsBehindResult {
      outcome.entropiesAfterResult = isPaper ? tree.turns[next].paperFirst : tree.turns[next].codeFirst
    }
    return outcome
  }

  /// A continuation that nobody has taken, and whether there was one; else any.
  private mutating func take(_ continuations: [TurnTree.Continuation]) -> (turn: Int, isNew: Bool) {
    var free = 0
    for i in continuations.indices where !taken[continuations[i].number] { free += 1 }
    if free == 0 { return (anyTurn(continuations), false) }
    var skip = random.below(free)
    for i in continuations.indices where !taken[continuations[i].number] {
      if skip == 0 {
        taken[continuations[i].number] = true
        return (choose(continuations[i]), true)
      }
      skip -= 1
    }
    return (anyTurn(continuations), false)
  }

  private mutating func anyTurn(_ continuations: [TurnTree.Continuation]) -> Int {
    choose(continuations[random.below(continuations.count)])
  }

  private mutating func choose(_ continuation: TurnTree.Continuation) -> Int {
    if continuation.turns.count == 1 { return continuation.turns[0] }
    var u = random.unit()
    for (turn, weight) in zip(continuation.turns, continuation.weights) {
      if u < weight { return turn }
      u -= weight
    }
    return continuation.turns[continuation.turns.count - 1]
  }

  /// AEPO's probe and throw-away rollout: any logged ones; they take nothing from the group.
  private mutating func premonitor(_ tally: inout SimulationTally) -> PremonitoredRollout {
    guard case .adaptive(let branching) = plan.strategy, let premonitoring = branching.premonitoring else {
      return PremonitoredRollout(probe: [], segments: [])
    }
    func first(_ turn: TurnTree.Turn) -> [Double] { isPaper ? turn.paperFirst : turn.codeFirst }
    let probe = tree.turns[anyTurn(tree.roots)]
    tally.monitorTokens += min(premonitoring.probeTokens, probe.tokens)
    var segments: [[Double]] = []
    var points = tree.roots
    var left = plan.callLimit
    while !points.isEmpty {
      let turn = tree.turns[anyTurn(points)]
      tally.monitorTokens += turn.tokens
      segments.append(first(turn))
      if let calls = left {
        if turn.calls > calls { break }
        left = calls - turn.calls
      }
      tally.monitorCalls += turn.calls
      points = turn.continuations
    }
    return PremonitoredRollout(probe: first(probe), segments: segments)
  }

  private func finish(_ machine: AdaptiveRollout, _ tally: inout SimulationTally) {
    tally.leaves += machine.kept.count
    tally.initialRollouts += machine.initialRollouts
    tally.rollouts += machine.rollouts.count
    // A family: a rollout from the prompt and all that descend from it by forks.
    var families = [Int](repeating: 0, count: machine.rollouts.count)
    for (r, state) in machine.rollouts.enumerated() { families[r] = state.parent.map { families[$0] } ?? r }
    var pairs = PairCounts(families: machine.rollouts.count)
    for r in machine.kept {
      if walkers[r].isCut { tally.cutLeaves += 1 }
      let leaf = walkers[r].leaf
      if leaf != nil { tally.loggedLeaves += 1 }
      let reward = leaf.flatMap { tree.rewards[$0] }
      if reward != nil { tally.scoredLeaves += 1 }
      pairs.add(reward, family: families[r])
    }
    pairs.finish(&tally)
  }
}

/// Pairs of a group's leaves, siblings (of one family) apart from strangers.
private struct PairCounts {
  /// Leaves, scored ones, and sums of their rewards and squares, by family; the last entry is the whole group.
  private var cells: [(leaves: Int, scored: Int, sum: Double, squares: Double)]
  private var first: Double?
  private var differ = false

  init(families: Int) {
    cells = [(leaves: Int, scored: Int, sum: Double, squares: Double)](repeating: (0, 0, 0, 0), count: families + 1)
  }

  mutating func add(_ reward: Double?, family: Int) {
    // Differences do not change with the zero, and small numbers lose fewer digits.
    let x = reward.map { $0 - (first ?? $0) }
    first = first ?? reward
    if let x, x != 0 { differ = true }
    for cell in [family, cells.count - 1] {
      cells[cell].leaves += 1
      guard let x else { continue }
      cells[cell].scored += 1
      cells[cell].sum += x
      cells[cell].squares += x * x
    }
  }

  func finish(_ tally: inout SimulationTally) {
    func count(_ n: Int) -> Int { n * (n - 1) / 2 }
    var siblings = MeanSum()
    for cell in cells.dropLast() {
      tally.siblingPairs += count(cell.leaves)
      siblings.count += count(cell.scored)
      siblings.sum += halfSquares(cell)
    }
    guard let all = cells.last else { return }
    tally.pairs += count(all.leaves)
    tally.siblings.sum += siblings.sum
    tally.siblings.count += siblings.count
    tally.strangers.sum += max(0, halfSquares(all) - siblings.sum)
    tally.strangers.count += count(all.scored) - siblings.count
    if all.scored >= 2 { tally.signal.add(differ ? 1 : 0) }
  }

  /// The sum over pairs of half the squared difference.
  private func halfSquares(_ cell: (leaves: Int, scored: Int, sum: Double, squares: Double)) -> Double {
    max(0, (Double(cell.scored) * cell.squares - cell.sum * cell.sum) / 2)
  }
}

/// A count, and how much of it stands on stand-ins.
public struct LoggedCount: Sendable, Equatable {
  /// All of it.
  public var all = 0
  /// The part on branches that nobody sampled.
  public var standIn = 0

  mutating func add(_ n: Int, _ isStandIn: Bool) {
    all += n
    if isStandIn { standIn += n }
  }

  static func += (a: inout LoggedCount, b: LoggedCount) {
    a.all += b.all
    a.standIn += b.standIn
  }
}

/// Sums over repetitions of simulated groups.
public struct SimulationTally: Sendable, Equatable {
  /// Repetitions.
  public var repetitions = 0
  /// Leaves that the groups end with.
  public var leaves = 0
  /// Leaves that the log holds.
  public var loggedLeaves = 0
  /// Leaves that the log holds and scores.
  public var scoredLeaves = 0
  /// Leaves that the tool limit ended, where the log went on.
  public var cutLeaves = 0
  /// Rollouts, those that a random expansion drops included.
  public var rollouts = 0
  /// Rollouts from the prompt at the start.
  public var initialRollouts = 0
  /// Forks.
  public var forks = 0
  /// Forks that nobody sampled.
  public var unsampledForks = 0
  /// Rollouts from the prompt that nobody sampled.
  public var unsampledRoots = 0
  /// Decisions that were made.
  public var decisions = 0
  /// Points at which at least one fork was made.
  public var branchPoints = 0
  /// Decisions with dH = 0 exactly.
  public var blind = 0
  /// Decisions whose dH cannot be had; they do not branch.
  public var unknown = 0
  /// Tool calls executed.
  public var calls = LoggedCount()
  /// Generated tokens.
  public var tokens = LoggedCount()
  /// Tool calls of pre-monitoring.
  public var monitorCalls = 0
  /// Generated tokens of pre-monitoring.
  public var monitorTokens = 0
  /// Pairs of leaves.
  public var pairs = 0
  /// Pairs that descend from one rollout from the prompt, and so share a prefix.
  public var siblingPairs = 0
  /// Half the squared differences of rewards, over sibling pairs that the log holds and scores.
  var siblings = MeanSum()
  /// The same over all other pairs.
  var strangers = MeanSum()
  /// By group with two scored leaves: 1 where their rewards differ, else 0.
  var signal = MeanSum()
  /// Sum over all decisions, those without budget included, of the probability that the rule branches.
  public var wanted = 0.0

  /// Tool calls, pre-monitoring included.
  public var allCalls: Int { calls.all + monitorCalls }

  /// Generated tokens, pre-monitoring included.
  public var allTokens: Int { tokens.all + monitorTokens }

  /// Expected variance of a group's rewards, with divisor n - 1: the mean over its pairs of half their squared difference,
  /// sibling pairs and others each by those that the log holds; `nil` if it holds none of a kind that there is.
  ///
  /// Leaves that nobody sampled count as pairs of their kind: rewards that are not in the log are not made up, and the kind
  /// of pair that is mostly missing does not get lost.
  public var variance: Double? {
    guard pairs > 0 else { return nil }
    let share = Double(siblingPairs) / Double(pairs)
    var out = 0.0
    if siblingPairs > 0 {
      guard let mean = siblings.mean else { return nil }
      out += share * mean
    }
    if siblingPairs < pairs {
      guard let mean = strangers.mean else { return nil }
      out += (1 - share) * mean
    }
    return out
  }

  /// An empty tally.
  public init() {}

  mutating func add(_ decisions: [BranchDecision]) {
    var last = -1
    for decision in decisions {
      if let chance = decision.chance { wanted += chance }
      switch decision.outcome {
      case .noBudget: continue
      case .unknown:
        unknown += 1
        continue
      case .branched:
        if decision.rollout != last { branchPoints += 1 }
        last = decision.rollout
      case .declined: break
      }
      self.decisions += 1
      if decision.deltaH == 0 { blind += 1 }
    }
  }

  static func += (a: inout SimulationTally, b: SimulationTally) {
    a.repetitions += b.repetitions
    a.leaves += b.leaves
    a.loggedLeaves += b.loggedLeaves
    a.scoredLeaves += b.scoredLeaves
    a.cutLeaves += b.cutLeaves
    a.rollouts += b.rollouts
    a.initialRollouts += b.initialRollouts
    a.forks += b.forks
    a.unsampledForks += b.unsampledForks
    a.unsampledRoots += b.unsampledRoots
    a.decisions += b.decisions
    a.branchPoints += b.branchPoints
    a.blind += b.blind
    a.unknown += b.unknown
    a.calls += b.calls
    a.tokens += b.tokens
    a.monitorCalls += b.monitorCalls
    a.monitorTokens += b.monitorTokens
    a.pairs += b.pairs
    a.siblingPairs += b.siblingPairs
    a.siblings += b.siblings
    a.strangers += b.strangers
    a.signal += b.signal
    a.wanted += b.wanted
  }
}
