/// How token losses become one number, by verl's names.
///
/// The divisor counts tokens and trajectories *before* any masking by importance weights (as in AReaL), so that rejected
/// tokens do not raise the weight of the others; verl divides by what is left.
public enum Aggregation: String, Sendable, CaseIterable {
  /// Sum over all tokens divided by their number.
  case tokenMean = "token-mean"
  /// Sum over all tokens divided by their number + 1e-8 (older verl).
  case tokenMeanEpsilon = "token-mean-eps"
  /// Sum over all tokens.
  case tokenSum = "token-sum"
  /// Mean over trajectories of the sum over their tokens.
  case sequenceMeanTokenSum = "seq-mean-token-sum"
  /// Mean over trajectories of the mean over their tokens.
  case sequenceMeanTokenMean = "seq-mean-token-mean"
  /// Mean over trajectories of the sum over their tokens, divided by a horizon (Dr.GRPO).
  case sequenceMeanTokenSumNorm = "seq-mean-token-sum-norm"

  /// By trajectory, the factor of each of its token losses in the aggregate, so that the aggregate is their weighted sum.
  ///
  /// - Parameters:
  ///   - lengths: trained tokens of each trajectory, fractions where shared tokens count once; trajectories without any
  ///     do not count.
  ///   - multiplicities: how many trajectories each stands for.
  ///   - horizon: divisor of ``sequenceMeanTokenSumNorm``, in tokens.
  public func coefficients(lengths: [Double], multiplicities: [Double], horizon: Double) -> [Double] {
    var tokens = 0.0
    var sequences = 0.0
    for (n, m) in zip(lengths, multiplicities) where n > 0 {
      tokens += n * m
      sequences += m
    }
    return zip(lengths, multiplicities).map { n, m in
      guard n > 0 else { return 0 }
      return switch self {
      case .tokenMean: m / tokens
      case .tokenMeanEpsilon: m / (tokens + 1e-8)
      case .tokenSum: m
      case .sequenceMeanTokenSum: m / sequences
      case .sequenceMeanTokenMean: m / (sequences * n)
      case .sequenceMeanTokenSumNorm: m / (sequences * horizon)
      }
    }
  }
}
