/// Tool calls and tokens of a stream of groups: executed, against what the same leaves would have cost sampled whole.
///
///     var audit = BudgetAudit(bootstrapReplicates: 1000, seed: 0)
///     for group in groups { audit.add(try GroupBudget(group)) }
///     let report = audit.finish()
public struct BudgetAudit {
  private enum Key: Hashable {
    case run
    case benchmark(String?)
    case tool(String)
  }

  private struct RunState {
    var run: ReplayRun
    var groups = 0
    var textOnly = 0
    var budget = ToolBudget()
    var trajectories: [Key: Int] = [:]
    var ratios: KeyedBootstrap<Key>
    var forks: [GroupBranches.ForkEvidence: Int] = [:]
  }

  private let replicates: Int
  private let seed: UInt64
  private var runs: [RunState] = []
  private var numbers: [String: Int] = [:]

  /// - Parameters:
  ///   - bootstrapReplicates: behind every interval; 0 computes none.
  ///   - seed: of the bootstrap's weights.
  public init(bootstrapReplicates: Int, seed: UInt64) {
    replicates = bootstrapReplicates
    self.seed = seed
  }

  /// Takes in a group.
  public mutating func add(_ group: GroupBudget) {
    let number = numbers[group.run.id] ?? runs.count
    if number == runs.count {
      runs.append(
        RunState(
          run: group.run,
          ratios: KeyedBootstrap(cells: 3, replicates: replicates, seed: seed, run: group.run.id)))
      numbers[group.run.id] = number
    }
    let budget = group.budget
    runs[number].groups += 1
    runs[number].textOnly += group.textOnly
    runs[number].budget += budget
    runs[number].forks[group.forkEvidence, default: 0] += 1
    let whole = [
      MeanSum(sum: Double(budget.executed), count: budget.independent),
      MeanSum(sum: Double(budget.generatedUnique), count: budget.generatedFlat),
      MeanSum(sum: Double(budget.totalUnique), count: budget.totalFlat),
    ]
    for key in [Key.run, .benchmark(group.dataSource)] {
      runs[number].ratios.add(group: group.id, key, whole)
      runs[number].trajectories[key, default: 0] += budget.trajectories
    }
    for (tool, independent) in budget.independentByTool {
      let executed = Double(budget.executedByTool[tool] ?? 0)
      runs[number].ratios.add(
        group: group.id, .tool(tool), [MeanSum(sum: executed, count: independent), MeanSum(), MeanSum()])
    }
  }

  /// Sums up.
  public func finish() -> BudgetReport {
    BudgetReport(
      bootstrapReplicates: replicates, seed: seed,
      runs: runs.map { state in
        RunBudget(
          run: state.run, groups: state.groups, budget: state.budget, textOnly: state.textOnly,
          forkEvidence: state.forks, rows: Self.rows(state))
      })
  }

  private static func rows(_ state: RunState) -> [BudgetRow] {
    let ratios = state.ratios
    func row(_ key: Key, _ dimension: BudgetRow.Dimension, _ name: String?) -> BudgetRow {
      BudgetRow(
        dimension: dimension, key: name, trajectories: state.trajectories[key],
        executed: Int(ratios.sums(key, 0).sum), independent: ratios.sums(key, 0).count,
        calls: ratios.estimate(key, 0), generatedUnique: Int(ratios.sums(key, 1).sum),
        generatedFlat: ratios.sums(key, 1).count, generated: ratios.estimate(key, 1), total: ratios.estimate(key, 2))
    }
    var benchmarks: [BudgetRow] = []
    var tools: [BudgetRow] = []
    for key in ratios.keys {
      switch key {
      case .run: break
      case .benchmark(let name): benchmarks.append(row(key, .benchmark, name))
      case .tool(let name): tools.append(row(key, .tool, name))
      }
    }
    func sorted(_ rows: [BudgetRow]) -> [BudgetRow] {
      rows.sorted { a, b in
        a.independent == b.independent
          ? (a.key ?? "").utf8.lexicographicallyPrecedes((b.key ?? "").utf8) : a.independent > b.independent
      }
    }
    // A log that names no data set has one row for all, which says nothing new.
    let named = benchmarks.count == 1 && benchmarks[0].key == nil ? [] : sorted(benchmarks)
    return [row(.run, .run, nil)] + named + sorted(tools)
  }
}

/// What one group contributes.
public struct GroupBudget: Sendable {
  let run: ReplayRun
  let id: String
  let dataSource: String?
  let budget: ToolBudget
  let textOnly: Int
  let forkEvidence: GroupBranches.ForkEvidence

  /// Counts a group's calls and tokens.
  ///
  /// - Throws: where the declared forks contradict each other.
  public init(_ group: ReplayGroup) throws(RolloutTreeError) {
    let tree = try RolloutTree(group)
    run = group.run
    id = group.id
    dataSource = group.trajectories.first?.dataSource
    budget = ToolBudget(tree)
    textOnly = tree.paths.count { $0.unit == .segment }
    forkEvidence = tree.declaresForks ? .declared : tree.paths.contains { $0.parent != nil } ? .inferred : .none
  }
}

/// The budgets of a database.
public struct BudgetReport: Sendable {
  /// Replicates behind every interval.
  public var bootstrapReplicates: Int
  /// Seed of the bootstrap.
  public var seed: UInt64
  /// In the order in which they came.
  public var runs: [RunBudget]
}

/// The budget of a run.
public struct RunBudget: Sendable {
  /// The run.
  public var run: ReplayRun
  /// Prompt groups.
  public var groups: Int
  /// All of it.
  public var budget: ToolBudget
  /// Trajectories without tokens.
  public var textOnly: Int
  /// Groups by how their forks are known.
  public var forkEvidence: [GroupBranches.ForkEvidence: Int]
  /// The run, its benchmarks, its tools.
  public var rows: [BudgetRow]

  /// Whether the log needed half the tool calls of whole samples, or fewer: by the interval of the run's share.
  public var needsHalf: Bool? {
    guard let share = rows.first?.calls, let low = share.low, let high = share.high else { return nil }
    return high <= 0.5 ? true : low > 0.5 ? false : nil
  }
}

/// The budget of a run, a benchmark, or a tool.
public struct BudgetRow: Sendable {
  /// What is counted apart.
  public enum Dimension: String, Sendable, Hashable { case run, benchmark = "data_source", tool }

  /// What is counted apart.
  public var dimension: Dimension
  /// Its name; `nil` for the run, and where the log names none.
  public var key: String?
  /// Trajectories; `nil` for a tool.
  public var trajectories: Int?
  /// Calls that were executed: each one of the tree once.
  public var executed: Int
  /// Calls on all paths: what the same leaves would have cost sampled whole.
  public var independent: Int
  /// executed / independent.
  public var calls: Estimate
  /// Generated tokens, each once; 0 for a tool.
  public var generatedUnique: Int
  /// Generated tokens of all paths.
  public var generatedFlat: Int
  /// Their ratio.
  public var generated: Estimate
  /// The ratio of all response tokens, tool results included.
  public var total: Estimate
}
