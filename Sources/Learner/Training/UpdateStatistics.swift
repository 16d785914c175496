import Foundation

/// What an update measures, gathered over its forests.
///
/// Token statistics count every (trajectory, token) pair, times the trajectory's multiplicity.
public struct UpdateStatistics: Sendable {
  /// Aggregate of the policy loss.
  public internal(set) var policyLoss = 0.0
  /// Aggregate of the KL term, before its coefficient.
  public internal(set) var klLoss = 0.0
  /// Aggregate of the entropies.
  public internal(set) var entropy = 0.0
  /// Whether entropies were measured.
  public internal(set) var hasEntropy = false
  /// Trajectories that the veto ruled out.
  public internal(set) var vetoedRows = 0
  /// Logprobs, entropies or gradient elements that are not finite.
  public internal(set) var notFinite = 0
  /// Tokens computed, and what they would be without sharing.
  public internal(set) var packedTokens = 0
  public internal(set) var flatTokens = 0
  /// Forward passes' forests.
  public internal(set) var forests = 0

  private var clipped = Tally()
  private var clippedLower = Tally()
  private var clipLow = Tally()
  private var clipHigh = Tally()
  private var clipRegion = Tally()
  private var clipLowByBundle = Tally()
  private var clipHighByBundle = Tally()
  private var policyKL = Tally()
  private var referenceKL = Tally()
  private var referenceKLByRow = Tally()
  private var ratios = Tally()
  private var ratiosAbove = Tally()
  private var ratiosBelow = Tally()
  private var rowRatios = Tally()
  private var weights = Tally()
  private var masked = Tally()
  private var maskedRows = Tally()
  private var logprobDifference = Tally()
  private var samplingRatio = Tally()
  private var tokenKL = Tally()
  private var tokenK3 = Tally()
  private var tokenSquares = Tally()
  private var rowSquares = Tally()
  private var trainingLogPerplexity = Tally()
  private var rolloutLogPerplexity = Tally()
  private var perplexityRatio = Tally()
  private var perplexityDifference = Tally()
  private var advantages = Tally()

  /// Nothing measured.
  public init() {}

  mutating func observe(_ e: EvaluatedRows, objective: Objective) {
    var low = Tally()
    var high = Tally()
    for (row, m) in zip(e.rows, e.multiplicities) {
      for i in row {
        let a = e.advantages[i]
        advantages.add(a, weight: m)
        clipped.add(e.terms.clipped[i] ? 1 : 0, weight: m)
        clippedLower.add(e.terms.clippedLower[i] ? 1 : 0, weight: m)
        let below = e.terms.clipped[i] && e.terms.ratio[i] < 1
        let above = e.terms.clipped[i] && e.terms.ratio[i] > 1
        low.add(below ? 1 : 0, weight: m)
        high.add(above ? 1 : 0, weight: m)
        clipLow.add(below ? 1 : 0, weight: m)
        clipHigh.add(above ? 1 : 0, weight: m)
        clipRegion.add(below || above ? 1 : 0, weight: m)
        if !e.anchor.isEmpty { policyKL.add(e.anchor[i] - e.logprobs[i], weight: m) }
      }
      observeReference(e, row, m, objective)
      observeBehaviour(e, row, m, objective)
    }
    if let x = low.mean { clipLowByBundle.add(x) }
    if let x = high.mean { clipHighByBundle.add(x) }
  }

  private mutating func observeReference(_ e: EvaluatedRows, _ row: Range<Int>, _ m: Double, _ objective: Objective) {
    guard let estimator = objective.kl, !e.reference.isEmpty, !row.isEmpty else { return }
    var sum = 0.0
    for i in row {
      let value = estimator.term(logprob: e.logprobs[i], reference: e.reference[i]).value
      sum += value
      referenceKL.add(value, weight: m)
    }
    referenceKLByRow.add(sum / Double(row.count), weight: m)
  }

  private mutating func observeBehaviour(_ e: EvaluatedRows, _ row: Range<Int>, _ m: Double, _ objective: Objective) {
    guard !e.behaviour.isEmpty, !row.isEmpty else { return }
    let cap =
      switch objective.weights?.bound {
      case .truncate(let cap): cap
      case .mask(let band): band.upperBound
      case nil: Double.infinity
      }
    let floor = if case .mask(let band) = objective.weights?.bound { band.lowerBound } else { 1 / cap }
    var training = 0.0
    var rollout = 0.0
    var ratio = 0.0
    var dropped = 0
    for i in row {
      let d = e.numerator[i] - e.behaviour[i]
      let raw = exp(min(max(d, -logRatioBound), logRatioBound))
      training += e.numerator[i]
      rollout += e.behaviour[i]
      tokenKL.add(-d, weight: m)
      tokenK3.add(exp(min(max(d, -logRatioBound), logRatioBound)) - 1 - d, weight: m)
      tokenSquares.add(raw * raw, weight: m)
      logprobDifference.add(abs(d), weight: m)
      samplingRatio.add(raw, weight: m)
      if let weighted = e.weighted {
        ratios.add(weighted.ratios[i], weight: m)
        ratiosAbove.add(weighted.ratios[i] > cap ? 1 : 0, weight: m)
        ratiosBelow.add(weighted.ratios[i] < floor ? 1 : 0, weight: m)
        weights.add(weighted.weights[i], weight: m)
        masked.add(weighted.weights[i] == 0 ? 1 : 0, weight: m)
        ratio += weighted.ratios[i]
        if weighted.weights[i] == 0 { dropped += 1 }
      }
    }
    let n = Double(row.count)
    if e.weighted != nil {
      rowRatios.add(ratio / n, weight: m)
      maskedRows.add(dropped == row.count ? 1 : 0, weight: m)
    }
    rowSquares.add(exp(min(max(2 * (training - rollout), -logRatioBound), logRatioBound)), weight: m)
    trainingLogPerplexity.add(-training / n, weight: m)
    rolloutLogPerplexity.add(-rollout / n, weight: m)
    perplexityRatio.add(exp((rollout - training) / n), weight: m)
    perplexityDifference.add((rollout - training) / n, weight: m)
  }

