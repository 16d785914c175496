import Foundation
import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct EntropyAuditTests {
  /// Groups whose results are followed by entropies that are higher by `rise`, and more so after a search.
  private func groups(_ count: Int, rise: Double, search: Double = 0, run: String = "r") -> [ReplayGroup] {
    var random = SeededGenerator(seed: 99)
    return (0..<count).map { g in
      let members = (0..<4).map { t in
        let isSearch = t % 2 == 0
        let stretches: [Stretch] = [
          .think([Int32](repeating: 1, count: 120)), .call([2], isSearch ? "web_search" : "python"),
          .result([3, 3], isSearch ? "web_search" : "python"), .think([Int32](repeating: 4, count: 60)),
        ]
        let noise = (0..<200).map { _ in Double.random(in: 0..<1, using: &random) }
        return madeTrajectory(
          "g\(g)/\(t)", stretches, reward: Double(t % 2),
          logprobs: { -(noise[$0] + ($0 > 122 ? rise + (isSearch ? search : 0) : 0)) })
      }
      return madeGroup(members, id: "g\(g)", run: madeRun(run))
    }
  }

  private var options: AuditOptions {
    var options = AuditOptions()
    options.bootstrapReplicates = 200
    options.seed = 4
    return options
  }

  @Test func findingsOfAClearCase() throws {
    let run = try #require(try report(groups(12, rise: 0.5, search: 0.5), options).runs.first)
    #expect(run.findings.map(\.verdict) == [.supported, .supported, .supported])
    let row = try #require(run.overall.first { $0.window == 0..<50 })
    let (low, mean, high) = try (
      #require(row.eventMean.low), #require(row.eventMean.value), #require(row.eventMean.high)
    )
    #expect(low < mean && mean < high && low > 1.1 && high < 1.4)
    #expect(row.events == 48 && row.tokens == 48 * 50)
    #expect(run.earlyReasoning.map(\.events) == [48, 48, 48, 48])
    let calls = try #require(run.tables.first { $0.dimension == .callNumber })
    #expect(calls.rows.map(\.key) == ["1"])
    let outcomes = try #require(run.tables.first { $0.dimension == .outcome })
    #expect(outcomes.rows.map(\.key) == ["reward <= 0", "reward > 0"])
  }

  @Test func findingsOfTheOppositeCase() throws {
    let run = try #require(try report(groups(12, rise: -0.4, search: -0.1), options).runs.first)
    #expect(run.findings.map(\.verdict) == [.notSupported, .notSupported, .notSupported])
  }

  @Test func oneGroupHasNoInterval() throws {
    let run = try #require(try report(groups(1, rise: 0.5), options).runs.first)
    #expect(run.overall.allSatisfy { $0.eventMean.value != nil && $0.eventMean.low == nil })
    #expect(run.findings.map(\.verdict) == [.cannotTell, .cannotTell, .cannotTell])
    #expect(run.findings[0].reason.contains("no interval"))
  }

  @Test func curves() throws {
    let run = try #require(try report(groups(6, rise: 2), options).runs.first)
    let all = try #require(run.curves.first)
    #expect(all.tool == nil && all.counts.count == 64 && all.counts.prefix(60).allSatisfy { $0 == 24 })
    #expect(all.counts[60...].allSatisfy { $0 == 0 } && all.means[60...].allSatisfy { $0 == nil })
    #expect(run.curves.map(\.tool) == [nil, "python", "web_search"])
    let start = try #require(run.startCurve)
    #expect(zip(start.means, all.means.prefix(60)).allSatisfy { ($0 ?? 9) < ($1 ?? 0) })
  }

  /// The same prompt groups in another order: the same intervals, but for the rounding of sums.
  @Test func orderOfGroupsDoesNotMatter() throws {
    let groups = groups(9, rise: 0.3)
    let a = try #require(try report(groups, options).runs.first)
    let b = try #require(try report(groups.reversed(), options).runs.first)
    for (x, y) in zip(a.overall, b.overall) {
      #expect(isClose(x.eventMean.low, y.eventMean.low) && isClose(x.eventMean.high, y.eventMean.high))
      #expect(isClose(x.eventDelta.low, y.eventDelta.low) && isClose(x.eventDelta.high, y.eventDelta.high))
    }
    #expect(isClose(a.baseline.low, b.baseline.low))
    var other = options
    other.seed = 5
    let c = try #require(try report(groups, other).runs.first)
    #expect(c.baseline.low != a.baseline.low)
  }

  /// Analysed on several threads and added in canonical order: the same report to the last bit.
  @Test func threadsDoNotMatter() async throws {
    let groups = groups(16, rise: 0.3, search: 0.1)
    let options = options
    let expected = try report(groups, options)
    let parts = try await withThrowingTaskGroup(of: (Int, GroupAudit).self) { tasks in
      for (i, group) in groups.enumerated() {
        tasks.addTask { (i, try EntropyAudit.analyse(group, options: options)) }
      }
      return try await tasks.reduce(into: [Int: GroupAudit]()) { $0[$1.0] = $1.1 }
    }
    var audit = EntropyAudit(options: options)
    for i in groups.indices { try audit.add(#require(parts[i])) }
    #expect(try audit.finish() == expected)
  }

  /// Kept numbers that go to a file change nothing.
  @Test func spillingDoesNotMatter() throws {
    let groups = groups(16, rise: 0.3)
    var spilling = options
    spilling.valuesInMemory = 8
    let directory = FileManager.default.temporaryDirectory.path
    spilling.spill = { try UnlinkedFile(directory: directory) }
    var calls: [AuditCall] = []
    var spilledCalls: [AuditCall] = []
    let plain = try report(groups, options) { calls.append($0) }
    #expect(try report(groups, spilling) { spilledCalls.append($0) } == plain)
    #expect(calls == spilledCalls && calls.count == 64)
  }

  /// More rows than one pass of the bootstrap holds.
  @Test func manyRows() throws {
    let groups = groups(100, rise: 0.3).enumerated().map { i, group in
      var group = group
      for t in group.trajectories.indices { group.trajectories[t].step = i / 2 }
      return group
    }
    let run = try #require(try report(groups, options).runs.first)
    let steps = try #require(run.tables.first { $0.dimension == .step })
    #expect(steps.rows.map(\.key) == (0..<50).map(String.init))
    #expect(steps.rows.allSatisfy { $0.windows[0].eventMean.low != nil && $0.windows[0].events == 8 })
    let sources = try #require(run.tables.first { $0.dimension == .dataSource })
    #expect(sources.rows.map(\.key) == ["null"])
  }

  /// Each run is a log of its own.
  @Test func runsAreNotMixed() throws {
    let a = groups(5, rise: 0.2, run: "a")
    let b = groups(5, rise: 3, run: "b")
    let both = try report(a + b, options)
    #expect(both.runs.map(\.runID) == ["a", "b"])
    #expect(try both.runs[0] == report(a, options).runs[0] && both.runs[1] == report(b, options).runs[0])
  }

  @Test func noReplicatesNoIntervals() throws {
    var options = options
    options.bootstrapReplicates = 0
    let run = try #require(try report(groups(4, rise: 0.2), options).runs.first)
    #expect(run.baseline.value != nil && run.baseline.low == nil)
  }

  @Test func windowsOfTheCallersChoice() throws {
    var options = options
    options.windows = [0..<5, 5..<30]
    let run = try #require(try report(groups(4, rise: 0.2), options).runs.first)
    #expect(run.overall.map(\.window) == [0..<5, 5..<30] && run.control.map(\.window) == [0..<5, 5..<30])
    #expect(run.findings[0].reason.contains("5-30"))
    options.windows = []
    #expect(try report(groups(4, rise: 0.2), options).runs.first?.findings.first?.verdict == .cannotTell)
  }
}
