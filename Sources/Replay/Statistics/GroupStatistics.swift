/// Rewards of one prompt group, each leaf counted with its multiplicity.
public struct GroupStatistics: Sendable, Equatable {
  /// Trajectories.
  public var records: Int
  /// Sum of multiplicities.
  public var leaves: Int
  /// Sum of multiplicities of the trajectories that have a reward.
  public var scored: Int
  /// Step of the first trajectory.
  public var step: Int?
  /// Data source of the first trajectory.
  public var dataSource: String?
  /// `nil` without any reward, like all below.
  public var mean: Double?
  /// With divisor N - 1; `nil` if N = 1.
  public var stdSample: Double?
  /// With divisor N.
  public var stdPopulation: Double?
  /// Smallest reward.
  public var min: Double?
  /// Largest reward.
  public var max: Double?
  /// Whether the rewards differ by rounding only; then both standard deviations are exactly 0.
  public var isEqual: Bool?

  /// - Parameter trajectories: of one group, in canonical order.
  public init(_ trajectories: [ReplayTrajectory]) {
    records = trajectories.count
    leaves = trajectories.reduce(0) { $0 + $1.multiplicity }
    step = trajectories.first?.step
    dataSource = trajectories.first?.dataSource
    let members = trajectories.filter { $0.reward != nil }
    let rewards = members.compactMap(\.reward)
    let weights = members.map(\.multiplicity)
    scored = weights.reduce(0, +)
    if rewards.isEmpty { return }
    let moments = weightedMeanStd(rewards, weights, divisorLess: 1)
    mean = moments.mean
    stdSample = moments.std
    stdPopulation = weightedMeanStd(rewards, weights, divisorLess: 0).std
    min = rewards.min()
    max = rewards.max()
    isEqual = areEqual(rewards)
  }
}

/// Whether values differ by rounding only: max - min <= 1e-12 max(1, |max|, |min|).
///
/// - Parameter values: at least one.
public func areEqual(_ values: [Double]) -> Bool {
  guard let low = values.min(), let high = values.max() else { return true }
  return high - low <= 1e-12 * max(1, abs(high), abs(low))
}

/// Weighted mean and standard deviation with divisor N - ddof, N = sum of the weights, in two passes.
///
/// Equal values: the first of them, and exactly 0. N <= ddof: no standard deviation.
///
/// - Parameters:
///   - values: at least one.
///   - weights: how often each counts; as many.
///   - ddof: 1 for a sample, 0 for a population.
public func weightedMeanStd(
  _ values: [Double], _ weights: [Int], divisorLess ddof: Int
) -> (mean: Double, std: Double?) {
  let n = weights.reduce(0, +)
  guard let first = values.first else { return (.nan, nil) }
  if areEqual(values) { return (first, n > ddof ? 0 : nil) }
  var mean = 0.0
  for (x, w) in zip(values, weights) { mean += x * Double(w) }
  mean /= Double(n)
  var squares = 0.0
  for (x, w) in zip(values, weights) { squares += Double(w) * (x - mean) * (x - mean) }
  return (mean, n > ddof ? (squares / Double(n - ddof)).squareRoot() : nil)
}
