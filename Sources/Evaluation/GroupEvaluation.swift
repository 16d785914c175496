public import Replay

/// What one prompt group says of a policy before and after an update.
public struct GroupEvaluation: Sendable {
  /// Estimates of the expected reward under the two policies, and under the one that wrote the log.
  public struct Rewards: Sendable {
    public var before: OffPolicyEstimates
    public var after: OffPolicyEstimates
    /// The mean reward by design weights: an unbiased estimate of the behaviour policy's value.
    public var behaviour: Double
  }

  /// The best and the worst continuation of a fork, as the two policies see them.
  public struct Margin: Sendable, Equatable {
    /// log pi(chosen) - log pi(rejected) over the continuations' generated tokens, before the update.
    public var before: Double
    /// The same after it.
    public var after: Double
    /// Difference of the rewards.
    public var rewards: Double
  }

  /// The run.
  public var run: String
  /// The group's id.
  public var id: String
  /// `nil`: no leaf has a reward and behaviour logprobs.
  public var rewards: Rewards?
  /// One a fork whose continuations have different rewards: the pair with the largest difference.
  public var margins: [Margin]
  /// By window, the tokens in it; each token of the tree counts once.
  public var shifts: [String: PolicyShift]
  /// Leaves.
  public var leaves: Int
  /// Leaves without a reward.
  public var unscored: Int
  /// Scored leaves of which a generated token has no behaviour logprob.
  public var withoutBehaviour: Int
}

/// Judges groups one by one.
public struct GroupEvaluator: Sendable {
  /// What the log was sampled from.
  public var behaviour = BehaviourPolicy.logged
  /// Generated tokens behind a tool result, as half-open offsets.
  public var windows = [0..<10, 10..<50]
  /// First generated tokens of a trajectory that make its own window.
  public var initialTokens = 20

  /// Name of the window of all generated tokens.
  public static let allTokens = "all tokens"
  /// Name of the window at the trajectories' start.
  public static let initial = "initial"

  /// The defaults.
  public init() {}

  /// - Parameters:
  ///   - tree: the group.
  ///   - leaves: one for each trajectory; `nil`: it is not looked at.
  public func evaluate(_ tree: RolloutTree, _ leaves: [ScoredLeaf?]) -> GroupEvaluation {
    let rewards = tree.group.trajectories.enumerated().map { t, x in leaves[t] == nil ? nil : x.reward }
    var out = GroupEvaluation(
      run: tree.group.run.id, id: tree.group.id, rewards: nil, margins: margins(tree, leaves, rewards), shifts: [:],
      leaves: leaves.count { $0 != nil }, unscored: leaves.count { $0 != nil } - rewards.count { $0 != nil },
      withoutBehaviour: 0)
    let weighted = zip(leaves, rewards).map { leaf, reward -> Double? in
      guard let leaf, let reward else { return nil }
      let isKnown = behaviour == .before || !leaf.behaviour.contains { $0.isNaN }
      if !isKnown { out.withoutBehaviour += 1 }
      return isKnown ? reward : nil
    }
    if weighted.contains(where: { $0 != nil }) { out.rewards = estimates(tree, leaves, weighted) }
    for (t, leaf) in leaves.enumerated() {
      if let leaf { addShifts(tree, t, leaf, &out.shifts) }
    }
    return out
  }

  // MARK: Rewards

  private func estimates(
    _ tree: RolloutTree, _ leaves: [ScoredLeaf?], _ rewards: [Double?]
  ) -> GroupEvaluation.Rewards {
    let design = BranchDesign(tree: tree, rewards: rewards)
    func weighted(_ logprobs: (ScoredLeaf) -> [Float]) -> OffPolicyEstimates {
      let weighted = leaves.indices.map { t -> WeightedLeaf? in
        guard let leaf = leaves[t], let reward = rewards[t] else { return nil }
        return WeightedLeaf(
          reward: reward,
          turns: turns(
            tree.paths[t].generation, cuts: design.baselines[t].map(\.index),
            ratios: zip(logprobs(leaf), behaviour == .logged ? leaf.behaviour : leaf.before.map(Double.init)).map {
              Double($0) - $1
            }))
      }
      return OffPolicyEstimates(design: design, leaves: weighted)
    }
    var mean = 0.0
    for (t, reward) in rewards.enumerated() { mean += design.weights[t] * (reward ?? 0) }
    return GroupEvaluation.Rewards(before: weighted(\.before), after: weighted(\.after), behaviour: mean)
  }

  /// Log-ratios summed by turn; a fork inside a turn cuts it, as the tree knows more of the state there.
  private func turns(_ generation: [Range<Int>], cuts: [Int], ratios: [Double]) -> [WeightedLeaf.Turn] {
    var out: [WeightedLeaf.Turn] = []
    var k = 0
    for range in generation {
      var start = range.lowerBound
      for end in cuts.filter({ range.lowerBound < $0 && $0 < range.upperBound }) + [range.upperBound] {
        var sum = 0.0
        for _ in start..<end {
          sum += ratios[k]
          k += 1
        }
        out.append(WeightedLeaf.Turn(start: start, logRatio: sum))
        start = end
      }
    }
    return out
  }

  // MARK: Margins

  private func margins(
    _ tree: RolloutTree, _ leaves: [ScoredLeaf?], _ rewards: [Double?]
  ) -> [GroupEvaluation.Margin] {
    tree.nodes().forks.compactMap { fork in
      guard let pair = SiblingPairs(at: fork, limit: 1, score: { rewards[$0] }).pairs.first,
        let chosen = leaves[pair.chosen], let rejected = leaves[pair.rejected]
      else { return nil }
      func sum(_ leaf: Int, _ logprobs: [Float]) -> Double {
        var total = 0.0
        for (i, x) in zip(tree.paths[leaf].generation.joined(), logprobs) where i >= fork.index { total += Double(x) }
        return total
      }
      return GroupEvaluation.Margin(
        before: sum(pair.chosen, chosen.before) - sum(pair.rejected, rejected.before),
        after: sum(pair.chosen, chosen.after) - sum(pair.rejected, rejected.after), rewards: pair.margin)
    }
  }

  // MARK: Windows

  private func addShifts(_ tree: RolloutTree, _ t: Int, _ leaf: ScoredLeaf, _ shifts: inout [String: PolicyShift]) {
    let path = tree.paths[t]
    var names: [(range: Range<Int>, name: String)] = []
    if let first = path.firstGeneration {
      names.append((first.lowerBound..<min(first.lowerBound + initialTokens, first.upperBound), Self.initial))
    }
    for (r, result) in path.results.enumerated() {
      guard let segment = path.window(after: r) else { continue }
      for window in windows {
        let range =
          min(
            segment.lowerBound + window.lowerBound, segment.upperBound)..<min(
            segment.lowerBound + window.upperBound, segment.upperBound)
        let label = "\(window.lowerBound)-\(window.upperBound)"
        names.append((range, "after \(result.tool) \(label)"))
        names.append((range, "after any tool \(label)"))
      }
    }
    for (k, i) in path.generation.joined().enumerated() where i >= path.branch {
      for name in [Self.allTokens] + names.filter({ $0.range.contains(i) }).map(\.name) {
        shifts[name, default: PolicyShift()].add(
          logprobBefore: Double(leaf.before[k]), logprobAfter: Double(leaf.after[k]),
          entropyBefore: Double(leaf.entropyBefore[k]), entropyAfter: Double(leaf.entropyAfter[k]))
      }
    }
  }
}
