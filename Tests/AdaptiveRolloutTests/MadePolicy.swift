import AdaptiveRollout

/// A policy that is a function of the path: what it does next depends on the names of the rollouts it descends from.
struct MadePolicy {
  var seed: UInt64
  /// A rollout ends after at most so many segments.
  var longest = 5
  /// Tokens with an entropy.
  var window = 4
  /// Multiplies all entropies.
  var scale = 1.0
  var timing = BranchTiming.lagged

  private(set) var segments: [Int: Int] = [:]
  private(set) var calls: [Int: Int] = [:]
  /// Tool calls that were made, each once.
  private(set) var executed = 0

  init(seed: UInt64) { self.seed = seed }

  mutating func perform(_ actions: [RolloutAction]) -> [SegmentOutcome] {
    actions.compactMap { action in
      var left: Int?
      switch action {
      case .premonitor: return nil
      case .begin(let rollout, let n):
        (segments[rollout], calls[rollout], left) = (0, 0, n)
      case .fork(let rollout, let parent, let inherited, let n):
        precondition(segments[parent, default: 0] >= inherited)
        (segments[rollout], left) = (inherited, n)
        calls[rollout] = calls[parent]
      case .advance(_, let n): left = n
      }
      guard let rollout = action.rollout else { return nil }
      let depth = segments[rollout, default: 0]
      segments[rollout] = depth + 1
      var random = SeededRandom(seed: seed &+ UInt64(rollout) &* 1009 &+ UInt64(depth) &* 31)
      let entropies = (0..<window).map { _ in scale * random.unit() }
      let wantsEnd = depth + 1 >= longest || random.unit() < 0.25
      if wantsEnd || left == 0 { return SegmentOutcome(rollout: rollout, entropies: entropies, ending: .finished) }
      executed += 1
      calls[rollout, default: 0] += 1
      let after = timing == .lagged ? nil : (0..<window).map { _ in scale * random.unit() }
      return SegmentOutcome(
        rollout: rollout, entropies: entropies, entropiesAfterResult: after, ending: .toolCalls(1))
    }
  }
}

/// A group sampled to its end.
struct SampledGroup {
  var machine: AdaptiveRollout
  var policy: MadePolicy
  var decisions: [BranchDecision] = []
  var actions: [[RolloutAction]] = []

  init(_ plan: RolloutPlan, seed: UInt64, policy: MadePolicy) throws {
    machine = AdaptiveRollout(plan, seed: seed)
    self.policy = policy
    var next = machine.start()
    if next == [.premonitor] {
      let flat = [Double](repeating: 0.5, count: policy.window)
      next = try machine.premonitored(PremonitoredRollout(probe: flat, segments: [flat, flat.map { $0 * 2 }]))
    }
    while !next.isEmpty {
      actions.append(next)
      let round = try machine.observe(self.policy.perform(next))
      decisions += round.decisions
      next = round.actions
    }
  }
}

/// The strategies of the field with some numbers.
enum MadePlans {
  static func arpo(_ m: Int, _ n: Int, bp: Double = 0.5, w: Double = 0.2, z: Int = 1, limit: Int? = nil) -> RolloutPlan
  {
    RolloutPlan(
      strategy: .adaptive(
        AdaptiveBranching(
          rule: .arpoCode(branchProbability: bp, entropyWeight: w), initialRollouts: n, attempts: z, timing: .lagged,
          normalizer: 10, topUp: .onePerRound)), rollouts: m, callLimit: limit)
  }

  static func paper(_ m: Int, _ n: Int, alpha: Double = 0.5, beta: Double = 0.2, tau: Double = 0.5) -> RolloutPlan {
    RolloutPlan(
      strategy: .adaptive(
        AdaptiveBranching(
          rule: .arpoPaper(alpha: alpha, beta: beta, tau: tau), initialRollouts: n, timing: .postResult, normalizer: 10,
          topUp: .all)), rollouts: m)
  }

  static func aepo(_ m: Int, _ n: Int) -> RolloutPlan {
    RolloutPlan(
      strategy: .adaptive(
        AdaptiveBranching(
          rule: .aepoCode(branchProbability: 0.5, entropyWeight: 0.2), initialRollouts: n, timing: .lagged,
          normalizer: 10, topUp: .onePerRound,
          premonitoring: Premonitoring(rounding: .downPlusOne, countsFirstSegment: true))), rollouts: m)
  }

  static func tree(_ m: Int, _ n: Int, _ l: Int, _ k: Int) -> RolloutPlan {
    RolloutPlan(
      strategy: .randomExpansion(RandomExpansion(trees: m, expansions: n, rounds: l, kept: k)), rollouts: 0)
  }

  static func global(_ m: Int) -> RolloutPlan { RolloutPlan(strategy: .global, rollouts: m) }

  static var some: [RolloutPlan] {
    [
      arpo(16, 8), arpo(16, 8, limit: 2), arpo(12, 3, z: 3), paper(16, 8), aepo(16, 8), tree(2, 2, 1, 3),
      tree(3, 4, 2, 5), global(7),
    ]
  }
}
