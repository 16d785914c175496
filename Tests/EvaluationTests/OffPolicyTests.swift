import Foundation
import Replay
import Rollouts
import Testing

@testable import Evaluation

/// A two-step decision problem whose values are known: action a in {0, 1}, then a random observation o in {0, 1} with
/// probabilities of its own, then action b in {0, 1}, then a reward that depends on all three.
private struct TwoTurns {
  /// P(a = 1), P(b = 1 | a, o) of a policy.
  struct Policy {
    var first: Double
    var second: [[Double]]

    func probability(a: Int) -> Double { a == 1 ? first : 1 - first }
    func probability(b: Int, a: Int, o: Int) -> Double { b == 1 ? second[a][o] : 1 - second[a][o] }
  }

  static let observation = [[0.3, 0.7], [0.9, 0.1]]
  static let reward = [[[0.0, 1.0], [0.25, 0.5]], [[2.0, -1.0], [0.75, 0.0]]]
  static let behaviour = Policy(first: 0.4, second: [[0.5, 0.2], [0.7, 0.6]])
  static let target = Policy(first: 0.6, second: [[0.8, 0.1], [0.4, 0.9]])

  static func value(_ policy: Policy) -> Double {
    var total = 0.0
    for (a, o, b) in outcomes {
      total += policy.probability(a: a) * observation[a][o] * policy.probability(b: b, a: a, o: o) * reward[a][o][b]
    }
    return total
  }

  static var outcomes: [(Int, Int, Int)] {
    (0..<8).map { ($0 >> 2, $0 >> 1 & 1, $0 & 1) }
  }

  /// An action, an inserted observation, an action; a child has the last one only.
  static func trajectory(
    _ id: String, parent: Int? = nil, _ a: Int, _ o: Int, _ b: Int
  ) -> ReplayTrajectory {
    let all: [(Int32, UInt8, SegmentKind)] = [
      (Int32(a), 1, .toolCall), (Int32(10 + o), 0, .toolResult), (Int32(20 + b), 1, .answer),
    ]
    let own = parent == nil ? all[...] : all[2...]
    let start = parent == nil ? 0 : 2
    return ReplayTrajectory(
      id: id, declaredParent: parent, declaredBranch: start, rolloutIndex: nil, reward: reward[a][o][b],
      multiplicity: 1, step: 1, dataSource: nil, policyVersion: nil, finishReason: nil, evidence: .tokenIDs,
      entropyKind: nil,
      segments: own.enumerated().map { i, x in Segment(kind: x.2, start: start + i, end: start + i + 1) },
      columns: TokenColumns(tokenIDs: own.map(\.0), lossMask: own.map(\.1)))
  }

  static func leaf(_ a: Int, _ o: Int, _ b: Int) -> WeightedLeaf {
    WeightedLeaf(
      reward: reward[a][o][b],
      turns: [
        .init(start: 0, logRatio: log(target.probability(a: a) / behaviour.probability(a: a))),
        .init(
          start: 2,
          logRatio: log(target.probability(b: b, a: a, o: o) / behaviour.probability(b: b, a: a, o: o))),
      ])
  }
}

private func weightedSum(_ weights: [Double], _ values: [Double]) -> Double {
  var sum = 0.0
  for (w, x) in zip(weights, values) { sum += w * x }
  return sum
}

private func tree(_ trajectories: [ReplayTrajectory]) throws -> RolloutTree {
  let run = ReplayRun(
    id: "r", algorithm: nil, vocabSize: 100, logprobTemperature: 1, branching: BranchingSettings())
  return try RolloutTree(ReplayGroup(run: run, id: "g", step: 1, trajectories: trajectories))
}

@Suite struct OffPolicyTests {
  /// Every log that two roots, of which the first branches behind its observation if it is 0, can give, with its
  /// probability under the behaviour policy.
  private func everyLog(
    _ body: (_ probability: Double, _ design: BranchDesign, _ leaves: [WeightedLeaf?]) throws -> Void
  ) throws {
    let mu = TwoTurns.behaviour
    for (a, o, b) in TwoTurns.outcomes {
      let first = mu.probability(a: a) * TwoTurns.observation[a][o] * mu.probability(b: b, a: a, o: o)
      for (c, q, d) in TwoTurns.outcomes {
        let second = mu.probability(a: c) * TwoTurns.observation[c][q] * mu.probability(b: d, a: c, o: q)
        // The branching looks at the observation, which stands before the fork.
        for fork in o == 0 ? [0, 1] : [nil] {
          var trajectories = [TwoTurns.trajectory("0", a, o, b), TwoTurns.trajectory("1", c, q, d)]
          var leaves = [TwoTurns.leaf(a, o, b), TwoTurns.leaf(c, q, d)]
          var probability = first * second
          if let fork {
            trajectories.append(TwoTurns.trajectory("2", parent: 0, a, o, fork))
            leaves.append(TwoTurns.leaf(a, o, fork))
            probability *= mu.probability(b: fork, a: a, o: o)
          }
          try body(probability, BranchDesign(tree: try tree(trajectories), rewards: leaves.map(\.reward)), leaves)
        }
      }
    }
  }

