import AdaptiveRollout
import Testing

/// What holds of every group, whatever the plan and the policy.
@Suite struct AdaptiveRolloutTests {
  func sample(_ plan: RolloutPlan, seed: UInt64 = 1, policy seedOfPolicy: UInt64 = 1, scale: Double = 1) throws
    -> SampledGroup
  {
    var policy = MadePolicy(seed: seedOfPolicy)
    policy.scale = scale
    if case .adaptive(let branching) = plan.strategy { policy.timing = branching.timing }
    return try SampledGroup(plan, seed: seed, policy: policy)
  }

  /// Every group ends complete, with the leaves that its plan promises, and every rollout is over.
  @Test(arguments: MadePlans.some, [1, 2, 3] as [UInt64])
  func aGroupEndsComplete(plan: RolloutPlan, seed: UInt64) throws {
    let group = try sample(plan, seed: seed, policy: seed &* 77)
    #expect(group.machine.isComplete && group.machine.active.isEmpty)
    #expect(group.machine.kept.count == plan.leaves)
    #expect(Set(group.machine.kept).count == group.machine.kept.count)
    // One begin or fork for each rollout, one advance for each further segment.
    let actions = group.actions.flatMap { $0 }
    let news = actions.compactMap { action -> Int? in if case .advance = action { nil } else { action.rollout } }
    #expect(news == Array(group.machine.rollouts.indices))
    #expect(actions.count == group.machine.rollouts.reduce(0) { $0 + $1.segments - $1.inherited })
  }

  /// A branch is a fork of the machine, and nothing forks but by a decision.
  @Test(arguments: MadePlans.some) func forksAreDecisions(plan: RolloutPlan) throws {
    guard case .adaptive = plan.strategy else { return }
    let group = try sample(plan, seed: 5)
    let forks = group.machine.rollouts.indices.filter { group.machine.rollouts[$0].parent != nil }
    let branched = group.decisions.filter { $0.outcome == .branched }
    #expect(branched.compactMap(\.fork) == forks && branched.count == forks.count && !forks.isEmpty)
    for decision in branched {
      guard let fork = decision.fork else { continue }
      #expect(group.machine.rollouts[fork].parent == decision.rollout)
      #expect(group.machine.rollouts[fork].inherited == decision.segments)
    }
    #expect(group.decisions.allSatisfy { $0.outcome == .branched || $0.fork == nil })
  }

  /// Budget is conserved: rollouts from the prompt and forks add up to M, at any time no more.
  @Test(arguments: MadePlans.some) func budgetIsConserved(plan: RolloutPlan) throws {
    let group = try sample(plan, seed: 9)
    let roots = group.machine.rollouts.count { $0.parent == nil }
    let forks = group.machine.rollouts.count { $0.parent != nil }
    if case .randomExpansion(let e) = plan.strategy {
      #expect(roots + forks == e.trees * (1 + e.expansions * e.rounds))
    } else {
      #expect(roots + forks == plan.rollouts)
    }
  }

  /// More budget never gives fewer leaves, and never fewer forks of the code's rule with the same draws.
  @Test(arguments: 1...8 as ClosedRange<UInt64>) func moreBudgetNeverFewerLeaves(seed: UInt64) throws {
    var last = 0
    for m in [1, 2, 4, 8, 12, 16, 32] {
      let leaves = try sample(MadePlans.arpo(m, 4), seed: seed, policy: seed).machine.kept.count
      #expect(leaves >= last && leaves == m)
      last = leaves
    }
    var forks = 0
    for m in [4, 6, 8, 12, 20] {
      let group = try sample(MadePlans.paper(m, 4), seed: seed, policy: seed)
      let now = group.machine.rollouts.count { $0.parent != nil }
      #expect(now >= forks)
      forks = now
    }
  }

