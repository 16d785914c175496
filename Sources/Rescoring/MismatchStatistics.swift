import Foundation

/// How far the logged logprobs of sampled tokens are from recomputed ones.
///
/// With μ the policy that wrote the log, π the one that recomputed, and x = ln π − ln μ at each sampled token:
/// mean |x|; k1 = mean of −x and k3 = mean of eˣ − 1 − x, the estimators of KL(μ ‖ π) (John Schulman, "Approximating KL
/// Divergence"; verl's `rollout_corr/kl` and `k3_kl`); the ratio of perplexities, π's by μ's, is e^k1. As everywhere in
/// this field x is clamped to ±20 before the exponential.
public struct MismatchStatistics: Sendable, Equatable {
  /// Tokens that have both values.
  public private(set) var tokens = 0
  /// Largest |x|.
  public private(set) var maxAbsolute = 0.0
  private var absolute = 0.0
  private var difference = 0.0
  private var k3Sum = 0.0
  private var loggedSum = 0.0

  public init() {}

  /// Adds a token.
  public mutating func add(logged: Double, recomputed: Double) {
    let x = max(-20, min(20, recomputed - logged))
    tokens += 1
    absolute += abs(recomputed - logged)
    difference += logged - recomputed
    k3Sum += expm1(x) - x
    loggedSum += logged
    maxAbsolute = max(maxAbsolute, abs(recomputed - logged))
  }

  /// Adds the tokens of another.
  public mutating func add(_ other: MismatchStatistics) {
    tokens += other.tokens
    absolute += other.absolute
    difference += other.difference
    k3Sum += other.k3Sum
    loggedSum += other.loggedSum
    maxAbsolute = max(maxAbsolute, other.maxAbsolute)
  }

  private func mean(_ sum: Double) -> Double? { tokens > 0 ? sum / Double(tokens) : nil }

  public var meanAbsolute: Double? { mean(absolute) }
  public var k1: Double? { mean(difference) }
  public var k3: Double? { mean(k3Sum) }
  /// e to the mean of −ln μ.
  public var loggedPerplexity: Double? { mean(loggedSum).map { exp(-$0) } }
  /// Perplexity under π by that under μ.
  public var perplexityRatio: Double? { k1.map { exp($0) } }

  /// What the numbers say of the two policies.
  public var verdict: MismatchVerdict {
    guard let meanAbsolute, let k3 else { return .unknown }
    if meanAbsolute <= 1e-4, maxAbsolute <= 0.01 { return .same }
    if meanAbsolute <= 0.03, k3 <= 1e-3 { return .sameRounded }
    return k3 <= 0.05 ? .related : .other
  }
}

/// Whether a checkpoint made a log.
///
/// The limits are set by what arithmetic leaves: float32 engines differ by some 1e-6, 16-bit inference against 16-bit or
/// float32 training by a mean |x| of about 0.01 and a k3 of 1e-4 to 1e-3, a policy some training steps on by more.
public enum MismatchVerdict: String, Sendable, CaseIterable {
  /// Equal but for float32 rounding.
  case same = "yes"
  /// As far apart as 16-bit arithmetic leaves the same weights.
  case sameRounded = "yes, within 16-bit rounding"
  /// Near, but further than rounding explains.
  case related = "probably not"
  case other = "no"
  /// There is nothing to compare.
  case unknown = "cannot tell"
}

/// A sampled token that has both values.
public struct MismatchToken: Sendable, Equatable {
  public var group: String
  public var step: Int?
  public var trajectory: String
  /// Model call of the path, from 0.
  public var turn: Int
  /// Response index.
  public var index: Int
  /// The id as scored.
  public var token: Int32
  public var logged: Double
  public var recomputed: Double

  /// ln π − ln μ.
  public var difference: Double { recomputed - logged }
}
