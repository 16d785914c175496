/// How a token that several trajectories of a tree share enters the loss.
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
  ///   - nodes: by trained token of every row, the node of the tree; equal numbers are the same token.
  ///   - advantages: replaced in place.
  ///   - rows: the trajectories.
  ///   - multiplicities: by row.
  /// - Returns: by token, the share of a whole token that it counts for.
  public func apply(
    nodes: [Int], advantages: inout [Double], rows: [Range<Int>], multiplicities: [Double]
  ) -> [Double] {
    var shares = [Double](repeating: 1, count: nodes.count)
    guard self != .soft, let top = nodes.max() else { return shares }
    var sums = [Double](repeating: 0, count: top + 1)
    var counts = sums
    for (row, m) in zip(rows, multiplicities) {
      for i in row {
        sums[nodes[i]] += m * advantages[i]
        counts[nodes[i]] += m
      }
    }
    for (i, n) in nodes.enumerated() {
      advantages[i] = sums[n] / counts[n]
      if self == .hardOnce { shares[i] = 1 / counts[n] }
    }
    return shares
  }
}
