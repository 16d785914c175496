public import Policy

/// Sequences under a checkpoint, each computed anew for every token: for short ones.
public final class PolicySequences: SequenceModel {
  private let model: PolicyModel
  private var sequences: [Int: [Int32]] = [:]
  private var count = 0

  public init(_ model: PolicyModel) { self.model = model }

  public func begin(_ tokens: [Int32]) throws -> Int {
    count += 1
    sequences[count] = tokens
    return count
  }

  public func append(_ tokens: [Int32], to sequence: Int) throws { sequences[sequence, default: []] += tokens }

  public func next(_ sequence: Int) throws -> [Float] {
    let tokens = sequences[sequence] ?? []
    // A pass scores edges: any token behind the sequence shows the distribution that it would be drawn from.
    let forest = try TokenForest(sequences: [tokens + [0]])
    let size = model.config.vocabularySize
    let pass = try model.forward(forest, scoring: [Int32(tokens.count)], options: ForwardOptions(topK: size))
    var out = [Float](repeating: -.infinity, count: size)
    for candidate in pass.candidates?[0] ?? [] { out[Int(candidate.token)] = candidate.logprob }
    return out
  }

  public func end(_ sequence: Int) { sequences[sequence] = nil }
}
