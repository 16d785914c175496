/// The sampling of one prompt group as a state machine: what sampled segments look like goes in, what to sample next comes
/// out. It does no input or output, and its randomness is a seeded generator in its state, so a log can be replayed with it
/// and a live policy driven by it:
///
///     var rollout = AdaptiveRollout(plan, seed: 7)
///     var actions = rollout.start()
///     while !actions.isEmpty {
///       let outcomes = sampler.perform(actions)
///       actions = try rollout.observe(outcomes).actions
///     }
///     let group = rollout.kept
///
/// A round generates one segment for every rollout under way, as ARPO's loop does. A copy is an independent state.
public struct AdaptiveRollout: Sendable {
  /// How the group is sampled.
  public let plan: RolloutPlan
  /// All rollouts so far, oldest first; numbers never change.
  public private(set) var rollouts: [RolloutState] = []
  /// Rounds that have been observed.
  public private(set) var rounds = 0
  /// l: rounds in a row in which the group got new rollouts, as AEPO counts them.
  public private(set) var consecutive = 0
  /// N as it was used: given, or found by pre-monitoring.
  public private(set) var initialRollouts = 0
  /// The rollouts that make up the group; empty until it is complete.
  public private(set) var kept: [Int] = []
  private var random: SeededRandom
  private var phase = Phase.idle
  private var expansions = 0

  private enum Phase: Sendable { case idle, premonitoring, sampling, complete }

  /// A group that is yet to be sampled.
  public init(_ plan: RolloutPlan, seed: UInt64) {
    self.plan = plan
    random = SeededRandom(seed: seed)
  }

  /// Whether nothing is left to sample.
  public var isComplete: Bool { phase == .complete }

  /// Numbers of the rollouts under way, ascending.
  public var active: [Int] { rollouts.indices.filter { rollouts[$0].isActive } }

  /// The first actions; call it once.
  public mutating func start() -> [RolloutAction] {
    guard phase == .idle else { return [] }
    switch plan.strategy {
    case .global: return begin(plan.rollouts)
    case .randomExpansion(let expansion): return begin(expansion.trees)
    case .adaptive(let branching):
      if branching.premonitoring != nil {
        phase = .premonitoring
        return [.premonitor]
      }
      return begin(min(branching.initialRollouts, plan.rollouts))
    }
  }

  /// Takes in AEPO's pre-monitoring, from which N follows.
  ///
  /// Without any entropy on one of the two sides N is the plan's own.
  public mutating func premonitored(_ seen: PremonitoredRollout) throws(RolloutProtocolError) -> [RolloutAction] {
    guard phase == .premonitoring, case .adaptive(let branching) = plan.strategy,
      let premonitoring = branching.premonitoring
    else { throw .premonitoring }
    let normalizer = branching.normalizer
    let root = entropySum(seen.probe).map { $0 / normalizer }
    let segments = premonitoring.countsFirstSegment ? seen.segments[...] : seen.segments.dropFirst()
    let known = segments.compactMap { entropySum($0).map { $0 / normalizer } }
    // AEPO's code falls back to the probe itself; so does a rollout that calls no tool.
    let tool = known.isEmpty ? root : known.reduce(0, +) / Double(known.count)
    guard let root, let tool else { return begin(min(branching.initialRollouts, plan.rollouts)) }
    return begin(premonitoring.initialRollouts(root: root, tool: tool, rollouts: plan.rollouts))
  }

  /// Takes in the segments of a round: one outcome for each rollout under way, in any order.
  ///
  /// - Parameter othersBranched: whether some other prompt of the batch got new rollouts in this round, which resets AEPO's
  ///   count of a prompt that got none. In a batch of many prompts that is nearly always so.
  public mutating func observe(
    _ outcomes: [SegmentOutcome], othersBranched: Bool = true
  ) throws(RolloutProtocolError) -> RolloutRound {
    guard phase != .premonitoring else { throw .premonitoring }
    try check(outcomes)
    rounds += 1
    for outcome in outcomes { takeIn(outcome) }
    var round = RolloutRound()
    let before = rollouts.count
    if case .adaptive(let branching) = plan.strategy { branch(branching, outcomes, &round) }
    // New rollouts have their actions already; older ones go on first.
    let going = rollouts[..<before].indices.filter { rollouts[$0].isActive }
    var fresh = rollouts.indices[before...].map { action(for: $0) }
    if going.isEmpty, fresh.isEmpty { fresh = refill() }
    if rollouts.count > before {
      consecutive += 1
    } else if othersBranched {
      consecutive = 0
    }
    round.actions = going.map { .advance(rollout: $0, callsLeft: callsLeft($0)) } + fresh
    if round.actions.isEmpty { complete() }
    return round
  }
}

