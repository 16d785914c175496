import AdaptiveRollout

/// A parameter that can be swept.
public enum SweepParameter: String, Sendable, Hashable, CaseIterable {
  case alpha
  case beta
  case tau
  case k

  /// Values that a sweep without any takes.
  public var defaults: [Double] {
    switch self {
    case .alpha, .tau: stride(from: 0.1, through: 0.9, by: 0.1).map { ($0 * 10).rounded() / 10 }
    case .beta: [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2]
    case .k: [1, 5, 10, 20, 30, 50, 100]
    }
  }
}

/// Settings of a rule, each with the values it differs from the base in.
public struct SweepPoint: Sendable, Hashable {
  /// What is swept, and its value, in the order asked for.
  public var values: [Value]

  /// A parameter's value.
  public struct Value: Sendable, Hashable {
    /// The parameter.
    public var parameter: SweepParameter
    /// Its value.
    public var value: Double

    /// A parameter's value.
    public init(_ parameter: SweepParameter, _ value: Double) {
      self.parameter = parameter
      self.value = value
    }
  }

  /// A point with these values.
  public init(_ values: [Value]) { self.values = values }

  /// Each parameter swept alone, the others at their base.
  public static func alone(_ sweeps: [(SweepParameter, [Double])]) -> [SweepPoint] {
    sweeps.flatMap { parameter, values in values.map { SweepPoint([Value(parameter, $0)]) } }
  }

  /// All combinations.
  public static func grid(_ sweeps: [(SweepParameter, [Double])]) -> [SweepPoint] {
    sweeps.reduce([SweepPoint([])]) { points, sweep in
      points.flatMap { point in sweep.1.map { SweepPoint(point.values + [Value(sweep.0, $0)]) } }
    }
  }

  /// The options with the values put in.
  public func applied(to options: BranchingOptions) -> BranchingOptions {
    var out = options
    for value in values {
      switch value.parameter {
      case .alpha: out.alpha = value.value
      case .beta: out.beta = value.value
      case .tau: out.tau = value.value
      case .k: out.windowTokens = Int(value.value)
      }
    }
    return out
  }
}

/// A rule simulated at many settings over a stream of groups.
public struct BranchSweep {
  /// What is simulated; its `branching.rule` says which rule.
  public let options: SimulationOptions
  /// The settings.
  public let points: [SweepPoint]
  private var simulations: [RolloutSimulation]

  /// A sweep without any group yet.
  public init(options: SimulationOptions, points: [SweepPoint]) {
    self.options = options
    self.points = points
    simulations = points.map { RolloutSimulation(options: Self.options(options, $0)) }
  }

  private static func options(_ options: SimulationOptions, _ point: SweepPoint) -> SimulationOptions {
    var out = options
    out.algorithms = [options.branching.rule == .code ? .arpoCode : .arpoPaper]
    out.branching = point.applied(to: options.branching)
    return out
  }

  /// Simulates a group at every setting.
  ///
  /// Pure, and every setting gets the same draws.
  ///
  /// - Throws: where the declared forks contradict each other.
  public static func simulate(
    _ group: ReplayGroup, options: SimulationOptions, points: [SweepPoint]
  ) throws -> [SimulatedGroup] {
    let tree = try RolloutTree(group)
    let base = options.branching.settings(of: group.run)
    let windows = points.map { $0.applied(to: options.branching).settings(of: group.run).windowTokens }
    let entropies = DecisionEntropies(tree, estimator: options.branching.estimator, topK: base.topK)
    let longest = TurnTree(tree, entropies, window: windows.max() ?? base.windowTokens)
    var trees: [Int: TurnTree] = [:]
    for k in Set(windows) { trees[k] = longest.windowed(k) }
    return try zip(points, windows).map { point, k in
      let own = Self.options(options, point)
      let tallies = try own.algorithms.map { algorithm -> SimulationTally? in
        guard let plan = own.plan(algorithm, for: group.run), let turns = trees[k] else { return nil }
        return try RolloutSimulation.simulate(
          turns, plan, group, repetitions: own.repetitions, seed: own.branching.seed)
      }
      return SimulatedGroup(
        run: group.run, id: group.id, trajectories: tree.count, scored: group.trajectories.count { $0.reward != nil },
        textOnly: tree.paths.count { $0.unit == .segment }, splits: longest.splits,
        copies: group.copies, tallies: tallies)
    }
  }

  /// Takes in a group: one entry a setting.
  public mutating func add(_ group: [SimulatedGroup]) {
    for (i, simulated) in group.enumerated() { simulations[i].add(simulated) }
  }

  /// One report a setting, in the order of ``points``.
  public func finish() -> [SimulationReport] { simulations.map { $0.finish() } }
}
