import CKernels
public import Rollouts

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Entropy of stored tokens, one value a token and estimator, in nats; `NaN` where it cannot be had.
///
/// Only generated tokens (loss_mask 1) have values. `topk`, `topk-renormalized`, `lower` and `upper` need at least one
/// candidate at the position; `upper` needs the vocabulary's size. `sampled-nll` is minus the logprob of the sampled
/// token, or of the candidate with its id where the log has no logprob. `exact` is the logged value where the
/// trajectory says `entropy_kind` "exact".
///
/// The listed tokens of a position are its candidates, and the sampled token if it is not among them and its logprob is
/// known. Candidates without a number count as not listed.
public struct TokenEntropy: Sendable {
  /// Number of tokens.
  public let count: Int
  /// The columns that can have values.
  private(set) var columns: [Estimator: [Double]] = [:]
  /// The ones asked for.
  private let estimators: Set<Estimator>

  /// Values by token for an estimator that was asked for, else `nil`.
  public subscript(estimator: Estimator) -> [Double]? {
    guard estimators.contains(estimator) else { return nil }
    return columns[estimator] ?? [Double](repeating: .nan, count: count)
  }

  /// Computes the values of some columns.
  ///
  /// - Parameters:
  ///   - columns: the tokens, as stored.
  ///   - entropyKind: how the logged entropies were made.
  ///   - vocabSize: number of ids the policy could have sampled; `nil` = unknown, and then there is no upper bound.
  ///   - estimators: the ones to compute.
  ///   - temperature: rescales `topk`, `topk-renormalized` and `sampled-nll` (which then needs candidates); the
  ///     others have no values then.
  public init(
    of columns: TokenColumns, entropyKind: String?, vocabSize: Int?, estimators: Set<Estimator>,
    temperature: TemperatureChange? = nil
  ) {
    count = columns.count
    self.estimators = estimators
    if estimators.contains(.exact), temperature == nil, entropyKind == "exact", let logged = columns.entropies {
      self.columns[.exact] = masked(logged.widened(), columns.lossMask)
    }
    let logprobs = columns.logprobs.flatMap { $0.count == 0 ? nil : $0 }
    let top = columns.topLogprobs.flatMap { $0.logprobs.count == 0 ? nil : $0 }
    let hasSampled = logprobs != nil || top != nil
    let sampled =
      hasSampled && estimators.contains(.sampledNLL) ? sampledLogprobs(columns, logged: logprobs) : []
    if let temperature {
      if let top { rescale(columns, top, logprobs: logprobs, sampled: sampled, temperature, estimators) }
    } else {
      if !sampled.isEmpty { self.columns[.sampledNLL] = sampled.map { -$0 } }
      if let top, estimators.contains(where: \.needsCandidates) {
        addListed(columns, top, logprobs: logprobs, vocabSize: vocabSize, estimators)
      }
    }
  }

  /// Sets the estimators that read candidates: one pass over these, then a few steps a token.
  private mutating func addListed(
    _ columns: TokenColumns, _ top: TopLogprobs, logprobs: RealColumn?, vocabSize: Int?, _ estimators: Set<Estimator>
  ) {
    let sums = CandidateSums(
      of: top, sampled: columns.tokenIDs, logprobs: logprobs, wanted: columns.lossMask, scale: 1,
      withLowest: estimators.contains(.lower) || estimators.contains(.upper))
    if estimators.contains(.topkRenormalized) {
      self.columns[.topkRenormalized] = renormalized(sums, top, columns, logprobs: logprobs, scale: 1)
    }
    if estimators.contains(.lower) || estimators.contains(.upper) {
      let bounds = entropyBounds(sums, vocabSize: vocabSize)
      if estimators.contains(.lower) { self.columns[.lower] = bounds.lower }
      if estimators.contains(.upper) { self.columns[.upper] = bounds.upper }
    }
    if estimators.contains(.topk) { self.columns[.topk] = sums.s }
  }

