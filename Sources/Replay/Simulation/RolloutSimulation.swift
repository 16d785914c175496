public import AdaptiveRollout

/// Simulated rollouts over a stream of logged groups, several plans side by side.
///
///     var simulation = RolloutSimulation(plans: …)
///     for group in groups { simulation.add(try RolloutSimulation.simulate(group, options: options)) }
///     let report = simulation.finish()
public struct RolloutSimulation {
  private let options: SimulationOptions
  private var runs: [RunState] = []
  private var numbers: [String: Int] = [:]

  private struct RunState {
    var run: ReplayRun
    var groups = 0
    var trajectories = 0
    var scored = 0
    var textOnly = 0
    var splits = 0
    var copies = 0
    var tallies: [SimulationTally?]
    var rows: [KeyedBootstrap<Int>]
    /// By the plans that a group has a spread under: those plans' spreads, see ``SpreadCell``.
    var spreads: KeyedBootstrap<Set<Int>>
    /// By the same, the number of groups.
    var spreadGroups: [Set<Int>: Int] = [:]
  }

  private enum Cell: Int, CaseIterable {
    case leaves, forks, points, calls, tokens, signal, wanted
  }

  /// The cells that each plan has among the spreads.
  private enum SpreadCell: Int, CaseIterable {
    case spread, perCall

    func number(ofPlan p: Int) -> Int { p * Self.allCases.count + rawValue }
  }

  /// - Parameter options: groups are to be simulated with the same.
  public init(options: SimulationOptions) { self.options = options }

  /// Simulates a group under every plan.
  ///
  /// Pure: the draws depend on the seed, the names of run and group, its step, and the number of the repetition. Every plan
  /// gets the same ones, so that differences between plans are not differences of luck.
  ///
  /// - Throws: where the declared forks contradict each other.
  public static func simulate(_ group: ReplayGroup, options: SimulationOptions) throws -> SimulatedGroup {
    let settings = options.branching.settings(of: group.run)
    let tree = try RolloutTree(group)
    let entropies = DecisionEntropies(tree, estimator: options.branching.estimator, topK: settings.topK)
    let turns = TurnTree(tree, entropies, window: settings.windowTokens)
    let tallies = try options.algorithms.map { algorithm -> SimulationTally? in
      guard let plan = options.plan(algorithm, for: group.run) else { return nil }
      return try simulate(turns, plan, group, repetitions: options.repetitions, seed: options.branching.seed)
    }
    return SimulatedGroup(
      run: group.run, id: group.id, trajectories: tree.count, scored: group.trajectories.count { $0.reward != nil },
      textOnly: tree.paths.count { $0.unit == .segment }, splits: turns.splits, copies: group.copies, tallies: tallies)
  }

  /// Simulates a group's turns under one plan.
  static func simulate(
    _ turns: TurnTree, _ plan: RolloutPlan, _ group: ReplayGroup, repetitions: Int, seed: UInt64
  ) throws -> SimulationTally {
    var hash = CounterHash(seed: seed)
    hash.combine(group.run.id)
    hash.combine(group.id)
    hash.combine(group.step.map(String.init) ?? "")
    var simulator = GroupSimulator(turns, plan: plan)
    var tally = SimulationTally()
    for repetition in 0..<repetitions { try simulator.run(seed: hash.value(UInt64(repetition)), into: &tally) }
    return tally
  }

  /// Takes in a group.
  public mutating func add(_ group: SimulatedGroup) {
    let number = numbers[group.run.id] ?? runs.count
    if number == runs.count {
      runs.append(
        RunState(
          run: group.run, tallies: group.tallies.map { _ in nil },
          rows: group.tallies.map { _ in
            KeyedBootstrap(
              cells: Cell.allCases.count, replicates: options.branching.bootstrapReplicates,
              seed: options.branching.seed, run: group.run.id)
          },
          spreads: KeyedBootstrap(
            cells: SpreadCell.allCases.count * group.tallies.count, replicates: options.branching.bootstrapReplicates,
            seed: options.branching.seed, run: group.run.id)))
      numbers[group.run.id] = number
    }
    runs[number].groups += 1
    runs[number].trajectories += group.trajectories
    runs[number].scored += group.scored
    runs[number].textOnly += group.textOnly
    runs[number].splits += group.splits
    runs[number].copies += group.copies
    for (p, tally) in group.tallies.enumerated() {
      guard let tally else { continue }
      var sum = runs[number].tallies[p] ?? SimulationTally()
      sum += tally
      runs[number].tallies[p] = sum
      runs[number].rows[p].add(group: group.id, 0, Self.cells(tally))
    }
    addSpreads(group, number)
  }

  /// Groups are kept apart by the plans that they have a spread under: plans are to be held against each other on the same
  /// groups, and which plans have one at all is known when the last group has come.
  private mutating func addSpreads(_ group: SimulatedGroup, _ number: Int) {
    var cells = [MeanSum](repeating: MeanSum(), count: SpreadCell.allCases.count * group.tallies.count)
    var known: Set<Int> = []
    for (p, tally) in group.tallies.enumerated() {
      guard let tally, let spread = tally.variance?.squareRoot() else { continue }
      known.insert(p)
      cells[SpreadCell.spread.number(ofPlan: p)] = MeanSum(sum: spread, count: 1)
      cells[SpreadCell.perCall.number(ofPlan: p)] = MeanSum(
        sum: spread * Double(tally.repetitions), count: tally.allCalls)
    }
    if known.isEmpty { return }
    runs[number].spreadGroups[known, default: 0] += 1
    runs[number].spreads.add(group: group.id, known, cells)
  }