  /// With beta 0 entropy does not matter: the same draws give the same tree under any entropies.
  @Test(arguments: 1...6 as ClosedRange<UInt64>) func betaZeroIgnoresEntropy(seed: UInt64) throws {
    let flat = try sample(MadePlans.arpo(16, 8, w: 0), seed: seed, scale: 0)
    let steep = try sample(MadePlans.arpo(16, 8, w: 0), seed: seed, scale: 100)
    #expect(flat.actions == steep.actions)
    #expect(flat.decisions.map(\.outcome) == steep.decisions.map(\.outcome))
    let weighted = try sample(MadePlans.arpo(16, 8, w: 2), seed: seed, scale: 100)
    #expect(weighted.decisions.map(\.probability) != steep.decisions.map(\.probability))
  }

  @Test(arguments: MadePlans.some) func theSeedDecides(plan: RolloutPlan) throws {
    let first = try sample(plan, seed: 3)
    let again = try sample(plan, seed: 3)
    #expect(first.actions == again.actions && first.decisions == again.decisions)
    #expect(first.machine.kept == again.machine.kept)
    let others = try (10..<30).map { try sample(plan, seed: $0) }
    let hasChance = plan.strategy != .global && !isWithoutCoin(plan)
    #expect(others.contains { $0.actions != first.actions || $0.machine.kept != first.machine.kept } == hasChance)
  }

  private func isWithoutCoin(_ plan: RolloutPlan) -> Bool {
    if case .adaptive(let branching) = plan.strategy { return !branching.rule.hasCoin }
    return false
  }

  /// A copied machine goes its own way; the original is not touched.
  @Test func aCopyIsIndependent() throws {
    var machine = AdaptiveRollout(MadePlans.arpo(8, 4), seed: 1)
    let actions = machine.start()
    let copy = machine
    var policy = MadePolicy(seed: 1)
    _ = try machine.observe(policy.perform(actions))
    #expect(copy.rounds == 0 && copy.active == [0, 1, 2, 3] && machine.rounds == 1)
  }

  /// ARPO's first decisions are blind: each rollout is compared with itself.
  @Test func firstDecisionsAreBlind() throws {
    let group = try sample(MadePlans.arpo(64, 8), seed: 2)
    for decision in group.decisions {
      let own = decision.segments - group.machine.rollouts[decision.rollout].inherited
      #expect((decision.deltaH == 0) == (own == 1))
      if own == 1 { #expect(decision.probability == 0.5) }
    }
    // The paper's rule compares a fork with the first tokens of its root, so it never is.
    let paper = try sample(MadePlans.paper(64, 8), seed: 2)
    #expect(paper.decisions.allSatisfy { $0.deltaH != 0 })
  }

  /// The threshold with alpha = tau is the sign of dH; raising tau never branches more.
  @Test func thePapersRuleIsTheSign() throws {
    let group = try sample(MadePlans.paper(40, 8), seed: 1)
    for decision in group.decisions where decision.outcome != .noBudget {
      let isUp = (decision.deltaH ?? 0) > 0
      #expect((decision.outcome == .branched) == isUp)
      #expect(decision.chance == (isUp ? 1 : 0))
    }
    let forks = try [0.3, 0.5, 0.505, 0.51, 0.6].map { tau in
      try sample(MadePlans.paper(1000, 8, tau: tau), seed: 1).machine.rollouts.count { $0.parent != nil }
    }
    #expect(forks == forks.sorted(by: >) && forks[0] > forks[4])
  }

  /// Tool calls of a path, an inherited prefix included, never exceed the limit.
  @Test(arguments: [0, 1, 2, 3]) func theToolLimitHolds(limit: Int) throws {
    let group = try sample(MadePlans.arpo(16, 4, limit: limit), seed: 4)
    #expect(group.machine.rollouts.allSatisfy { $0.calls <= limit })
    #expect(group.machine.kept.count == 16)
  }

  /// Calls executed under branching are those of all paths without what is inherited.
  @Test func inheritedCallsAreNotMadeAgain() throws {
    let group = try sample(MadePlans.arpo(16, 8), seed: 8)
    let whole = group.machine.rollouts.reduce(0) { $0 + $1.calls }
    let inherited = group.machine.rollouts.filter { $0.parent != nil }.reduce(0) { $0 + $1.inherited }
    #expect(group.policy.executed == whole - inherited)
  }

  // MARK: Decisions one by one

  /// Oldest first, Z attempts each while there is budget; then nobody has any.
  @Test func oldestFirst() throws {
    var machine = AdaptiveRollout(MadePlans.arpo(6, 3, bp: 1, z: 2), seed: 1)
    _ = machine.start()
    let round = try machine.observe(
      [2, 0, 1].map { SegmentOutcome(rollout: $0, entropies: [1], ending: .toolCalls(1)) })
    #expect(round.decisions.map(\.rollout) == [0, 0, 1, 2])
    #expect(round.decisions.map(\.outcome) == [.branched, .branched, .branched, .noBudget])
    #expect(
      round.actions == [
        .advance(rollout: 0, callsLeft: nil), .advance(rollout: 1, callsLeft: nil),
        .advance(rollout: 2, callsLeft: nil),
        .fork(rollout: 3, of: 0, segments: 1, callsLeft: nil), .fork(rollout: 4, of: 0, segments: 1, callsLeft: nil),
        .fork(rollout: 5, of: 1, segments: 1, callsLeft: nil),
      ])
  }

