import Rollouts

/// A replay of ARPO's branching rule over a stream of prompt groups.
///
///     var audit = BranchAudit(options: options)
///     for group in groups { try audit.add(GroupBranches(group, options: options)) }
///     let report = try audit.finish()
///
/// Groups are added in canonical order, so that sums do not depend on threads.
public struct BranchAudit {
  /// What is replayed; groups are to be made with the same.
  public let options: BranchingOptions
  private var runs: [BranchRunAccumulator] = []
  private var numbers: [String: Int] = [:]

  /// An audit without any group yet.
  public init(options: BranchingOptions) { self.options = options }

  /// Takes in a group.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func add(_ group: GroupBranches) throws {
    let number = numbers[group.run.id] ?? runs.count
    if number == runs.count {
      runs.append(BranchRunAccumulator(group.run, options: options))
      numbers[group.run.id] = number
    }
    try runs[number].add(group)
  }

  /// Sums up.
  ///
  /// - Throws: what the spill storage throws.
  public func finish() throws -> BranchReport {
    BranchReport(options: options, runs: try runs.map { try $0.report() })
  }
}

/// The branching rule replayed on a database.
public struct BranchReport: Sendable {
  /// What was asked for.
  public var options: BranchingOptions
  /// In the order in which they came.
  public var runs: [RunBranches]
}

/// One run.
public struct RunBranches: Sendable {
  /// The run.
  public var run: ReplayRun
  /// The rules' parameters in use.
  public var settings: BranchingSettings
  /// Prompt groups.
  public var groups = 0
  /// Trajectories.
  public var trajectories = 0
  /// Trajectories without tokens.
  public var textOnly = 0
  /// Calls that were executed.
  public var executedCalls = 0
  /// What the log holds, by trajectories.
  public var evidence: [EvidenceCount] = []
  /// Decision points by what their entropies were had by; `nil`: by nothing.
  public var estimators: [(name: String?, points: Int)] = []
  /// Where the forks lie.
  public var forks = ForkSummary()
  /// Groups by how their forks are known.
  public var forkEvidence: [GroupBranches.ForkEvidence: Int] = [:]
  /// The rule over all decision points, then by tool.
  public var rows: [BranchRow] = []
  /// Logged and replayed decisions.
  public var confusion = BranchConfusion()
  /// What the log records of its decisions.
  public var recorded = RecordedBranches()
  /// What forks are worth.
  public var worth = WorthReport()
}

/// Decision points of a tool, or all.
public struct BranchRow: Sendable {
  /// The tool; `nil`: all.
  public var tool: String?
  /// Decision points.
  public var points = 0
  /// Those with dH.
  public var withChange = 0
  /// Those with dH = 0 exactly.
  public var blind = 0
  /// H at the start, normalised.
  public var initial = Estimate()
  /// H that decides.
  public var now = Estimate()
  /// dH.
  public var deltaH = Estimate()
  /// P.
  public var probability = Estimate()
  /// Mean probability that the rule branches.
  public var chance = Estimate()
  /// Sum of these: branching points that the rule expects without a budget.
  public var expected = 0.0
  /// Points at which the log has a fork.
  public var branched = 0
}

/// What the log did against what the rule says, in decision points; the rule's side in expectation.
public struct BranchConfusion: Sendable, Equatable {
  /// One line: what the log did.
  public struct Line: Sendable, Equatable {
    /// Expected number that the rule branches at.
    public var branches = 0.0
    /// Expected number that it does not.
    public var declines = 0.0
    /// Points without dH.
    public var unknown = 0

    mutating func add(_ chance: Double?) {
      if let chance {
        branches += chance
        declines += 1 - chance
      } else {
        unknown += 1
      }
    }
  }

  /// The log has a fork.
  public var branched = Line()
  /// It has none, though it could.
  public var declined = Line()
  /// It could not: the budget was spent.
  public var spent = Line()
  /// It has none, and whether it could is not known.
  public var notBranched = Line()
  /// Whether it branches is not told: the group has no fork and declares none.
  public var untold = Line()
}

/// What is kept of a run while its groups come in.
private struct BranchRunAccumulator {
  private enum RowKey: Hashable { case all, tool(String) }

  private let options: BranchingOptions
  private var out: RunBranches
  private var evidence: [Evidence: Int] = [:]
  private var estimators: [String?: Int] = [:]
  private var rows: [RowKey: BranchRow] = [:]
  private var means: KeyedBootstrap<RowKey>
  /// Points of groups without any fork, until it is known whether the run tells of forks.
  private var silent = BranchConfusion.Line()
  private var worth: WorthAccumulator