  private static func cells(_ tally: SimulationTally) -> [MeanSum] {
    func mean(_ sum: Int) -> MeanSum { MeanSum(sum: Double(sum), count: tally.repetitions) }
    return Cell.allCases.map { cell in
      switch cell {
      case .leaves: mean(tally.leaves)
      case .forks: mean(tally.forks)
      case .points: mean(tally.branchPoints)
      case .calls: mean(tally.allCalls)
      case .tokens: mean(tally.allTokens)
      case .signal: tally.signal
      case .wanted: MeanSum(sum: tally.wanted, count: tally.repetitions)
      }
    }
  }

  /// Sums up.
  public func finish() -> SimulationReport {
    SimulationReport(
      options: options,
      runs: runs.map { state in
        // A plan without a spread in any group has nothing to be held against, and leaves the others theirs.
        let compared = state.spreadGroups.keys.reduce(into: Set<Int>()) { $0.formUnion($1) }
        return RunSimulation(
          run: state.run, groups: state.groups, trajectories: state.trajectories, scored: state.scored,
          textOnly: state.textOnly, splits: state.splits, copies: state.copies,
          spreadGroups: state.spreadGroups[compared] ?? 0,
          rows: options.algorithms.indices.map { p in
            func estimate(_ cell: Cell) -> Estimate { state.rows[p].estimate(0, cell.rawValue) }
            func estimate(_ cell: SpreadCell) -> Estimate {
              state.spreads.estimate(compared, cell.number(ofPlan: p))
            }
            return SimulationRow(
              algorithm: options.algorithms[p], plan: options.plan(options.algorithms[p], for: state.run),
              tally: state.tallies[p], leaves: estimate(.leaves), forks: estimate(.forks),
              branchPoints: estimate(.points), calls: estimate(.calls), tokens: estimate(.tokens),
              spread: estimate(SpreadCell.spread), spreadPerCall: estimate(.perCall),
              groupsWithSpread: state.spreadGroups.reduce(0) { $0 + ($1.key.contains(p) ? $1.value : 0) },
              signal: estimate(.signal), wanted: estimate(.wanted))
          })
      })
  }
}

extension ReplayGroup {
  /// Leaves that records stand for besides their own.
  var copies: Int { trajectories.reduce(0) { $0 + $1.multiplicity - 1 } }
}

/// A group simulated under several plans.
public struct SimulatedGroup: Sendable {
  let run: ReplayRun
  let id: String
  let trajectories: Int
  let scored: Int
  let textOnly: Int
  let splits: Int
  let copies: Int
  /// By plan; `nil`: it cannot be made for the run.
  public let tallies: [SimulationTally?]
}

/// The simulations of a database.
public struct SimulationReport: Sendable {
  /// What was asked for.
  public var options: SimulationOptions
  /// In the order in which they came.
  public var runs: [RunSimulation]
}

/// The simulations of a run.
public struct RunSimulation: Sendable {
  /// The run.
  public var run: ReplayRun
  /// Prompt groups.
  public var groups: Int
  /// Trajectories.
  public var trajectories: Int
  /// Those with a reward.
  public var scored: Int
  /// Those without tokens.
  public var textOnly: Int
  /// Forks that do not lie behind a tool result: their branches are alternatives of one turn.
  public var splits: Int
  /// Leaves that records stand for besides their own: a padded copy is no draw of the policy, so none is simulated.
  public var copies: Int
  /// Groups that spreads are means over: those in which each plan that has a spread in any group has one.
  public var spreadGroups: Int
  /// One a plan.
  public var rows: [SimulationRow]
}

/// A plan, simulated.
///
/// Numbers are means a group.
public struct SimulationRow: Sendable {
  /// The algorithm.
  public var algorithm: SamplingAlgorithm
  /// Its numbers; `nil`: it cannot be made for the run.
  public var plan: RolloutPlan?
  /// Sums over groups and repetitions.
  public var tally: SimulationTally?
  /// Leaves.
  public var leaves: Estimate
  /// Forks.
  public var forks: Estimate
  /// Points with a fork.
  public var branchPoints: Estimate
  /// Tool calls executed, pre-monitoring included.
  public var calls: Estimate
  /// Generated tokens, pre-monitoring included.
  public var tokens: Estimate
  /// Square root of ``SimulationTally/variance``, a mean over the run's ``RunSimulation/spreadGroups``: how far r - mean,
  /// the advantage without division, spreads.
  public var spread: Estimate
  /// The same for each tool call.
  public var spreadPerCall: Estimate
  /// Groups with a spread under this plan, whether or not the other plans have one there.
  public var groupsWithSpread: Int
  /// Share of groups whose rewards differ at all.
  public var signal: Estimate
  /// Branchings that the rule would want without a budget.
  public var wanted: Estimate
}
