import AdaptiveRollout
import Demonstration
import Foundation
import Policy
import Sampling
import Testing
import TestSupport

@Suite struct PolicySourceTests {
  /// What a sampler logs is what a pass over the whole sequence says.
  @Test func loggedLogprobsAreThePolicys() throws {
    let scratch = try TemporaryFolder()
    try TinyCheckpoint.write(to: scratch.path("tiny"), seed: 3)
    let model = try PolicyModel(try Checkpoint(directory: scratch.path("tiny")), threads: 1)
    let source = PolicySource(model)
    let context: [Int32] = [65, 66, 67]
    func draw(_ seed: UInt64, stops: Set<Int32> = []) throws -> [DrawnToken] {
      try source.draw(behind: [context], stops: stops, limit: 12, seeds: [seed])[0]
    }
    let drawn = try draw(9)
    let tokens = context + drawn.map(\.id)
    let pass = try model.forward(
      try TokenForest(sequences: [tokens]), scoring: (3..<Int32(tokens.count)).map { $0 },
      options: ForwardOptions(entropies: true))
    for (k, token) in drawn.enumerated() {
      #expect(abs(token.logprob - pass.logprobs[k]) < 1e-4)
      #expect(abs(token.entropy - (pass.entropies?[k] ?? .nan)) < 1e-4)
    }
    #expect(try draw(9) == drawn)
    #expect(try draw(10) != drawn)
    let first = try #require(drawn.first)
    #expect(try draw(9, stops: [first.id]).map(\.id) == [first.id])
    // Others beside it change nothing but the last bits.
    let together = try source.draw(behind: [[70], context, [71, 72]], stops: [], limit: 12, seeds: [1, 9, 2])
    #expect(together[1].map(\.id) == drawn.map(\.id))
    #expect(zip(together[1], drawn).allSatisfy { abs($0.logprob - $1.logprob) < 1e-4 })
  }
}
