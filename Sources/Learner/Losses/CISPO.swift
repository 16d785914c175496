import Foundation

/// CISPO: REINFORCE with a clipped ratio as a constant weight, so that no token is dropped.
///
/// -sg(clip(rho, 1 - low, 1 + high)) A log pi. Source: arXiv 2506.13585 (MiniMax-M1), verl compute_policy_loss_cispo.
public struct CISPO: PolicyLoss {
  /// The clip range; its dual clip is not used.
  public let clip: ClipRange

  /// The loss with a clip range.
  public init(_ clip: ClipRange = .ppo) { self.clip = clip }

  public let name = "cispo"
  public let formula = "-sg(clip(r, 1-low, 1+high)) A log pi"
  public let source = "arXiv 2506.13585, verl compute_policy_loss_cispo"
  public let anchor = RatioAnchor.behaviour

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = LossTerms(count: rows.count)
    for i in 0..<rows.count {
      let ratio = exp(min(max(rows.logRatio(i), -logRatioBound), logRatioBound))
      let weight = clip.clamped(ratio)
      out.gradient[i] = -weight * rows.advantages[i]
      out.loss[i] = out.gradient[i] * rows.logprobs[i]
      out.ratio[i] = ratio
      out.clipped[i] = weight != ratio
    }
    return out
  }
}
