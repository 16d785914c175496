#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A vertical axis: a range that holds all values, cut by round numbers.
struct ChartScale: Sendable, Equatable {
  /// Ascending; the first and the last are the ends of the axis.
  let ticks: [Double]
  /// Decimals that tell the ticks apart.
  let digits: Int

  /// Finds an axis for values that are finite and not larger than ``largest``.
  init(from low: Double, to high: Double) {
    var (low, high) = (low, high)
    // What differs by no more than rounding is drawn as a constant, in the middle.
    if high - low <= max(1e-9 * max(abs(low), abs(high)), Self.smallest) {
      let middle = low
      let margin = abs(middle) <= Self.smallest ? 1 : abs(middle) / 10
      (low, high) = (middle - margin, middle + margin)
    }
    var best = high - low
    for step in Self.tickSteps(low, high) {
      if abs(Self.count(low, high, step) - 5) < abs(Self.count(low, high, best) - 5) { best = step }
    }
    let first = (low / best).rounded(.down)
    ticks = (0..<Self.count(low, high, best)).map { (first + Double($0)) * best }
    var digits = 0
    var scaled = best
    while digits < 9, abs(scaled - scaled.rounded()) > 1e-6 * abs(scaled) {
      digits += 1
      scaled *= 10
    }
    self.digits = digits
  }

  /// Values beyond are not drawn: their differences would not be finite.
  static let largest = 1e300

  /// Values below are drawn as 0: they have too few digits left to be cut into parts.
  static let smallest = 1e-290

  /// Where a value lies: 0 at the top, 1 at the bottom.
  func depth(_ value: Double) -> Double {
    guard let low = ticks.first, let high = ticks.last, high > low else { return 0.5 }
    return min(max((high - value) / (high - low), 0), 1)
  }

  private static func count(_ low: Double, _ high: Double, _ step: Double) -> Int {
    Int((high / step).rounded(.up) - (low / step).rounded(.down)) + 1
  }

  /// Round steps that cut the range into two to ten parts or so.
  private static func tickSteps(_ low: Double, _ high: Double) -> [Double] {
    let size = pow(10, floor(log10((high - low) / 5)))
    return [1, 2, 2.5, 5, 10].map { $0 * size }
  }
}

/// Round positions along a horizontal axis from 0 to `last`, at most `most` of them.
func chartPositions(last: Int, most: Int) -> [Int] {
  var size = 1
  while size <= last {
    for step in [size, 2 * size, 5 * size] where last / step < most {
      return Array(stride(from: 0, through: last, by: step))
    }
    size *= 10
  }
  return [0]
}
