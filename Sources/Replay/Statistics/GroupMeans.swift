/// Means over prompt groups, many at once, each with a 95 % interval.
///
/// A mean is a ratio of sums over groups: each group adds a sum and a count to the cells it knows something of. Intervals come
/// from a seeded Poisson bootstrap over the groups, which draws one weight a group and replicate for all cells, so that
/// differences between cells are paired.
public struct GroupMeans: Sendable {
  private var bootstrap: GroupBootstrap
  private var sums: [MeanSum]
  /// By cell, groups that added to it.
  private var groups: [Int]

  /// - Parameters:
  ///   - cells: how many means.
  ///   - replicates: of the bootstrap; 0: no intervals.
  public init(cells: Int, replicates: Int, seed: UInt64) {
    bootstrap = GroupBootstrap(cells: cells, replicates: replicates, seed: seed, run: "")
    sums = [MeanSum](repeating: MeanSum(), count: cells)
    groups = [Int](repeating: 0, count: cells)
  }

  /// Adds what one group of a run knows: sums of `count` values each; run and id name its draws.
  public mutating func add(run: String, group: String, _ values: [(cell: Int, sum: Double, count: Int)]) {
    let kept = values.filter { $0.count > 0 }
    for value in kept {
      sums[value.cell].sum += value.sum
      sums[value.cell].count += value.count
      groups[value.cell] += 1
    }
    bootstrap.add(run: run, group: group, kept.map { (cell: $0.cell, sum: MeanSum(sum: $0.sum, count: $0.count)) })
  }

  /// The mean of a cell; `nil` where nothing was added.
  public func mean(_ cell: Int) -> Double? { sums[cell].count > 0 ? sums[cell].sum / Double(sums[cell].count) : nil }

  /// Values added to a cell.
  public func count(_ cell: Int) -> Int { sums[cell].count }

  /// Groups that added to a cell.
  public func groupCount(_ cell: Int) -> Int { groups[cell] }

  /// 95 % interval of a cell's mean; `nil` with fewer than two groups.
  public func interval(_ cell: Int) -> (low: Double, high: Double)? { bootstrap.interval(cell) }

  /// 95 % interval of a difference of two means; `nil` where either has fewer than two groups.
  public func interval(of a: Int, minus b: Int) -> (low: Double, high: Double)? { bootstrap.interval(of: a, minus: b) }
}
