import Testing
import TestSupport

@testable import Replay

@Suite struct GroupBootstrapTests {
  /// Groups of equal means: the interval is narrow and holds the mean.
  @Test func intervalHoldsTheMean() throws {
    var random = SeededGenerator(seed: 1)
    var bootstrap = GroupBootstrap(cells: 2, replicates: 1000, seed: 3, run: "r")
    var all = MeanSum()
    for g in 0..<400 {
      var sum = MeanSum()
      for _ in 0..<Int.random(in: 1...5, using: &random) { sum.add(Double.random(in: 0..<1, using: &random)) }
      all.sum += sum.sum
      all.count += sum.count
      bootstrap.add(group: "g\(g)", [(0, sum), (1, MeanSum(sum: Double(sum.count), count: sum.count))])
    }
    let interval = try #require(bootstrap.interval(0))
    let mean = try #require(all.mean)
    #expect(interval.low < mean && mean < interval.high)
    // Four standard errors of the mean of about 1200 uniform numbers.
    let width = 4 * (1.0 / 12 / 1200).squareRoot()
    #expect(interval.high - interval.low < 1.2 * width && interval.high - interval.low > 0.7 * width)
    let constant = try #require(bootstrap.interval(1))
    #expect(constant.low == 1 && constant.high == 1)
    let difference = try #require(bootstrap.interval(of: 1, minus: 0))
    #expect(abs(difference.low - (1 - interval.high)) < 1e-12)
  }

  /// The nominal 95 % interval misses the truth about one time in twenty.
  @Test func coverage() throws {
    var random = SeededGenerator(seed: 8)
    var hits = 0
    for trial in 0..<200 {
      var bootstrap = GroupBootstrap(cells: 1, replicates: 300, seed: UInt64(trial), run: "r")
      for g in 0..<60 {
        var sum = MeanSum()
        let shift = Double.random(in: -1..<1, using: &random)
        for _ in 0..<3 { sum.add(shift + Double.random(in: -1..<1, using: &random)) }
        bootstrap.add(group: "g\(g)", [(0, sum)])
      }
      let interval = try #require(bootstrap.interval(0))
      if interval.low < 0 && 0 < interval.high { hits += 1 }
    }
    #expect((178...199).contains(hits))
  }

  @Test func oneGroupTwiceIsOneGroup() {
    var bootstrap = GroupBootstrap(cells: 1, replicates: 100, seed: 0, run: "r")
    for _ in 0..<2 { bootstrap.add(group: "same", [(0, MeanSum(sum: 1, count: 1))]) }
    #expect(bootstrap.interval(0) == nil)
    bootstrap.add(group: "other", [(0, MeanSum(sum: 3, count: 1))])
    #expect(bootstrap.interval(0) != nil)
  }

  /// Weights depend on the names and the seed alone.
  @Test func hashIsStable() {
    var a = CounterHash(seed: 1)
    a.combine("run")
    a.combine("g")
    var b = CounterHash(seed: 1)
    b.combine("rung")
    b.combine("")
    #expect(a.value(0) == a.value(0) && a.value(0) != a.value(1) && a.value(0) != b.value(0))
  }

  @Test func quantilesAreLinearBetweenNeighbours() {
    #expect(quantile([0, 1, 2, 3], 0.5) == 1.5 && quantile([0, 1, 2, 3], 1) == 3 && quantile([5, 7], 0.25) == 5.5)
  }

  /// A sum over nothing is in neither the ratio nor its interval.
  @Test func sumsOverNothingAreInNoRatio() throws {
    var table = KeyedBootstrap<Int>(cells: 1, replicates: 200, seed: 0, run: "r")
    for g in 0..<6 { table.add(group: "g\(g)", 0, [MeanSum(sum: 1, count: 2)]) }
    table.add(group: "none", 0, [MeanSum(sum: 50, count: 0)])
    let estimate = table.estimate(0, 0)
    #expect(estimate.value == 0.5 && estimate.low == 0.5 && estimate.high == 0.5)
    #expect(table.sums(0, 0) == MeanSum(sum: 6, count: 12))
  }

  /// One group with something to divide by and one with nothing are one group.
  @Test func groupsThatAddNothingMakeNoInterval() throws {
    var sums = GroupSums<String>(replicates: 200, seed: 0, run: "r")
    try sums.add(group: "empty", [("part", 0), ("whole", 0)])
    try sums.add(group: "a", [("part", 1), ("whole", 4)])
    #expect(sums.ratio("part", over: "whole") == Estimate(0.25, nil))
    try sums.add(group: "b", [("part", 0), ("whole", 4)])
    let both = sums.ratio("part", over: "whole")
    #expect(both.value == 0.125 && (both.low ?? 1) < (both.high ?? 0))
  }

  /// A group of two runs: each run's own draws, and two groups.
  @Test func runsAreToldApart() {
    var means = GroupMeans(cells: 1, replicates: 200, seed: 3)
    means.add(run: "a", group: "g0", [(0, 1, 1)])
    means.add(run: "a", group: "g0", [(0, 2, 1)])
    #expect(means.interval(0) == nil)
    means.add(run: "b", group: "g0", [(0, 3, 1)])
    #expect(means.interval(0) != nil)
    let source = BootstrapWeights(replicates: 1, seed: 3, run: "b")
    #expect(source.draw(of: "g0", in: "b") == source.draw(of: "g0"))
    #expect(source.draw(of: "g0", in: "a") != source.draw(of: "g0"))
  }
}
