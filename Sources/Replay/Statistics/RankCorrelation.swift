/// Spearman's correlation of pairs of numbers that count several times: Pearson's of their average ranks.
///
/// Sorted neighbours closer than 1e-9 max(1, |v|) are ties, chained, so that rounding does not decide the order of equal
/// numbers. Exact for any number of pairs: they are sorted by one number, get its ranks, are sorted by the other, get those,
/// and beyond a limit all this happens in temporary files. Memory: a few times the limit.
struct RankCorrelation {
  private var points: SortedPoints
  private let limit: Int
  private let spill: SpillFactory?

  /// - Parameters:
  ///   - limit: points kept in memory.
  ///   - spill: where more of them go; `nil`: they stay in memory.
  init(limit: Int, spill: SpillFactory?) {
    self.limit = limit
    self.spill = spill
    points = SortedPoints(by: .x, limit: limit, spill: spill)
  }

  /// Adds a pair that counts `weight` times.
  ///
  /// - Parameter group: a number for the prompt group it is from.
  mutating func add(_ x: Double, _ y: Double, weight: Int, group: UInt64) throws {
    try points.append(GroupedPoint(x: x, y: y, weight: Double(weight), group: group))
  }

  /// The correlation; `nil` for fewer than two pairs, or if either side is constant.
  ///
  /// - Parameter forEachGroup: called with each group's number and the moments of its ranks; `nil`: not wanted.
  func finish(_ forEachGroup: ((UInt64, RankMoments) throws -> Void)? = nil) throws -> Double? {
    var byX = points
    byX.sort()
    var byY = SortedPoints(by: .y, limit: limit, spill: spill)
    try forEachRanked(byX, \.x) { point, rank in
      var point = point
      point.x = rank
      try byY.append(point)
    }
    byY.sort()
    var moments = PairMoments()
    var byGroup = SortedPoints(by: .group, limit: limit, spill: spill)
    try forEachRanked(byY, \.y) { point, rank in
      moments.add(point.x, rank, weight: Int(point.weight))
      if forEachGroup != nil {
        try byGroup.append(GroupedPoint(x: point.x, y: rank, weight: point.weight, group: point.group))
      }
    }
    if let forEachGroup {
      byGroup.sort()
      let center = Double(moments.count + 1) / 2
      var group: UInt64?
      var sums = RankMoments()
      try byGroup.forEach { point in
        if let before = group, before != point.group {
          try forEachGroup(before, sums)
          sums = RankMoments()
        }
        group = point.group
        sums.add(point.x - center, point.y - center, point.weight)
      }
      if let group { try forEachGroup(group, sums) }
    }
    return moments.pearson
  }

  /// Calls the body with each point and the average rank, from 1, of one of its numbers.
  private func forEachRanked(
    _ sorted: SortedPoints, _ value: KeyPath<GroupedPoint, Double>, _ body: (GroupedPoint, Double) throws -> Void
  ) throws {
    // A tie's rank is known at its end; the points come once more for it.
    var ties = TieList(limit: limit, spill: spill)
    var open: (points: Int, weight: Double, last: Double)?
    var before = 0.0
    func close() throws {
      guard let tie = open else { return }
      try ties.append(points: tie.points, rank: before + (tie.weight + 1) / 2)
      before += tie.weight
    }
    try sorted.forEach { point in
      let v = point[keyPath: value]
      if let tie = open, v - tie.last <= 1e-9 * max(1, abs(tie.last)) {
        open = (tie.points + 1, tie.weight + point.weight, v)
      } else {
        try close()
        open = (1, point.weight, v)
      }
    }
    try close()
    var reader = ties.reader()
    try sorted.forEach { try body($0, try reader.next()) }
  }
}

/// Weighted sums of a group's ranks around a fixed point: what Pearson's correlation is made of.
struct RankMoments: Sendable, Equatable {
  private(set) var sums = [Double](repeating: 0, count: 6)

  mutating func add(_ x: Double, _ y: Double, _ w: Double) {
    for (i, value) in [1, x, y, x * x, y * y, x * y].enumerated() { sums[i] += w * value }
  }

  /// Pearson's correlation from count, x, y, xx, yy, xy; `nil` where a side is constant.
  static func correlation(_ s: [Double]) -> Double? {
    guard s[0] > 0 else { return nil }
    let (xx, yy) = (s[3] - s[1] * s[1] / s[0], s[4] - s[2] * s[2] / s[0])
    // What rounding leaves of 0 is no variance.
    guard xx > 1e-12 * s[3], yy > 1e-12 * s[4] else { return nil }
    return min(1, max(-1, (s[5] - s[1] * s[2] / s[0]) / (xx * yy).squareRoot()))
  }
}

/// Ties in order: how many points each has, and their rank.
private struct TieList {
  private var values: SpillingValues

  init(limit: Int, spill: SpillFactory?) { values = SpillingValues(limit: limit, spill: spill) }

  mutating func append(points: Int, rank: Double) throws { try values.append([Double(points), rank]) }

  func reader() -> Reader { Reader(values) }

  /// Gives each point its rank.
  struct Reader {
    private var values: SpillingValues.Reader
    private var left = 0.0
    private var rank = 0.0

    fileprivate init(_ values: SpillingValues) { self.values = values.reader() }

    mutating func next() throws -> Double {
      if left == 0 {
        left = try values.next() ?? .infinity
        rank = try values.next() ?? .nan
      }
      left -= 1
      return rank
    }
  }
}