/// One rollout of a group under way.
public struct RolloutState: Sendable {
  /// The rollout it was forked from.
  public let parent: Int?
  /// Segments that it has from its parent.
  public let inherited: Int
  /// The tree it belongs to: that of its root, or of its expansion.
  public let tree: Int
  /// Segments so far, inherited ones included.
  public fileprivate(set) var segments: Int
  /// Whether it is under way.
  public fileprivate(set) var isActive = true
  /// Tool calls up to the end of each segment, from the first.
  fileprivate var callsAfter: [Int]
  /// Entropies of the first segment of the whole path: the paper's baseline.
  fileprivate var pathFirst: [Double]?
  /// Sum of the entropies of the first segment that the rollout generated itself: the code's baseline.
  fileprivate var ownFirst: Double?
  /// Whether that segment has been generated.
  fileprivate var hasOwnFirst = false
  /// The last segment, and what follows its tool result.
  fileprivate var last: [Double] = []
  fileprivate var behindResult: [Double]?

  /// Tool calls of the path so far.
  public var calls: Int { callsAfter.last ?? 0 }
}

extension AdaptiveRollout {
  private mutating func begin(_ count: Int) -> [RolloutAction] {
    phase = .sampling
    initialRollouts = max(0, count)
    let actions = (0..<max(0, count)).map { tree in
      add(RolloutState(parent: nil, inherited: 0, tree: tree, segments: 0, callsAfter: []))
    }
    // A plan for nothing is done at once.
    if actions.isEmpty { complete() }
    return actions.map { action(for: $0) }
  }

  private mutating func add(_ state: RolloutState) -> Int {
    rollouts.append(state)
    return rollouts.count - 1
  }

  /// What starts a new rollout.
  private func action(for rollout: Int) -> RolloutAction {
    let state = rollouts[rollout]
    guard let parent = state.parent else { return .begin(rollout: rollout, callsLeft: callsLeft(rollout)) }
    return .fork(rollout: rollout, of: parent, segments: state.inherited, callsLeft: callsLeft(rollout))
  }

  private func callsLeft(_ rollout: Int) -> Int? { plan.callLimit.map { max(0, $0 - rollouts[rollout].calls) } }

  private func check(_ outcomes: [SegmentOutcome]) throws(RolloutProtocolError) {
    var seen = [Bool](repeating: false, count: rollouts.count)
    var count = 0
    for outcome in outcomes {
      guard rollouts.indices.contains(outcome.rollout), rollouts[outcome.rollout].isActive, !seen[outcome.rollout]
      else { throw .notActive(rollout: outcome.rollout) }
      if case .toolCalls(let calls) = outcome.ending, let left = callsLeft(outcome.rollout), calls > left {
        throw .tooManyCalls(rollout: outcome.rollout)
      }
      seen[outcome.rollout] = true
      count += 1
    }
    let expected = rollouts.reduce(0) { $0 + ($1.isActive ? 1 : 0) }
    if count != expected { throw .outcomes(expected: expected, given: count) }
  }

  private mutating func takeIn(_ outcome: SegmentOutcome) {
    let r = outcome.rollout
    var calls = rollouts[r].calls
    if case .toolCalls(let made) = outcome.ending { calls += made }
    rollouts[r].callsAfter.append(calls)
    rollouts[r].segments += 1
    if rollouts[r].pathFirst == nil { rollouts[r].pathFirst = outcome.entropies }
    if !rollouts[r].hasOwnFirst {
      rollouts[r].ownFirst = entropySum(outcome.entropies)
      rollouts[r].hasOwnFirst = true
    }
    rollouts[r].last = outcome.entropies
    rollouts[r].behindResult = outcome.entropiesAfterResult
    rollouts[r].isActive = outcome.ending != .finished
  }

