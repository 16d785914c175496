/// Count, mean, spread and extremes of weighted numbers, from sums in the order they came.
struct Tally: Sendable, Equatable {
  private(set) var weight = 0.0
  private(set) var sum = 0.0
  private(set) var squares = 0.0
  private(set) var min = Double.infinity
  private(set) var max = -Double.infinity

  mutating func add(_ x: Double, weight w: Double = 1) {
    weight += w
    sum += w * x
    squares += w * x * x
    min = Swift.min(min, x)
    max = Swift.max(max, x)
  }

  var isEmpty: Bool { weight == 0 }
  /// `nil` without any number.
  var mean: Double? { weight > 0 ? sum / weight : nil }
  /// Population standard deviation.
  var deviation: Double? { mean.map { Swift.max(0, squares / weight - $0 * $0).squareRoot() } }
}
