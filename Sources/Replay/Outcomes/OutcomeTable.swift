/// What the groups of a row have in common.
public struct OutcomeKey: Sendable, Hashable {
  /// The run.
  public var run: String
  /// Data set; `nil` if the row is not split by it, or the log names none.
  public var dataSource: String?
  /// Step; `nil` if the row is not split by it, or the log names none.
  public var step: Int?
  /// Which of the two the row is split by.
  public var dimensions: Set<OutcomeDimension>

  /// The row of a whole run.
  public init(run: String) {
    self.run = run
    dimensions = []
  }
}

/// What outcomes can be split by, besides the run.
public enum OutcomeDimension: String, Sendable, Hashable, CaseIterable {
  case dataSource = "data_source"
  case step
}

/// Outcomes by run, step and data set, with 95 % intervals by a Poisson bootstrap over prompt groups.
///
/// A prompt draws one weight in all runs, so that differences between runs on the same prompts are paired. Memory follows the
/// number of rows, but not that of their replicates: see ``GroupSums``.
public struct OutcomeTable {
  private enum Sum: Hashable, Sendable {
    case reward, scored, failures, judged, executed, independent, trajectories, generated
    /// Sum of a group's pass@k, and groups that have one.
    case pass(Int), passGroups(Int)
  }

  private struct Name: Hashable, Sendable {
    var key: OutcomeKey
    var sum: Sum
  }

  private struct Counts: Sendable {
    var groups = 0
    var leaves = 0
    var scored = 0
    var trajectories = 0
    var algorithm: String?
    var formatRewards: Set<String> = []
    var judgedByName = 0
    var budget = ToolBudget()
  }

  private let rules: OutcomeRules
  private let dimensions: Set<OutcomeDimension>
  private var sums: GroupSums<Name>
  private var counts: [OutcomeKey: Counts] = [:]
  private var order: [String] = []

  /// - Parameters:
  ///   - dimensions: what to split runs by; the whole run has a row too.
  ///   - replicates: of the bootstrap; 0: no intervals.
  ///   - spill: where goes what does not fit in memory; `nil`: all of it stays.
  public init(
    rules: OutcomeRules, by dimensions: Set<OutcomeDimension>, replicates: Int = 1000, seed: UInt64 = 0,
    spill: SpillFactory? = nil
  ) {
    self.init(rules: rules, by: dimensions, replicates: replicates, seed: seed, sumsInMemory: nil, spill: spill)
  }

  init(
    rules: OutcomeRules, by dimensions: Set<OutcomeDimension>, replicates: Int, seed: UInt64, sumsInMemory: Int?,
    spill: SpillFactory?
  ) {
    self.rules = rules
    self.dimensions = dimensions
    sums = GroupSums(replicates: replicates, seed: seed, run: "", cellsInMemory: sumsInMemory, spill: spill)
  }

