/// A weaker estimator is taken if the stronger one covers less than this share of its tokens.
private let sufficientCoverage = 0.5

/// Chooses a run's estimator: the one asked for; else the strongest of exact, topk and sampled-nll that has a value for
/// at least half of the generated tokens that the best covered one has.
///
/// `nil` if none has any.
///
/// - Returns: its number among those computed, and the choice as reported.
func chooseEstimator(_ run: RunAccumulator) -> (number: Int, reported: EstimatorChoice)? {
  let estimators = run.options.estimators
  let coverage = zip(estimators, run.covered).map { EstimatorCoverage(estimator: $0, tokens: $1) }
  guard let most = coverage.map(\.tokens).max(), most > 0 else { return nil }
  let sufficient = { (c: EstimatorCoverage) in Double(c.tokens) >= sufficientCoverage * Double(most) }
  guard let number = coverage.firstIndex(where: sufficient) else { return nil }
  let chosen = coverage[number]
  let share = percent(chosen.tokens, of: run.generated)
  var reason = "\(chosen.estimator.rawValue) has a value for \(share) of the generated tokens"
  if run.options.estimator != nil {
    reason = "asked for; " + reason
  } else if number == 0 {
    reason += ", and no estimator is stronger"
  } else {
    let stronger = coverage[..<number].map {
      let name = $0.estimator.rawValue
      return $0.tokens == 0 ? "\(name) has none" : "\(name) only for \(percent($0.tokens, of: run.generated))"
    }
    reason += "; " + stronger.joined(separator: ", ")
  }
  return (
    number,
    EstimatorChoice(
      estimator: chosen.estimator, formula: chosen.estimator.formula, reason: reason, coverage: coverage)
  )
}

/// A share as "12.3 %".
func percent(_ part: Int, of whole: Int) -> String {
  guard whole > 0 else { return "0 %" }
  let tenths = (1000 * Double(part) / Double(whole)).rounded()
  return "\(tenths / 10) %"
}
