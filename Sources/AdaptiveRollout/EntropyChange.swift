/// The sum of known entropies, nats; `nil` where none is known.
public func entropySum(_ entropies: [Double]) -> Double? {
  var sum = 0.0
  var isKnown = false
  for x in entropies where !x.isNaN {
    sum += x
    isKnown = true
  }
  return isKnown ? sum : nil
}

/// Sum over j of H_now[j] - H_initial[j], over the positions where both have a value (ARPO's paper, equation 4, before
/// the division).
///
/// - Parameters:
///   - now: entropies after a tool result, nats, `NaN` = none.
///   - initial: entropies from the start of the trajectory.
/// - Returns: the sum (`nil` without a pair) and the number of pairs.
public func entropyChange(now: [Double], initial: [Double]) -> (sum: Double?, pairs: Int) {
  var sum = 0.0
  var pairs = 0
  for (a, b) in zip(now, initial) where !a.isNaN && !b.isNaN {
    sum += a - b
    pairs += 1
  }
  return (pairs > 0 ? sum : nil, pairs)
}
