/// A strategy's advantages on one segment of a path.
public struct SegmentAdvantage: Sendable, Equatable {
  /// Number of the segment among those of the path, inherited ones first.
  public var ordinal: Int
  /// Its generated tokens.
  public var generated: Int
  /// Mean of A over them.
  public var mean: Double
  /// Smallest and largest A.
  public var range: ClosedRange<Double>
  /// Sum of |A|.
  public var totalAbs: Double
}

/// What a strategy gives to one path as a whole.
public struct PathCredit: Sendable, Equatable {
  /// Mean of A over the generated tokens; `nil` without any, or if the leaf has no advantage.
  public var mean: Double?
  /// Sum of |A| over them.
  public var totalAbs: Double?
  /// Segments with generated tokens, in path order.
  public var segments: [SegmentAdvantage] = []

  /// Sums a path's advantages up; tokens without a value (`NaN`, as logged advantages may have) are left out.
  public init(_ leaf: AttributionLeaf, _ advantages: PathAdvantages) {
    if case .missing = advantages { return }
    let constant = advantages.constant
    var sum = 0.0
    var size = 0.0
    var tokens = 0
    var first = 0
    var open: [Int: SegmentAdvantage] = [:]
    advantages.forEachRun(leaf.generated) { range, value in
      if value.isNaN { return }
      sum += value * Double(range.count)
      size += abs(value) * Double(range.count)
      tokens += range.count
      while first < leaf.segments.count, leaf.segments[first].end <= range.lowerBound { first += 1 }
      var s = first
      while s < leaf.segments.count, leaf.segments[s].start < range.upperBound {
        let n = (leaf.segments[s].start..<leaf.segments[s].end).clamped(to: range).count
        if n > 0 {
          var part =
            open[s] ?? SegmentAdvantage(ordinal: s, generated: 0, mean: 0, range: value...value, totalAbs: 0)
          part.generated += n
          part.mean += value * Double(n)
          part.range = min(part.range.lowerBound, value)...max(part.range.upperBound, value)
          part.totalAbs += abs(value) * Double(n)
          open[s] = part
        }
        s += 1
      }
    }
    if tokens == 0 {
      // A leaf's value stands even where no token carries it.
      mean = constant
      totalAbs = constant.map { _ in 0 }
      return
    }
    // One value on all tokens is its mean to the last bit.
    mean = constant ?? sum / Double(tokens)
    totalAbs = size
    segments = open.keys.sorted().compactMap { s in
      guard var part = open[s] else { return nil }
      let isOneValue = part.range.lowerBound == part.range.upperBound
      part.mean = isOneValue ? part.range.lowerBound : part.mean / Double(part.generated)
      return part
    }
  }
}