  @Test func estimatesAreUnbiasedOverEveryLog() throws {
    var (total, pdis, dr, weight, value, plain) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    try everyLog { probability, design, leaves in
      let estimates = OffPolicyEstimates(design: design, leaves: leaves)
      #expect(abs(design.weights.reduce(0, +) - 1) < 1e-15)
      total += probability
      pdis += probability * estimates.pdis
      dr += probability * estimates.dr
      weight += probability * estimates.meanWeight
      let rewards = leaves.compactMap { $0?.reward }
      value += probability * weightedSum(design.weights, rewards)
      plain += probability * weightedSum(rewards.map { _ in 1 / Double(rewards.count) }, rewards)
    }
    #expect(abs(total - 1) < 1e-12)
    #expect(abs(pdis - TwoTurns.value(TwoTurns.target)) < 1e-12)
    #expect(abs(dr - TwoTurns.value(TwoTurns.target)) < 1e-12)
    #expect(abs(weight - 1) < 1e-12)
    // The weighted mean is the behaviour policy's value; the mean over leaves is not.
    #expect(abs(value - TwoTurns.value(TwoTurns.behaviour)) < 1e-12)
    #expect(abs(plain - TwoTurns.value(TwoTurns.behaviour)) > 0.005)
  }

  /// The same policy: all weights 1, every estimate the mean of the rewards.
  @Test func onPolicyNothingIsWeighted() throws {
    try everyLog { _, design, leaves in
      let same = leaves.map { leaf in
        leaf.map { WeightedLeaf(reward: $0.reward, turns: $0.turns.map { .init(start: $0.start, logRatio: 0) }) }
      }
      let estimates = OffPolicyEstimates(design: design, leaves: same)
      let mean = weightedSum(design.weights, leaves.compactMap { $0?.reward })
      #expect(abs(estimates.pdis - mean) < 1e-12)
      #expect(abs(estimates.snis - mean) < 1e-12)
      #expect(abs(estimates.effectiveSampleShare - 1) < 1e-12)
      #expect(estimates.maximumWeight == 1)
    }
  }

  /// With many independent groups the estimates come close to the truth, and the doubly robust one closest.
  @Test func treeValuesLowerTheVariance() throws {
    var (pdis, dr) = (0.0, 0.0)
    let truth = TwoTurns.value(TwoTurns.target)
    // The exact variance, over every log.
    try everyLog { probability, design, leaves in
      // Rewards on a plateau: weights alone make the estimate vary.
      let raised = leaves.map { leaf in leaf.map { WeightedLeaf(reward: $0.reward + 5, turns: $0.turns) } }
      let estimates = OffPolicyEstimates(design: Self.raise(design, by: 5), leaves: raised)
      pdis += probability * pow(estimates.pdis - truth - 5, 2)
      dr += probability * pow(estimates.dr - truth - 5, 2)
    }
    #expect(dr < 0.25 * pdis)
  }

  private static func raise(_ design: BranchDesign, by x: Double) -> BranchDesign {
    BranchDesign(weights: design.weights, baselines: design.baselines.map { $0.map { ($0.index, $0.value + x) } })
  }

  @Test func selfNormalisedStaysWithinTheRewards() throws {
    try everyLog { _, design, leaves in
      let rewards = leaves.compactMap { $0?.reward }
      let snis = OffPolicyEstimates(design: design, leaves: leaves).snis
      let (low, high) = (try #require(rewards.min()), try #require(rewards.max()))
      #expect(snis >= low - 1e-12)
      #expect(snis <= high + 1e-12)
    }
  }

  @Test func leavesWithoutRewardLeaveTheirWeightToSiblings() throws {
    let nodes = try tree([
      TwoTurns.trajectory("0", 0, 0, 0), TwoTurns.trajectory("1", parent: 0, 0, 0, 1),
      TwoTurns.trajectory("2", parent: 0, 0, 0, 1), TwoTurns.trajectory("3", 1, 1, 1),
    ])
    let sixth = 1.0 / 2 / 3
    #expect(BranchDesign(tree: nodes, rewards: [1, 1, 1, 1]).weights == [sixth, sixth, sixth, 0.5])
    #expect(BranchDesign(tree: nodes, rewards: [1, nil, 1, 1]).weights == [0.25, 0, 0.25, 0.5])
    #expect(BranchDesign(tree: nodes, rewards: [nil, nil, nil, 1]).weights == [0, 0, 0, 1])
    let design = BranchDesign(tree: nodes, rewards: [0, 1, 0.5, 4])
    // At the prompt the other root's 4; behind the observation the mean of the other two.
    #expect(design.baselines[0].map(\.index) == [0, 2])
    #expect(design.baselines[0].map(\.value) == [4, 0.75])
    #expect(design.baselines[3].map(\.value) == [0.5])
  }

  @Test func effectiveSampleSizeIsKongs() {
    var sums = WeightSums()
    for w in [1.0, 3, 0, 0] { sums.add(design: 0.25, weight: w) }
    #expect(abs(sums.effectiveCount - 1.6) < 1e-12)
    #expect(abs(sums.effectiveShare - 0.4) < 1e-12)
  }

  @Test func kullbackLeiblerEstimatesAreRightOnAverage() {
    let before = [0.5, 0.3, 0.2]
    let after = [0.2, 0.3, 0.5]
    var (k1, k3, truth) = (0.0, 0.0, 0.0)
    for (p, q) in zip(before, after) {
      var shift = PolicyShift()
      shift.add(logprobBefore: log(p), logprobAfter: log(q), entropyBefore: 1, entropyAfter: 2)
      k1 += p * shift.k1
      k3 += p * shift.k3
      truth += p * log(p / q)
      #expect(shift.k3 >= 0)
    }
    #expect(abs(k1 - truth) < 1e-12)
    #expect(abs(k3 - truth) < 1e-12)
  }
}
