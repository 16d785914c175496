import Replay
import Rollouts
import TestSupport
import Testing

@testable import Exporting

/// A trajectory with token ids: `own` from `branch` on.
private func trajectory(_ id: String, _ own: [Int32], parent: Int? = nil, at branch: Int = 0) -> ReplayTrajectory {
  ReplayTrajectory(
    id: id, declaredParent: parent, declaredBranch: branch, rolloutIndex: nil, reward: 0, multiplicity: 1, step: 1,
    dataSource: nil, policyVersion: nil, finishReason: nil, evidence: .tokenIDs, entropyKind: nil,
    segments: [Segment(kind: .answer, start: branch, end: branch + own.count)],
    columns: TokenColumns(tokenIDs: own, lossMask: own.map { _ in 1 }))
}

private func tree(_ trajectories: [ReplayTrajectory]) throws -> RolloutTree {
  try RolloutTree(
    ReplayGroup(
      run: ReplayRun(id: "r", algorithm: nil, vocabSize: 100, logprobTemperature: 1, branching: BranchingSettings()),
      id: "g", step: 1, trajectories: trajectories))
}

@Suite struct ForkPairTests {
  /// Two roots; b leaves a behind token 2, c leaves b behind token 3, d leaves a at its very start.
  private func nested() throws -> RolloutTree {
    try tree([
      trajectory("a", [1, 2, 3, 4]), trajectory("b", [5, 6], parent: 0, at: 2),
      trajectory("c", [7], parent: 1, at: 3), trajectory("d", [8], parent: 0, at: 0), trajectory("e", [9, 9]),
    ])
  }

  @Test func forksAreWherePathsPart() throws {
    let forks = try nested().nodes().forks
    #expect(forks.map(\.index) == [0, 2, 3])
    #expect(forks[0].branches.map(Set.init) == [[0, 1, 2], [3], [4]])
    #expect(forks[1].branches.map(Set.init) == [[0], [1, 2]])
    #expect(forks[2].branches.map(Set.init) == [[1], [2]])
  }

  @Test func commonPrefixesAreForksWhereTheyAreAskedFor() throws {
    let tree = try tree([trajectory("a", [1, 2, 3]), trajectory("b", [1, 2, 4]), trajectory("c", [1, 5])])
    #expect(tree.nodes(tree.anyForks()).forks.map(\.index) == [1, 2])
    #expect(tree.nodes().forks.map(\.index) == [0])
  }

  @Test func pairsAreTheBestOfOneBranchAndTheWorstOfTheOther() throws {
    let fork = Fork(index: 2, branches: [[0, 1], [2, 3], [4]])
    let scores = [0.0, 1.0, 0.25, 0.5, 0.5]
    let found = SiblingPairs(at: fork, limit: 9) { scores[$0] }
    let pairs = found.pairs
    // 1 over 2 (0.75) beats 3 over 0 (0.5); 1 over 4 and 4 over 0 tie at 0.5, the first counts; 4 over 2 (0.25).
    #expect(pairs.map { [$0.chosen, $0.rejected] } == [[1, 2], [1, 4], [4, 2]])
    #expect(pairs.map(\.margin) == [0.75, 0.5, 0.25])
    #expect(found.scoredBranches == 3)
    #expect(found.belowMargin == 0 && found.beyondLimit == 0)
  }

  @Test func equalScoresMakeNoPairAndTheLimitKeepsTheLargest() {
    let fork = Fork(index: 0, branches: [[0], [1], [2]])
    let found = SiblingPairs(at: fork, minimumMargin: 0.5, limit: 1) { [1.0, 1.0, 0.5][$0] }
    #expect(found.pairs.map(\.chosen) == [0])
    #expect(found.pairs.map(\.rejected) == [2])
    #expect(found.belowMargin == 1 && found.beyondLimit == 1)
  }

  @Test func leavesWithoutAScoreTakeNoPart() {
    let fork = Fork(index: 0, branches: [[0], [1, 2]])
    let found = SiblingPairs(at: fork, limit: 4) { [nil, 1.0, 0.0][$0] }
    #expect(found.pairs.isEmpty)
    #expect(found.scoredBranches == 1)
  }

  /// Whatever the scores: a chosen leaf is never below its rejected one, they lie on different branches, and no pair
  /// that is left out has a larger margin than one that is kept.
  @Test(arguments: 0..<50 as Range<UInt64>) func invariants(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &random) }
    var next = 0
    let branches = (0..<(2 + below(4))).map { _ in
      (0..<(1 + below(3))).map { _ in
        next += 1
        return next - 1
      }
    }
    let scores = (0..<next).map { _ in Double(below(5)) / 4 }
    let fork = Fork(index: 3, branches: branches)
    let all = SiblingPairs(at: fork) { scores[$0] }.pairs
    let some = SiblingPairs(at: fork, limit: 2) { scores[$0] }.pairs
    #expect(some.map(\.margin) == Array(all.map(\.margin).prefix(2)))
    for pair in all {
      #expect(pair.margin > 0)
      #expect(pair.margin == scores[pair.chosen] - scores[pair.rejected])
      #expect(branches.firstIndex { $0.contains(pair.chosen) } != branches.firstIndex { $0.contains(pair.rejected) })
    }
    // Every two branches that differ in anything have a pair.
    let expected = branches.indices.reduce(0) { sum, a in
      sum
        + branches.indices.dropFirst(a + 1).filter { b in
          branches[a].contains { x in branches[b].contains { scores[x] != scores[$0] } }
        }.count
    }
    #expect(all.count == expected)
  }
}

@Suite struct ChatPromptTests {
  @Test func roleLinesAreMessages() throws {
    let messages = try ChatMessages.prompt("system\nBe brief.\nuser\nHow long?\n(in m)\nassistant\n")
    #expect(
      messages.map(\.json) == [
        #"{"role":"system","content":"Be brief."}"#, #"{"role":"user","content":"How long?\n(in m)"}"#,
      ])
  }

  @Test func otherTextIsWhatTheUserSaid() throws {
    #expect(try ChatMessages.prompt("Who wrote\nuser\nEmma?").map(\.json).count == 1)
    #expect(try ChatMessages.prompt("Who?").map(\.json) == [#"{"role":"user","content":"Who?"}"#])
  }

  @Test func renderedTemplatesAreRefused() {
    #expect(throws: ExportGap.renderedPrompt) { try ChatMessages.prompt("<|im_start|>user\nHi<|im_end|>\n") }
  }
}
