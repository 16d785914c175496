/// What a policy loss reads: the trained tokens of some trajectories, one row a trajectory.
///
/// A row holds only tokens that count (generated, with an advantage), so there is no mask. All arrays are flat and of one
/// length; logprobs are natural logarithms of the sampled token's probability. A token that several trajectories share
/// stands in the row of each.
public struct LossRows: Sendable {
  /// By trajectory, its part of the arrays; together they cover the arrays in order.
  public var rows: [Range<Int>]
  /// Under the policy that is trained.
  public var logprobs: [Double]
  /// Under the policy that the ratio is taken against: the behaviour policy, or the proximal one in a decoupled loss.
  ///
  /// Empty where there is none; ratios are then 1.
  public var anchor: [Double]
  /// Advantages, constants.
  public var advantages: [Double]
  /// Importance weights, constants; empty: 1.
  public var weights: [Double]

  /// Rows of these tokens.
  public init(
    rows: [Range<Int>], logprobs: [Double], anchor: [Double] = [], advantages: [Double], weights: [Double] = []
  ) {
    self.rows = rows
    self.logprobs = logprobs
    self.anchor = anchor
    self.advantages = advantages
    self.weights = weights
  }

  /// Number of tokens.
  public var count: Int { logprobs.count }

  /// log(pi / anchor) of a token, not clamped; 0 without an anchor.
  @inline(__always)
  func logRatio(_ i: Int) -> Double { anchor.isEmpty ? 0 : logprobs[i] - anchor[i] }

  @inline(__always)
  func weight(_ i: Int) -> Double { weights.isEmpty ? 1 : weights[i] }
}

/// What a policy loss gives for each token.
public struct LossTerms: Sendable {
  /// The token's loss, to be minimised, before aggregation.
  public var loss: [Double]
  /// Derivative of the token's loss with respect to its logprob, before aggregation.
  public var gradient: [Double]
  /// The ratio that the loss used, of the token or of its trajectory; 1 where it uses none.
  public var ratio: [Double]
  /// Whether the clip range cut the token's gradient.
  public var clipped: [Bool]
  /// Whether dual clip cut it (negative advantage, ratio above c).
  public var clippedLower: [Bool]

  /// Zeros for a number of tokens.
  public init(count: Int) {
    loss = [Double](repeating: 0, count: count)
    gradient = loss
    ratio = [Double](repeating: 1, count: count)
    clipped = [Bool](repeating: false, count: count)
    clippedLower = clipped
  }
}

/// Log-ratios beyond this are clamped before `exp`, as verl, TRL and slime do.
public let logRatioBound = 20.0