  /// Sets `topk`, `topk-renormalized` and `sampled-nll` at another sampling temperature; an approximation.
  ///
  /// Exact would be p'_i = p_i^a / sum over all j of p_j^a with a = from / to. The unlisted p_j are unknown: their mass
  /// r = max(0, 1 - sum p) is treated as one token, so Z = sum over the listed of p^a + r^a. Exact if the list is
  /// complete or the rest is one token, and the identity at a = 1. Heating makes p' too high, cooling too low.
  private mutating func rescale(
    _ columns: TokenColumns, _ top: TopLogprobs, logprobs: RealColumn?, sampled: [Double],
    _ temperature: TemperatureChange, _ estimators: Set<Estimator>
  ) {
    let a = temperature.from / temperature.to
    let plain = CandidateSums(
      of: top, sampled: columns.tokenIDs, logprobs: logprobs, wanted: columns.lossMask, scale: 1, withLowest: false)
    let scaled = CandidateSums(
      of: top, sampled: columns.tokenIDs, logprobs: logprobs, wanted: columns.lossMask, scale: a, withLowest: false)
    var topk = [Double](repeating: .nan, count: count)
    var nll = topk
    let totals: [Double] = filled(count) { totals in
      for i in 0..<count {
        let rest = max(0, 1 - plain.z[i])
        totals[i] = scaled.z[i] + (rest > 0 ? pow(rest, a) : 0)
      }
    }
    for i in 0..<count where plain.listed[i] > 0 {
      let logTotal = log(totals[i])
      topk[i] = (scaled.s[i] + scaled.z[i] * logTotal) / totals[i]
      if !sampled.isEmpty { nll[i] = logTotal - a * sampled[i] }
    }
    forEachUnderflow(of: totals, scaled, top, columns, logprobs: logprobs, scale: a) { i, listed in
      let rest = max(0, 1 - plain.z[i])
      let logTotal = logOfSum(listed + (rest > 0 ? [a * log(rest)] : []))
      topk[i] = entropy(ofLogprobs: listed.lazy.map { $0 - logTotal })
      if !sampled.isEmpty { nll[i] = logTotal - a * sampled[i] }
    }
    if estimators.contains(.topk) { self.columns[.topk] = topk }
    if estimators.contains(.sampledNLL) { self.columns[.sampledNLL] = nll }
    if estimators.contains(.topkRenormalized) {
      self.columns[.topkRenormalized] = renormalized(scaled, top, columns, logprobs: logprobs, scale: a)
    }
  }
}

/// The values of generated tokens, the others `NaN`.
private func masked(_ values: [Double], _ mask: [UInt8]) -> [Double] {
  var out = values
  for i in out.indices where mask[i] == 0 { out[i] = .nan }
  return out
}

/// Logprob of the sampled token at each generated position: the logged one, else that of the first candidate with its id.
private func sampledLogprobs(_ columns: TokenColumns, logged: RealColumn?) -> [Double] {
  let mask = columns.lossMask
  var out = logged.map { masked($0.widened(), mask) } ?? [Double](repeating: .nan, count: columns.count)
  let isMissing = out.indices.contains { mask[$0] != 0 && out[$0].isNaN }
  guard isMissing, let top = columns.topLogprobs else { return out }
  var offset = 0
  for i in out.indices {
    let candidates = offset..<(offset + Int(top.counts[i]))
    offset = candidates.upperBound
    guard mask[i] != 0, out[i].isNaN else { continue }
    if let j = candidates.first(where: {
      top.isSampled($0, at: i, first: candidates.lowerBound, token: columns.tokenIDs[i])
    }) {
      out[i] = top.logprobs[j] ?? .nan
    }
  }
  return out
}

/// Entropy of the listed tokens alone: with p' = p / Z it is S / Z + ln Z.
private func renormalized(
  _ sums: CandidateSums, _ top: TopLogprobs, _ columns: TokenColumns, logprobs: RealColumn?, scale: Double
) -> [Double] {
  let count = sums.s.count
  var out = filled(count) { arpo_entropy_renormalized(sums.s, sums.z, sums.listed, count, $0) }
  forEachUnderflow(of: sums.z, sums, top, columns, logprobs: logprobs, scale: scale) { i, listed in
    let logTotal = logOfSum(listed)
    out[i] = entropy(ofLogprobs: listed.lazy.map { $0 - logTotal })
  }
  return out
}

