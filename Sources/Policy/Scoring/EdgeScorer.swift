/// What scores tokens given the tokens before them: the engine, or a plain reference in tests.
public protocol EdgeScorer {
  /// Number of ids that the policy knows.
  var vocabularySize: Int { get }

  /// Scores edges of token tries.
  ///
  /// - Parameters:
  ///   - tokens: the nodes' ids, in depth-first pre-order; a node's position is its depth.
  ///   - parents: the nodes' parents, -1 for roots.
  ///   - nodes: the nodes to score; none is a root.
  ///   - temperature: logits are divided by it.
  ///   - topK: candidates wanted for each scored node.
  ///   - interruption: called now and then; what it throws ends the work.
  func score(
    tokens: [Int32], parents: [Int32], scoring nodes: [Int32], temperature: Float, topK: Int,
    interruption: @escaping () throws -> Void
  ) throws -> EdgeScores
}

/// Scores of some nodes, in their order.
public struct EdgeScores: Sendable, Equatable {
  /// log p(token | the node's ancestors), in nats.
  public var logprobs: [Float]
  /// Entropy in nats of the distribution that predicts the node.
  public var entropies: [Float]
  /// Ids and logprobs of the likeliest tokens, `topK` for each node, likeliest first; empty if none were asked for.
  public var candidateIDs: [Int32]
  public var candidateLogprobs: [Float]

  public init(
    logprobs: [Float], entropies: [Float], candidateIDs: [Int32] = [], candidateLogprobs: [Float] = []
  ) {
    self.logprobs = logprobs
    self.entropies = entropies
    self.candidateIDs = candidateIDs
    self.candidateLogprobs = candidateLogprobs
  }
}
