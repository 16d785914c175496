import Foundation
import Testing
import TestSupport

@testable import Replay

/// Comparisons of a run's strategies, whatever fits in memory.
@Suite struct StrategyComparisonTests {
  private static let names = ["grpo:verl", "arpo-hard", "gigpo:mean", "reinforce++:gamma0.99", "treerl"]

  private func strategies(_ names: [String]) throws -> [any AttributionStrategy] {
    try AttributionStrategies.chosen(names)
  }

  private func compare(
    _ groups: [ReplayGroup], _ names: [String], points: Int = 1 << 20, replicates: Int = 0, spill: SpillFactory? = nil
  ) throws -> ComparisonReport {
    let strategies = try strategies(names)
    let trees = try groups.map { try RolloutTree($0) }
    var batches = AttributionBatches(strategies)
    for tree in trees { batches += AttributionBatches(strategies, of: tree) }
    var comparison = StrategyComparison(
      names: names, run: "r", replicates: replicates, seed: 1, disagreements: 3, pointsInMemory: points, spill: spill)
    for tree in trees {
      let attribution = GroupAttribution(tree, strategies, batches)
      try comparison.add(GroupComparison(attribution, attribution.advantages, disagreements: 3))
    }
    return try comparison.finish()
  }

  private static let spill: SpillFactory = { try UnlinkedFile(directory: FileManager.default.temporaryDirectory.path) }

