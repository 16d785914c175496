/// What counts as success and as a failure of format.
public struct OutcomeRules: Sendable, Equatable {
  /// A leaf with a reward of at least this succeeds.
  public var success = 1.0
  /// A leaf with this reward failed the format, unless a named part of its reward says otherwise; ARPO's reward is -1 then.
  public var failedReward = -1.0
  /// The named part of the reward that judges the format; `nil`: the first whose name holds "format".
  public var formatReward: String?
  /// The k of pass@k.
  public var ks = [1, 5]

  /// Rewards from 1 on succeed, -1 is a failure of format, pass@1 and pass@5.
  public init() {}
}

/// Rewards, format and tool calls of one prompt group.
public struct GroupOutcome: Sendable, Equatable {
  /// The run.
  public var run: String
  /// The trainer's algorithm, as logged.
  public var algorithm: String?
  /// The group's id.
  public var group: String
  /// Training step.
  public var step: Int?
  /// Data set that the prompt is from.
  public var dataSource: String?
  /// Trajectories, and the leaves they stand for.
  public var trajectories = 0
  /// Sum of multiplicities.
  public var leaves = 0
  /// Leaves with a reward.
  public var scored = 0
  /// Sum of their rewards.
  public var rewardSum = 0.0
  /// Leaves that succeed.
  public var successes = 0
  /// Leaves whose format can be judged: by name, or by their reward.
  public var judged = 0
  /// Leaves whose format a named reward judges: a score of 0 or less is a failure.
  public var judgedByName = 0
  /// Of them, failures.
  public var failuresByName = 0
  /// The other scored leaves' failures: those with the failed reward.
  public var failuresByReward = 0
  /// Name of the reward that judges the format, where one does.
  public var formatReward: String?
  /// Tool calls executed, and those on all paths.
  public var budget: ToolBudget

  /// Looks at a group.
  public init(_ tree: RolloutTree, rules: OutcomeRules) {
    let group = tree.group
    run = group.run.id
    algorithm = group.run.algorithm
    self.group = group.id
    step = group.step ?? group.trajectories.first?.step
    dataSource = group.trajectories.lazy.compactMap(\.dataSource).first
    budget = ToolBudget(tree)
    trajectories = group.trajectories.count
    for t in group.trajectories {
      leaves += t.multiplicity
      let judge = t.namedRewards.first { part in
        rules.formatReward.map { part.name == $0 } ?? part.name.lowercased().contains("format")
      }
      if let judge, let score = judge.score {
        formatReward = judge.name
        judgedByName += t.multiplicity
        if score <= 0 { failuresByName += t.multiplicity }
      }
      if judge?.score != nil || t.reward != nil { judged += t.multiplicity }
      guard let reward = t.reward else { continue }
      scored += t.multiplicity
      rewardSum += reward * Double(t.multiplicity)
      if reward >= rules.success - 1e-12 { successes += t.multiplicity }
      if judge?.score == nil, abs(reward - rules.failedReward) <= 1e-12 { failuresByReward += t.multiplicity }
    }
  }

  /// Failures of format.
  public var failures: Int { failuresByName + failuresByReward }

  /// Estimate of the chance that one of k leaves succeeds, without bias: 1 - C(n - c, k) / C(n, k) for c successes among n
  /// scored leaves; `nil` for n < k.
  ///
  /// Source: Chen et al. 2021, Evaluating large language models trained on code.
  public func passAt(_ k: Int) -> Double? {
    guard k >= 1, scored >= k else { return nil }
    if scored - successes < k { return 1 }
    var none = 1.0
    for i in 0..<k { none *= Double(scored - successes - i) / Double(scored - i) }
    return 1 - none
  }
}
