/// Statistics of training batches, one for each step: what batch strategies collect in their first phase.
public struct BatchStatistics: Sendable {
  private var moments: [Int?: WeightedMoments] = [:]

  /// No batches.
  public init() {}

  /// The statistics of a step; all leaves without a step form one batch.
  public subscript(step: Int?) -> WeightedMoments {
    get { moments[step] ?? WeightedMoments() }
    set { moments[step] = newValue }
  }

  /// The steps seen, ascending, no step last.
  public var steps: [Int?] {
    moments.keys.sorted { a, b in
      guard let a else { return false }
      return b.map { a < $0 } ?? true
    }
  }

  /// Adds what was collected elsewhere.
  public static func += (a: inout BatchStatistics, b: BatchStatistics) {
    for (step, other) in b.moments { a[step].add(other) }
  }
}

/// Count, mean and squared deviations of numbers that count several times.
///
/// Values can be added in any order and parts merged; unlike sums of squares, this loses no digits.
public struct WeightedMoments: Sendable, Equatable {
  /// Sum of the weights.
  public private(set) var count = 0
  /// Smallest value.
  public private(set) var min = Double.infinity
  /// Largest value.
  public private(set) var max = -Double.infinity
  private var first = 0.0
  private var plainMean = 0.0
  private var squares = 0.0

  /// No values.
  public init() {}

  /// Adds a value that counts `weight` times.
  public mutating func add(_ x: Double, weight: Int) {
    if weight == 0 { return }
    var one = WeightedMoments()
    (one.count, one.min, one.max, one.first, one.plainMean) = (weight, x, x, x, x)
    add(one)
  }

  /// Adds values that each count `weight` times, `NaN` left out.
  public mutating func add(_ values: [Double], weight: Int) {
    var part = WeightedMoments()
    var sum = 0.0
    var n = 0
    for x in values where !x.isNaN {
      if n == 0 { part.first = x }
      sum += x
      n += 1
      part.min = Swift.min(part.min, x)
      part.max = Swift.max(part.max, x)
    }
    if n == 0 { return }
    part.plainMean = sum / Double(n)
    for x in values where !x.isNaN { part.squares += (x - part.plainMean) * (x - part.plainMean) }
    part.squares *= Double(weight)
    part.count = n * weight
    add(part)
  }

  /// Adds the values of another.
  public mutating func add(_ other: WeightedMoments) {
    if other.count == 0 { return }
    if count == 0 {
      self = other
      return
    }
    let (n, m) = (Double(count), Double(other.count))
    let delta = other.plainMean - plainMean
    plainMean += delta * (m / (n + m))
    squares += other.squares + delta * delta * (n * m / (n + m))
    count += other.count
    min = Swift.min(min, other.min)
    max = Swift.max(max, other.max)
  }

  /// Whether the values differ by rounding only; see ``areEqual(_:)``.
  public var isEqual: Bool { count == 0 || areEqual([min, max]) }

  /// The mean; of equal values the first of them, `nil` without any.
  public var mean: Double? { count == 0 ? nil : isEqual ? first : plainMean }

  /// Sum of squared deviations from a point.
  func squares(around center: Double) -> Double {
    squares + Double(count) * (plainMean - center) * (plainMean - center)
  }

  /// Standard deviation with divisor N - ddof: exactly 0 for equal values, `nil` if N <= ddof.
  public func std(divisorLess ddof: Int) -> Double? {
    if count <= ddof { return nil }
    return isEqual ? 0 : (squares / Double(count - ddof)).squareRoot()
  }
}