/// Calls the body with the positions whose total of probabilities is too small to divide by, and the logarithms of those
/// of their listed tokens.
private func forEachUnderflow(
  of totals: [Double], _ sums: CandidateSums, _ top: TopLogprobs, _ columns: TokenColumns, logprobs: RealColumn?,
  scale: Double, _ body: (Int, [Double]) -> Void
) {
  // Below it some addend may have been no normal number.
  let least = 1e-290
  let isAny = totals.withUnsafeBufferPointer { totals in
    sums.listed.withUnsafeBufferPointer { listed in totals.indices.contains { totals[$0] < least && listed[$0] > 0 } }
  }
  guard isAny else { return }
  var offset = 0
  for i in totals.indices {
    let candidates = offset..<(offset + Int(top.counts[i]))
    offset = candidates.upperBound
    guard sums.listed[i] > 0, totals[i] < least else { continue }
    var listed = candidates.compactMap { top.logprobs[$0] }
    let isListed = candidates.contains {
      top.isSampled($0, at: i, first: candidates.lowerBound, token: columns.tokenIDs[i]) && top.logprobs[$0] != nil
    }
    if !isListed, let logprob = logprobs?[i] { listed.append(logprob) }
    body(i, listed.map { scale * $0 })
  }
}

/// ln of the sum of e^x, which may itself be too small for a number; -inf for no numbers.
private func logOfSum(_ logarithms: [Double]) -> Double {
  guard let top = logarithms.max(), top.isFinite else { return -.infinity }
  return top + log(logarithms.reduce(0) { $0 + exp($1 - top) })
}

/// Sum of -p ln p; `NaN` where the probabilities have no total.
private func entropy(ofLogprobs logprobs: some Sequence<Double>) -> Double {
  logprobs.reduce(0) { sum, x in
    let p = exp(x)
    return x.isNaN ? .nan : p > 0 ? sum - p * x : sum
  }
}

/// Bounds of the full-vocabulary entropy, given the listed tokens.
///
/// Let S = sum of -p ln p over the n listed tokens, r = max(0, 1 - sum p) the rest mass, m = V - n the number of unlisted
/// tokens and c the smallest candidate probability other than the sampled token's, which caps every unlisted one. (A
/// server appends the sampled token to its top k, so that one caps nothing.) The rest adds f = sum of -p_j ln p_j with
/// sum p_j = r and 0 <= p_j <= c.
/// - upper: f is concave and symmetric, so the even spread is its maximum: -r ln(r / m).
/// - lower: the minimum is at a vertex, q = floor(r / c) tokens at c and one at s = r - q c: -q c ln c - s ln s. Without a
///   cap -r ln r.
///
/// Special cases: r = 0 or m <= 0: both are S. r > m c (the list was not the top k): both use the even spread. V unknown:
/// no upper bound, m infinite.
private func entropyBounds(_ sums: CandidateSums, vocabSize: Int?) -> (lower: [Double], upper: [Double]) {
  let count = sums.s.count
  let vocabulary = vocabSize.map(Double.init) ?? .infinity
  var upper: [Double] = []
  var lower = filled(count) { lower in
    upper = filled(count) { upper in
      arpo_entropy_bounds(sums.s, sums.z, sums.lowest, sums.listed, count, vocabulary, lower, upper)
    }
  }
  for i in 0..<count where sums.lowest[i] < -700 && sums.listed[i] > 0 {
    lower[i] = lowerBound(sums, i, unlisted: vocabulary - Double(sums.listed[i]), upper: upper[i])
  }
  return (lower, upper)
}

/// The lower bound where the cap is so small that it may be 0: without a known vocabulary there is none then.
private func lowerBound(_ sums: CandidateSums, _ i: Int, unlisted: Double, upper: Double) -> Double {
  let s = sums.s[i]
  let r = max(0, 1 - sums.z[i])
  let c = exp(sums.lowest[i])
  if r == 0 || unlisted <= 0 { return s }
  if unlisted < .infinity, r > unlisted * c { return upper }
  if c == 0 { return .nan }
  let q = (r / c).rounded(.down)
  let left = max(0, r - q * c)
  return s - (r - left) * sums.lowest[i] - (left > 0 ? left * log(left) : 0)
}
