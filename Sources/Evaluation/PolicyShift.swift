import Foundation

/// How far one policy's distribution is from another's on tokens that were sampled from (about) the first.
///
/// With x = log pi_after - log pi_before of the sampled token: `k1` = -x, the unbiased estimate of KL(before ‖ after) for
/// tokens that `before` sampled; `k3` = e^x - 1 - x, unbiased too and never negative (Schulman, "Approximating KL
/// divergence", 2020; verl's `kl` and `low_var_kl` have the same forms with the sampling policy in `before`'s place).
/// Stale logs were sampled by an older policy than `before`; then both are estimates on the log's tokens and no more.
public struct PolicyShift: Sendable, Equatable {
  /// Tokens.
  public private(set) var count = 0
  /// Sum of -x.
  public private(set) var k1 = 0.0
  /// Sum of e^x - 1 - x, x clamped to ±20.
  public private(set) var k3 = 0.0
  /// Sum of the entropies of `before`, nats.
  public private(set) var entropyBefore = 0.0
  /// Sum of the entropies of `after`, nats.
  public private(set) var entropyAfter = 0.0

  /// No tokens.
  public init() {}

  /// Adds a token.
  public mutating func add(
    logprobBefore: Double, logprobAfter: Double, entropyBefore: Double, entropyAfter: Double
  ) {
    let x = min(20, max(-20, logprobAfter - logprobBefore))
    count += 1
    k1 -= x
    k3 += exp(x) - 1 - x
    self.entropyBefore += entropyBefore
    self.entropyAfter += entropyAfter
  }
}
