import Foundation
import TestSupport
import Testing

@testable import Policy

/// The engine against ``PlainPolicy`` on small random policies of all families: scores, and gradients by central
/// differences of the plain one.
@Suite("Engine")
struct EngineTests {
  enum Variant: CaseIterable {
    case qwen2Tied, qwen3OwnHeadDimension, llamaBiases

    var config: [String: Any] {
      switch self {
      case .qwen2Tied:
        [
          "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": true,
          "rope_scaling": ["rope_type": "linear", "factor": 2.0], "vocab_size": 37,
        ]
      case .qwen3OwnHeadDimension:
        [
          "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 6, "num_attention_heads": 3,
          "num_key_value_heads": 3,
        ]
      case .llamaBiases:
        [
          "attention_bias": true, "mlp_bias": true, "num_attention_heads": 4, "num_key_value_heads": 2,
          "rope_scaling": [
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
          ],
        ]
      }
    }
  }

  private func checkpoint(_ variant: Variant) throws -> Checkpoint {
    var tiny = TinyCheckpoint()
    tiny.config.merge(variant.config) { $1 }
    return try Checkpoint(directory: try tiny.write(seed: 3))
  }

  /// A forest, its scored nodes (some twice), and the slopes of a loss.
  private struct Problem {
    var forest: TokenForest
    var nodes: [Int32]
    var logprobSlopes: [Float]
    var entropySlopes: [Float]

    init(_ config: PolicyConfig, seed: UInt64, nodes count: Int = 30) throws {
      var generator = SeededGenerator(seed: seed)
      let forest = try RandomForest.make(nodes: count, using: &generator, vocabulary: config.vocabularySize)
      let inner = forest.parents.indices.filter { forest.parents[$0] >= 0 }.map(Int32.init)
      let scored = inner.filter { _ in Bool.random(using: &generator) }.shuffled(using: &generator)
      nodes = scored + scored.prefix(2)
      self.forest = forest
      logprobSlopes = nodes.map { _ in Float.random(in: -1...1, using: &generator) }
      entropySlopes = nodes.map { _ in Float.random(in: -1...1, using: &generator) }
    }

    func loss(_ plain: PlainPolicy, entropies: Bool) -> Double {
      let logprobs = plain.logprobs(forest)
      return nodes.indices.reduce(0) { sum, i in
        let row = logprobs[Int(forest.parents[Int(nodes[i])])]
        let entropy = entropies ? -row.reduce(0) { $0 + exp($1) * $1 } : 0
        return sum + Double(logprobSlopes[i]) * row[Int(forest.tokens[Int(nodes[i])])]
          + Double(entropySlopes[i]) * entropy
      }
    }
  }

  @Test("log-probabilities, entropies and likeliest tokens", arguments: Variant.allCases)
  func scores(_ variant: Variant) throws {
    let checkpoint = try checkpoint(variant)
    var plain = try PlainPolicy(checkpoint)
    for temperature in [1, 0.6] {
      plain.temperature = temperature
      let problem = try Problem(plain.config, seed: 11)
      let expected = plain.logprobs(problem.forest)
      for set in InstructionSet.allCases where set.isSupported {
        let model = try PolicyModel(checkpoint, threads: 2, instructionSet: set)
        let pass = try model.forward(
          problem.forest, scoring: problem.nodes,
          options: .init(temperature: Float(temperature), entropies: true, topK: 50))
        for (i, node) in problem.nodes.enumerated() {
          let row = expected[Int(problem.forest.parents[Int(node)])]
          #expect(abs(Double(pass.logprobs[i]) - row[Int(problem.forest.tokens[Int(node)])]) < 2e-5)
          let entropy = -row.reduce(0) { $0 + exp($1) * $1 }
          #expect(abs(Double(try #require(pass.entropies)[i]) - entropy) < 2e-5)
          let candidates = try #require(pass.candidates)[i]
          #expect(candidates.count == min(50, plain.config.vocabularySize))
          #expect(zip(candidates, candidates.dropFirst()).allSatisfy { $0.logprob >= $1.logprob })
          #expect(candidates.allSatisfy { abs(Double($0.logprob) - row[Int($0.token)]) < 2e-5 })
        }
      }
    }
  }

  @Test("gradients of all parameters", arguments: Variant.allCases, [(1.0, false), (0.7, true)])
  func gradients(_ variant: Variant, _ setting: (temperature: Double, entropies: Bool)) throws {
    let checkpoint = try checkpoint(variant)
    var plain = try PlainPolicy(checkpoint)
    plain.temperature = setting.temperature
    let problem = try Problem(plain.config, seed: 5)
    let model = try PolicyModel(checkpoint, training: .everything, threads: 2)
    let gradients = try backward(model, problem, setting.temperature, setting.entropies)
    var generator = SeededGenerator(seed: 1)
    for entry in gradients.layout.entries {
      try compare(entry, gradients, &generator) { direction, step in
        var moved = plain
        for i in direction.indices { moved.tensors[entry.name]?[i] += step * direction[i] }
        return problem.loss(moved, entropies: setting.entropies)
      }
    }
  }

