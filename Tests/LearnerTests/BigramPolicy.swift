import Foundation
import Learner
import Policy

/// A policy whose next token depends on the last one only: logits are a row of a table.
///
/// Everything about it can be worked out by hand, so it stands in for a transformer where the learner itself is tested.
/// It computes each node once, like the engine, and counts what it was asked for.
final class BigramPolicy: TrainablePolicy {
  let vocabularySize: Int
  let tensors: [TrainedTensor]
  private(set) var table: ParameterBuffer
  private(set) var computedTokens = 0

  init(vocabularySize: Int, seed: Int = 1) {
    self.vocabularySize = vocabularySize
    let count = vocabularySize * vocabularySize
    // Two tensors, so that more than one is tested.
    let half = vocabularySize / 2 * vocabularySize
    tensors = [
      TrainedTensor(name: "table.upper", shape: [vocabularySize / 2, vocabularySize], range: 0..<half),
      TrainedTensor(
        name: "table.lower", shape: [vocabularySize - vocabularySize / 2, vocabularySize], range: half..<count),
    ]
    table = ParameterBuffer(count: count)
    for i in 0..<count { table.elements[i] = Float(sin(Double(i * (2 * seed + 1)) * 0.7)) }
  }

  func withTensor(_ index: Int, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
    try body(UnsafeMutableBufferPointer(rebasing: table.elements[tensors[index].range]))
  }

  /// log softmax of a row of the table over a temperature.
  func distribution(after token: Int32, temperature: Double) -> [Double] {
    let row = Int(token) * vocabularySize
    let z = (0..<vocabularySize).map { Double(table.elements[row + $0]) / temperature }
    let top = z.max() ?? 0
    let total = log(z.reduce(0) { $0 + exp($1 - top) }) + top
    return z.map { $0 - total }
  }

  func makeGradient() -> any GradientStore { ParameterBuffer(count: parameterCount) }

  func score(_ forest: TokenForest, nodes: [Int32], options: ScoringOptions) throws -> any ScoredForest {
    computedTokens += forest.tokens.count
    return Scored(self, forest, nodes, options)
  }

  private final class Scored: ScoredForest {
    let logprobs: [Float]
    let entropies: [Float]
    private let policy: BigramPolicy
    private let edges: [(from: Int32, to: Int)]
    private let temperature: Double

    init(_ policy: BigramPolicy, _ forest: TokenForest, _ nodes: [Int32], _ options: ScoringOptions) {
      self.policy = policy
      temperature = options.temperature
      edges = nodes.map { n in
        let parent = Int(forest.parents[Int(n)])
        precondition(parent >= 0, "a root has no prediction")
        return (forest.tokens[parent], Int(forest.tokens[Int(n)]))
      }
      let rows = edges.map { policy.distribution(after: $0.from, temperature: options.temperature) }
      logprobs = zip(edges, rows).map { Float($1[$0.to]) }
      entropies = options.entropies ? rows.map { Float(-$0.reduce(0) { $0 + exp($1) * $1 }) } : []
    }

    func backward(logprobGradients: [Float], entropyGradients: [Float], into store: any GradientStore) throws {
      store.withElements { add(logprobGradients, entropyGradients, to: $0) }
    }

    private func add(
      _ logprobGradients: [Float], _ entropyGradients: [Float], to gradient: UnsafeMutableBufferPointer<Float>
    ) {
      let v = policy.vocabularySize
      for (k, edge) in edges.enumerated() {
        let lp = policy.distribution(after: edge.from, temperature: temperature)
        let entropy = -lp.reduce(0) { $0 + exp($1) * $1 }
        for j in 0..<v {
          let p = exp(lp[j])
          var d = Double(logprobGradients[k]) * ((j == edge.to ? 1 : 0) - p)
          if !entropyGradients.isEmpty { d -= Double(entropyGradients[k]) * p * (lp[j] + entropy) }
          gradient[Int(edge.from) * v + j] += Float(d / temperature)
        }
      }
    }
  }
}
