import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct TreeReportTests {
  private func report(_ group: ReplayGroup, _ names: [String] = ["arpo-hard", "grpo"]) throws -> TreeReport {
    let strategies = try AttributionStrategies.chosen(names)
    let tree = try RolloutTree(group)
    let batches = AttributionBatches(strategies, of: tree)
    return TreeReport(
      GroupAttribution(tree, strategies, batches, alsoNeeds: .anyTree), names: strategies.map(\.name), windowTokens: 2)
  }

  /// A group that can be checked by hand: forks after a result and inside a segment.
  @Test func aSmallTree() throws {
    let group = madeGroup([
      madeTrajectory(
        "a", [.think([1, 2]), .call([3], "search"), .result([4, 5], "search"), .think([6, 7])], reward: 1,
        logprobs: { -Double($0 + 1) }),
      madeTrajectory("b", parent: 0, at: 5, [.think([8])], reward: 0, logprobs: { _ in -3 }),
      madeTrajectory("c", parent: 0, at: 1, [.think([9])]),
    ])
    let found = try report(group)
    #expect(
      found.estimator == .sampledNLL && found.forks == 2 && found.rewards.leaves == 3 && found.rewards.scored == 2)
    #expect(found.nodes.map(\.depth) == [0, 1, 2, 2, 1])
    #expect(found.nodes.map(\.node.range) == [0..<1, 1..<5, 5..<7, 5..<6, 1..<2])
    #expect(found.nodes.map { $0.fork?.place } == [nil, nil, nil, .afterResult(tool: "search"), .inside(.reasoning)])
    #expect(found.nodes.map(\.generated) == [1, 2, 2, 1, 1])
    #expect(
      found.nodes[1].rewards.mean == 0.5 && found.nodes[2].rewards.std == nil && found.nodes[4].rewards.mean == nil)
    // First two generated tokens: surprisal 1 and 2. From index 5 of a: 6 and 7; of b: 3.
    #expect(found.nodes[0].entropyRise == nil && found.nodes[2].entropyRise == 5 && found.nodes[3].entropyRise == 1.5)
    let (hard, soft) = (found.nodes[1].advantages[0], found.nodes[1].advantages[1])
    #expect(abs(hard ?? 9) < 1e-9 && abs(soft ?? 9) < 1e-9)
    #expect((found.nodes[2].advantages[0] ?? 0) > 0.7 && found.nodes[4].advantages == [nil, nil])
    #expect(found.nodes[1].segments.map(\.kind) == [.reasoning, .toolCall, .toolResult])
  }

  /// On every node hard is the mean of soft: the leaves' means are one number there.
  @Test func hardIsTheMeanOfSoftOnEveryNode() throws {
    var random = SeededGenerator(seed: 95)
    var nodes = 0
    for _ in 0..<80 {
      let found = try report(RandomGroups.group(&random, declared: true), ["arpo-hard", "arpo-soft"])
      for node in found.nodes {
        let (a, b) = (node.advantages[0], node.advantages[1])
        #expect((a == nil) == (b == nil))
        if let a, let b { #expect(abs(a - b) < 1e-9) }
        nodes += 1
      }
      #expect(found.nodes.reduce(0) { $0 + $1.node.ends.count } == found.tree.count)
    }
    #expect(nodes > 300)
  }

  @Test func withoutLogprobsThereIsNoRise() throws {
    let found = try report(
      madeGroup([
        madeTrajectory("a", [.think([1, 2])], reward: 1),
        madeTrajectory("b", parent: 0, at: 1, [.think([3])], reward: 0),
      ]))
    #expect(found.estimator == nil && found.nodes.allSatisfy { $0.entropyRise == nil })
  }
}
