import Foundation
import Replay
import Rollouts
import Testing

@testable import Evaluation

/// A root that calls a tool and answers, and a child that leaves it behind the result.
private func group(rewards: (Double?, Double?), logprob: Double = -1) throws -> RolloutTree {
  func made(_ id: String, _ parent: Int?, _ tokens: [(Int32, SegmentKind)], _ reward: Double?) -> ReplayTrajectory {
    let start = parent == nil ? 0 : 4
    return ReplayTrajectory(
      id: id, declaredParent: parent, declaredBranch: start, rolloutIndex: nil, reward: reward, multiplicity: 1,
      step: 1, dataSource: nil, policyVersion: nil, finishReason: nil, evidence: .tokenIDs, entropyKind: nil,
      segments: [SegmentKind.toolCall, .toolResult, .answer].compactMap { kind in
        let at = tokens.indices.filter { tokens[$0].1 == kind }
        guard let first = at.first, let last = at.last else { return nil }
        return Segment(kind: kind, start: start + first, end: start + last + 1, tool: kind == .answer ? nil : "search")
      },
      columns: TokenColumns(
        tokenIDs: tokens.map(\.0), lossMask: tokens.map { $0.1 == .toolResult ? 0 : 1 },
        logprobs: RealColumn(doubles: tokens.map { $0.1 == .toolResult ? .nan : logprob })))
  }
  let run = ReplayRun(
    id: "r", algorithm: nil, vocabSize: 100, logprobTemperature: 1, branching: BranchingSettings())
  return try RolloutTree(
    ReplayGroup(
      run: run, id: "g", step: 1,
      trajectories: [
        made(
          "a", nil, [(1, .toolCall), (2, .toolCall), (3, .toolResult), (4, .toolResult), (5, .answer)], rewards.0),
        made("b", 0, [(6, .answer), (7, .answer)], rewards.1),
      ]))
}

private func leaf(_ behaviour: [Double], _ before: [Float], _ after: [Float]) -> ScoredLeaf {
  ScoredLeaf(
    behaviour: behaviour, before: before, after: after, entropyBefore: before.map { _ in 1 },
    entropyAfter: after.map { _ in 0.5 })
}

@Suite struct GroupEvaluationTests {
  @Test func weightsMarginsAndWindowsByHand() throws {
    let leaves = [
      leaf([-1, -1, -1], [-1, -1, -1], [-1, -1, Float(log(0.5))]),
      leaf([-1, -1, -2, -1], [-1, -1, -2, -1], [-1, -1, -2, -2]),
    ]
    let result = GroupEvaluator().evaluate(try group(rewards: (1, 0)), leaves)
    let rewards = try #require(result.rewards)
    #expect(rewards.behaviour == 0.5)
    #expect(abs(rewards.before.pdis - 0.5) < 1e-9)
    // Weights e^(1 + ln 0.5) and e^-1, each half.
    let (w, v) = (exp(1) * 0.5, exp(-1.0))
    #expect(abs(rewards.after.pdis - 0.5 * w) < 1e-6)
    #expect(abs(rewards.after.snis - w / (w + v)) < 1e-6)
    // At the fork each has the other's reward as its baseline: 0.5 [0 + w (1 - 0)] + 0.5 [1 + v (0 - 1)].
    #expect(abs(rewards.after.dr - 0.5 * (w + 1 - v)) < 1e-6)
    try #require(result.margins.count == 1)
    #expect(abs(result.margins[0].before - 2) < 1e-6)
    #expect(abs(result.margins[0].after - (log(0.5) + 4)) < 1e-6)
    // The shared call counts once: five tokens in all, three behind the result.
    #expect(result.shifts[GroupEvaluator.allTokens]?.count == 5)
    #expect(result.shifts["after search 0-10"]?.count == 3)
    #expect(result.shifts["after any tool 0-10"] == result.shifts["after search 0-10"])
    #expect(result.shifts[GroupEvaluator.initial]?.count == 2)
    #expect(result.shifts[GroupEvaluator.initial]?.k3 == 0)
  }

  @Test func leavesWithoutBehaviourAreCountedAndLeftOut() throws {
    let leaves = [
      leaf([-1, .nan, -1], [-1, -1, -1], [-1, -1, -1]), leaf([-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]),
    ]
    let tree = try group(rewards: (1, 0))
    let result = GroupEvaluator().evaluate(tree, leaves)
    #expect(result.withoutBehaviour == 1)
    #expect(result.rewards?.behaviour == 0)
    var trusting = GroupEvaluator()
    trusting.behaviour = .before
    #expect(trusting.evaluate(tree, leaves).withoutBehaviour == 0)
    #expect(trusting.evaluate(tree, leaves).rewards?.behaviour == 0.5)
  }

  @Test func reportsRefuseWhatTheyCannotKnow() throws {
    let tree = try group(rewards: (1, 0))
    let known = [
      leaf([-1, -1, -1], [-1, -1, -1], [-1, -1, -1]), leaf([-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]),
    ]
    var report = EvaluationReport(replicates: 100)
    report.add(GroupEvaluator().evaluate(tree, known))
    #expect(report.refusal(floor: 0.3) == nil)
    #expect(report.rewards.map(\.name) == ["pdis", "snis", "dr"])
    #expect(report.rewards.allSatisfy { $0.change.value == 0 && $0.after.low == nil })

    // One weight of e^6 beside one of 1: hardly more than one leaf of two.
    let far = [leaf([-1, -1, -1], [-1, -1, -1], [-1, -1, 5]), known[1]]
    var skewed = EvaluationReport(replicates: 100)
    skewed.add(GroupEvaluator().evaluate(tree, far))
    let share = try #require(skewed.effective?.after.share)
    #expect(share < 0.6)
    #expect(skewed.refusal(floor: 0.6) == .effectiveSampleSize(share: share, floor: 0.6))

    var nothing = EvaluationReport(replicates: 100)
    nothing.add(GroupEvaluator().evaluate(tree, [leaf([.nan, -1, -1], [0, 0, 0], [0, 0, 0]), nil]))
    #expect(nothing.refusal(floor: 0) == .noBehaviour)
    var unscored = EvaluationReport(replicates: 100)
    unscored.add(GroupEvaluator().evaluate(try group(rewards: (nil, nil)), known))
    #expect(unscored.refusal(floor: 0) == .noRewards)
    #expect(unscored.counts.unscored == 2)
  }

  @Test func intervalsComeFromGroupsAndTheSeed() throws {
    func report(_ seed: UInt64) throws -> EvaluationReport {
      var report = EvaluationReport(replicates: 400, seed: seed)
      for i in 0..<20 {
        var tree = try group(rewards: (Double(i % 3), 0))
        tree = try RolloutTree(
          ReplayGroup(run: tree.group.run, id: "g\(i)", step: 1, trajectories: tree.group.trajectories))
        report.add(
          GroupEvaluator().evaluate(
            tree,
            [
              leaf([-1, -1, -1], [-1, -1, -1], [-1, -1, -0.9]),
              leaf([-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1.1]),
            ]
          ))
      }
      return report
    }
    let first = try report(1)
    #expect(try report(1).rewards.map(\.after) == first.rewards.map(\.after))
    #expect(try report(2).rewards.map(\.after) != first.rewards.map(\.after))
    for row in first.rewards {
      let (low, high) = (try #require(row.after.low), try #require(row.after.high))
      #expect(low < row.after.value)
      #expect(row.after.value < high)
      #expect(row.after.groups == 20)
      #expect(row.change.value > 0)
    }
    let raised = try #require(first.margins?.raised)
    #expect(raised.value == 1)
  }
}
