/// How a token that several trajectories of a tree share enters the loss.
///
/// Shared are the tokens before the group's forks, as in the attribution `arpo-hard`; equal tokens at the start of rollouts
/// that were sampled apart are not, though they are computed once.
///
/// The sum over trajectories is what a flattened batch computes. Soft and hard have the same gradient while the ratio is
/// inside the clip range and differ outside; see `SharedTokenLoss`. Source: ARPO paper section 3.2.
public enum SharedTokens: String, Sendable, CaseIterable {
  /// Each trajectory through the token contributes a loss with its own advantage.
  case soft
  /// Each contributes a loss with the mean advantage of all of them: d copies of the mean (ARPO's hard attribution, d
  /// times the loss with mean A).
  case hard
  /// One loss with the mean advantage for the token as a whole: each of the d trajectories contributes 1/d of it, and
  /// the token counts once in the divisor.
  case hardOnce = "hard-once"

  /// Replaces advantages by means over the trajectories at a node, and says how much each token counts.
  ///
  /// - Parameters:
  ///   - tokens: by trained token of every row, a number from 0 on; equal numbers are one token that is shared.
  ///   - advantages: replaced in place.
  ///   - rows: the trajectories.
  ///   - multiplicities: by row.
  /// - Returns: by token, the share of a whole token that it counts for.
  public func apply(
    tokens: [Int], advantages: inout [Double], rows: [Range<Int>], multiplicities: [Double]
  ) -> [Double] {
    var shares = [Double](repeating: 1, count: tokens.count)
    guard self != .soft, let top = tokens.max() else { return shares }
    var sums = [Double](repeating: 0, count: top + 1)
    var counts = sums
    for (row, m) in zip(rows, multiplicities) {
      for i in row {
        sums[tokens[i]] += m * advantages[i]
        counts[tokens[i]] += m
      }
    }
    for (i, n) in tokens.enumerated() {
      advantages[i] = sums[n] / counts[n]
      if self == .hardOnce { shares[i] = 1 / counts[n] }
    }
    return shares
  }
}