  /// The code tops up with one rollout a round, the paper with all that are missing.
  @Test func topUp() throws {
    for (plan, count) in [(MadePlans.arpo(6, 2, bp: 0, w: 0), 1), (MadePlans.paper(6, 2), 4)] {
      var machine = AdaptiveRollout(plan, seed: 1)
      let outcomes = machine.start().compactMap(\.rollout)
        .map { SegmentOutcome(rollout: $0, entropies: [], ending: .finished) }
      let round = try machine.observe(outcomes)
      #expect(round.actions == (0..<count).map { .begin(rollout: 2 + $0, callsLeft: nil) })
    }
  }

  /// Without an entropy the rule is not asked, and nothing branches.
  @Test func anUnknownEntropyBranchesNothing() throws {
    var machine = AdaptiveRollout(MadePlans.arpo(6, 1, bp: 1), seed: 1)
    _ = machine.start()
    let round = try machine.observe([SegmentOutcome(rollout: 0, entropies: [.nan, .nan], ending: .toolCalls(1))])
    #expect(round.decisions.map(\.outcome) == [.unknown] && round.decisions[0].deltaH == nil)
    #expect(round.actions == [.advance(rollout: 0, callsLeft: nil)])
  }

  /// A recorded draw decides as the rule does, a recorded outcome overrules it.
  @Test func recordedAttempts() throws {
    let cases: [(RecordedAttempt, BranchDecision.Outcome)] = [
      (.draw(0.5), .branched), (.draw(0.500001), .declined), (.outcome(true), .branched), (.outcome(false), .declined),
    ]
    for (attempt, outcome) in cases {
      var machine = AdaptiveRollout(MadePlans.arpo(6, 1), seed: 1)
      _ = machine.start()
      let round = try machine.observe(
        [SegmentOutcome(rollout: 0, entropies: [1], ending: .toolCalls(1), recorded: [attempt])])
      #expect(round.decisions.map(\.outcome) == [outcome])
    }
  }

