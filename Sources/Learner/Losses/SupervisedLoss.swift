/// Supervised fine-tuning on the selected trajectories: -log pi, whatever the advantage.
public struct SupervisedLoss: PolicyLoss {
  /// The loss; it has no parameters.
  public init() {}

  public let name = "sft"
  public let formula = "-log pi"
  public let source = "maximum likelihood"
  public let anchor = RatioAnchor.none

  public func terms(_ rows: LossRows) -> LossTerms {
    var out = LossTerms(count: rows.count)
    for i in 0..<rows.count {
      out.loss[i] = -rows.logprobs[i]
      out.gradient[i] = -1
    }
    return out
  }
}
