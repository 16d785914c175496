extension PolicyModel: EdgeScorer {
  public var vocabularySize: Int { config.vocabularySize }

  public func score(
    tokens: [Int32], parents: [Int32], scoring nodes: [Int32], temperature: Float, topK: Int,
    interruption: @escaping () throws -> Void
  ) throws -> EdgeScores {
    let pass = try forward(
      TokenForest(tokens: tokens, parents: parents), scoring: nodes,
      options: ForwardOptions(temperature: temperature, entropies: true, topK: topK, interruption: interruption))
    let candidates = (pass.candidates ?? []).flatMap { $0 }
    return EdgeScores(
      logprobs: pass.logprobs, entropies: pass.entropies ?? [], candidateIDs: candidates.map(\.token),
      candidateLogprobs: candidates.map(\.logprob))
  }
}
