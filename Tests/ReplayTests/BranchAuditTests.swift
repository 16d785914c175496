import AdaptiveRollout
import Foundation
import Testing
import TestSupport

@testable import Replay

/// The replayed rule against the goldens, and what is summed up of it.
@Suite struct BranchAuditGoldenTests {
  static let names = ["mini", "branched", "entropy", "undeclared"]

  /// Every event under both rules, timings and normalisers.
  @Test(arguments: names) func everyEvent(name: String) throws {
    let expected = try Goldens.expected(name)
    let branching = try #require(expected["branching"] as? [String: Any])
    let events = try #require(branching["events"] as? [[String: Any]])
    let groups = try Goldens.groups(name)
    for rule in ARPORule.allCases {
      for timing in BranchTiming.allCases {
        for normalizer in EntropyNormalizer.allCases where rule == .paper || normalizer == .logVocabulary {
          var options = BranchingOptions()
          options.rule = rule
          options.timing = timing
          options.normalizer = normalizer
          options.estimator = .topk
          if rule == .code { options.estimator = nil }
          let points = try groups.flatMap { try GroupBranches($0, options: options).points }
          try #require(points.count == events.count)
          for (point, event) in zip(points, events) {
            #expect(point.trajectoryID == event["trajectory"] as? String && point.at == event["at"] as? Int)
            var now = (event[rule.rawValue] as? [String: Any])?[timing.rawValue] as? [String: Any]
            if rule == .paper { now = now?[normalizer.rawValue] as? [String: Any] }
            #expect(isClose(point.deltaH, now?["dh"] as? Double), "\(point.trajectoryID) \(point.at)")
            #expect(isClose(point.probability, now?["p"] as? Double))
            if rule == .paper {
              #expect(point.chance.map { $0 == 1 } == now?["branch"] as? Bool)
            } else {
              #expect(isClose(point.initial, (event["code"] as? [String: Any])?["baseline"] as? Double))
              #expect(isClose(point.now, now?["now"] as? Double))
            }
            if let a = point.now, let b = point.initial, let d = point.deltaH { #expect(abs(a - b - d) < 1e-12) }
          }
        }
      }
    }
  }

  /// Executed and independent calls, by run and tool.
  @Test(arguments: Goldens.names) func budgets(name: String) throws {
    let expected = try #require((try Goldens.expected(name)["budget"] as? [String: Any])?["run"] as? [String: Any])
    var audit = BudgetAudit(bootstrapReplicates: 20, seed: 0)
    for group in try Goldens.groups(name) { audit.add(try GroupBudget(group)) }
    let run = try #require(audit.finish().runs.first)
    let all = run.rows[0]
    #expect(all.executed == expected["executed"] as? Int && all.independent == expected["independent"] as? Int)
    #expect(all.trajectories == expected["trajectories"] as? Int)
    #expect(all.generatedUnique == expected["generated_unique"] as? Int)
    #expect(all.generatedFlat == expected["generated_flat"] as? Int)
    let tools = run.rows.filter { $0.dimension == .tool }
    let executed = Dictionary(uniqueKeysWithValues: tools.map { ($0.key ?? "", $0.executed) })
    #expect(executed.filter { $0.value > 0 } == expected["executed_by_tool"] as? [String: Int])
    #expect(tools.reduce(0) { $0 + $1.independent } == all.independent)
    let benchmarks = run.rows.filter { $0.dimension == .benchmark }
    #expect(benchmarks.isEmpty || benchmarks.reduce(0) { $0 + $1.executed } == all.executed)
    if let value = all.calls.value, let low = all.calls.low, let high = all.calls.high {
      #expect(low <= value && value <= high || low == high)
    }
  }

  /// The order of groups and their number do not matter to what one group says.
  @Test(arguments: names) func sumsAreThoseOfTheGroups(name: String) throws {
    let groups = try Goldens.groups(name).map { try GroupBranches($0, options: BranchingOptions()) }
    var audit = BranchAudit(options: BranchingOptions())
    for group in groups { try audit.add(group) }
    let run = try #require(try audit.finish().runs.first)
    let points = groups.flatMap(\.points)
    #expect(run.rows[0].points == points.count && run.rows.dropFirst().reduce(0) { $0 + $1.points } == points.count)
    #expect(run.rows[0].blind == points.count { $0.deltaH == 0 })
    #expect(isClose(run.rows[0].expected, points.compactMap(\.chance).reduce(0, +)))
    let c = run.confusion
    let lines = [c.branched, c.declined, c.spent, c.notBranched, c.untold]
    let counted = lines.reduce(0.0) { $0 + $1.branches + $1.declines + Double($1.unknown) }
    #expect(isClose(counted, Double(points.count)))
    #expect(run.groups == groups.count && run.worth.forks == groups.reduce(0) { $0 + $1.worth.count })
  }

  /// Without candidates, entropies or a vocabulary there is no dH, and nothing is made up.
  @Test func noEvidenceNoNumber() throws {
    for name in ["textonly", "rewards"] {
      for group in try Goldens.groups(name) {
        let branches = try GroupBranches(group, options: BranchingOptions())
        #expect(
          branches.points.allSatisfy { $0.deltaH == nil && $0.probability == nil && $0.estimator == nil && !$0.isBlind }
        )
      }
    }
    for group in try Goldens.groups("mini") {
      var unknown = group
      unknown.run.vocabSize = nil
      #expect(try GroupBranches(unknown, options: BranchingOptions()).points.allSatisfy { $0.deltaH == nil })
    }
    // Surprisals only if they are asked for.
    var options = BranchingOptions()
    options.estimator = .sampledNLL
    let points = try Goldens.groups("rewards").flatMap { try GroupBranches($0, options: options).points }
    #expect(
      points.contains { $0.deltaH != nil } && points.allSatisfy { $0.deltaH == nil || $0.estimator == "sampled-nll" })
  }
}

