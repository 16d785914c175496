/// One shared token under soft and under hard attribution, as PPO's loss sees it.
///
/// The token lies on d trajectories and has one ratio rho = pi / pi_old. Soft: the sum of the d dual-clip PPO losses.
/// Hard: d times the loss with the mean advantage. The two agree while rho is inside the clip range, and in particular on
/// policy (rho = 1). Gradients are with respect to rho, 0 on clipped branches. Source: ARPO paper section 3.2 and appendix
/// D.1, verl core_algos.py compute_policy_loss.
public struct SharedTokenLoss: Sendable, Equatable {
  /// Sum of the losses with each trajectory's own advantage.
  public var soft = 0.0
  /// The loss with the mean advantage, d times.
  public var hard = 0.0
  /// Derivative of `soft` with respect to the ratio.
  public var softGradient = 0.0
  /// Derivative of `hard` with respect to the ratio.
  public var hardGradient = 0.0

  /// - Parameters:
  ///   - advantages: of the d trajectories through the token, at least one.
  ///   - ratio: above 0.
  ///   - low: the clip range's lower end is 1 - low.
  ///   - high: its upper end is 1 + high.
  ///   - dualClip: the bound c of the loss of negative advantages.
  public init(advantages: [Double], ratio: Double, low: Double = 0.2, high: Double = 0.2, dualClip: Double = 3) {
    let clip = (1 - low)...(1 + high)
    for a in advantages {
      let token = dualClipLoss(a, ratio, clip, dualClip)
      soft += token.loss
      softGradient += token.gradient
    }
    let d = Double(advantages.count)
    let mean = dualClipLoss(advantages.reduce(0, +) / d, ratio, clip, dualClip)
    hard = d * mean.loss
    hardGradient = d * mean.gradient
  }
}

/// max(-A rho, -A clip(rho)), at most -A c where A is negative, and the derivative of the branch taken.
private func dualClipLoss(
  _ a: Double, _ ratio: Double, _ clip: ClosedRange<Double>, _ c: Double
) -> (loss: Double, gradient: Double) {
  let plain = -a * ratio
  let clipped = -a * min(max(ratio, clip.lowerBound), clip.upperBound)
  let loss = max(plain, clipped)
  if a < 0, loss > -a * c { return (-a * c, 0) }
  return (loss, clipped > plain ? 0 : -a)
}
