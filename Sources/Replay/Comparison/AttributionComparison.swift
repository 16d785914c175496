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
/// It keeps pairs of values and how many tokens have them, not tokens, for the ranks alone; beyond a limit they go to a
/// temporary file.
public struct ComparisonAccumulator {
  private var moments = PairMoments()
  private var flips = 0
  private var delta = 0.0
  private var ranks: RankCorrelation

  /// Nothing collected.
  ///
  /// - Parameters:
  ///   - limit: pairs of values kept in memory.
  ///   - spill: where more of them go; `nil`: they stay in memory.
  public init(limit: Int = .max, spill: SpillFactory? = nil) { ranks = RankCorrelation(limit: limit, spill: spill) }

  /// Adds the leaves of a group.
  ///
  /// - Parameters:
  ///   - a: one strategy's advantages of the group's leaves.
  ///   - b: the other's.
  /// - Throws: what the spill storage throws.
  public mutating func add(_ group: AttributionGroup, _ a: [PathAdvantages], _ b: [PathAdvantages]) throws {
    for (t, leaf) in group.leaves.enumerated() {
      try forEachSharedRun(leaf, a[t], b[t]) { range, x, y in
        moments.add(x, y, weight: range.count)
        if haveOppositeSigns(x, y) { flips += range.count }
        delta += Double(range.count) * abs(x - y)
        try ranks.add(x, y, weight: range.count, group: 0)
      }
    }
  }

  /// The comparison of all that was added.
  ///
  /// - Throws: what the spill storage throws.
  public func finish() throws -> AttributionComparison {
    let tokens = moments.count
    return try AttributionComparison(
      tokens: tokens, pearson: moments.pearson, spearman: ranks.finish(),
      signFlip: tokens == 0 ? nil : Double(flips) / Double(tokens),
      meanAbsDelta: tokens == 0 ? nil : delta / Double(tokens))
  }
}

/// Whether two advantages push in opposite directions; |A| <= 1e-12 has no sign.
func haveOppositeSigns(_ x: Double, _ y: Double) -> Bool { abs(x) > 1e-12 && abs(y) > 1e-12 && (x > 0) != (y > 0) }

/// Calls the body with the stretches of a path on which two attributions have one value each, in path order.
///
/// Tokens that either has no value for (`NaN`, as logged advantages may have) are left out.
///
/// - Parameter body: takes path indices and both values.
func forEachSharedRun(
  _ leaf: AttributionLeaf, _ a: PathAdvantages, _ b: PathAdvantages,
  _ body: (Range<Int>, Double, Double) throws -> Void
) rethrows {
  if case .missing = a { return }
  if case .missing = b { return }
  var x = AdvantageCursor(a, generatedCount: leaf.generatedCount)
  var y = AdvantageCursor(b, generatedCount: leaf.generatedCount)
  for run in leaf.generated {
    var at = run.lowerBound
    while at < run.upperBound, x.left > 0, y.left > 0 {
      let n = min(x.left, y.left, run.upperBound - at)
      if !x.value.isNaN, !y.value.isNaN { try body(at..<(at + n), x.value, y.value) }
      at += n
      x.skip(n)
      y.skip(n)
    }
  }
}
