/// Sums over prompt groups under names, and intervals of what is made of them, by a seeded Poisson bootstrap over groups.
///
///     var sums = GroupSums<String>(replicates: 1000, seed: 0, run: "r1")
///     for group in groups { sums.add(group: group.id, [("credit", x), ("total", y)]) }
///     sums.ratio("credit", over: "total")
///
/// Names may come at any time; memory follows their number and not that of groups.
public struct GroupSums<Name: Hashable & Sendable>: Sendable {
  private let source: BootstrapWeights
  private var cells: [Name: Int] = [:]
  private var totals: [Double] = []
  /// Cell by cell, the weighted sum of each replicate.
  private var sums: [Double] = []
  /// By cell, the first group that added more than 0 to it, and whether another did.
  private var seen: [(first: UInt64?, areSeveral: Bool)] = []
  private var weights: [Double]

  /// - Parameters:
  ///   - replicates: of the bootstrap; 0: no intervals.
  ///   - run: goes into the draws, as the groups' ids do.
  public init(replicates: Int, seed: UInt64, run: String) {
    source = BootstrapWeights(replicates: replicates, seed: seed, run: run)
    weights = [Double](repeating: 0, count: replicates)
  }

  /// The names that something was added to.
  public var names: [Name] { Array(cells.keys) }

  /// Adds one group's contributions.
  public mutating func add(group: String, _ values: [(name: Name, value: Double)]) {
    add(source.draw(of: group), values)
  }

  /// The number under which a group can be added later.
  func draw(of group: String) -> GroupDraw { source.draw(of: group) }

  mutating func add(_ draw: GroupDraw, _ values: [(name: Name, value: Double)]) {
    if values.isEmpty { return }
    let replicates = source.replicates
    source.fill(&weights, draw)
    for (name, value) in values {
      let cell = cell(name)
      // A group with nothing to add does not make an interval of another one's.
      if value == 0 { continue }
      totals[cell] += value
      if let first = seen[cell].first, first != draw.rawValue { seen[cell].areSeveral = true }
      seen[cell].first = seen[cell].first ?? draw.rawValue
      let start = cell * replicates
      weights.withUnsafeBufferPointer { w in
        sums.withUnsafeMutableBufferPointer { for b in w.indices { $0[start + b] += w[b] * value } }
      }
    }
  }

  private mutating func cell(_ name: Name) -> Int {
    if let known = cells[name] { return known }
    let new = totals.count
    cells[name] = new
    totals.append(0)
    seen.append((nil, false))
    sums += [Double](repeating: 0, count: source.replicates)
    return new
  }

  /// The sum under a name, 0 where nothing was added.
  public func total(_ name: Name) -> Double { cells[name].map { totals[$0] } ?? 0 }

  /// One sum over another; `nil` where that is 0, no interval with fewer than two groups that add to it.
  public func ratio(_ name: Name, over divisor: Name) -> Estimate {
    let of = total(divisor)
    return estimate(of == 0 ? nil : total(name) / of, of: [name, divisor], needing: [divisor]) { sums in
      sums[1] == 0 ? nil : sums[0] / sums[1]
    }
  }

  /// A value with the interval of a statistic of some sums.
  ///
  /// - Parameters:
  ///   - value: the statistic of all groups.
  ///   - names: the sums that the statistic takes, in their order.
  ///   - needed: the names that two groups or more must each have added to; else there is no interval.
  ///   - statistic: `nil` in a replicate in which it cannot be had.
  public func estimate(
    _ value: Double?, of names: [Name], needing needed: [Name], _ statistic: ([Double]) -> Double?
  ) -> Estimate {
    let isSpread = needed.allSatisfy { name in cells[name].map { seen[$0].areSeveral } ?? false }
    guard let value, isSpread else { return Estimate(value, nil) }
    let starts = names.map { cells[$0].map { $0 * source.replicates } }
    let replicates = (0..<source.replicates).compactMap { b in
      statistic(starts.map { $0.map { sums[$0 + b] } ?? 0 })
    }
    return Estimate(value, percentiles(replicates))
  }
}
