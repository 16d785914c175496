/// Count, means and squared deviations of pairs of numbers that count several times; pairs are not kept.
///
/// Updated one by one and merged by the formulas of Chan, Golub and LeVeque (1979), which lose no digits where sums of
/// squares do.
public struct PairMoments: Sendable, Equatable {
  /// Sum of the weights.
  public private(set) var count = 0
  private var meanX = 0.0
  private var meanY = 0.0
  private var xx = 0.0
  private var yy = 0.0
  private var xy = 0.0
  private var lowX = Double.infinity
  private var highX = -Double.infinity
  private var lowY = Double.infinity
  private var highY = -Double.infinity

  /// No pairs.
  public init() {}

  /// Adds a pair that counts `weight` times.
  public mutating func add(_ x: Double, _ y: Double, weight: Int) {
    if weight == 0 { return }
    let w = Double(weight)
    count += weight
    let share = w / Double(count)
    let (dx, dy) = (x - meanX, y - meanY)
    meanX += dx * share
    meanY += dy * share
    xx += w * dx * (x - meanX)
    yy += w * dy * (y - meanY)
    xy += w * dx * (y - meanY)
    (lowX, highX) = (min(lowX, x), max(highX, x))
    (lowY, highY) = (min(lowY, y), max(highY, y))
  }

  /// Adds the pairs of another, each `times` times.
  mutating func add(_ other: PairMoments, times: Double = 1) {
    if other.count == 0 || times == 0 { return }
    let (n, m) = (weight, other.weight * times)
    let share = m / (n + m)
    let (dx, dy) = (other.meanX - meanX, other.meanY - meanY)
    meanX += dx * share
    meanY += dy * share
    xx += times * other.xx + dx * dx * n * share
    yy += times * other.yy + dy * dy * n * share
    xy += times * other.xy + dx * dy * n * share
    count += Int(Double(other.count) * times)
    (lowX, highX) = (min(lowX, other.lowX), max(highX, other.highX))
    (lowY, highY) = (min(lowY, other.lowY), max(highY, other.highY))
  }

  private var weight: Double { Double(count) }

  /// Pearson's correlation; `nil` for fewer than two pairs, or if either side is constant within 1e-12.
  public var pearson: Double? {
    guard count >= 2, highX - lowX > 1e-12, highY - lowY > 1e-12 else { return nil }
    return xy / (xx * yy).squareRoot()
  }
}
