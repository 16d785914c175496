/// The trained tokens of an update's trees as flat arrays, a row a trajectory.
public struct UpdateBatch: Sendable {
  /// The groups.
  public let trees: [TrainingTree]
  /// By trajectory over all trees, its part of the token arrays.
  public let rows: [Range<Int>]
  /// By tree, its trajectories.
  public let treeRows: [Range<Int>]
  /// By trajectory.
  public let multiplicities: [Double]
  /// By token, its place among the distinct trained tokens of the update.
  public let places: [Int]
  /// Number of places.
  public let placeCount: Int
  /// By token, as the loss uses them (means where tokens are shared hard).
  public let advantages: [Double]
  /// By token, log mu; empty if it is not used.
  public let behaviour: [Double]
  /// By token, log pi_old; empty: the policy itself, gradient stopped.
  public let proximal: [Double]
  /// By token, log pi_ref; empty without a KL term.
  public let reference: [Double]
  /// By token, the factor of its loss in the aggregate.
  public let coefficients: [Double]
  /// By token, importance weights that are known before the update; `nil`: none, or made of the policy's own logprobs.
  public let weights: WeightedTokens?

  /// Lays out trees.
  ///
  /// - Parameters:
  ///   - trees: the update's groups.
  ///   - objective: decides about sharing, aggregation and weights.
  ///   - proximal: by tree, log pi_old of its trained nodes in ascending order; `nil`: the policy itself.
  ///   - reference: by tree, log pi_ref of its trained nodes; `nil`: no KL term.
  ///   - behaviour: by tree, log mu of its trained nodes; `nil`: as logged.
  public init(
    _ trees: [TrainingTree], objective: Objective, proximal: [[Float]]? = nil, reference: [[Float]]? = nil,
    behaviour recomputed: [[Float]]? = nil
  ) {
    let trained = TrainedPlaces(trees)
    var rows: [Range<Int>] = []
    var treeRows: [Range<Int>] = []
    var multiplicities: [Double] = []
    var places: [Int] = []
    // By token, its number among all trees' tokens under the groups' own forks.
    var owned: [Int] = []
    var ownedCount = 0
    var advantages: [Double] = []
    var behaviour: [Double] = []
    for (t, tree) in trees.enumerated() {
      var place = [Int](repeating: -1, count: tree.tokens.count)
      for (i, n) in trained.nodes[t].enumerated() { place[Int(n)] = trained.starts[t] + i }
      let firstRow = rows.count
      for leaf in tree.leaves {
        rows.append(places.count..<(places.count + leaf.nodes.count))
        multiplicities.append(Double(leaf.multiplicity))
        places += leaf.nodes.map { place[Int($0)] }
        owned += leaf.owned.map { ownedCount + Int($0) }
        advantages += leaf.advantages
        if objective.usesBehaviour, recomputed == nil { behaviour += leaf.behaviour }
      }
      ownedCount += Int(tree.leaves.lazy.compactMap { $0.owned.max() }.max() ?? -1) + 1
      treeRows.append(firstRow..<rows.count)
    }
    func byToken(_ values: [[Float]]?) -> [Double] {
      guard let values else { return [] }
      let flat = Array(values.joined())
      return places.map { Double(flat[$0]) }
    }
    if objective.usesBehaviour, recomputed != nil { behaviour = byToken(recomputed) }
    let shares = objective.shared.apply(
      tokens: owned, advantages: &advantages, rows: rows, multiplicities: multiplicities)
    let factors = objective.aggregation.coefficients(
      lengths: rows.map { row in row.reduce(0) { $0 + shares[$1] } }, multiplicities: multiplicities,
      horizon: objective.horizon)
    var coefficients = shares
    for (row, factor) in zip(rows, factors) { for i in row { coefficients[i] *= factor } }

    self.trees = trees
    self.rows = rows
    self.treeRows = treeRows
    self.multiplicities = multiplicities
    self.places = places
    placeCount = trained.count
    self.advantages = advantages
    self.behaviour = behaviour
    self.coefficients = coefficients
    self.proximal = byToken(proximal)
    self.reference = byToken(reference)
    if let bounds = objective.weights, objective.hasConstantWeights, !behaviour.isEmpty, !self.proximal.isEmpty {
      weights = bounds.weights(
        numerator: self.proximal, behaviour: behaviour, rows: rows, multiplicities: multiplicities)
    } else {
      weights = nil
    }
  }

  /// Number of (trajectory, token) pairs.
  public var count: Int { places.count }

  /// Whether a trajectory's loss can be computed without the rest of the update.
  func isSeparable(_ objective: Objective) -> Bool {
    guard let bounds = objective.weights, bounds.isNormalised else { return true }
    return objective.loss.weighting == .none || weights != nil || behaviour.isEmpty
  }
}
