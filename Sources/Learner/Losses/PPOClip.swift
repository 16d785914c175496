import Foundation

/// PPO's clipped loss with an asymmetric range and dual clip.
///
/// rho = exp(clamp(lp - anchor, -20, 20)); max(-A rho, -A clip(rho, 1 - low, 1 + high)); for A < 0 at most -A c. At a
/// tie of the two the unclipped branch counts. Against the behaviour policy this is verl's bypass mode.
/// Source: arXiv 1707.06347; dual clip arXiv 1912.09729; verl core_algos.py compute_policy_loss_vanilla.
public struct PPOClip: PolicyLoss {
  /// The clip range.
  public let clip: ClipRange
  /// Whether log-ratios are clamped to +-20 (current verl; ARPO's copy does not).
  public let clampsLogRatio: Bool

  /// The loss with a clip range.
  public init(_ clip: ClipRange = .ppo, clampsLogRatio: Bool = true) {
    self.clip = clip
    self.clampsLogRatio = clampsLogRatio
  }

  public let name = "ppo-clip"
  public let formula = "max(-A r, -A clip(r, 1-low, 1+high)), A < 0: at most -A c"
  public let source = "arXiv 1707.06347, dual clip arXiv 1912.09729, verl compute_policy_loss_vanilla"
  public let anchor = RatioAnchor.behaviour

  public func terms(_ rows: LossRows) -> LossTerms {
    clippedTerms(rows, clip, clampsLogRatio, keepsUpperGradient: false)
  }
}

/// The terms of PPO's loss, and of AEPO's, which differs in the gradient above the range only.
func clippedTerms(
  _ rows: LossRows, _ clip: ClipRange, _ clampsLogRatio: Bool, keepsUpperGradient: Bool
) -> LossTerms {
  var out = LossTerms(count: rows.count)
  for i in 0..<rows.count {
    let a = rows.advantages[i]
    let raw = rows.logRatio(i)
    let inside = !clampsLogRatio || abs(raw) <= logRatioBound
    let ratio = exp(clampsLogRatio ? min(max(raw, -logRatioBound), logRatioBound) : raw)
    let plain = -a * ratio
    let cut = -a * clip.clamped(ratio)
    let isClipped = cut > plain
    var loss = max(plain, cut)
    var gradient = isClipped ? 0 : plain
    if keepsUpperGradient, isClipped, ratio > 1 + clip.high { gradient = -a * (1 + clip.high) }
    if let c = clip.dual, a < 0, loss > -a * c {
      loss = -a * c
      gradient = 0
      out.clippedLower[i] = true
    }
    out.loss[i] = loss
    out.gradient[i] = inside ? gradient : 0
    out.ratio[i] = ratio
    out.clipped[i] = isClipped
  }
  return out
}
