/// Compares the gradient of packed trees with that of the same trajectories one by one.
public struct PackingCheck: Sendable, Equatable {
  /// ||packed - flattened|| / ||flattened|| over all trained parameters; 0 if both are 0.
  public var gradientError: Double
  /// |packed - flattened| of the objective.
  public var lossError: Double
  /// Tokens computed with and without sharing.
  public var packedTokens: Int
  public var flatTokens: Int

  /// More than this is not rounding.
  public static let limit = 1e-4

  /// Computes an update both ways.
  public init(
    _ policy: some TrainablePolicy, _ batch: UpdateBatch, _ bundles: [PackedBundle], packing: TreePacking,
    computation: UpdateComputation
  ) throws {
    let packed = policy.makeGradient()
    let statistics = try computation.run(policy, batch, bundles, gradient: packed)
    let flat = policy.makeGradient()
    let loss = try Self.flattened(policy, batch, packing, computation, into: flat)
    var difference = 0.0
    var size = 0.0
    packed.withElements { packed in
      flat.withElements { flat in
        for i in flat.indices {
          let (x, y) = (Double(packed[i]), Double(flat[i]))
          difference += (x - y) * (x - y)
          size += y * y
        }
      }
    }
    gradientError = difference == 0 ? 0 : (difference / size).squareRoot()
    lossError = abs(statistics.loss(computation.objective, klCoefficient: computation.klCoefficient) - loss)
    packedTokens = statistics.packedTokens
    flatTokens = statistics.flatTokens
  }

  /// The objective and its gradient with every trajectory as a chain of its own.
  private static func flattened(
    _ policy: some TrainablePolicy, _ batch: UpdateBatch, _ packing: TreePacking, _ computation: UpdateComputation,
    into gradient: any GradientStore
  ) throws -> Double {
    let chains = try packing.flattened(batch.trees)
    var logprobs = [Double](repeating: .nan, count: batch.count)
    var entropies = computation.scoring.entropies ? logprobs : []
    for (row, chain) in zip(batch.rows, chains) {
      let scored = try policy.score(chain.forest, nodes: chain.scored, options: computation.scoring)
      for (i, x) in zip(row, scored.logprobs) { logprobs[i] = Double(x) }
      if !entropies.isEmpty { for (i, x) in zip(row, scored.entropies) { entropies[i] = Double(x) } }
    }
    var statistics = UpdateStatistics()
    let evaluation = UpdateEvaluation(
      rows: Array(batch.rows.indices), of: batch, objective: computation.objective,
      klCoefficient: computation.klCoefficient, logprob: { logprobs[$0] },
      entropy: entropies.isEmpty ? nil : { entropies[$0] }, statistics: &statistics)
    var options = computation.scoring
    options.keepsForBackward = true
    for (row, chain) in zip(batch.rows, chains) {
      let scored = try policy.score(chain.forest, nodes: chain.scored, options: options)
      try scored.backward(
        logprobGradients: row.map { Float(evaluation.logprobGradients[$0]) },
        entropyGradients: evaluation.entropyGradients.isEmpty ? [] : row.map { Float(evaluation.entropyGradients[$0]) },
        into: gradient)
    }
    return statistics.loss(computation.objective, klCoefficient: computation.klCoefficient)
  }
}
