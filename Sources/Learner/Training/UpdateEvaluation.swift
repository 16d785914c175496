/// The loss of some trajectories of an update, given the logprobs of their tokens.
struct UpdateEvaluation {
  /// Tokens of the update that were evaluated.
  private(set) var tokens: [Int] = []
  /// By evaluated token, the derivative of the aggregate with respect to its logprob.
  private(set) var logprobGradients: [Double] = []
  /// By evaluated token, the same for its entropy; all equal to -coefficient * entropy_coef.
  private(set) var entropyGradients: [Double] = []

  /// Evaluates trajectories.
  ///
  /// - Parameters:
  ///   - rowNumbers: which, ascending.
  ///   - batch: the update.
  ///   - logprob: of a token of the update.
  ///   - entropy: of a token of the update; `nil` if not known.
  ///   - klCoefficient: of the KL term.
  ///   - statistics: takes what is measured.
  init(
    rows rowNumbers: [Int], of batch: UpdateBatch, objective: Objective, klCoefficient: Double,
    logprob: (Int) -> Double, entropy: ((Int) -> Double)?, statistics: inout UpdateStatistics
  ) {
    var rows: [Range<Int>] = []
    for r in rowNumbers {
      rows.append(tokens.count..<(tokens.count + batch.rows[r].count))
      tokens += batch.rows[r]
    }
    let multiplicities = rowNumbers.map { batch.multiplicities[$0] }
    let logprobs = tokens.map(logprob)
    let behaviour = batch.behaviour.isEmpty ? [] : tokens.map { batch.behaviour[$0] }
    let proximal = batch.proximal.isEmpty ? logprobs : tokens.map { batch.proximal[$0] }

    let weighted: WeightedTokens?
    if let known = batch.weights {
      var part = WeightedTokens(count: tokens.count)
      for (k, i) in tokens.enumerated() {
        part.weights[k] = known.weights[i]
        part.ratios[k] = known.ratios[i]
      }
      weighted = part
    } else if let bounds = objective.weights, objective.loss.weighting != .none, !behaviour.isEmpty {
      weighted = bounds.weights(
        numerator: objective.hasConstantWeights ? proximal : logprobs, behaviour: behaviour, rows: rows,
        multiplicities: multiplicities)
      statistics.vetoedRows += weighted?.vetoedRows ?? 0
    } else {
      weighted = nil
    }
    let anchor =
      switch objective.loss.anchor {
      case .none: [Double]()
      case .behaviour: behaviour
      case .proximal: proximal
      }
    let terms = objective.loss.terms(
      LossRows(
        rows: rows, logprobs: logprobs, anchor: anchor, advantages: tokens.map { batch.advantages[$0] },
        weights: weighted?.weights ?? []))

    logprobGradients = [Double](repeating: 0, count: tokens.count)
    if objective.entropyCoefficient != 0 { entropyGradients = logprobGradients }
    let klAnchor = behaviour.isEmpty ? proximal : behaviour
    for (k, i) in tokens.enumerated() {
      let c = batch.coefficients[i]
      var gradient = terms.gradient[k]
      statistics.policyLoss += c * terms.loss[k]
      if let estimator = objective.kl, !batch.reference.isEmpty {
        let reference = batch.reference[i]
        let term =
          objective.correctsKL
          ? estimator.corrected(logprob: logprobs[k], reference: reference, anchor: klAnchor[k])
          : estimator.term(logprob: logprobs[k], reference: reference)
        statistics.klLoss += c * term.value
        gradient += klCoefficient * term.gradient
      }
      logprobGradients[k] = c * gradient
      if let entropy {
        statistics.entropy += c * entropy(i)
        if objective.entropyCoefficient != 0 { entropyGradients[k] = -c * objective.entropyCoefficient }
      }
    }
    statistics.observe(
      EvaluatedRows(
        rows: rows, multiplicities: multiplicities, logprobs: logprobs, anchor: anchor, behaviour: behaviour,
        numerator: objective.hasConstantWeights ? proximal : logprobs,
        reference: batch.reference.isEmpty ? [] : tokens.map { batch.reference[$0] },
        advantages: tokens.map { batch.advantages[$0] }, terms: terms, weighted: weighted), objective: objective)
  }
}

/// What statistics read of evaluated trajectories.
struct EvaluatedRows {
  var rows: [Range<Int>]
  var multiplicities: [Double]
  var logprobs: [Double]
  var anchor: [Double]
  var behaviour: [Double]
  var numerator: [Double]
  var reference: [Double]
  var advantages: [Double]
  var terms: LossTerms
  var weighted: WeightedTokens?
}
