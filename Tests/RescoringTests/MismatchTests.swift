import Foundation
import Replay
import Rescoring
import Rollouts
import Testing

@Suite("mismatch of logprobs")
struct MismatchTests {
  @Test("the estimators are those of their definitions")
  func definitions() throws {
    let logged = [-0.5, -2.0, -0.01, -7.0]
    let recomputed = [-0.6, -1.5, -0.01, -6.0]
    var statistics = MismatchStatistics()
    for (a, b) in zip(logged, recomputed) { statistics.add(logged: a, recomputed: b) }
    let x = zip(logged, recomputed).map { $1 - $0 }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
    #expect(abs(try #require(statistics.meanAbsolute) - mean(x.map { abs($0) })) < 1e-12)
    #expect(abs(try #require(statistics.k1) - mean(x.map { -$0 })) < 1e-12)
    #expect(abs(try #require(statistics.k3) - mean(x.map { exp($0) - 1 - $0 })) < 1e-12)
    #expect(abs(try #require(statistics.loggedPerplexity) - exp(-mean(logged))) < 1e-12)
    #expect(abs(try #require(statistics.perplexityRatio) - exp(-mean(recomputed)) / exp(-mean(logged))) < 1e-12)
    #expect(statistics.maxAbsolute == 1)
    var halves = MismatchStatistics()
    var other = MismatchStatistics()
    for i in 0..<2 { halves.add(logged: logged[i], recomputed: recomputed[i]) }
    for i in 2..<4 { other.add(logged: logged[i], recomputed: recomputed[i]) }
    halves.add(other)
    #expect(abs(try #require(halves.k3) - #require(statistics.k3)) < 1e-12 && halves.tokens == 4)
  }

  @Test("verdicts", arguments: [(1e-6, MismatchVerdict.same), (0.01, .sameRounded), (0.2, .related), (1.5, .other)])
  func verdicts(_ noise: Double, _ expected: MismatchVerdict) {
    var statistics = MismatchStatistics()
    for i in 0..<1000 { statistics.add(logged: -2, recomputed: -2 + (i % 2 == 0 ? noise : -noise)) }
    #expect(statistics.verdict == expected)
    #expect(MismatchStatistics().verdict == .unknown)
  }

  @Test("one token that is far off is no rounding; a server's clamp does not overflow")
  func extremes() {
    var statistics = MismatchStatistics()
    for _ in 0..<100_000 { statistics.add(logged: -1, recomputed: -1) }
    statistics.add(logged: -1, recomputed: -1.5)
    #expect(statistics.verdict == .sameRounded)
    statistics.add(logged: -9999, recomputed: -1)
    #expect(statistics.k3?.isFinite == true && statistics.verdict == .other)
  }

  @Test("a run counts each stored token once, by turn, and what has no partner")
  func run() throws {
    let run = ReplayRun(
      id: "r", algorithm: nil, vocabSize: nil, logprobTemperature: 1, branching: BranchingSettings())
    func trajectory(_ id: String, parent: Int?, branch: Int, _ logprobs: [Float], mask: [UInt8]) -> ReplayTrajectory {
      ReplayTrajectory(
        id: id, declaredParent: parent, declaredBranch: branch, rolloutIndex: nil, reward: nil, multiplicity: 1,
        step: nil, dataSource: nil, policyVersion: nil, finishReason: nil, evidence: .tokenIDs, entropyKind: nil,
        segments: [Segment(kind: .other, start: branch, end: branch + mask.count)],
        columns: TokenColumns(
          tokenIDs: mask.indices.map { Int32($0) }, lossMask: mask, logprobs: RealColumn(floats: logprobs)))
    }
    let group = ReplayGroup(
      run: run, id: "g", step: 3,
      trajectories: [
        trajectory("a", parent: nil, branch: 0, [-1, -1, .nan, -1], mask: [1, 1, 0, 1]),
        trajectory("b", parent: 0, branch: 3, [-2, .nan], mask: [1, 1]),
        trajectory("c", parent: nil, branch: 0, [-1], mask: [1]),
      ])
    var mismatch = RunMismatch(run, temperature: 1, worst: 2)
    var seen: [String] = []
    try mismatch.add(
      group,
      [
        .init(logprobs: [-1, .nan, -3, -1.5], tokenIDs: nil, prompt: .logged),
        .init(logprobs: [-4, -1], tokenIDs: [90, 91], prompt: .none), nil,
      ]
    ) { seen.append("\($0.trajectory)\($0.index)/\($0.turn)=\($0.token)") }
    #expect(seen == ["a0/0=0", "a3/1=3", "b3/1=90"])
    #expect(mismatch.all.tokens == 3 && mismatch.turns.map(\.tokens) == [1, 2])
    #expect(mismatch.worst.map(\.difference) == [-2, -0.5])
    #expect(mismatch.notLogged == 1 && mismatch.notRecomputed == 2 && mismatch.withoutPromptIDs == 1)
    #expect(RunMismatch(run, temperature: 0.7, worst: 0).verdict == .unknown)
  }
}
