import Foundation

/// GSPO: one ratio a trajectory, the geometric mean of its tokens' ratios.
///
/// s = exp(min(mean of lp - anchor, 10)); every token has loss max(-A s, -A clip(s, 1 - low, 1 + high)) and gradient
/// -A s where not clipped (the token form: the gradient flows through the token's own logprob). Meant for
/// seq-mean-token-mean, no dual clip. Source: arXiv 2507.18071, verl compute_policy_loss_gspo.
public struct GSPO: PolicyLoss {
  /// The clip range; its dual clip is not used.
  public let clip: ClipRange

  /// The loss with a clip range.
  public init(_ clip: ClipRange = .gspo) { self.clip = clip }

  public let name = "gspo"
  public let formula = "max(-A s, -A clip(s, 1-low, 1+high)), s = exp(mean log r) of the trajectory"
  public let source = "arXiv 2507.18071, verl compute_policy_loss_gspo"
  public let anchor = RatioAnchor.behaviour

  private static let logBound = 10.0

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = LossTerms(count: rows.count)
    for row in rows.rows where !row.isEmpty {
      var sum = 0.0
      for i in row { sum += rows.logRatio(i) }
      let mean = sum / Double(row.count)
      let s = exp(min(mean, Self.logBound))
      let cutRatio = clip.clamped(s)
      for i in row {
        let a = rows.advantages[i]
        let isClipped = -a * cutRatio > -a * s
        out.loss[i] = max(-a * s, -a * cutRatio)
        out.gradient[i] = isClipped || mean > Self.logBound ? 0 : -a * s
        out.ratio[i] = s
        out.clipped[i] = isClipped
      }
    }
    return out
  }
}
