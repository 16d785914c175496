import Policy

/// Scores that depend on the whole path and nothing else: a hash of it stands for a policy.
///
/// Every batch is recorded, so that tests see what was computed.
final class HashScorer: EdgeScorer {
  let vocabularySize: Int
  private(set) var batches: [(tokens: [Int32], parents: [Int32], nodes: [Int32])] = []

  init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

  static func value(_ path: [Int32], _ salt: UInt64) -> Float {
    var hash = salt
    for id in path { hash = (hash ^ UInt64(UInt32(bitPattern: id))) &* 0x9E37_79B9_7F4A_7C15 }
    return -Float(hash >> 40) / Float(1 << 24) * 10
  }

  func score(
    tokens: [Int32], parents: [Int32], scoring nodes: [Int32], temperature: Float, topK: Int,
    interruption: @escaping () throws -> Void
  ) throws -> EdgeScores {
    batches.append((tokens, parents, nodes))
    // The engine insists on the order; so does this one.
    _ = try TokenForest(tokens: tokens, parents: parents)
    var paths: [[Int32]] = []
    for (i, parent) in parents.enumerated() { paths.append((parent < 0 ? [] : paths[Int(parent)]) + [tokens[i]]) }
    var scores = EdgeScores(logprobs: [], entropies: [])
    for node in nodes {
      let path = paths[Int(node)]
      scores.logprobs.append(Self.value(path, 1) / temperature)
      scores.entropies.append(-Self.value(path.dropLast(), 2) / temperature)
      for k in 0..<topK {
        scores.candidateIDs.append(Int32(k))
        scores.candidateLogprobs.append(Self.value(path.dropLast() + [Int32(k)], 3))
      }
    }
    return scores
  }
}
