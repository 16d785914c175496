@testable import Replay
import Testing
import TestSupport

@Suite struct AttributionComparisonTests {
  /// Runs and their lengths against the definitions token by token.
  @Test func runsAgreeWithTokens() throws {
    var random = SeededGenerator(seed: 31)
    for _ in 0..<25 {
      let groups = try (0..<3).map {
        try AttributionGroup(RandomGroups.group(&random, declared: true, id: "g\($0)"))
      }
      let pairs = [("grpo:verl", "arpo-hard"), ("arpo-hard", "gigpo:mean"), ("rloo", "reinforce++:gamma0.99")]
      for (first, second) in pairs {
        let (a, b) = try (#require(AttributionStrategies.named(first)), #require(AttributionStrategies.named(second)))
        var comparison = ComparisonAccumulator()
        var (x, y): ([Double], [Double]) = ([], [])
        for group in groups {
          try comparison.add(group, a.advantages(of: group), b.advantages(of: group))
          for (t, pair) in zip(group.tokens(a), group.tokens(b)).enumerated() {
            guard let p = pair.0, let q = pair.1 else { continue }
            for i in group.leaves[t].generated.joined() {
              x.append(p[i])
              y.append(q[i])
            }
          }
        }
        let got = try comparison.finish()
        #expect(got.tokens == x.count)
        #expect(isClose(got.pearson, correlation(x, y)))
        #expect(isClose(got.spearman, correlation(ranks(x), ranks(y))))
        if x.isEmpty { continue }
        #expect(isClose(got.meanAbsDelta, zip(x, y).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(x.count)))
        let flips = zip(x, y).count { abs($0) > 1e-12 && abs($1) > 1e-12 && ($0 > 0) != ($1 > 0) }
        #expect(isClose(got.signFlip, Double(flips) / Double(x.count)))
      }
    }
  }

  /// Enough values for the sort in passes, many of them equal, against the library's sort.
  @Test func manyValuesAreOrdered() {
    var random = SeededGenerator(seed: 32)
    for spread in [0.0, 3, 1e300] {
      let values = (0..<40_000).map { _ in
        Bool.random(using: &random)
          ? Double(Int.random(in: -9...9, using: &random)) : Double.random(in: -spread...spread, using: &random)
      }
      let sorted = ascending(values)
      #expect(sorted.map(\.value) == values.sorted())
      #expect(sorted.map { Int($0.position) } == values.indices.sorted { (values[$0], $0) < (values[$1], $1) })
    }
  }

  @Test func nothingInCommon() throws {
    let group = try AttributionGroup(madeGroup([madeTrajectory("a", [.think([1, 2])], reward: nil)]))
    var comparison = ComparisonAccumulator()
    try comparison.add(group, [.missing], [.constant(1)])
    let got = try comparison.finish()
    #expect(got.tokens == 0 && got.pearson == nil && got.signFlip == nil && got.meanAbsDelta == nil)
    try comparison.add(group, [.constant(1)], [.constant(2)])
    let same = try comparison.finish()
    #expect(same.tokens == 2 && same.pearson == nil && same.meanAbsDelta == 1)
  }

  @Test func sharesFollowSegmentsAndTools() throws {
    let group = try AttributionGroup(
      madeGroup([
        madeTrajectory(
          "a", [.think([1, 2]), .call([3], "search"), .result([4, 5], "search"), .think([6]), .call([7], "python")],
          reward: 1)
      ]))
    var shares = CreditShares()
    shares.add(group, [.runs([AdvantageRun(range: 0..<3, value: -2), AdvantageRun(range: 5..<7, value: 1)])])
    #expect(shares.total == 8)
    #expect(shares.byKind == ["reasoning": 0.625, "tool_call": 0.375])
    #expect(shares.byCallTool == ["search": 0.25, "python": 0.125])
    #expect(shares.afterTool == ["none": 0.75, "search": 0.25])
  }

  private func correlation(_ a: [Double], _ b: [Double]) -> Double? {
    guard a.count >= 2, let top = a.max(), let bottom = a.min(), top - bottom > 1e-12, let high = b.max(),
      let low = b.min(), high - low > 1e-12
    else { return nil }
    let n = Double(a.count)
    let (p, q) = (a.reduce(0, +) / n, b.reduce(0, +) / n)
    let sums = zip(a, b).reduce(into: (0.0, 0.0, 0.0)) { s, v in
      s.0 += (v.0 - p) * (v.1 - q)
      s.1 += (v.0 - p) * (v.0 - p)
      s.2 += (v.1 - q) * (v.1 - q)
    }
    return sums.0 / (sums.1 * sums.2).squareRoot()
  }

  private func ranks(_ v: [Double]) -> [Double] {
    let order = v.indices.sorted { v[$0] < v[$1] }
    var out = [Double](repeating: 0, count: v.count)
    var i = 0
    while i < order.count {
      var j = i
      while j + 1 < order.count, v[order[j + 1]] - v[order[j]] <= 1e-9 * max(1, abs(v[order[j]])) { j += 1 }
      for k in i...j { out[order[k]] = Double(i + j) / 2 + 1 }
      i = j + 1
    }
    return out
  }
}
