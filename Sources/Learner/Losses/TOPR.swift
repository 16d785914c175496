import Foundation

/// TOPR: positive examples as in supervised learning, negative ones tapered by the trajectory's ratio.
///
/// A >= 0: -A log pi. A < 0: -sg(min(pi(tau) / mu(tau), 1)) A log pi, with the product over the trajectory's trained
/// tokens. Made for data of any age; it needs no KL. A token's own advantage decides which of the two it gets.
/// Source: arXiv 2503.14286.
public struct TOPR: PolicyLoss {
  /// The loss; it has no parameters.
  public init() {}

  public let name = "topr"
  public let formula = "A >= 0: -A log pi; A < 0: -sg(min(pi(tau)/mu(tau), 1)) A log pi"
  public let source = "arXiv 2503.14286"
  public let anchor = RatioAnchor.behaviour

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = LossTerms(count: rows.count)
    for row in rows.rows {
      var sum = 0.0
      for i in row { sum += rows.logRatio(i) }
      let taper = exp(min(max(sum, -logRatioBound), 0))
      for i in row {
        let a = rows.advantages[i]
        out.gradient[i] = a >= 0 ? -a : -taper * a
        out.loss[i] = out.gradient[i] * rows.logprobs[i]
        out.ratio[i] = taper
        out.clipped[i] = a < 0 && sum > 0
      }
    }
    return out
  }
}
