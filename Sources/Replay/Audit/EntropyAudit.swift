import Rollouts

/// The entropy audit of a stream of prompt groups: what happens to a policy's entropy around its tool calls.
///
///     var audit = EntropyAudit(options: options)
///     for group in groups { try audit.add(EntropyAudit.analyse(group, options: options)) }
///     let report = try audit.finish()
///
/// Groups are added in canonical order, so that sums do not depend on threads. Each run is a log of its own: its control
/// blocks, estimator and rows are not mixed with another's.
public struct EntropyAudit {
  /// What is computed; groups are to be analysed with the same.
  public let options: AuditOptions
  private var runs: [RunAccumulator] = []
  private var runNumbers: [String: Int] = [:]

  /// An audit without any group yet.
  public init(options: AuditOptions) {
    self.options = options
  }

  /// Takes in a group.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func add(_ group: GroupAudit) throws {
    let number = runNumbers[group.run.id] ?? runs.count
    if number == runs.count {
      runs.append(RunAccumulator(group.run, options: options))
      runNumbers[group.run.id] = number
    }
    try runs[number].add(group)
  }

  /// Compares every call with its run and sums up.
  ///
  /// - Parameter eachCall: is handed every tool result of every path, runs and groups in the order they were added.
  /// - Throws: what the spill storage or the closure throws.
  public func finish(eachCall: ((AuditCall) throws -> Void)? = nil) throws -> AuditReport {
    AuditReport(
      windows: options.windows, baselineTokens: options.baselineTokens, temperature: options.temperature,
      bootstrapReplicates: options.bootstrapReplicates, seed: options.seed,
      runs: try runs.map { try RunSummary($0, options: options).report(eachCall: eachCall) })
  }
}

/// What is kept of a run while its groups come in.
struct RunAccumulator {
  let run: ReplayRun
  let options: AuditOptions
  private(set) var groups = 0
  private(set) var records: SpillingRecords
  /// By estimator and window: means of the control blocks.
  private(set) var control: [[SpillingValues]]
  /// By estimator: owned tokens with a value.
  private(set) var covered: [Int]
  private(set) var startCurves: [CurveSums]
  private(set) var toolCurves: [[String: CurveSums]]
  private(set) var budget = ToolBudget()
  private(set) var textOnly = 0
  private(set) var generated = 0
  private(set) var evidence: [Evidence: Int] = [:]

  init(_ run: ReplayRun, options: AuditOptions) {
    self.run = run
    self.options = options
    let estimators = options.estimators
    records = SpillingRecords(limit: 8 * options.valuesInMemory, spill: options.spill)
    control = estimators.map { _ in
      options.windows.map { _ in SpillingValues(limit: options.valuesInMemory, spill: options.spill) }
    }
    covered = estimators.map { _ in 0 }
    startCurves = estimators.map { _ in CurveSums(length: options.curveLength) }
    toolCurves = estimators.map { _ in [:] }
  }

  mutating func add(_ group: GroupAudit) throws {
    groups += 1
    budget += group.budget
    for t in group.record.trajectories {
      if t.isTextOnly { textOnly += 1 }
      generated += t.generated
      evidence[t.evidence, default: 0] += 1
      for e in covered.indices { covered[e] += t.entropy[e].covered }
    }
    for e in control.indices {
      for w in control[e].indices { try control[e][w].append(group.controlBlocks[e][w]) }
      startCurves[e].add(group.startCurves[e])
      toolCurves[e].merge(group.toolCurves[e]) { a, b in
        var sum = a
        sum.add(b)
        return sum
      }
    }
    try records.append(group.record.bytes)
  }

  /// Calls the body with each group, in the order they were added.
  func forEachGroup(_ body: (GroupRecord) throws -> Void) throws {
    try records.forEach { try body(GroupRecord($0)) }
  }

  /// Control blocks of an estimator, one entry a window.
  func controlStatistics(_ e: Int) throws -> [ControlStatistics] { try control[e].map { try $0.statistics() } }
}
