/// A ratio loss against the proximal policy, times the weight of the proximal over the behaviour policy.
///
/// w * loss(pi / pi_old) with w = pi_old / mu truncated or masked, a constant. The clip range then bounds the update and
/// not the age of the data. Source: Hilton et al. arXiv 2110.00641; AReaL arXiv 2505.24298.
public struct Decoupled: PolicyLoss {
  /// The loss of the ratio.
  public let inner: any PolicyLoss

  /// A ratio loss, decoupled.
  public init(_ inner: any PolicyLoss) { self.inner = inner }

  public var name: String { inner.name == "ppo-clip" ? "decoupled" : "decoupled:" + inner.name }
  public var formula: String { "w (\(inner.formula)), r = pi/pi_old, w = pi_old/mu" }
  public let source = "arXiv 2110.00641, arXiv 2505.24298"
  public let anchor = RatioAnchor.proximal
  public let weighting = LossWeighting.proximalOverBehaviour

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = inner.terms(rows)
    if rows.weights.isEmpty { return out }
    for i in 0..<rows.count {
      out.loss[i] *= rows.weights[i]
      out.gradient[i] *= rows.weights[i]
    }
    return out
  }
}
