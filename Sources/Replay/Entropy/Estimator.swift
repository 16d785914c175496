/// How a token's entropy is had from what a log holds.
///
/// All values are in nats, over generated tokens only.
public enum Estimator: String, Sendable, Hashable, CaseIterable {
  /// The trainer's own value over the full vocabulary, logged with `entropy_kind` "exact".
  case exact
  /// Truncated sum of -p ln p over the listed tokens: neither renormalised nor completed.
  case topk
  /// Entropy of the listed tokens alone, their probabilities divided by their sum.
  case topkRenormalized = "topk-renormalized"
  /// Smallest full-vocabulary entropy that the listed tokens allow.
  case lower
  /// Largest full-vocabulary entropy that the listed tokens allow; needs the vocabulary's size.
  case upper
  /// -ln p of the sampled token: its expectation is the entropy, one value of it is not.
  case sampledNLL = "sampled-nll"

  /// The formula as a report prints it.
  public var formula: String {
    switch self {
    case .exact: "H = -sum over the vocabulary of p ln p, as logged (entropy_kind exact)"
    case .topk: "H = -sum over the listed tokens of p ln p (top-k and the sampled token; truncated, not renormalised)"
    case .topkRenormalized: "H = -sum over the listed tokens of q ln q, q = p / sum p"
    case .lower: "smallest H that the listed tokens allow: the rest as few tokens, each at most the smallest candidate"
    case .upper: "largest H that the listed tokens allow: the rest spread evenly over the unlisted vocabulary"
    case .sampledNLL: "-ln p(sampled token): surprisal, whose expectation is H"
    }
  }

  /// Whether the estimator reads the candidate lists.
  var needsCandidates: Bool {
    switch self {
    case .topk, .topkRenormalized, .lower, .upper: true
    case .exact, .sampledNLL: false
    }
  }

  /// Whether it has values at another temperature than the log's.
  var canBeRescaled: Bool {
    switch self {
    case .topk, .topkRenormalized, .sampledNLL: true
    case .exact, .lower, .upper: false
    }
  }
}

/// A change of sampling temperature: logprobs logged at `from`, wanted at `to`.
public struct TemperatureChange: Sendable, Hashable {
  /// Temperature of the logged logprobs, above 0.
  public var from: Double
  /// Temperature wanted, above 0.
  public var to: Double

  /// A change between two temperatures.
  public init(from: Double, to: Double) {
    self.from = from
    self.to = to
  }
}
