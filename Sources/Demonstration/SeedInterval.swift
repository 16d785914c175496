/// The mean of a quantity over independent repetitions of an experiment, and how sure it is.
public struct SeedInterval: Sendable, Equatable {
  /// Repetitions.
  public let count: Int
  public let mean: Double
  /// Half the width of the 95 % interval, Student's t with n - 1 degrees of freedom; `nil` with one repetition.
  public let halfWidth: Double?

  /// - Parameter values: one a seed, at least one.
  public init(_ values: [Double]) {
    count = values.count
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    self.mean = mean
    guard values.count > 1 else {
      halfWidth = nil
      return
    }
    var squares = 0.0
    for x in values { squares += (x - mean) * (x - mean) }
    let error = (squares / (n - 1) / n).squareRoot()
    halfWidth = Self.quantile(values.count - 1) * error
  }

  /// The interval's ends; `nil` with one repetition.
  public var interval: (low: Double, high: Double)? { halfWidth.map { (mean - $0, mean + $0) } }

  /// Whether the interval excludes 0; `nil` where there is none.
  public var isDifferent: Bool? { interval.map { $0.low > 0 || $0.high < 0 } }

  /// The 97.5 % quantile of Student's t (Abramowitz and Stegun, table 26.10).
  private static func quantile(_ degrees: Int) -> Double {
    let table = [
      12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
      2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ]
    return degrees <= table.count ? table[degrees - 1] : 1.96 + 2.5 / Double(degrees)
  }
}