  @Test("gradients of an adapter", arguments: Variant.allCases, [(1.0, false), (0.7, true), (0.7, false)])
  func adapterGradients(_ variant: Variant, _ setting: (temperature: Double, entropies: Bool)) throws {
    let checkpoint = try checkpoint(variant)
    var generator = SeededGenerator(seed: 2)
    var adapter = try LoRAAdapter(
      fresh: LoRASettings(rank: 3, alpha: 4, targets: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]),
      for: checkpoint.config, using: &generator)
    for module in adapter.modules {
      let zeros = try #require(adapter.factors[module]?.b)
      adapter.factors[module]?.b = zeros.map { _ in Float.random(in: -0.5...0.5, using: &generator) }
    }
    var plain = try PlainPolicy(checkpoint, adapter: adapter)
    plain.temperature = setting.temperature
    let problem = try Problem(plain.config, seed: 6)
    let model = try PolicyModel(checkpoint, adapter: adapter, training: .adapter, threads: 2)
    let gradients = try backward(model, problem, setting.temperature, setting.entropies)
    for module in adapter.modules {
      for letter in ["A", "B"] {
        let entry = try #require(gradients.layout.entry(named: LoRAAdapter.name(module, letter)))
        try compare(entry, gradients, &generator) { direction, step in
          var moved = plain
          for i in direction.indices {
            if letter == "A" {
              moved.adapter[module]?.a[i] += step * direction[i]
            } else {
              moved.adapter[module]?.b[i] += step * direction[i]
            }
          }
          return problem.loss(moved, entropies: setting.entropies)
        }
      }
    }
  }

  private func backward(
    _ model: PolicyModel, _ problem: Problem, _ temperature: Double, _ entropies: Bool, budget: Int? = nil
  ) throws -> GradientBuffer {
    let pass = try model.forward(
      problem.forest, scoring: problem.nodes,
      options: .init(temperature: Float(temperature), keepsForBackward: true, activationBudget: budget))
    let gradients = GradientBuffer(zerosLike: model.parameters)
    try pass.backward(
      logprobGradients: problem.logprobSlopes, entropyGradients: entropies ? problem.entropySlopes : nil,
      into: gradients)
    return gradients
  }

  /// The slope along a random direction of one tensor against central differences.
  private func compare(
    _ entry: ParameterLayout.Entry, _ gradients: GradientBuffer, _ generator: inout SeededGenerator,
    _ loss: ([Double], Double) -> Double
  ) throws {
    let direction = entry.range.map { _ in Double.random(in: -1...1, using: &generator) }
    let step = 1e-5
    let differences = (loss(direction, step) - loss(direction, -step)) / (2 * step)
    let gradient = try #require(gradients.values(of: entry.name))
    let slope = zip(gradient, direction).reduce(0) { $0 + Double($1.0) * $1.1 }
    let size = gradient.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(abs(slope - differences) < 1e-4 * max(1e-3, size), "\(entry.name): \(slope) for \(differences)")
  }

  @Test("the same bits again, and with any budget for activations", arguments: Variant.allCases)
  func determinism(_ variant: Variant) throws {
    let checkpoint = try checkpoint(variant)
    for threads in [1, 2, 3] {
      let model = try PolicyModel(checkpoint, training: .everything, threads: threads)
      let problem = try Problem(model.config, seed: 9, nodes: 90)
      let first = try backward(model, problem, 1, true).all
      for budget in [nil, 0, 20_000, 40_000, 1_000_000_000] {
        #expect(try backward(model, problem, 1, true, budget: budget).all == first)
      }
      let other = try PolicyModel(checkpoint, training: .everything, threads: 1)
      #expect(relativeDistance(first, try backward(other, problem, 1, true).all) < 1e-5)
    }
  }

  @Test("gradients add up over passes, and a shared prefix counts once for each branch", arguments: Variant.allCases)
  func packing(_ variant: Variant) throws {
    let checkpoint = try checkpoint(variant)
    let model = try PolicyModel(checkpoint, training: .everything, threads: 2)
    let problem = try Problem(model.config, seed: 4, nodes: 60)
    let packed = try backward(model, problem, 1, false)
    let sum = GradientBuffer(zerosLike: model.parameters)
    for (i, node) in problem.nodes.enumerated() {
      var path: [Int32] = []
      var ancestor = node
      while ancestor >= 0 {
        path.append(problem.forest.tokens[Int(ancestor)])
        ancestor = problem.forest.parents[Int(ancestor)]
      }
      let chain = try TokenForest(sequences: [path.reversed()])
      let pass = try model.forward(chain, scoring: [Int32(path.count - 1)], options: .init(keepsForBackward: true))
      try pass.backward(logprobGradients: [problem.logprobSlopes[i]], into: sum)
    }
    #expect(relativeDistance(packed.all, sum.all) < 1e-5)
  }

  @Test("what is refused")
  func refusals() throws {
    let checkpoint = try checkpoint(.qwen2Tied)
    let model = try PolicyModel(checkpoint, threads: 1)
    let chain = try TokenForest(sequences: [[1, 2, 3]])
    func code(_ body: () throws -> Void) -> PolicyError.Code? { policyError(body)?.code }
    #expect(code { _ = try model.forward(chain, scoring: [0]) } == .mismatch)
    #expect(code { _ = try model.forward(chain, scoring: [3]) } == .mismatch)
    #expect(code { _ = try model.forward(chain, scoring: [-1]) } == .mismatch)
    #expect(code { _ = try model.forward(TokenForest(sequences: [[1, 37]]), scoring: [1]) } == .mismatch)
    #expect(code { _ = try model.forward(TokenForest(sequences: [[1, -2]]), scoring: [1]) } == .mismatch)
    #expect(code { _ = try model.forward(chain, scoring: [1], options: .init(temperature: 0)) } == .unsupported)
    #expect(code { _ = try model.forward(chain, scoring: [1], options: .init(keepsForBackward: true)) } == .mismatch)
    #expect(code { _ = try PolicyModel(checkpoint, training: .adapter, threads: 1) } == .mismatch)
    #expect(code { _ = try PolicyModel(checkpoint, threads: 0) } == .unsupported)

    let trained = try PolicyModel(checkpoint, training: .everything, threads: 1)
    let pass = try trained.forward(chain, scoring: [1, 2], options: .init(keepsForBackward: true))
    let gradients = GradientBuffer(zerosLike: trained.parameters)
    #expect(code { try pass.backward(logprobGradients: [1], into: gradients) } == .mismatch)
    #expect(code { try pass.backward(logprobGradients: [1, 1], into: model.parameters) } == .mismatch)
    try pass.backward(logprobGradients: [1, 1], into: gradients)
    #expect(code { try pass.backward(logprobGradients: [1, 1], into: gradients) } == .mismatch)
    let scored = try trained.forward(chain, scoring: [1, 2])
    #expect(code { try scored.backward(logprobGradients: [1, 1], into: gradients) } == .mismatch)
  }

  @Test("an empty forest, and nothing scored")
  func empty() throws {
    let model = try PolicyModel(try checkpoint(.qwen2Tied), training: .everything, threads: 2)
    let nothing = try TokenForest(tokens: [], parents: [])
    #expect(try model.forward(nothing, scoring: []).logprobs == [])
    let pass = try model.forward(
      TokenForest(sequences: [[1, 2]]), scoring: [], options: .init(entropies: true, topK: 2, keepsForBackward: true))
    #expect(pass.logprobs == [] && pass.entropies == [] && pass.candidates == [])
    let gradients = GradientBuffer(zerosLike: model.parameters)
    try pass.backward(logprobGradients: [], into: gradients)
    #expect(gradients.all.allSatisfy { $0 == 0 })
  }

  @Test("numbers that are not finite are reported", arguments: [Float.nan, .infinity])
  func notFinite(_ bad: Float) throws {
    let model = try PolicyModel(try checkpoint(.qwen2Tied), training: .everything, threads: 2)
    let chain = try TokenForest(sequences: [[1, 2, 3]])
    for name in ["model.norm.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.k_proj.bias"] {
      let good = try #require(model.parameters.values(of: name))
      try model.parameters.set(name, to: [bad] + good.dropFirst())
      #expect(policyError { _ = try model.forward(chain, scoring: [1, 2]) }?.code == .notFinite, "\(name)")
      try model.parameters.set(name, to: good)
    }
    _ = try model.forward(chain, scoring: [1, 2])
  }

  private struct Stop: Error {}

  @Test("the caller can end a pass between layers")
  func interruption() throws {
    let model = try PolicyModel(try checkpoint(.qwen2Tied), training: .everything, threads: 2)
    let chain = try TokenForest(sequences: [[1, 2, 3]])
    for calls in 0..<3 {
      var left = calls
      let stop = {
        left -= 1
        if left < 0 { throw Stop() }
      }
      #expect(throws: Stop.self) { _ = try model.forward(chain, scoring: [1], options: .init(interruption: stop)) }
      left = calls
      let pass = try model.forward(chain, scoring: [1], options: .init(keepsForBackward: true))
      #expect(throws: Stop.self) {
        try pass.backward(
          logprobGradients: [1], into: GradientBuffer(zerosLike: model.parameters), interruption: stop)
      }
    }
  }

  @Test("parameters changed in place change the scores")
  func changing() throws {
    let model = try PolicyModel(try checkpoint(.qwen3OwnHeadDimension), training: .everything, threads: 2)
    let problem = try Problem(model.config, seed: 8)
    let before = try model.forward(problem.forest, scoring: problem.nodes).logprobs
    let gradients = try backward(model, problem, 1, false)
    model.parameters.withValues { values in
      for (i, slope) in gradients.all.enumerated() { values[i] -= 1e-3 * slope }
    }
    let after = try model.forward(problem.forest, scoring: problem.nodes).logprobs
    func loss(_ logprobs: [Float]) -> Float {
      zip(logprobs, problem.logprobSlopes).reduce(0) { $0 + $1.0 * $1.1 }
    }
    #expect(loss(after) < loss(before))
  }
}
