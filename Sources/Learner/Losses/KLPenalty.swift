import Foundation

/// Estimators of KL(pi || ref) on a sampled token, with x = log pi - log ref.
public enum KLEstimator: String, Sendable, CaseIterable {
  /// x: unbiased, high variance. Its gradient as a loss is that of log pi and carries no KL.
  case k1
  /// x² / 2: the right gradient on policy.
  case k2
  /// exp(-x) - 1 + x: unbiased value, never negative (verl's low_var_kl).
  case k3
  /// The value of k3 with the gradient of k2 (verl's low_var_kl+).
  case k3plus = "k3+"

  /// Value and derivative with respect to log pi.
  ///
  /// k3 clamps -x to +-20 and its value to at most 10, and has no gradient where either acts, as in verl. k3+ keeps
  /// k2's gradient everywhere. Source: http://joschu.net/blog/kl-approx.html, verl kl_penalty.
  public func term(logprob: Double, reference: Double) -> (value: Double, gradient: Double) {
    let x = logprob - reference
    switch self {
    case .k1: return (x, 1)
    case .k2: return (x * x / 2, x)
    case .k3, .k3plus:
      let d = min(max(-x, -logRatioBound), logRatioBound)
      let raw = exp(d) - d - 1
      let value = min(max(raw, -10), 10)
      if self == .k3plus { return (value, x) }
      return (value, abs(x) <= logRatioBound && raw <= 10 ? 1 - exp(d) : 0)
    }
  }

  /// The term times the importance ratio r = exp(clamp(lp - anchor, +-20)), whose gradient counts too.
  ///
  /// Data of another policy makes the plain estimators biased; with the ratio, k3's gradient is r x, that of
  /// KL(pi || ref). Source: DeepSeek-V3.2 report section 3.1, TRL `use_bias_correction_kl`.
  public func corrected(logprob: Double, reference: Double, anchor: Double) -> (value: Double, gradient: Double) {
    let plain = term(logprob: logprob, reference: reference)
    let raw = logprob - anchor
    let ratio = exp(min(max(raw, -logRatioBound), logRatioBound))
    let through = abs(raw) <= logRatioBound ? plain.value : 0
    return (ratio * plain.value, ratio * (plain.gradient + through))
  }
}

/// The coefficient of the KL term, fixed or led towards a target.
///
/// Adaptive: after an update with measured KL, error = clip(KL / target - 1, -0.2, 0.2) and the coefficient is
/// multiplied by 1 + error n / horizon, where n is the number of trajectories of the update. Source: Ziegler et al.
/// arXiv 1909.08593, as in TRL's PPO and verl's AdaptiveKLController.
public struct KLController: Sendable, Equatable, Codable {
  /// The coefficient now.
  public private(set) var coefficient: Double
  /// KL to hold, in nats a token; `nil` = fixed.
  public let target: Double?
  /// Trajectories over which the coefficient reacts.
  public let horizon: Double

  /// A controller that starts at a coefficient.
  public init(coefficient: Double, target: Double? = nil, horizon: Double = 10_000) {
    self.coefficient = coefficient
    self.target = target
    self.horizon = horizon
  }

  /// Takes in the KL of an update and the number of its trajectories.
  public mutating func observe(kl: Double, trajectories: Double) {
    guard let target, kl.isFinite else { return }
    let error = min(max(kl / target - 1, -0.2), 0.2)
    coefficient *= 1 + error * trajectories / horizon
  }
}
