import AdaptiveRollout
public import Sampling

/// Draws the task's tokens from a policy, at temperature 1 from the whole distribution.
public final class PolicySource: TokenSource {
  private let model: any SequenceModel

  public init(_ model: any SequenceModel) { self.model = model }

  public func draw(
    behind context: [Int32], stops: Set<Int32>, limit: Int, seed: UInt64
  ) throws -> [DrawnToken] {
    var random = SeededRandom(seed: seed, stream: "draws")
    let sequence = try model.begin(context)
    defer { model.end(sequence) }
    var out: [DrawnToken] = []
    while out.count < limit {
      let draw = TokenDraw(from: try model.next(sequence), SamplingSettings(), top: 0, using: &random)
      out.append(DrawnToken(id: draw.id, logprob: draw.logprob, entropy: draw.entropy))
      if stops.contains(draw.id) { break }
      try model.append([draw.id], to: sequence)
    }
    return out
  }
}
