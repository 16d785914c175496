/// Intervals of ratios of sums over prompt groups, by a Poisson bootstrap.
///
/// In each replicate a group counts w times, w ~ Poisson(1) drawn from (seed, run, group id, replicate): so the order
/// of groups does not matter and memory does not grow with their number. The groups are resampled and not the calls, as
/// calls of one prompt are alike. A prompt that comes back at another step draws the same weight: it is one prompt.
struct GroupBootstrap {
  private var replicates: Int { source.replicates }
  private let source: BootstrapWeights
  /// Cell by cell, the weighted sums and counts of each replicate.
  private var sums: [Double]
  private var counts: [Double]
  private var groups: [GroupsSeen]
  private var weights: [Double]

  private struct GroupsSeen {
    var first: UInt64?
    var areSeveral = false
  }

  init(cells: Int, replicates: Int, seed: UInt64, run: String) {
    source = BootstrapWeights(replicates: replicates, seed: seed, run: run)
    sums = [Double](repeating: 0, count: cells * replicates)
    counts = sums
    groups = [GroupsSeen](repeating: GroupsSeen(), count: cells)
    weights = [Double](repeating: 0, count: replicates)
  }

  /// Adds what one group contributes to some cells.
  mutating func add(group: String, _ contributions: [(cell: Int, sum: MeanSum)]) {
    add(source.draw(of: group), contributions)
  }

  /// Adds what a group of one of several runs contributes.
  mutating func add(run: String, group: String, _ contributions: [(cell: Int, sum: MeanSum)]) {
    add(source.draw(of: group, in: run), contributions)
  }

  private mutating func add(_ draw: GroupDraw, _ contributions: [(cell: Int, sum: MeanSum)]) {
    if contributions.isEmpty || replicates == 0 { return }
    let key = draw.rawValue
    source.fill(&weights, draw)
    for (cell, sum) in contributions where sum.count > 0 {
      if let first = groups[cell].first { groups[cell].areSeveral = groups[cell].areSeveral || first != key }
      groups[cell].first = groups[cell].first ?? key
      let start = cell * replicates
      let count = Double(sum.count)
      weights.withUnsafeBufferPointer { w in
        sums.withUnsafeMutableBufferPointer { for b in w.indices { $0[start + b] += w[b] * sum.sum } }
        counts.withUnsafeMutableBufferPointer { for b in w.indices { $0[start + b] += w[b] * count } }
      }
    }
  }

  /// 95 % interval of a cell's mean; `nil` with fewer than two groups.
  func interval(_ cell: Int) -> (low: Double, high: Double)? {
    guard groups[cell].areSeveral else { return nil }
    return percentiles((0..<replicates).compactMap { mean(cell, $0) })
  }

  /// 95 % interval of the difference of two cells' means; `nil` if either has fewer than two groups.
  func interval(of a: Int, minus b: Int) -> (low: Double, high: Double)? {
    guard groups[a].areSeveral, groups[b].areSeveral else { return nil }
    return percentiles(
      (0..<replicates).compactMap { r in
        guard let x = mean(a, r), let y = mean(b, r) else { return nil }
        return x - y
      })
  }

  /// `nil` in a replicate that drew none of the cell's groups.
  private func mean(_ cell: Int, _ replicate: Int) -> Double? {
    let i = cell * replicates + replicate
    return counts[i] > 0 ? sums[i] / counts[i] : nil
  }

}

/// The ends of the middle 95 % of replicates; `nil` with fewer than two.
func percentiles(_ values: [Double]) -> (low: Double, high: Double)? {
  guard values.count >= 2 else { return nil }
  let sorted = values.sorted()
  return (quantile(sorted, 0.025), quantile(sorted, 0.975))
}

/// Quantile of sorted values, linear between neighbours.
func quantile(_ sorted: [Double], _ q: Double) -> Double {
  let at = q * Double(sorted.count - 1)
  let i = min(Int(at), sorted.count - 2)
  return sorted[i] + (at - Double(i)) * (sorted[i + 1] - sorted[i])
}
