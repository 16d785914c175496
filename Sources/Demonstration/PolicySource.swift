import AdaptiveRollout
public import Policy
import Sampling

/// Draws the task's tokens from a policy, at temperature 1 from the whole distribution, all contexts together.
public final class PolicySource: TokenSource {
  private let model: PolicyModel

  /// The policy must not change meanwhile.
  public init(_ model: PolicyModel) { self.model = model }

  public func draw(
    behind contexts: [[Int32]], stops: Set<Int32>, limit: Int, seeds: [UInt64]
  ) throws -> [[DrawnToken]] {
    if contexts.isEmpty { return [] }
    let generator = Generator(model)
    let sequences = try generator.begin(contexts)
    var randoms = seeds.map { SeededRandom(seed: $0, stream: "draws") }
    var out = [[DrawnToken]](repeating: [], count: contexts.count)
    var going = Array(contexts.indices)
    while !going.isEmpty {
      for i in going {
        let draw = TokenDraw(from: try generator.logits(sequences[i]), SamplingSettings(), top: 0, using: &randoms[i])
        out[i].append(DrawnToken(id: draw.id, logprob: draw.logprob, entropy: draw.entropy))
      }
      going.removeAll { i in out[i].count >= limit || out[i].last.map { stops.contains($0.id) } ?? true }
      try generator.append(going.map { i in (sequences[i], [out[i][out[i].count - 1].id]) })
    }
    return out
  }
}
