import Sampling
public import AdaptiveRollout
public import Rollouts
import Replay

/// Groups of rollouts sampled as ARPO samples them: some from the prompt, others branching off where entropy says so.
public struct BranchedLog {
  let sampler: TaskSampler
  /// How a group is sampled.
  public let plan: RolloutPlan
  /// First tokens of a segment whose entropies decide.
  private let windowTokens: Int

  /// ARPO's code with its usual numbers on a small scale.
  public init(_ sampler: TaskSampler, rollouts: Int, initialRollouts: Int) {
    self.sampler = sampler
    windowTokens = 20
    plan = RolloutPlan(
      strategy: .adaptive(
        AdaptiveBranching(
          rule: .arpoCode(branchProbability: 0.5, entropyWeight: 0.2), initialRollouts: initialRollouts, attempts: 1,
          timing: .lagged, normalizer: log(Double(TaskVocabulary.size)), topUp: .onePerRound)),
      rollouts: rollouts, callLimit: TaskSampler.callLimit)
  }

  /// The run's record.
  public func run(id: String, model: String) -> RunRecord {
    var run = RunRecord(runID: id)
    run.algorithm = "arpo"
    run.model = model
    run.tokenizerName = model
    run.vocabSize = TaskVocabulary.size
    run.temperature = 1
    run.topP = 1
    run.topK = -1
    run.logprobsMode = "processed_logprobs"
    guard case .adaptive(let branching) = plan.strategy else { return run }
    run.branching =
      DocumentValue.object([
        ("algorithm", .string("arpo")), ("initial_rollouts", .int(branching.initialRollouts)),
        ("rollouts", .int(plan.rollouts)), ("beam_size", .int(branching.attempts + 1)),
        ("branch_probability", .double(0.5)), ("entropy_weight", .double(0.2)), ("window_tokens", .int(windowTokens)),
        ("top_k", .int(TaskVocabulary.size)),
      ]).json
    return run
  }

  /// Samples one group.
  ///
  /// - Parameter seed: of all draws, the policy's and the branching's.
  public func sample(
    _ question: TaskQuestion, group id: String, step: Int, seed: UInt64
  ) throws -> (group: GroupRecord, trajectories: [TrajectoryRecord]) {
    var random = SeededRandom(seed: seed, stream: id)
    var machine = AdaptiveRollout(plan, seed: random.next())
    var rollouts: [Int: Branch] = [:]
    var actions = machine.start()
    while !actions.isEmpty {
      var numbers: [Int] = []
      var branches: [Branch] = []
      var callsLeft: [Int] = []
      for action in actions {
        guard let number = action.rollout else { continue }
        var branch = rollouts[number] ?? Branch(rollout: TaskRollout(question: question))
        switch action {
        case .premonitor: continue
        case .begin(_, let left), .advance(_, let left): callsLeft.append(left ?? TaskSampler.callLimit)
        case .fork(_, let parent, let segments, let left):
          callsLeft.append(left ?? TaskSampler.callLimit)
          if let from = rollouts[parent] {
            branch.rollout = from.rollout.prefix(turns: segments)
            branch.parent = parent
            branch.index = branch.rollout.tokens.count
          }
        }
        numbers.append(number)
        branches.append(branch)
      }
      var going = branches.map(\.rollout)
      let drawn = try sampler.advance(&going, callsLeft: callsLeft, seeds: numbers.map { _ in random.next() })
      var outcomes: [SegmentOutcome] = []
      for (k, number) in numbers.enumerated() {
        branches[k].rollout = going[k]
        rollouts[number] = branches[k]
        outcomes.append(
          SegmentOutcome(
            rollout: number, entropies: Array(drawn[k].entropies.prefix(windowTokens)),
            ending: drawn[k].goesOn ? .toolCalls(1) : .finished))
      }
      let round = try machine.observe(outcomes)
      for decision in round.decisions {
        if let fork = decision.fork { rollouts[fork] = Branch(rollout: TaskRollout(question: question), why: decision) }
      }
      actions = round.actions
    }
    let trajectories = machine.kept.compactMap { number -> TrajectoryRecord? in
      guard let branch = rollouts[number] else { return nil }
      return branch.rollout.record(
        group: id, id: "\(id)/\(number)", index: number,
        reward: sampler.task.reward(of: branch.rollout.ids, to: question), parent: branch.parent.map { "\(id)/\($0)" },
        branch: branch.index, why: branch.reason, step: step)
    }
    return (TaskRollout(question: question).group(id: id, step: step), trajectories)
  }

  /// A rollout of the group, and where it left another.
  private struct Branch {
    var rollout: TaskRollout
    var parent: Int?
    var index = 0
    var why: BranchDecision?

    /// The `branch` object of the record.
    var reason: String? {
      guard let why else { return nil }
      return DocumentValue.object([
        ("reason", .string("entropy")), ("after_segment", .int(why.segments)),
        ("probability", .number(why.probability)),
        ("draw", .number(why.draw)), ("delta_h", .number(why.deltaH)),
      ]).json
    }
  }
}

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
