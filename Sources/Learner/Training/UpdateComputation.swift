import Policy

/// Computes the loss of an update and its gradient, forest by forest.
public struct UpdateComputation {
  /// What is minimised.
  public var objective: Objective
  /// Coefficient of the KL term in this update.
  public var klCoefficient: Double
  /// How the policy is asked.
  public var scoring: ScoringOptions
  /// Called before each forest; throwing ends the update.
  public var willCompute: (_ forest: Int, _ of: Int) throws -> Void = { _, _ in }

  /// A computation without callbacks.
  public init(objective: Objective, klCoefficient: Double = 0, scoring: ScoringOptions = ScoringOptions()) {
    self.objective = objective
    self.klCoefficient = klCoefficient
    self.scoring = scoring
    if objective.entropyCoefficient != 0 { self.scoring.entropies = true }
  }

  /// Measures an update, and adds its gradient.
  ///
  /// A bundle with one forest is computed forward and backward at once. Where the loss needs more (a tree in several
  /// parts, or weights normalised over the update), all its forests are scored first and computed again with their
  /// gradients.
  ///
  /// - Parameter gradient: `nil`: only measure.
  public func run(
    _ policy: some TrainablePolicy, _ batch: UpdateBatch, _ bundles: [PackedBundle], gradient: (any GradientStore)?
  ) throws -> UpdateStatistics {
    var statistics = UpdateStatistics()
    statistics.hasEntropy = scoring.entropies
    statistics.vetoedRows = batch.weights?.vetoedRows ?? 0
    statistics.flatTokens = batch.trees.reduce(0) { $0 + $1.flatCount }
    let jobs = batch.isSeparable(objective) ? bundles : [Self.joined(bundles)]
    let total = jobs.reduce(0) { $0 + $1.forests.count * ($1.forests.count > 1 && gradient != nil ? 2 : 1) }
    var done = 0
    var values = PlaceValues(count: batch.placeCount, entropies: scoring.entropies)
    func score(_ forest: PackedForest, keeps: Bool) throws -> any ScoredForest {
      try willCompute(done, total)
      done += 1
      var options = scoring
      options.keepsForBackward = keeps
      return try policy.score(forest.forest, nodes: forest.scored, options: options)
    }
    for job in jobs {
      let isSingle = job.forests.count == 1
      var kept: (any ScoredForest)?
      for forest in job.forests {
        let scored: any ScoredForest
        do {
          scored = try score(forest, keeps: isSingle && gradient != nil)
        } catch is NotFiniteScore {
          // The forest's places stay NaN and are counted below.
          continue
        }
        statistics.packedTokens += forest.forest.tokens.count
        statistics.forests += 1
        values.fill(forest, scored)
        if isSingle { kept = scored }
      }
      let bad = values.notFinite(in: job)
      statistics.notFinite += bad
      // A loss made of numbers that are none helps nobody; the caller sees the count.
      guard bad == 0 else { continue }
      let gradients = evaluate(job, batch, values, &statistics)
      guard let gradient else { continue }
      for forest in job.forests {
        let scored = if let kept { kept } else { try score(forest, keeps: true) }
        try scored.backward(
          logprobGradients: forest.places.map { Float(gradients.logprobs[$0]) },
          entropyGradients: gradients.entropies.isEmpty ? [] : forest.places.map { Float(gradients.entropies[$0]) },
          into: gradient)
      }
    }
    return statistics
  }

  /// Loss terms of a bundle's trajectories, summed by distinct token.
  private func evaluate(
    _ job: PackedBundle, _ batch: UpdateBatch, _ values: PlaceValues, _ statistics: inout UpdateStatistics
  ) -> (logprobs: [Double], entropies: [Double]) {
    let evaluation = UpdateEvaluation(
      rows: job.trees.flatMap { Array(batch.treeRows[$0]) }, of: batch, objective: objective,
      klCoefficient: klCoefficient, logprob: { Double(values.logprobs[batch.places[$0]]) },
      entropy: values.entropies.isEmpty ? nil : { Double(values.entropies[batch.places[$0]]) },
      statistics: &statistics)
    var logprobs = [Double](repeating: 0, count: batch.placeCount)
    var entropies = evaluation.entropyGradients.isEmpty ? [] : logprobs
    for (k, i) in evaluation.tokens.enumerated() {
      logprobs[batch.places[i]] += evaluation.logprobGradients[k]
      if !entropies.isEmpty { entropies[batch.places[i]] += evaluation.entropyGradients[k] }
    }
    return (logprobs, entropies)
  }

  private static func joined(_ bundles: [PackedBundle]) -> PackedBundle {
    PackedBundle(forests: bundles.flatMap(\.forests), trees: bundles.flatMap(\.trees))
  }
}

/// Logprobs and entropies of an update's distinct tokens as they become known.
struct PlaceValues {
  private(set) var logprobs: [Float]
  private(set) var entropies: [Float]

  init(count: Int, entropies: Bool) {
    logprobs = [Float](repeating: .nan, count: count)
    self.entropies = entropies ? logprobs : []
  }

  mutating func fill(_ forest: PackedForest, _ scored: any ScoredForest) {
    let (values, uncertainty) = (scored.logprobs, scored.entropies)
    for (i, place) in forest.places.enumerated() {
      logprobs[place] = values[i]
      if !entropies.isEmpty { entropies[place] = uncertainty[i] }
    }
  }

  func notFinite(in bundle: PackedBundle) -> Int {
    bundle.forests.reduce(0) { sum, forest in
      forest.places.reduce(sum) {
        $0 + (logprobs[$1].isFinite && (entropies.isEmpty || entropies[$1].isFinite) ? 0 : 1)
      }
    }
  }
}
