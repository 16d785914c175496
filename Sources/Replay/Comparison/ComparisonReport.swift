/// What a ``StrategyComparison`` found in one run.
public struct ComparisonReport: Sendable {
  /// Two columns on the generated tokens that have both, each path by itself.
  public struct Pair: Sendable {
    /// Names of the columns.
    public var a: String
    /// The other's.
    public var b: String
    /// Number of tokens.
    public var tokens: Int
    /// Correlation of the advantages; `nil` where a side is constant.
    public var pearson: Estimate
    /// Correlation of their average ranks over the whole run; its interval keeps these ranks and resamples groups.
    public var spearman: Estimate
    /// Share of tokens with opposite signs.
    public var signFlip: Estimate
    /// Mean of |A - B|.
    public var meanAbsDelta: Estimate
    /// Largest |A - B|.
    public var largestDelta: Double?
    /// Tokens on which they differ by more than 1e-9.
    public var differingTokens: Int
    /// Groups with tokens that have both.
    public var groups: Int
    /// Groups in which any token differs.
    public var differingGroups: Int
    /// Segments on which they differ most.
    public var disagreements: [Disagreement]
  }

  /// One column.
  public struct Column: Sendable {
    /// Name of the strategy, or `logged`.
    public var name: String
    /// Generated tokens with a value, each path by itself.
    public var tokens: Int
    /// Share of them with A = 0.
    public var zeroShare: Estimate
    /// Groups with values.
    public var groups: Int
    /// Groups in which every A is 0.
    public var groupsWithoutSignal: Int
    /// Sum of |A|.
    public var totalAbs: Double
    /// Shares of it.
    public var shares: [CreditPart: Estimate]
  }

  /// The column of the log's own advantages.
  public static let logged = "logged"

  /// Prompt groups.
  public var groups: Int
  /// Trajectories.
  public var trajectories: Int
  /// Of them, those with a reward.
  public var scored: Int
  /// Generated tokens of all paths.
  public var generatedTokens: Int
  /// In the order asked for.
  public var columns: [Column]
  /// Every two columns.
  public var pairs: [Pair]
}

extension ComparisonReport.Pair {
  /// How far the run tells the two apart.
  public enum Verdict: String, Sendable, Hashable {
    /// No token has both.
    case nothing
    /// They agree on every token.
    case equal
    /// The same order and the same signs: only the scale differs.
    case scaleOnly = "scale_only"
    /// They differ in fewer than five groups, which says little about others.
    case fewGroups = "few_groups"
    /// With the intervals' word: correlation above 0.99 and under 1 % of the signs flip.
    case nearlyEqual = "nearly_equal"
    /// They differ.
    case different
  }

  /// Whether the run can tell the two apart, and why not.
  public var verdict: Verdict {
    if tokens == 0 { return .nothing }
    if differingTokens == 0 { return .equal }
    if signFlip.value == 0, let spearman = spearman.value, spearman > 1 - 1e-9 { return .scaleOnly }
    if let low = pearson.low, let high = signFlip.high, low > 0.99, high < 0.01 { return .nearlyEqual }
    return differingGroups < 5 ? .fewGroups : .different
  }
}
