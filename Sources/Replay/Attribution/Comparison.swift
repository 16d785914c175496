/// Two attributions over the generated tokens on which both have a value, each trajectory once.
public struct AttributionComparison: Sendable, Equatable {
  /// Number of tokens.
  public var tokens: Int
  /// Correlation of the advantages; `nil` for fewer than two tokens, or if either side is constant within 1e-12.
  public var pearson: Double?
  /// Correlation of average ranks.
  ///
  /// Sorted neighbours closer than 1e-9 max(1, |A|) are ties, chained, so that rounding does not decide the order of
  /// equal numbers.
  public var spearman: Double?
  /// Share of tokens whose signs are opposite; |A| <= 1e-12 has no sign and never flips.
  public var signFlip: Double?
  /// Mean of |A - B|.
  public var meanAbsDelta: Double?
}

/// Collects what two strategies say about the same tokens.
///
/// It keeps pairs of values and how many tokens have them, not tokens: memory follows the number of runs.
public struct ComparisonAccumulator: Sendable {
  private var points = WeightedPoints()

  /// Nothing collected.
  public init() {}

  /// Adds the leaves of a group.
  ///
  /// - Parameters:
  ///   - a: one strategy's advantages of the group's leaves.
  ///   - b: the other's.
  public mutating func add(_ group: AttributionGroup, _ a: [PathAdvantages], _ b: [PathAdvantages]) {
    for (t, leaf) in group.leaves.enumerated() {
      if case .missing = a[t] { continue }
      if case .missing = b[t] { continue }
      var x = AdvantageCursor(a[t], generatedCount: leaf.generatedCount)
      var y = AdvantageCursor(b[t], generatedCount: leaf.generatedCount)
      while x.left > 0, y.left > 0 {
        let n = min(x.left, y.left)
        points.append(x.value, y.value, weight: n)
        x.skip(n)
        y.skip(n)
      }
    }
  }

  /// The comparison of all that was added.
  public func finish() -> AttributionComparison {
    let tokens = points.weights.reduce(0, +)
    if tokens == 0 {
      return AttributionComparison(tokens: 0, pearson: nil, spearman: nil, signFlip: nil, meanAbsDelta: nil)
    }
    var flips = 0
    var delta = 0.0
    for (k, w) in points.weights.enumerated() {
      let (x, y) = (points.x[k], points.y[k])
      if abs(x) > 1e-12, abs(y) > 1e-12, (x > 0) != (y > 0) { flips += w }
      delta += Double(w) * abs(x - y)
    }
    return AttributionComparison(
      tokens: tokens, pearson: points.pearson(), spearman: points.ranked().pearson(),
      signFlip: Double(flips) / Double(tokens), meanAbsDelta: delta / Double(tokens))
  }
}

/// Points of a plane that count several times.
struct WeightedPoints: Sendable {
  private(set) var x: [Double] = []
  private(set) var y: [Double] = []
  private(set) var weights: [Int] = []

  /// Adds a point, to the last one where it is the same.
  mutating func append(_ a: Double, _ b: Double, weight: Int) {
    if x.last == a, y.last == b {
      weights[weights.count - 1] += weight
    } else {
      x.append(a)
      y.append(b)
      weights.append(weight)
    }
  }

  /// Pearson's correlation; `nil` for fewer than two points, or if either side is constant within 1e-12.
  func pearson() -> Double? {
    let n = weights.reduce(0, +)
    guard n >= 2, let top = x.max(), let bottom = x.min(), top - bottom > 1e-12,
      let right = y.max(), let left = y.min(), right - left > 1e-12
    else { return nil }
    var (mx, my) = (0.0, 0.0)
    for (k, w) in weights.enumerated() {
      mx += Double(w) * x[k]
      my += Double(w) * y[k]
    }
    mx /= Double(n)
    my /= Double(n)
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for (k, w) in weights.enumerated() {
      let (dx, dy, w) = (x[k] - mx, y[k] - my, Double(w))
      xy += w * dx * dy
      xx += w * dx * dx
      yy += w * dy * dy
    }
    return xy / (xx * yy).squareRoot()
  }

  /// The points with each coordinate replaced by its average rank, from 1.
  func ranked() -> WeightedPoints {
    var out = self
    out.x = averageRanks(x, weights)
    out.y = averageRanks(y, weights)
    return out
  }
}

/// Average ranks, from 1, of values that count several times; neighbours closer than 1e-9 max(1, |v|) are ties.
func averageRanks(_ values: [Double], _ weights: [Int]) -> [Double] {
  let sorted = ascending(values)
  var out = [Double](repeating: 0, count: values.count)
  var before = 0
  var i = 0
  while i < sorted.count {
    var count = weights[Int(sorted[i].position)]
    var j = i + 1
    while j < sorted.count, sorted[j].value - sorted[j - 1].value <= 1e-9 * max(1, abs(sorted[j - 1].value)) {
      count += weights[Int(sorted[j].position)]
      j += 1
    }
    let rank = Double(before) + Double(count + 1) / 2
    for k in i..<j { out[Int(sorted[k].position)] = rank }
    before += count
    i = j
  }
  return out
}