  /// Effective share of the sample under the bounded weights; `nil` where there are none.
  public var effectiveSampleShare: Double? {
    weights.isEmpty
      ? nil : EffectiveSampleSize(count: weights.weight, sum: weights.sum, squares: weights.squares).share
  }

  /// Mean importance ratio before bounds.
  public var meanWeight: Double? { ratios.mean }

  /// Mean of log anchor - log pi over the tokens (verl's ppo_kl).
  public var approximateKL: Double? { policyKL.mean }

  /// Share of the tokens whose gradient the clip range cut.
  public var clipShare: Double { clipped.mean ?? 0 }

  /// Mean over trajectories of their mean KL to the reference, which leads an adaptive coefficient.
  public var trajectoryKL: Double? { referenceKLByRow.mean }

  /// The objective.
  public func loss(_ objective: Objective, klCoefficient: Double) -> Double {
    policyLoss + klCoefficient * klLoss - objective.entropyCoefficient * entropy
  }

  /// Everything measured, by verl's names, then TRL's where they differ.
  public func metrics(_ objective: Objective, klCoefficient: Double) -> MetricList {
    var out = MetricList()
    out["actor/loss"] = loss(objective, klCoefficient: klCoefficient)
    out["actor/pg_loss"] = policyLoss
    out["actor/pg_clipfrac"] = clipped.mean
    out["actor/pg_clipfrac_lower"] = clippedLower.mean
    out["actor/ppo_kl"] = policyKL.mean
    if !referenceKL.isEmpty {
      out["actor/kl_loss"] = klLoss
      out["actor/kl_coef"] = klCoefficient
    }
    if hasEntropy { out["actor/entropy"] = entropy }
    if !ratios.isEmpty {
      out.add("rollout_corr/rollout_is", mean: ratios.mean, std: ratios.deviation, min: ratios.min, max: ratios.max)
      out["rollout_corr/rollout_is_eff_sample_size"] = effectiveSampleShare
      out["rollout_corr/rollout_is_ratio_fraction_high"] = ratiosAbove.mean
      out["rollout_corr/rollout_is_ratio_fraction_low"] = ratiosBelow.mean
      out.add(
        "rollout_corr/rollout_is_seq", mean: rowRatios.mean, std: rowRatios.deviation, min: rowRatios.min,
        max: rowRatios.max)
      out["rollout_corr/rollout_rs_masked_fraction"] = masked.mean
      out["rollout_corr/rollout_rs_seq_masked_fraction"] = maskedRows.mean
    }
    if !tokenKL.isEmpty {
      out["rollout_corr/training_ppl"] = trainingLogPerplexity.mean.map { exp($0) }
      out["rollout_corr/rollout_ppl"] = rolloutLogPerplexity.mean.map { exp($0) }
      out["rollout_corr/ppl_ratio"] = perplexityRatio.mean
      out["rollout_corr/log_ppl_diff"] = perplexityDifference.mean
      out["rollout_corr/kl"] = tokenKL.mean
      out["rollout_corr/k3_kl"] = tokenK3.mean
      out["rollout_corr/chi2_token"] = tokenSquares.mean.map { $0 - 1 }
      out["rollout_corr/chi2_seq"] = rowSquares.mean.map { $0 - 1 }
    }
    out["critic/advantages/mean"] = advantages.mean
    if !advantages.isEmpty {
      out["critic/advantages/max"] = advantages.max
      out["critic/advantages/min"] = advantages.min
    }
    out["kl"] = referenceKL.mean
    if hasEntropy { out["entropy"] = entropy }
    out["clip_ratio/low_mean"] = clipLow.mean
    out["clip_ratio/high_mean"] = clipHigh.mean
    out["clip_ratio/region_mean"] = clipRegion.mean
    if !clipLowByBundle.isEmpty {
      out["clip_ratio/low_min"] = clipLowByBundle.min
      out["clip_ratio/high_max"] = clipHighByBundle.max
    }
    if !samplingRatio.isEmpty {
      out["sampling/sampling_logp_difference/mean"] = logprobDifference.mean
      out["sampling/sampling_logp_difference/max"] = logprobDifference.max
      out["sampling/importance_sampling_ratio/min"] = samplingRatio.min
      out["sampling/importance_sampling_ratio/mean"] = samplingRatio.mean
      out["sampling/importance_sampling_ratio/max"] = samplingRatio.max
    }
    out["tree/token_ratio"] = flatTokens > 0 ? Double(packedTokens) / Double(flatTokens) : nil
    out["tree/forests"] = Double(forests)
    return out
  }
}
