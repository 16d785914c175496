/// What is known of a leaf's generated tokens, in path order: one value a token in each array.
public struct ScoredLeaf: Sendable {
  /// log mu of the policy that wrote the log, `NaN` where the log has none.
  public var behaviour: [Double]
  /// log pi under the policy before the update.
  public var before: [Float]
  /// log pi under the policy after it.
  public var after: [Float]
  /// Entropies of the distributions before, nats.
  public var entropyBefore: [Float]
  /// Entropies of the distributions after, nats.
  public var entropyAfter: [Float]

  /// A leaf of these columns, all of the length of its generated tokens.
  public init(
    behaviour: [Double], before: [Float], after: [Float], entropyBefore: [Float], entropyAfter: [Float]
  ) {
    self.behaviour = behaviour
    self.before = before
    self.after = after
    self.entropyBefore = entropyBefore
    self.entropyAfter = entropyAfter
  }
}

/// Which policy the log's tokens count as sampled from.
public enum BehaviourPolicy: String, Sendable, CaseIterable {
  /// The one whose logprobs are in the log; leaves without them take no part in the estimates.
  case logged
  /// The policy before the update, by the user's word: for logs without logprobs that it wrote itself.
  case before
}