  private func randomGroups(_ count: Int, seed: UInt64) throws -> [ReplayGroup] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { RandomGroups.group(&random, declared: true, id: "g\($0)", step: $0 % 3) }
  }

  /// A few points in memory or all of them: the same numbers, and those of one accumulator a pair.
  @Test func spillingChangesNothing() throws {
    let groups = try randomGroups(60, seed: 81)
    let inMemory = try compare(groups, Self.names, replicates: 200)
    let spilled = try compare(groups, Self.names, points: 1, replicates: 200, spill: Self.spill)
    let strategies = try strategies(Self.names)
    let trees = try groups.map { try RolloutTree($0) }
    var batches = AttributionBatches(strategies)
    for tree in trees { batches += AttributionBatches(strategies, of: tree) }
    for (a, b) in zip(inMemory.pairs, spilled.pairs) {
      for (x, y) in [(a.pearson, b.pearson), (a.spearman, b.spearman), (a.signFlip, b.signFlip)] {
        #expect(agree(x.value, y.value) && agree(x.low, y.low) && agree(x.high, y.high), "\(a.a) \(a.b)")
      }
      #expect(a.spearman.low.map { $0 <= (a.spearman.value ?? 0) + 0.2 } ?? false)
      var alone = ComparisonAccumulator()
      for tree in trees {
        let found = GroupAttribution(tree, strategies, batches)
        try alone.add(
          found.group, found.advantages[#require(Self.names.firstIndex(of: a.a))],
          found.advantages[#require(Self.names.firstIndex(of: a.b))])
      }
      let expected = try alone.finish()
      #expect(a.tokens == expected.tokens && agree(a.pearson.value, expected.pearson))
      #expect(agree(a.spearman.value, expected.spearman) && agree(a.signFlip.value, expected.signFlip))
      #expect(agree(a.meanAbsDelta.value, expected.meanAbsDelta))
    }
  }

  /// The reference's comparisons and shares of every golden log, with points that spill.
  @Test(arguments: Goldens.names) func goldenComparisonsAndShares(name: String) throws {
    let expected = try Goldens.expected(name)
    let rows = try #require(expected["comparisons"] as? [[String: Any]])
    let shares = try #require(expected["shares"] as? [String: [String: Any]])
    let groups = try Goldens.groups(name)
    // Without candidates AEPO has no entropies, and then no advantages here.
    let hasEntropies = try groups.contains { try AttributionGroup($0).hasEntropy(.topk) }
    let names = shares.keys.sorted().filter { hasEntropies || $0 != "aepo" }
    let report = try compare(groups, names, points: 1, spill: Self.spill)
    for row in rows where hasEntropies || row["b"] as? String != "aepo" {
      let (a, b) = (row["a"] as? String, row["b"] as? String)
      let pair = try #require(report.pairs.first { [$0.a, $0.b] == [a, b] || [$0.b, $0.a] == [a, b] })
      let got: [String: Any] = [
        "a": a ?? "", "b": b ?? "", "tokens": pair.tokens, "pearson": pair.pearson.value ?? NSNull(),
        "spearman": pair.spearman.value ?? NSNull(), "sign_flip": pair.signFlip.value ?? NSNull(),
        "mean_abs_delta": pair.meanAbsDelta.value ?? NSNull(),
      ]
      #expect(GoldenJSON.differences(got, row, tolerance: 1e-9) == [])
    }
    for column in report.columns {
      let golden = try #require(shares[column.name])
      #expect(GoldenJSON.differences(column.totalAbs, golden["total_abs"] as Any, tolerance: 1e-9) == [])
      for (dimension, key) in [
        (CreditPart.Dimension.kind, "by_kind"), (.callTool, "by_call_tool"), (.afterTool, "after_tool"),
      ] {
        let parts = try #require(golden[key] as? [String: Double], "\(column.name) \(key)")
        for (part, share) in parts {
          let got = try #require(column.shares[CreditPart(dimension, part)]?.value)
          #expect(abs(got - share) < 1e-9, "\(column.name) \(key) \(part)")
        }
      }
    }
  }

  /// Soft attribution is GRPO, twice a strategy is its scale, and groups without forks have nothing hard to average.
  @Test func whatALogCannotTellApart() throws {
    let flat = (0..<8).map { i in
      let members = (0..<3).map { t in
        madeTrajectory("g\(i)/\(t)", [.think([Int32(10 * i + t), 1])], reward: Double((t + i) % 3))
      }
      return madeGroup(members, id: "g\(i)")
    }
    let report = try compare(flat, ["grpo:verl", "arpo-soft", "arpo-hard", "rloo", "grpo:trl"], replicates: 100)
    func verdict(_ a: String, _ b: String) -> ComparisonReport.Pair.Verdict? {
      report.pairs.first { $0.a == a && $0.b == b }?.verdict
    }
    #expect(verdict("grpo:verl", "arpo-soft") == .equal && verdict("grpo:verl", "arpo-hard") == .equal)
    #expect(verdict("grpo:verl", "rloo") == .scaleOnly)
    let empty = try compare([madeGroup([madeTrajectory("a", [.think([1])])])], ["grpo:verl", "rloo"])
    #expect(empty.pairs.map(\.verdict) == [.nothing] && empty.pairs[0].pearson.value == nil)
    let few = try compare(randomGroups(3, seed: 5), ["grpo:verl", "treerl"], replicates: 50)
    #expect(few.pairs.map(\.verdict) == [.fewGroups])
    let many = try compare(randomGroups(40, seed: 6), ["grpo:verl", "treerl"], replicates: 50)
    #expect(many.pairs.map(\.verdict) == [.different])
  }

  /// The segment that most credit moves on is found once, however many paths pass through it.
  @Test func disagreementsAreOfSegments() throws {
    let group = madeGroup([
      madeTrajectory("a", [.think([1, 2, 3]), .result([4], "search"), .think([5])], reward: 1),
      madeTrajectory("b", parent: 0, at: 4, [.think([6, 7])], reward: 0),
      madeTrajectory("c", parent: 0, at: 4, [.think([8])], reward: 0),
    ])
    let report = try compare([group], ["grpo:verl", "arpo-hard"])
    let found = report.pairs[0].disagreements
    #expect(found.count == 1 && found[0].range == 0..<3 && found[0].paths == 3 && found[0].trajectory == "a")
    #expect(found[0].tokenIDs == [1, 2, 3] && found[0].text == nil && found[0].tokens == 3)
    let mean = 1.0 / 3
    let std = (2.0 / 9 + 4.0 / 9).squareRoot() / 2.0.squareRoot()
    #expect(abs(found[0].first - (1 - mean) / (std + 1e-6)) < 1e-9 && abs(found[0].second) < 1e-9)
    #expect(agree(found[0].totalDelta, 3 * (found[0].first + 2 * mean / (std + 1e-6))))
  }

  @Test func depthCountsNodesAbove() throws {
    let group = madeGroup([
      madeTrajectory("a", [.think([1, 2, 3])], reward: 1),
      madeTrajectory("b", parent: 0, at: 1, [.think([4])], reward: 0),
    ])
    let report = try compare([group], ["dr-grpo"])
    let column = report.columns[0]
    #expect(
      column.shares[CreditPart(.depth, "0")]?.value == 0.4 && column.shares[CreditPart(.depth, "1")]?.value == 0.6)
    #expect(column.zeroShare.value == 0 && column.groupsWithoutSignal == 0 && column.tokens == 5)
  }

  // MARK: Logged advantages

  @Test func loggedAdvantagesFindTheirTokens() throws {
    let group = madeGroup([
      madeTrajectory("a", [.think([1, 2]), .result([3], "search"), .think([4])], reward: 1),
      madeTrajectory("b", parent: 0, at: 3, [.think([5, 6]), .result([7], "search")], reward: 0),
    ])
    let leaf = try AttributionGroup(group).leaves[1]
    func row(_ logged: LoggedAdvantages?) -> [Double]? {
      let path = PathAdvantages(logged: logged, leaf, branch: 3)
      guard case .tokens(let values) = path else { return path.constant.map { [$0] } }
      return values.map { $0.isNaN ? -9 : $0 }
    }
    #expect(row(nil) == nil && row(.leaf(0.5)) == [0.5])
    // The path has 6 tokens, 4 generated; 3 are stored, 2 of them generated.
    #expect(row(.tokens([1, 2, 3, 4, 5, 6])) == [1, 2, 4, 5])
    #expect(row(.tokens([4, 5, 6])) == [-9, -9, 4, 5])
    #expect(row(.tokens([1, 2, 4, 5])) == [1, 2, 4, 5])
    #expect(row(.tokens([4, 5])) == [-9, -9, 4, 5])
    #expect(row(.tokens([1, 2, 3, 4, 5])) == nil)
  }

  @Test func unknownTokensAreNotCompared() throws {
    let group = try AttributionGroup(madeGroup([madeTrajectory("a", [.think([1, 2, 3])], reward: 1)]))
    var comparison = ComparisonAccumulator()
    try comparison.add(group, [.tokens([.nan, 1, 2])], [.constant(1)])
    let found = try comparison.finish()
    #expect(found.tokens == 2 && found.meanAbsDelta == 0.5)
  }

  // MARK: Parts

  @Test func pairMomentsMergeInAnyOrder() {
    var random = SeededGenerator(seed: 82)
    var (all, first, second) = (PairMoments(), PairMoments(), PairMoments())
    for i in 0..<400 {
      let (x, y) = (Double.random(in: 1e6...1e6 + 1, using: &random), Double.random(in: -1...1, using: &random))
      let weight = Int.random(in: 0...3, using: &random)
      all.add(x, y, weight: weight)
      if i % 3 == 0 { first.add(x, y, weight: weight) } else { second.add(x, y, weight: weight) }
    }
    second.add(first)
    #expect(second.count == all.count)
    #expect(abs((second.pearson ?? 9) - (all.pearson ?? 8)) < 1e-9)
  }

  @Test(arguments: [SortedPoints.Order.x, .y, .group]) func pointsComeInOrder(order: SortedPoints.Order) throws {
    var random = SeededGenerator(seed: 83)
    var points: [GroupedPoint] = []
    for _ in 0..<5000 {
      points.append(
        GroupedPoint(
          x: Double(Int.random(in: -50...50, using: &random)), y: Double.random(in: -1...1, using: &random), weight: 1,
          group: UInt64.random(in: 0...20, using: &random)))
    }
    for limit in [7, 100, 100_000] {
      var sorted = SortedPoints(by: order, limit: limit, spill: Self.spill)
      for point in points { try sorted.append(point) }
      sorted.sort()
      for _ in 0..<2 {
        var got: [GroupedPoint] = []
        try sorted.forEach { got.append($0) }
        #expect(got.count == points.count)
        let areOrdered = zip(got, got.dropFirst()).allSatisfy { a, b in
          switch order {
          case .x: a.x <= b.x
          case .y: a.y <= b.y
          case .group: a.group <= b.group
          }
        }
        #expect(areOrdered && got.reduce(0) { $0 + $1.y }.rounded() == points.reduce(0) { $0 + $1.y }.rounded())
      }
    }
  }

  /// Sums whose replicates do not fit in memory give the same report, bit for bit.
  @Test func manyPartsInLittleMemory() throws {
    let names = ["arpo-hard", "grpo:verl", "treerl"]
    let strategies = try names.map { try #require(AttributionStrategies.named($0)) }
    func report(_ sumsInMemory: Int?) throws -> ComparisonReport {
      var random = SeededGenerator(seed: 85)
      var comparison = StrategyComparison(
        names: names, run: "r", replicates: 50, seed: 3, disagreements: 2, pointsInMemory: 1 << 20,
        sumsInMemory: sumsInMemory, spill: { MemorySpill() })
      for g in 0..<20 {
        let group = RandomGroups.group(&random, declared: true, id: "g\(g)")
        let attribution = try GroupAttribution(RolloutTree(group), strategies, AttributionBatches(strategies))
        try comparison.add(GroupComparison(attribution, attribution.advantages, disagreements: 2))
      }
      return try comparison.finish()
    }
    let whole = try report(nil)
    #expect(whole.columns[0].shares.values.contains { $0.low != nil } && whole.pairs[0].pearson.low != nil)
    for limit in [0, 7, 40] {
      let got = try report(limit)
      #expect(got.pairs.map { "\($0)" } == whole.pairs.map { "\($0)" })
      for (a, b) in zip(got.columns, whole.columns) {
        #expect(
          "\(a.zeroShare)" == "\(b.zeroShare)" && a.shares.mapValues { "\($0)" } == b.shares.mapValues { "\($0)" })
      }
    }
  }

  /// The interval of a ratio is the group bootstrap's own.
  @Test func groupSumsDrawAsTheGroupBootstrap() throws {
    var random = SeededGenerator(seed: 84)
    var sums = GroupSums<String>(replicates: 500, seed: 9, run: "r")
    var bootstrap = GroupBootstrap(cells: 1, replicates: 500, seed: 9, run: "r")
    for g in 0..<30 {
      let (x, n) = (Double.random(in: 0...3, using: &random), Int.random(in: 1...4, using: &random))
      try sums.add(group: "g\(g)", [("x", x), ("n", Double(n))])
      bootstrap.add(group: "g\(g)", [(cell: 0, sum: MeanSum(sum: x, count: n))])
    }
    let (got, expected) = (sums.ratio("x", over: "n"), bootstrap.interval(0))
    #expect(got.low == expected?.low && got.high == expected?.high && got.value == sums.total("x") / sums.total("n"))
    #expect(sums.ratio("x", over: "nothing").value == nil)
  }
}

private func agree(_ a: Double?, _ b: Double?) -> Bool {
  guard let a, let b else { return a == nil && b == nil }
  return abs(a - b) <= 1e-9 * max(1, abs(b))
}
