/// REINFORCE with explicit importance weights and no clip.
///
/// -sg(w) A log pi, where w = pi / mu, truncated or masked as ``BehaviourWeights`` says; without a behaviour policy w is
/// 1. Source: verl rollout_correction loss_type "reinforce".
public struct ReinforceIS: PolicyLoss {
  /// The loss; its weights are made elsewhere.
  public init() {}

  public let name = "reinforce-is"
  public let formula = "-sg(w) A log pi, w = pi/mu"
  public let source = "verl rollout_correction (bypass mode, loss_type reinforce)"
  public let anchor = RatioAnchor.none
  public let weighting = LossWeighting.currentOverBehaviour

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = LossTerms(count: rows.count)
    for i in 0..<rows.count {
      out.gradient[i] = -rows.weight(i) * rows.advantages[i]
      out.loss[i] = out.gradient[i] * rows.logprobs[i]
    }
    return out
  }
}
