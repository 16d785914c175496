import Foundation
import Learner
import Replay
import Rollouts
import TestSupport

/// Random prompt groups, straight as replay groups, with shared prefixes nested several deep.
struct TreeMaker {
  var random: SeededGenerator
  var vocabulary: Int32 = 7
  /// Most tokens of a segment.
  var length = 5

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// A group whose children store only what is new, with tool results in between.
  mutating func group(_ id: String, leaves: Int) -> ReplayGroup {
    var trajectories: [ReplayTrajectory] = []
    var lengths: [Int] = []
    for t in 0..<leaves {
      let parent = t > 0 && Bool.random(using: &random) ? Int.random(in: 0..<t, using: &random) : nil
      let branch = parent.map { Int.random(in: 0...lengths[$0], using: &random) } ?? 0
      var columns = TokenColumns()
      var logprobs: [Float] = []
      var segments: [Segment] = []
      for s in 0..<Int.random(in: 1...3, using: &random) {
        let isResult = s == 1
        let count = Int.random(in: 1...length, using: &random)
        let start = branch + columns.count
        segments.append(Segment(kind: isResult ? .toolResult : .reasoning, start: start, end: start + count))
        for _ in 0..<count {
          columns.tokenIDs.append(Int32.random(in: 0..<vocabulary, using: &random))
          columns.lossMask.append(isResult ? 0 : 1)
          logprobs.append(isResult ? .nan : -Float.random(in: 0.1...3, using: &random))
        }
      }
      columns.logprobs = RealColumn(floats: logprobs)
      lengths.append(branch + columns.count)
      trajectories.append(
        ReplayTrajectory(
          id: "\(id)/\(t)", declaredParent: parent, declaredBranch: branch, rolloutIndex: t,
          reward: Double(Int.random(in: 0...3, using: &random)), multiplicity: t % 4 == 3 ? 2 : 1, step: 0,
          dataSource: nil, policyVersion: nil, finishReason: t % 3 == 0 ? "length" : "stop",
          evidence: [.tokenIDs, .sampledLogprobs], entropyKind: nil, segments: segments, columns: columns))
    }
    let run = ReplayRun(
      id: "made", algorithm: nil, vocabSize: Int(vocabulary), logprobTemperature: 1, branching: BranchingSettings())
    return ReplayGroup(run: run, id: id, step: 0, trajectories: trajectories)
  }

  /// A training tree with random advantages of every token of every leaf.
  mutating func tree(_ id: String, leaves: Int) throws -> TrainingTree {
    let tree = try RolloutTree(group(id, leaves: leaves))
    let advantages = tree.paths.map { path in
      PathAdvantages.tokens((0..<path.generatedCount).map { _ in Double.random(in: -2...2, using: &random) })
    }
    let prompt = (0..<Int.random(in: 1...4, using: &random)).map { _ in Int32.random(in: 0..<vocabulary, using: &random)
    }
    return TrainingTree(
      label: id, prompt: prompt, tree: tree, leaves: Array(tree.paths.indices), advantages: advantages)
  }

  mutating func trees(_ count: Int) throws -> [TrainingTree] {
    try (0..<count).map { try tree("g\($0)", leaves: Int.random(in: 1...6, using: &random)) }
  }

  /// Logprobs of the trained nodes of trees that differ a little from a policy's own.
  mutating func shifted(_ trees: [TrainingTree], _ policy: BigramPolicy, by noise: Double) -> [[Float]] {
    trees.map { tree in
      tree.trainedNodes.map { n in
        let parent = Int(tree.parents[Int(n)])
        let lp = policy.distribution(after: tree.tokens[parent], temperature: 1)[Int(tree.tokens[Int(n)])]
        return Float(lp + Double.random(in: -noise...noise, using: &random))
      }
    }
  }
}
