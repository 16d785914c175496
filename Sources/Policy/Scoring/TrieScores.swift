/// Scores of a trie's nodes.
public struct TrieScores: Sendable {
  /// By node of the trie; NaN where it was not scored.
  public private(set) var logprobs: [Float]
  public private(set) var entropies: [Float]
  /// `topK` a node; meaningless where it was not scored.
  public private(set) var candidateIDs: [Int32]
  public private(set) var candidateLogprobs: [Float]
  public private(set) var topK: Int
  /// Nodes that went through the policy, repeated paths included.
  public private(set) var computed = 0

  /// Scores the wanted nodes of a trie, each once, in batches of about so many nodes.
  ///
  /// Roots are never scored: nothing predicts them.
  /// - Parameter wanted: by node.
  public init(
    of trie: SequenceTrie, wanted: [Bool], temperature: Float, topK: Int, budget: Int, by scorer: any EdgeScorer,
    interruption: @escaping () throws -> Void = {}
  ) throws {
    let count = trie.count
    logprobs = [Float](repeating: .nan, count: count)
    entropies = logprobs
    self.topK = min(topK, scorer.vocabularySize)
    candidateIDs = [Int32](repeating: -1, count: count * self.topK)
    candidateLogprobs = [Float](repeating: .nan, count: count * self.topK)
    guard wanted.contains(true) else { return }
    var open = wanted
    var scores = self
    try TrieBatches(trie, budget: budget).forEach { nodes, parents in
      let places = nodes.indices.filter { open[Int(nodes[$0])] && parents[$0] >= 0 }
      guard !places.isEmpty else { return }
      try interruption()
      let result = try scorer.score(
        tokens: nodes.map { trie.tokens[Int($0)] }, parents: parents, scoring: places.map { Int32($0) },
        temperature: temperature, topK: scores.topK, interruption: interruption)
      scores.computed += nodes.count
      for (k, place) in places.enumerated() {
        let node = Int(nodes[place])
        open[node] = false
        scores.take(result, k, node)
      }
    }
    self = scores
  }

  private mutating func take(_ result: EdgeScores, _ k: Int, _ node: Int) {
    logprobs[node] = result.logprobs[k]
    entropies[node] = result.entropies[k]
    for c in 0..<topK {
      candidateIDs[node * topK + c] = result.candidateIDs[k * topK + c]
      candidateLogprobs[node * topK + c] = result.candidateLogprobs[k * topK + c]
    }
  }
}