  @Test func outcomesThatDoNotFit() throws {
    var machine = AdaptiveRollout(MadePlans.arpo(6, 2, limit: 1), seed: 1)
    let started = machine.start()
    #expect(started.count == 2 && machine.start().isEmpty)
    func outcome(_ rollout: Int, _ ending: SegmentOutcome.Ending = .toolCalls(1)) -> SegmentOutcome {
      SegmentOutcome(rollout: rollout, entropies: [1], ending: ending)
    }
    #expect(throws: RolloutProtocolError.outcomes(expected: 2, given: 1)) { try machine.observe([outcome(0)]) }
    #expect(throws: RolloutProtocolError.notActive(rollout: 7)) { try machine.observe([outcome(0), outcome(7)]) }
    #expect(throws: RolloutProtocolError.notActive(rollout: 0)) { try machine.observe([outcome(0), outcome(0)]) }
    #expect(throws: RolloutProtocolError.tooManyCalls(rollout: 1)) {
      try machine.observe([outcome(0), outcome(1, .toolCalls(2))])
    }
    #expect(throws: RolloutProtocolError.premonitoring) {
      try machine.premonitored(PremonitoredRollout(probe: [], segments: []))
    }
    // Nothing of what was refused was taken in.
    #expect(machine.rounds == 0 && machine.rollouts.allSatisfy { $0.segments == 0 })
  }

  /// Whatever a sampler reports, the machine ends, keeps to its budget, or says what does not fit.
  @Test(arguments: 1...200 as ClosedRange<UInt64>) func anySamplerEnds(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let plans =
      MadePlans.some + [
        MadePlans.arpo(0, 0), MadePlans.arpo(1, 5, bp: 2), MadePlans.tree(0, 0, 0, 0), MadePlans.tree(1, 0, 3, 9),
      ]
    let plan = plans[random.below(plans.count)]
    var machine = AdaptiveRollout(plan, seed: seed)
    var actions = machine.start()
    func entropies() -> [Double] {
      (0..<random.below(4)).map { _ in [.nan, 0, 1e300, -1, .infinity, random.unit()][random.below(6)] }
    }
    if actions == [.premonitor] {
      actions = try machine.premonitored(
        PremonitoredRollout(probe: entropies(), segments: (0..<random.below(3)).map { _ in entropies() }))
    }
    var steps = 0
    while !actions.isEmpty, steps < 300 {
      steps += 1
      let outcomes = actions.compactMap { action -> SegmentOutcome? in
        guard let rollout = action.rollout else { return nil }
        let left = plan.callLimit.map { $0 - machine.rollouts[rollout].calls } ?? 9
        let endings: [SegmentOutcome.Ending] = [.finished, .length, .toolCalls(random.below(max(1, left + 1)))]
        return SegmentOutcome(
          rollout: rollout, entropies: entropies(), entropiesAfterResult: random.below(2) == 0 ? nil : entropies(),
          ending: endings[random.below(3)],
          recorded: (0..<random.below(3)).map { _ in
            random.below(2) == 0 ? .draw(random.unit()) : .outcome(random.below(2) == 0)
          })
      }
      let round = try machine.observe(outcomes, othersBranched: random.below(2) == 0)
      #expect(round.decisions.allSatisfy { $0.fork == nil || $0.outcome == .branched })
      #expect(Set(round.actions.compactMap(\.rollout)) == Set(machine.active))
      if case .adaptive = plan.strategy { #expect(machine.rollouts.count <= max(plan.rollouts, 0)) }
      actions = round.actions
    }
    #expect(machine.isComplete || steps == 300)
    if machine.isComplete { #expect(machine.kept.count == plan.leaves) }
  }

  // MARK: AEPO

  /// l counts rounds in a row with new rollouts, top-ups included, and starts again when only others got some.
  @Test func consecutiveBranchings() throws {
    var machine = AdaptiveRollout(MadePlans.arpo(8, 1, bp: 1), seed: 1)
    _ = machine.start()
    func round(_ ending: SegmentOutcome.Ending, othersBranched: Bool = true) throws {
      let outcomes = machine.active.map { SegmentOutcome(rollout: $0, entropies: [1], ending: ending) }
      _ = try machine.observe(outcomes, othersBranched: othersBranched)
    }
    try round(.toolCalls(1))
    #expect(machine.consecutive == 1 && machine.rollouts.count == 2)
    try round(.toolCalls(1))
    #expect(machine.consecutive == 2 && machine.rollouts.count == 4)
    try round(.toolCalls(1))
    #expect(machine.consecutive == 3 && machine.rollouts.count == 8)
    try round(.toolCalls(1), othersBranched: false)
    #expect(machine.consecutive == 3)
    try round(.toolCalls(1))
    #expect(machine.consecutive == 0)
  }

  /// N of pre-monitoring, worked out by hand: M sigmoid(0.5 (H_root - H_high)), int plus 1.
  @Test func premonitoring() throws {
    let code = Premonitoring(rounding: .downPlusOne, countsFirstSegment: true)
    // 16 / (1 + e^0) = 8.
    #expect(code.initialRollouts(root: 1, tool: 1, rollouts: 16) == 9)
    // 16 / (1 + e^1) = 4.303…
    #expect(code.initialRollouts(root: 0, tool: 2, rollouts: 16) == 5)
    // 16 / (1 + e^-20) is 15.99…
    #expect(code.initialRollouts(root: 40, tool: 0, rollouts: 16) == 16)
    let paper = Premonitoring(rounding: .nearest, countsFirstSegment: false)
    #expect(paper.initialRollouts(root: 1, tool: 1, rollouts: 16) == 8)
    #expect(paper.initialRollouts(root: 0, tool: 1000, rollouts: 16) == 1)
    #expect(paper.initialRollouts(root: 0, tool: 1e9, rollouts: 16) == 1)
    var machine = AdaptiveRollout(MadePlans.aepo(16, 3), seed: 1)
    #expect(machine.start() == [.premonitor])
    #expect(throws: RolloutProtocolError.premonitoring) { try machine.observe([]) }
    // The mean of all segments, the first one included: (10 + 50) / 2 / 10 = 3, probe 1; 16 / (1 + e^1) = 4.303…
    let actions = try machine.premonitored(PremonitoredRollout(probe: [4, 6], segments: [[10], [.nan, 50]]))
    #expect(actions.count == 5 && machine.initialRollouts == 5)
  }

  // MARK: Tree-GRPO

  /// Nodes are the prompt and every segment but a rollout's last; each is continued to its end.
  @Test func randomExpansion() throws {
    var inherited: Set<Int> = []
    for seed in 1...20 as ClosedRange<UInt64> {
      let group = try sample(MadePlans.tree(2, 3, 2, 4), seed: seed, policy: seed)
      #expect(group.machine.rollouts.count == 2 * (1 + 3 * 2) && group.machine.kept.count == 8)
      for state in group.machine.rollouts {
        guard let parent = state.parent else { continue }
        let source = group.machine.rollouts[parent]
        #expect(source.tree == state.tree && state.inherited > source.inherited && state.inherited < source.segments)
        inherited.insert(state.inherited)
      }
      #expect(
        Dictionary(grouping: group.machine.kept) { group.machine.rollouts[$0].tree }.mapValues(\.count) == [0: 4, 1: 4])
      #expect(group.decisions.isEmpty)
    }
    #expect(inherited.count > 1)
  }

  // MARK: Random numbers

  @Test func drawsAreUniform() {
    var random = SeededRandom(seed: 42)
    var counts = [Int](repeating: 0, count: 7)
    var sum = 0.0
    for _ in 0..<70_000 {
      counts[random.below(7)] += 1
      let u = random.unit()
      #expect(u >= 0 && u < 1)
      sum += u
    }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 } && abs(sum / 70_000 - 0.5) < 0.01)
  }

  /// The rule's probability is the share of draws by which it branches.
  @Test func probabilitiesAreThoseOfTheCoin() {
    var random = SeededRandom(seed: 7)
    for rule in [
      BranchRule.arpoCode(branchProbability: 0.4, entropyWeight: 0.3),
      .aepoCode(branchProbability: 0.5, entropyWeight: 0.4),
    ] {
      for (dh, l) in [(0.0, 0), (0.7, 3), (-0.9, 1), (3, 5)] {
        let n = 20_000
        let share =
          Double((0..<n).count { _ in rule.branches(deltaH: dh, consecutive: l, draw: random.unit()) }) / Double(n)
        #expect(abs(share - rule.branchProbability(deltaH: dh, consecutive: l)) < 0.02, "\(rule) \(dh) \(l)")
      }
    }
  }

  /// Whatever the standard library's shuffling becomes.
  @Test func aSeedsOrderStaysWhatItIs() {
    var random = SeededRandom(seed: 1)
    #expect(random.shuffled(Array(0..<10)) == [5, 7, 9, 6, 3, 8, 2, 0, 1, 4])
    #expect(random.shuffled([Int]()).isEmpty && random.shuffled([7]) == [7])
  }
}