  /// Adds a group.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func add(_ group: GroupOutcome) throws {
    if !order.contains(group.run) { order.append(group.run) }
    var keys = [OutcomeKey(run: group.run)]
    if !dimensions.isEmpty {
      var key = keys[0]
      key.dimensions = dimensions
      if dimensions.contains(.dataSource) { key.dataSource = group.dataSource }
      if dimensions.contains(.step) { key.step = group.step }
      keys.append(key)
    }
    var values: [(sum: Sum, value: Double)] = [
      (.reward, group.rewardSum), (.scored, Double(group.scored)), (.failures, Double(group.failures)),
      (.judged, Double(group.judged)), (.executed, Double(group.budget.executed)),
      (.independent, Double(group.budget.independent)), (.trajectories, Double(group.trajectories)),
      (.generated, Double(group.budget.generatedFlat)),
    ]
    for k in rules.ks {
      guard let pass = group.passAt(k) else { continue }
      values += [(.pass(k), pass), (.passGroups(k), 1)]
    }
    for key in keys {
      var row = counts[key] ?? Counts()
      row.groups += 1
      row.leaves += group.leaves
      row.scored += group.scored
      row.trajectories += group.trajectories
      row.algorithm = group.algorithm
      row.judgedByName += group.judgedByName
      row.budget += group.budget
      if let name = group.formatReward { row.formatRewards.insert(name) }
      counts[key] = row
    }
    try sums.add(
      group: group.group,
      keys.flatMap { key in
        values.map { (name: Name(key: key, sum: $0.sum), value: $0.value) }
      })
  }

  /// The rows: by run in the order they came, the whole run first, then by data set and step.
  ///
  /// - Throws: what the spill storage throws.
  public func rows(against: String? = nil) throws -> [OutcomeRow] {
    var sums = sums
    var rows: [OutcomeRow] = []
    let keys = Dictionary(grouping: counts.keys, by: \.run)
    for run in order {
      let ofRun = (keys[run] ?? []).sorted(by: Self.isBefore)
      try sums.forEach(ofRun, of: { names($0, against: against) }) { key, sums in
        rows.append(row(key, against: against, sums))
      }
    }
    return rows
  }

  /// The sums that a row takes.
  private func names(_ key: OutcomeKey, against: String?) -> [Name] {
    let own: [Sum] = [.reward, .scored, .failures, .judged, .executed, .independent, .trajectories, .generated]
    let pass: [Sum] = rules.ks.flatMap { [.pass($0), .passGroups($0)] }
    var names = (own + pass).map { Name(key: key, sum: $0) }
    if let against {
      var base = key
      base.run = against
      names += [Name(key: base, sum: .reward), Name(key: base, sum: .scored)]
    }
    return names
  }

  private static func isBefore(_ a: OutcomeKey, _ b: OutcomeKey) -> Bool {
    if a.dimensions.count != b.dimensions.count { return a.dimensions.count < b.dimensions.count }
    if a.dataSource != b.dataSource {
      guard let x = a.dataSource, let y = b.dataSource else { return b.dataSource == nil }
      return x.utf8.lexicographicallyPrecedes(y.utf8)
    }
    guard let x = a.step, let y = b.step else { return a.step != nil && b.step == nil }
    return x < y
  }

  private func row(_ key: OutcomeKey, against: String?, _ sums: GroupSums<Name>) -> OutcomeRow {
    let counts = counts[key] ?? Counts()
    func ratio(_ a: Sum, _ b: Sum) -> Estimate {
      sums.ratio(Name(key: key, sum: a), over: Name(key: key, sum: b))
    }
    return OutcomeRow(
      key: key, algorithm: counts.algorithm, groups: counts.groups, trajectories: counts.trajectories,
      leaves: counts.leaves, scored: counts.scored, accuracy: ratio(.reward, .scored),
      pass: rules.ks.map { k in
        OutcomeRow.Pass(
          k: k, estimate: ratio(.pass(k), .passGroups(k)),
          groups: Int(sums.total(Name(key: key, sum: .passGroups(k)))))
      }, formatFailures: ratio(.failures, .judged), formatRewards: counts.formatRewards.sorted(),
      judgedByName: counts.judgedByName, executedCalls: ratio(.executed, .trajectories),
      independentCalls: ratio(.independent, .trajectories), generatedTokens: ratio(.generated, .trajectories),
      budget: counts.budget, accuracyDifference: against.flatMap { difference(key, $0, sums) })
  }

  /// Accuracy less that of the same row of another run; the same prompts draw the same weights.
  private func difference(_ key: OutcomeKey, _ other: String, _ sums: GroupSums<Name>) -> Estimate? {
    var base = key
    base.run = other
    if base == key { return nil }
    let names = [
      Name(key: key, sum: .reward), Name(key: key, sum: .scored), Name(key: base, sum: .reward),
      Name(key: base, sum: .scored),
    ]
    func statistic(_ s: [Double]) -> Double? { s[1] == 0 || s[3] == 0 ? nil : s[0] / s[1] - s[2] / s[3] }
    return sums.estimate(statistic(names.map { sums.total($0) }), of: names, needing: [names[1], names[3]], statistic)
  }
}

/// Outcomes of a run, or of the part of it from one data set or step.
public struct OutcomeRow: Sendable {
  /// pass@k.
  public struct Pass: Sendable {
    /// Leaves that may try.
    public var k: Int
    /// Mean over the groups with k scored leaves or more.
    public var estimate: Estimate
    /// These groups.
    public var groups: Int
  }

  /// What the row is of.
  public var key: OutcomeKey
  /// The trainer's algorithm, as logged.
  public var algorithm: String?
  /// Prompt groups.
  public var groups: Int
  /// Trajectories.
  public var trajectories: Int
  /// Leaves they stand for.
  public var leaves: Int
  /// Leaves with a reward.
  public var scored: Int
  /// Mean reward of the scored leaves.
  public var accuracy: Estimate
  /// In the order asked for.
  public var pass: [Pass]
  /// Share of leaves that failed the format.
  public var formatFailures: Estimate
  /// Named rewards that judge it; empty: the reward itself does.
  public var formatRewards: [String]
  /// Leaves judged by name.
  public var judgedByName: Int
  /// Tool calls that were executed, by trajectory.
  public var executedCalls: Estimate
  /// Tool calls on all paths, by trajectory: what independent rollouts would have executed.
  public var independentCalls: Estimate
  /// Generated tokens of a path, by trajectory.
  public var generatedTokens: Estimate
  /// Sums of calls and tokens.
  public var budget: ToolBudget
  /// Accuracy less that of the run it is held against; `nil` if there is none.
  public var accuracyDifference: Estimate?
}