  /// ARPO's loop over the rollouts that go on, oldest first: each has Z attempts while there is budget.
  private mutating func branch(
    _ branching: AdaptiveBranching, _ outcomes: [SegmentOutcome], _ round: inout RolloutRound
  ) {
    let remaining = plan.rollouts - rollouts.count
    var created = 0
    // A live policy records nothing.
    var recordings: [Int: [RecordedAttempt]] = [:]
    for outcome in outcomes where !outcome.recorded.isEmpty { recordings[outcome.rollout] = outcome.recorded }
    for r in active {
      let change = deltaH(branching, r)
      var decision = BranchDecision(
        rollout: r, segments: rollouts[r].segments, deltaH: change,
        probability: change.map { branching.rule.probability(deltaH: $0, consecutive: consecutive) },
        chance: change.map { branching.rule.branchProbability(deltaH: $0, consecutive: consecutive) }, draw: nil,
        outcome: .noBudget, fork: nil)
      let attempts = min(branching.attempts, remaining - created)
      if attempts <= 0 {
        if branching.attempts > 0 { round.decisions.append(decision) }
        continue
      }
      let recorded = recordings[r] ?? []
      for attempt in 0..<attempts {
        let told = recorded.indices.contains(attempt) ? recorded[attempt] : nil
        decision.draw = nil
        decision.fork = nil
        decision.outcome = decide(branching.rule, change, told, draw: &decision.draw)
        if decision.outcome == .branched {
          decision.fork = fork(r, segments: rollouts[r].segments, tree: rollouts[r].tree)
          created += 1
        }
        round.decisions.append(decision)
      }
    }
  }

  private mutating func decide(
    _ rule: BranchRule, _ change: Double?, _ told: RecordedAttempt?, draw: inout Double?
  ) -> BranchDecision.Outcome {
    if case .outcome(let branched) = told { return branched ? .branched : .declined }
    guard let change else { return .unknown }
    if case .draw(let u) = told {
      draw = u
    } else if rule.hasCoin {
      draw = random.unit()
    }
    return rule.branches(deltaH: change, consecutive: consecutive, draw: draw ?? 0) ? .branched : .declined
  }

  private mutating func fork(_ parent: Int, segments: Int, tree: Int) -> Int {
    var child = RolloutState(
      parent: parent, inherited: segments, tree: tree, segments: segments,
      callsAfter: Array(rollouts[parent].callsAfter.prefix(segments)))
    child.pathFirst = rollouts[parent].pathFirst
    return add(child)
  }

  private func deltaH(_ branching: AdaptiveBranching, _ r: Int) -> Double? {
    let now = branching.timing == .lagged ? rollouts[r].last : rollouts[r].behindResult
    guard let now, branching.normalizer > 0 else { return nil }
    if branching.rule.isPaper {
      return rollouts[r].pathFirst.flatMap { entropyChange(now: now, initial: $0).sum }.map {
        $0 / branching.normalizer
      }
    }
    guard let here = entropySum(now), let base = rollouts[r].ownFirst else { return nil }
    return here / branching.normalizer - base / branching.normalizer
  }

  /// New rollouts for a group of which none is under way.
  private mutating func refill() -> [RolloutAction] {
    switch plan.strategy {
    case .global: return []
    case .adaptive(let branching):
      let missing = plan.rollouts - rollouts.count
      let count = branching.topUp == .all ? missing : min(1, missing)
      return (0..<max(0, count)).map { _ in
        let new = add(RolloutState(parent: nil, inherited: 0, tree: rollouts.count, segments: 0, callsAfter: []))
        return action(for: new)
      }
    case .randomExpansion(let expansion):
      guard expansions < expansion.rounds else { return [] }
      expansions += 1
      let before = rollouts.count
      for tree in 0..<expansion.trees {
        let nodes = innerNodes(tree, of: before)
        for _ in 0..<max(0, expansion.expansions) { expand(nodes[random.below(nodes.count)], tree: tree) }
      }
      return rollouts.indices[before...].map { action(for: $0) }
    }
  }

  /// A tree's nodes that are no leaf: the prompt (`nil`), and every own segment of a rollout but its last.
  private func innerNodes(_ tree: Int, of count: Int) -> [(rollout: Int, segments: Int)?] {
    var out: [(rollout: Int, segments: Int)?] = [nil]
    for r in 0..<count where rollouts[r].tree == tree {
      let own = (rollouts[r].inherited + 1)..<max(rollouts[r].inherited + 1, rollouts[r].segments)
      out += own.map { (rollout: r, segments: $0) }
    }
    return out
  }

  private mutating func expand(_ node: (rollout: Int, segments: Int)?, tree: Int) {
    if let node {
      _ = fork(node.rollout, segments: node.segments, tree: tree)
    } else {
      _ = add(RolloutState(parent: nil, inherited: 0, tree: tree, segments: 0, callsAfter: []))
    }
  }

  private mutating func complete() {
    phase = .complete
    guard case .randomExpansion(let expansion) = plan.strategy else {
      kept = Array(rollouts.indices)
      return
    }
    for tree in 0..<max(0, expansion.trees) {
      var leaves = rollouts.indices.filter { rollouts[$0].tree == tree }
      for i in 0..<max(0, min(expansion.kept, leaves.count)) {
        leaves.swapAt(i, i + random.below(leaves.count - i))
        kept.append(leaves[i])
      }
    }
    kept.sort()
  }
}
