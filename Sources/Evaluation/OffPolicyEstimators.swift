import Foundation
import Replay

/// A scored leaf with the log-ratios of a policy to the behaviour policy, turn by turn.
public struct WeightedLeaf: Sendable {
  /// A stretch of generated tokens and log pi - log mu summed over it.
  public struct Turn: Sendable, Equatable {
    /// Path index of the first token.
    public var start: Int
    /// Sum over the turn's generated tokens, nats.
    ///
    /// Tool results have no part in it: both policies get the same ones.
    public var logRatio: Double

    /// A turn.
    public init(start: Int, logRatio: Double) {
      self.start = start
      self.logRatio = logRatio
    }
  }

  /// The leaf's reward.
  public var reward: Double
  /// In path order.
  public var turns: [Turn]

  /// A leaf of these turns.
  public init(reward: Double, turns: [Turn]) {
    self.reward = reward
    self.turns = turns
  }
}

/// Estimates of a policy's expected reward on one prompt from rollouts of another policy.
///
/// With w(k) = exp of the log-ratios up to turn k, d the design weights of ``BranchDesign`` (sum 1), R the leaf's reward, which
/// comes at its end:
///
/// - `pdis`: sum d w(K) R. Per-decision importance sampling (Precup, Sutton, Singh 2000) by turns: a reward is weighted
///   with the turns before it; as a leaf has one reward, at its end, that is trajectory-wise sampling. Unbiased.
/// - `snis`: sum d w(K) R / sum d w(K), normalised within the group. Biased by O(1/n), bounded by the rewards.
/// - `dr`: sum d [b(0) + sum_k w(k) (b(k) - b(k-1))], b(K) = R: doubly robust (Jiang, Li 2016, recursion unrolled) with
///   Q(s, a) = V(s) = b, the mean value of the tree's *other* continuations at the last fork before the turn. b does not
///   depend on what the leaf does behind that fork, so the estimate has `pdis`'s expectation and less variance. It is not
///   robust against wrong weights, as no model of actions stands behind it.
///
/// Log-ratios are clamped to ±20 before `exp`, which no sane weight reaches.
public struct OffPolicyEstimates: Sendable, Equatable {
  public var pdis: Double
  public var snis: Double
  public var dr: Double
  /// sum d w(K): 1 in expectation; far from it the ratios are wrong or the sample too small.
  public var meanWeight: Double
  /// (sum d w)² / sum (d w)², as a share of the same with w = 1: in (0, 1].
  public var effectiveSampleShare: Double
  /// sum d w and sum (d w)², sum d²: to pool groups.
  public var weightSums: WeightSums
  /// Largest weight.
  public var maximumWeight: Double

  /// - Parameters:
  ///   - design: of the same leaves.
  ///   - leaves: by leaf; `nil` where it takes no part (as in the design). At least one takes part.
  public init(design: BranchDesign, leaves: [WeightedLeaf?]) {
    var sums = WeightSums()
    var (pdis, dr, maximum) = (0.0, 0.0, 0.0)
    for (t, leaf) in leaves.enumerated() {
      guard let leaf else { continue }
      let d = design.weights[t]
      let baselines = design.baselines[t]
      var next = 0
      var logWeight = 0.0
      var baseline = 0.0
      var total = 0.0
      for (k, turn) in leaf.turns.enumerated() {
        // The state that the turn starts in: the last fork at or before it.
        let before = baseline
        while next < baselines.count, baselines[next].index <= turn.start {
          baseline = baselines[next].value
          next += 1
        }
        total += k == 0 ? baseline : weight(logWeight) * (baseline - before)
        logWeight += turn.logRatio
      }
      let w = weight(logWeight)
      dr += d * (total + w * (leaf.reward - baseline))
      pdis += d * w * leaf.reward
      maximum = max(maximum, w)
      sums.add(design: d, weight: w)
    }
    self.pdis = pdis
    self.dr = dr
    snis = pdis / sums.weight
    meanWeight = sums.weight
    effectiveSampleShare = sums.effectiveShare
    weightSums = sums
    maximumWeight = maximum
  }
}

/// exp of a log-ratio, clamped to ±20.
private func weight(_ logRatio: Double) -> Double { exp(min(20, max(-20, logRatio))) }

/// What the effective sample size of any set of weighted leaves is made of.
///
/// Kong's n_eff = (sum w)² / sum w² (1992); verl logs it as `rollout_corr/rollout_is_eff_sample_size` and warns below 0.3.
public struct WeightSums: Sendable, Equatable {
  /// Sum of d w.
  public private(set) var weight = 0.0
  /// Sum of (d w)².
  public private(set) var square = 0.0
  /// Sum of d.
  public private(set) var design = 0.0
  /// Sum of d².
  public private(set) var designSquare = 0.0

  /// No leaves.
  public init() {}

  mutating func add(design d: Double, weight w: Double) {
    weight += d * w
    square += d * w * d * w
    design += d
    designSquare += d * d
  }

  /// Adds other leaves.
  public static func += (a: inout WeightSums, b: WeightSums) {
    a.weight += b.weight
    a.square += b.square
    a.design += b.design
    a.designSquare += b.designSquare
  }

  /// The effective number of leaves with these weights, over that with all weights 1; 0 without any weight.
  public var effectiveShare: Double {
    guard square > 0, design > 0 else { return 0 }
    return (weight * weight / square) / (design * design / designSquare)
  }

  /// The effective number of leaves.
  public var effectiveCount: Double { square > 0 ? weight * weight / square : 0 }
}
