@testable import Replay
import Testing
import TestSupport

/// Accuracy, pass@k, format failures and tool calls of groups.
@Suite struct OutcomeTests {
  private func group(
    _ rewards: [Double?], id: String = "g", run: String = "r", source: String? = nil, step: Int? = 1,
    named: [[NamedReward]] = [], multiplicities: [Int] = []
  ) -> ReplayGroup {
    var group = madeGroup(
      rewards.enumerated().map { i, reward in
        var t = madeTrajectory(
          "\(id)/\(i)", [.call([Int32(i)], "search"), .result([9], "search"), .think([1])], reward: reward)
        t.dataSource = source
        t.step = step
        if i < named.count { t.namedRewards = named[i] }
        if i < multiplicities.count { t.multiplicity = multiplicities[i] }
        return t
      }, id: id, run: madeRun(run))
    group.step = step
    return group
  }

  private func outcome(_ group: ReplayGroup, _ rules: OutcomeRules = OutcomeRules()) throws -> GroupOutcome {
    try GroupOutcome(RolloutTree(group), rules: rules)
  }

  /// pass@k against all subsets of k leaves.
  @Test func passAtKIsTheShareOfSubsetsWithASuccess() throws {
    var random = SeededGenerator(seed: 91)
    for _ in 0..<40 {
      let n = Int.random(in: 1...9, using: &random)
      let rewards = (0..<n).map { _ in Bool.random(using: &random) ? 1.1 : 0.4 }
      let found = try outcome(group(rewards))
      for k in 1...10 {
        var (all, good) = (0, 0)
        for mask in 0..<(1 << n) where mask.nonzeroBitCount == k {
          all += 1
          if rewards.indices.contains(where: { mask >> $0 & 1 == 1 && rewards[$0] >= 1 }) { good += 1 }
        }
        guard k <= n else {
          #expect(found.passAt(k) == nil)
          continue
        }
        #expect(abs((found.passAt(k) ?? -1) - Double(good) / Double(all)) < 1e-12)
      }
    }
    #expect(try outcome(group([1.0])).passAt(0) == nil)
  }

  @Test func leavesCountByMultiplicityAndUnscoredOnesNot() throws {
    let found = try outcome(group([1, nil, 0, -1], multiplicities: [2, 3, 1, 1]))
    #expect(found.leaves == 7 && found.scored == 4 && found.successes == 2 && found.rewardSum == 1)
    #expect(found.failures == 1 && found.judged == 4 && found.trajectories == 4)
    #expect(found.budget.executed == 4 && found.budget.independent == 4)
  }

  /// A named reward judges before the reward's value does.
  @Test func formatFailuresByNameOrByReward() throws {
    let format = { NamedReward(name: "format_reward", score: $0) }
    let found = try outcome(group([-1, 1, -1, 0], named: [[format(0.5)], [format(0)], [], [format(nil)]]))
    #expect(found.judgedByName == 2 && found.failuresByName == 1 && found.failuresByReward == 1)
    #expect(found.formatReward == "format_reward")
    var rules = OutcomeRules()
    rules.formatReward = "shape"
    #expect(try outcome(group([-1, 1], named: [[format(0)], [format(0)]]), rules).failuresByReward == 1)
    rules.failedReward = 0
    #expect(try outcome(group([0, 1, -1]), rules).failures == 1)
    var strict = OutcomeRules()
    strict.success = 0.5
    #expect(try outcome(group([0.5, 0.49, 0.3 + 0.2])).successes == 0)
    #expect(try outcome(group([0.5, 0.49, 0.3 + 0.2]), strict).successes == 2)
  }

