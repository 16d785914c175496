/// What an update minimises.
///
/// loss = sum of c (w pg + kl_coef KL - entropy_coef H) over the trained (trajectory, token) pairs, with c of the
/// aggregation.
public struct Objective: Sendable {
  /// The policy loss.
  public var loss: any PolicyLoss
  /// Bounds of importance weights; `nil` = weights are 1.
  public var weights: BehaviourWeights?
  /// Whether the behaviour policy's logprobs are used at all.
  public var usesBehaviour: Bool
  /// Shared tokens.
  public var shared: SharedTokens
  /// How token losses are summed.
  public var aggregation: Aggregation
  /// Tokens by which ``Aggregation/sequenceMeanTokenSumNorm`` divides.
  public var horizon: Double
  /// Estimator of the KL to the reference policy; `nil` = no KL term.
  public var kl: KLEstimator?
  /// Whether KL terms are multiplied by the importance ratio.
  public var correctsKL: Bool
  /// Coefficient of the entropy bonus.
  public var entropyCoefficient: Double

  /// A loss with the other parts off.
  public init(loss: any PolicyLoss, usesBehaviour: Bool = true) {
    self.loss = loss
    self.usesBehaviour = usesBehaviour
    weights = nil
    shared = .soft
    aggregation = .tokenMean
    horizon = 1
    kl = nil
    correctsKL = false
    entropyCoefficient = 0
  }

  /// Whether weights are made of the logprobs under a policy that is known before the update.
  var hasConstantWeights: Bool { loss.weighting == .proximalOverBehaviour }
}
