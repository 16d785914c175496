import TestSupport
import Testing

@testable import Policy

/// Token by token the same scores as in one pass.
@Suite("Generator")
struct GeneratorTests {
  private func model(_ variant: EngineTests.Variant = .qwen3OwnHeadDimension) throws -> PolicyModel {
    var tiny = TinyCheckpoint()
    tiny.config.merge(variant.config) { $1 }
    return try PolicyModel(try Checkpoint(directory: try tiny.write(seed: 3)), threads: 2)
  }

  /// Logits behind a whole sequence, computed anew.
  private func expected(_ model: PolicyModel, _ tokens: [Int32]) throws -> [Float] {
    try model.logits(TokenForest(sequences: [tokens]), after: [Int32(tokens.count - 1)])
  }

  @Test("sequences that grow, fork and end, in random order", arguments: EngineTests.Variant.allCases)
  func random(_ variant: EngineTests.Variant) throws {
    let model = try model(variant)
    let generator = Generator(model)
    var random = SeededGenerator(seed: 5)
    func tokens(_ range: ClosedRange<Int>) -> [Int32] {
      (0..<Int.random(in: range, using: &random)).map { _ in Int32.random(in: 0..<20, using: &random) }
    }
    var live: [(sequence: Generator.Sequence, tokens: [Int32])] = []
    for _ in 0..<60 {
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        let batch = (0..<2).map { _ in tokens(1...50) }
        live += zip(try generator.begin(batch), batch).map { (sequence: $0, tokens: $1) }
      case 1:
        guard let one = live.randomElement(using: &random) else { continue }
        live.append((try generator.fork(one.sequence), one.tokens))
      case 2:
        guard live.count > 3 else { continue }
        let gone = live.remove(at: Int.random(in: 0..<live.count, using: &random))
        generator.end(gone.sequence)
        #expect(policyError { _ = try generator.logits(gone.sequence) }?.code == .mismatch)
      default:
        var additions: [(sequence: Generator.Sequence, tokens: [Int32])] = []
        for i in live.indices where Bool.random(using: &random) {
          let added = tokens(1...3)
          additions.append((live[i].sequence, added))
          live[i].tokens += added
        }
        try generator.append(additions)
      }
      for one in live {
        #expect(try generator.length(one.sequence) == one.tokens.count)
        #expect(largestDifference(try generator.logits(one.sequence), try expected(model, one.tokens)) < 2e-5)
      }
    }
  }

  @Test("the same bits again")
  func determinism() throws {
    let model = try model()
    func run() throws -> [Float] {
      let generator = Generator(model)
      let sequence = try generator.begin([[1, 2, 3]])[0]
      for token: Int32 in 4..<12 { try generator.append([(sequence, [token])]) }
      return try generator.logits(sequence)
    }
    #expect(try run() == run())
  }

  @Test("a refused step leaves the sequences as they were")
  func refusals() throws {
    let model = try model()
    let generator = Generator(model)
    let sequence = try generator.begin([[1, 2, 3]])[0]
    let fork = try generator.fork(sequence)
    #expect(policyError { _ = try generator.begin([[1], []]) }?.code == .mismatch)
    #expect(policyError { _ = try generator.begin([[20]]) }?.code == .mismatch)
    #expect(policyError { try generator.append([(sequence, [1]), (fork, [-1])]) }?.code == .mismatch)
    #expect(policyError { try generator.append([(sequence, [1]), (sequence, [1])]) }?.code == .mismatch)
    #expect(policyError { try generator.append([(sequence, [])]) }?.code == .mismatch)
    struct Stop: Error {}
    #expect(throws: Stop.self) { try generator.append([(sequence, [7]), (fork, [8])]) { throw Stop() } }
    try generator.append([(sequence, [4]), (fork, [5])])
    #expect(largestDifference(try generator.logits(sequence), try expected(model, [1, 2, 3, 4])) < 2e-5)
    #expect(largestDifference(try generator.logits(fork), try expected(model, [1, 2, 3, 5])) < 2e-5)
  }

  @Test("goldens token by token", arguments: GoldenPolicy.with("forward.safetensors"))
  func golden(_ golden: GoldenPolicy) throws {
    let t = try golden.tensors("forward.safetensors")
    let width = try t.shape("input_ids")[1]
    let ids = try t.integers("input_ids").map(Int32.init)
    let logits = try t.floats("logits")
    let model = try PolicyModel(try golden.checkpoint(), threads: 2)
    let size = model.config.vocabularySize
    let generator = Generator(model)
    let rows = stride(from: 0, to: ids.count, by: width).map { $0 }
    let sequences = try generator.begin(rows.map { [ids[$0]] })
    for column in 0..<width {
      if column > 0 { try generator.append(zip(sequences, rows).map { ($0, [ids[$1 + column]]) }) }
      for (sequence, row) in zip(sequences, rows) {
        let expected = logits[((row + column) * size)..<((row + column + 1) * size)]
        #expect(largestDifference(try generator.logits(sequence), expected) < 5e-5)
      }
    }
  }
}
