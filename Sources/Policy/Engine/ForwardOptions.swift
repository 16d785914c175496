/// What a forward pass computes and keeps.
public struct ForwardOptions {
  /// Logits are divided by this before the softmax.
  public var temperature: Float
  /// Whether entropies are reported.
  ///
  /// They are exact, over the whole vocabulary, in nats.
  public var entropies: Bool
  /// How many of the likeliest tokens are reported for each scored node.
  public var topK: Int
  /// Whether ``ForwardPass/backward(logprobGradients:entropyGradients:into:interruption:)`` may follow.
  public var keepsForBackward: Bool
  /// Bytes for what the backward pass needs of the layers; no limit if nil.
  ///
  /// Where it does not suffice, the first layers keep their input
  /// alone and are computed once more on the way back.
  public var activationBudget: Int?
  /// Called between layers and between parts of the LM head; what it throws ends the pass.
  public var interruption: (() throws -> Void)?

  public init(
    temperature: Float = 1, entropies: Bool = false, topK: Int = 0, keepsForBackward: Bool = false,
    activationBudget: Int? = nil, interruption: (() throws -> Void)? = nil
  ) {
    self.temperature = temperature
    self.entropies = entropies
    self.topK = topK
    self.keepsForBackward = keepsForBackward
    self.activationBudget = activationBudget
    self.interruption = interruption
  }
}
