/// AEPO's loss: PPO's value, but a token above the range with a positive advantage keeps a gradient.
///
/// The upper bound is (1 + high) / sg(rho) * rho, so that token's gradient is -A (1 + high) and not 0.
/// Source: arXiv 2510.14545, verl_aepo_entropy core_algos.py.
public struct AEPOClip: PolicyLoss {
  /// The clip range.
  public let clip: ClipRange

  /// The loss with a clip range.
  public init(_ clip: ClipRange = .ppo) { self.clip = clip }

  public let name = "aepo"
  public let formula = "ppo-clip, whose upper bound is (1+high) / sg(r) * r"
  public let source = "arXiv 2510.14545, verl_aepo_entropy core_algos.py"
  public let anchor = RatioAnchor.behaviour

  public func terms(_ rows: LossRows) -> LossTerms { clippedTerms(rows, clip, true, keepsUpperGradient: true) }
}