  init(_ run: ReplayRun, options: BranchingOptions) {
    self.options = options
    out = RunBranches(run: run, settings: options.settings(of: run))
    means = KeyedBootstrap(cells: 5, replicates: options.bootstrapReplicates, seed: options.seed, run: run.id)
    worth = WorthAccumulator(options: options, run: run.id)
  }

  mutating func add(_ group: GroupBranches) throws {
    out.groups += 1
    out.trajectories += group.trajectories
    out.textOnly += group.textOnly
    out.executedCalls += group.executedCalls
    out.forks += group.forks
    out.forkEvidence[group.forkEvidence, default: 0] += 1
    out.recorded += group.recorded
    evidence.merge(group.evidence, uniquingKeysWith: +)
    var sums: [RowKey: [MeanSum]] = [:]
    for point in group.points {
      estimators[point.estimator, default: 0] += 1
      for key in [RowKey.all, .tool(point.tool)] {
        add(point, to: key)
        let values = [point.initial, point.now, point.deltaH, point.probability, point.chance]
        for (cell, value) in values.enumerated() {
          sums[key, default: [MeanSum](repeating: MeanSum(), count: values.count)][cell].add(value)
        }
      }
      confuse(point, group.forkEvidence)
    }
    for (key, cells) in sums { means.add(group: group.id, key, cells) }
    try worth.add(group: group.id, group.worth)
  }

  private mutating func add(_ point: BranchPoint, to key: RowKey) {
    var row = rows.removeValue(forKey: key) ?? BranchRow()
    row.points += 1
    if point.deltaH != nil { row.withChange += 1 }
    if point.isBlind { row.blind += 1 }
    row.expected += point.chance ?? 0
    if point.forks > 0 { row.branched += 1 }
    rows[key] = row
  }

  private mutating func confuse(_ point: BranchPoint, _ evidence: GroupBranches.ForkEvidence) {
    if evidence == .none { return silent.add(point.chance) }
    if point.forks > 0 { return out.confusion.branched.add(point.chance) }
    switch point.budget {
    case .open: out.confusion.declined.add(point.chance)
    case .spent: out.confusion.spent.add(point.chance)
    case .unknown: out.confusion.notBranched.add(point.chance)
    }
  }

  func report() throws -> RunBranches {
    var out = out
    out.evidence = evidence.sorted { a, b in a.value == b.value ? a.key.rawValue > b.key.rawValue : a.value > b.value }
      .map { EvidenceCount(label: $0.key.description, trajectories: $0.value) }
    out.estimators = estimators.sorted { ($0.key ?? "~").utf8.lexicographicallyPrecedes(($1.key ?? "~").utf8) }
      .map { (name: $0.key, points: $0.value) }
    // A run that tells of forks in some groups has none in the others.
    if out.forkEvidence[.declared] != nil || out.forkEvidence[.inferred] != nil {
      out.confusion.notBranched.branches += silent.branches
      out.confusion.notBranched.declines += silent.declines
      out.confusion.notBranched.unknown += silent.unknown
    } else {
      out.confusion.untold = silent
    }
    let sorted = rows.sorted { a, b in
      switch (a.key, b.key) {
      case (.all, _): true
      case (_, .all): false
      case (.tool(let x), .tool(let y)):
        a.value.points == b.value.points ? x.utf8.lexicographicallyPrecedes(y.utf8) : a.value.points > b.value.points
      }
    }
    out.rows = sorted.map { key, row in
      var row = row
      if case .tool(let name) = key { row.tool = name }
      row.initial = means.estimate(key, 0)
      row.now = means.estimate(key, 1)
      row.deltaH = means.estimate(key, 2)
      row.probability = means.estimate(key, 3)
      row.chance = means.estimate(key, 4)
      return row
    }
    out.worth = try worth.report()
    return out
  }
}

extension ForkSummary {
  /// A summary of nothing, to add to.
  public init() {}

  /// Adds another group's.
  public static func += (a: inout ForkSummary, b: ForkSummary) {
    a.atStart += b.atStart
    a.afterToolResult += b.afterToolResult
    a.elsewhere += b.elsewhere
    a.decisions += b.decisions
    if let x = b.expectedLagged { a.expectedLagged = (a.expectedLagged ?? 0) + x }
    if let x = b.expectedPostResult { a.expectedPostResult = (a.expectedPostResult ?? 0) + x }
  }

  /// Forks in all.
  public var forks: Int { atStart + afterToolResult + elsewhere }
}