  @Test func rowsByRunSourceAndStep() throws {
    var table = OutcomeTable(rules: OutcomeRules(), by: [.dataSource, .step], replicates: 200)
    for (run, shift) in [("a", 0.0), ("b", 0.5)] {
      for g in 0..<12 {
        let rewards = [0.0 + shift, 1 + shift, nil]
        try table.add(
          outcome(group(rewards, id: "g\(g)", run: run, source: g % 2 == 0 ? "aime" : nil, step: g % 3)))
      }
    }
    let rows = try table.rows(against: "a")
    #expect(rows.count == 2 * (1 + 6))
    let whole = rows.filter { $0.key.dimensions.isEmpty }
    #expect(whole.map(\.key.run) == ["a", "b"] && whole.map(\.groups) == [12, 12])
    #expect(whole[0].accuracy.value == 0.5 && whole[1].accuracy.value == 1)
    // The same prompts draw the same weights: a constant difference has no spread.
    #expect(whole[0].accuracyDifference == nil)
    let difference = try #require(whole[1].accuracyDifference)
    #expect(abs((difference.value ?? 0) - 0.5) < 1e-12)
    #expect(abs((difference.low ?? 0) - 0.5) < 1e-9 && abs((difference.high ?? 0) - 0.5) < 1e-9)
    #expect(rows[1].key.dataSource == "aime" && rows[1].key.step == 0 && rows[4].key.dataSource == nil)
    #expect(whole[0].pass.map(\.k) == [1, 5] && whole[0].pass[0].estimate.value == 0.5)
    #expect(whole[0].pass[1].groups == 0 && whole[0].pass[1].estimate.value == nil)
    #expect(whole[0].executedCalls.value == 1)
  }

  /// Judged is who is judged by either, each leaf once: a named judge without a reward beside a reward without a judge.
  @Test func judgedLeavesAreAUnion() throws {
    let format = { NamedReward(name: "format", score: $0) }
    let found = try outcome(group([nil, -1], named: [[format(0)], []], multiplicities: [2, 3]))
    #expect(found.judged == 5 && found.failures == 5 && found.scored == 3 && found.judgedByName == 2)
    var table = OutcomeTable(rules: OutcomeRules(), by: [])
    try table.add(found)
    #expect(try table.rows()[0].formatFailures.value == 1)
  }

  /// A row whose rewards are of one group has no interval, whatever else was added, and no difference from it has one.
  @Test func oneScoredGroupHasNoInterval() throws {
    var table = OutcomeTable(rules: OutcomeRules(), by: [], replicates: 100)
    for g in 0..<5 {
      try table.add(outcome(group([1, Double(g) / 5], id: "g\(g)", run: "many")))
      try table.add(outcome(group(g == 0 ? [1, 0] : [nil, nil], id: "g\(g)", run: "one")))
    }
    let rows = try table.rows(against: "one")
    #expect(rows[0].accuracy.low != nil && rows[1].accuracy.value == 0.5)
    #expect(rows[1].accuracy.low == nil && rows[1].formatFailures.low == nil)
    let difference = try #require(rows[0].accuracyDifference)
    #expect(difference.value != nil && difference.low == nil)
  }

  /// Rows whose replicates do not fit in memory have the same numbers, bit for bit.
  @Test func manyRowsInLittleMemory() throws {
    var random = SeededGenerator(seed: 92)
    var groups: [GroupOutcome] = []
    for g in 0..<120 {
      let rewards = (0..<4).map { _ in Bool.random(using: &random) ? Double.random(in: 0...1.5, using: &random) : nil }
      groups.append(
        try outcome(
          group(
            rewards, id: "g\(g % 50)", run: g % 3 == 0 ? "a" : "b", source: g % 2 == 0 ? "aime" : nil, step: g % 23)))
    }
    func rows(_ sumsInMemory: Int?) throws -> [String] {
      var table = OutcomeTable(
        rules: OutcomeRules(), by: [.dataSource, .step], replicates: 60, seed: 4, sumsInMemory: sumsInMemory,
        spill: { MemorySpill() })
      for group in groups { try table.add(group) }
      return try table.rows(against: "a").map { row in
        "\(row.key.run) \(row.key.dataSource ?? "-") \(row.key.step ?? -1) \(row.accuracy) \(row.pass) "
          + "\(row.formatFailures) \(row.executedCalls) \(row.independentCalls) "
          + "\(row.generatedTokens) \(String(describing: row.accuracyDifference))"
      }
    }
    let whole = try rows(nil)
    #expect(whole.count > 40 && whole.contains { $0.contains("low: Optional") })
    for limit in [0, 1, 17, 100] { #expect(try rows(limit) == whole) }
  }
}