/// What forks are worth.
@Suite struct WorthTests {
  func report(_ groups: [[ForkWorth]]) throws -> WorthReport {
    var accumulator = WorthAccumulator(options: BranchingOptions(), run: "r")
    for (i, worth) in groups.enumerated() { try accumulator.add(group: "g\(i)", worth) }
    return try accumulator.report()
  }

  func fork(_ deltaH: Double?, _ variance: Double) -> ForkWorth {
    ForkWorth(deltaH: deltaH, branches: 2, variance: variance, regret: variance)
  }

  @Test func varianceThatFollowsEntropy() throws {
    let up = (0..<40).map { g in (0..<4).map { fork(Double($0) + Double(g) / 100, Double($0 * $0)) } }
    let report = try report(up)
    #expect(report.verdict == .yes && report.concordance.value == 1 && report.pairs == 240)
    #expect(report.bins.count == 10 && report.bins.reduce(0) { $0 + $1.forks } == 160)
    #expect(report.bins[0].variance.value == 0 && report.bins[9].variance.value == 9)
    #expect(zip(report.bins, report.bins.dropFirst()).allSatisfy { $0.to < $1.from })
    #expect((report.varianceDifference.low ?? 0) > 0)
    let down = up.map { $0.map { fork(-($0.deltaH ?? 0), $0.variance) } }
    #expect(try self.report(down).verdict == .opposite)
  }

  /// Prompts that differ in both, and forks that do not: the difference over all groups deceives, the pairs do not.
  @Test func promptsThatDifferAreNoAnswer() throws {
    var random = SeededRandom(seed: 3)
    let groups = (0..<60).map { g in
      (0..<4).map { _ in fork(Double(g) + random.unit(), Double(g) + random.unit()) }
    }
    let report = try report(groups)
    #expect((report.varianceDifference.low ?? 0) > 0)
    #expect(report.verdict == .cannotTell && abs((report.concordance.value ?? 0) - 0.5) < 0.1)
  }

  @Test func tooLittle() throws {
    #expect(try report([]).verdict == .cannotTell)
    #expect(try report([[fork(nil, 1), fork(nil, 0)]]).bins.isEmpty)
    let few = (0..<19).map { _ in [fork(1, 1), fork(0, 0)] }
    #expect(try report(few).verdict == .cannotTell)
    #expect(try report(few + few).verdict == .yes)
    // Equal dH, equal variance: no pair.
    #expect(try report((0..<30).map { _ in [fork(0, 1), fork(0, 0), fork(0, 0)] }).pairs == 0)
  }

  /// Two branches of one point, by hand: rewards 1 and (0 + 1) / 2.
  @Test func aForkByHand() throws {
    let root = madeTrajectory(
      "0",
      [
        .think([1, 2]), .call([3], "search"), .result([4], "search"), .think([5]), .call([6], "search"),
        .result([7], "search"), .think([8]),
      ], reward: 1)
    let first = madeTrajectory(
      "1", parent: 0, at: 4, [.think([9]), .call([1], "python"), .result([2], "python"), .think([3])], reward: 0)
    let second = madeTrajectory("2", parent: 1, at: 7, [.think([5])], reward: 1)
    let group = madeGroup([root, first, second])
    let branches = try GroupBranches(group, options: BranchingOptions())
    #expect(branches.points.map(\.at) == [4, 7, 7] && branches.points.map(\.forks) == [1, 0, 1])
    // At 4: 1 against the mean of 0 and 1; at 7 of the fork: 0 against 1.
    #expect(branches.worth.map(\.branches) == [2, 2])
    #expect(branches.worth.map(\.variance).sorted() == [0.125, 0.5])
    #expect(branches.worth.map(\.regret).sorted() == [0.25, 0.5])
    #expect(branches.forkEvidence == .declared && branches.executedCalls == 3)
  }
}
