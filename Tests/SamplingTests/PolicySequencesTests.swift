import AdaptiveRollout
import Demonstration
import Foundation
import Policy
import Sampling
import Testing
import TestSupport

@Suite struct PolicySequencesTests {
  /// What a sampler logs is what a pass over the whole sequence says.
  @Test func loggedLogprobsAreThePolicys() throws {
    let scratch = try TemporaryFolder()
    try TinyCheckpoint.write(to: scratch.path("tiny"), seed: 3)
    let model = try PolicyModel(try Checkpoint(directory: scratch.path("tiny")), threads: 1)
    let source = PolicySource(PolicySequences(model))
    let context: [Int32] = [65, 66, 67]
    let drawn = try source.draw(behind: context, stops: [], limit: 12, seed: 9)
    let tokens = context + drawn.map(\.id)
    let pass = try model.forward(
      try TokenForest(sequences: [tokens]), scoring: (3..<Int32(tokens.count)).map { $0 },
      options: ForwardOptions(entropies: true))
    for (k, token) in drawn.enumerated() {
      #expect(abs(token.logprob - pass.logprobs[k]) < 1e-4)
      #expect(abs(token.entropy - (pass.entropies?[k] ?? .nan)) < 1e-4)
    }
    #expect(try source.draw(behind: context, stops: [], limit: 12, seed: 9) == drawn)
    #expect(try source.draw(behind: context, stops: [], limit: 12, seed: 10) != drawn)
    let first = try #require(drawn.first)
    #expect(try source.draw(behind: context, stops: [first.id], limit: 12, seed: 9) == [first])
  }
}
