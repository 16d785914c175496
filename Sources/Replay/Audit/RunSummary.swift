import Rollouts

/// A run's report in the making: everything that needs the whole run.
struct RunSummary {
  let accumulator: RunAccumulator
  let options: AuditOptions
  private let choice: (number: Int, reported: EstimatorChoice)?

  init(_ accumulator: RunAccumulator, options: AuditOptions) {
    self.accumulator = accumulator
    self.options = options
    choice = chooseEstimator(accumulator)
  }

  func report(eachCall: ((AuditCall) throws -> Void)?) throws -> RunAudit {
    let run = accumulator.run
    var out = RunAudit(
      runID: run.id, algorithm: run.algorithm, vocabSize: run.vocabSize, recomputedBy: run.evidence,
      groups: accumulator.groups,
      trajectories: accumulator.budget.trajectories, textOnlyTrajectories: accumulator.textOnly,
      toolResults: accumulator.budget.independent, executedCalls: accumulator.budget.executed,
      estimator: choice?.reported, evidence: evidenceCounts, generatedTokens: accumulator.generated,
      tokensWithValue: choice.map { accumulator.covered[$0.number] } ?? 0, baseline: Estimate(),
      baselineTrajectories: 0, earlyReasoning: [], control: [], overall: [], tables: [], findings: [], curves: [],
      startCurve: nil, missing: missingEvidence(accumulator, choice?.reported, options))
    // Calls without an estimator are still listed, with what the text says.
    let e = choice?.number ?? 0
    let control = try accumulator.controlStatistics(e)
    if let eachCall { try listCalls(e, control, eachCall) }
    guard choice != nil else {
      out.findings = undecidedFindings(reason: whyThereAreNone)
      return out
    }
    try summarise(e, control, into: &out)
    out.curves = curves(e)
    out.startCurve = accumulator.startCurves[e].curve(tool: nil)
    return out
  }

  private var whyThereAreNone: String {
    if let estimator = options.estimator { return "no token has a value by \(estimator.rawValue)" }
    if let change = options.rescaling(of: accumulator.run) { return "no token has a value at temperature \(change.to)" }
    return "the log has no entropies"
  }

  private var evidenceCounts: [EvidenceCount] {
    accumulator.evidence.sorted { a, b in
      a.value == b.value ? a.key.rawValue > b.key.rawValue : a.value > b.value
    }.map { EvidenceCount(label: $0.key.description, trajectories: $0.value) }
  }

  private func curves(_ e: Int) -> [EntropyCurve] {
    let byTool = accumulator.toolCurves[e]
    var all = CurveSums(length: options.curveLength)
    // Sorted, so that the sums do not depend on the order of a dictionary.
    let tools = byTool.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    for tool in tools { if let sums = byTool[tool] { all.add(sums) } }
    return [all.curve(tool: nil)] + tools.compactMap { tool in byTool[tool]?.curve(tool: tool) }
  }

  /// Hands out every tool result of the run.
  private func listCalls(
    _ e: Int, _ control: [ControlStatistics], _ eachCall: (AuditCall) throws -> Void
  ) throws {
    let run = accumulator.run.id
    let none = WindowValue(count: 0)
    try accumulator.forEachGroup { group in
      for t in group.trajectories {
        let baseline = t.entropy[e].baseline
        for call in t.calls {
          let windows =
            call.windows.isEmpty
            ? options.windows.map { _ in none }
            : zip(call.windows[e], control).map { WindowValue($0, baseline: baseline, control: $1) }
          try eachCall(
            AuditCall(
              runID: run, groupID: group.id, step: t.step ?? group.step, trajectoryID: t.id, result: call.result,
              tool: call.tool, toolCallID: call.toolCallID, position: call.position, owned: call.isOwned,
              start: call.start,
              windows: windows, baseline: baseline, arpoLagged: call.arpoLagged,
              arpoPostResult: call.arpoPostResult, arpoBaseline: call.arpoBaseline, paperDeltaV: call.paperDeltaV,
              paperDeltaLnV: call.paperDeltaLnV, reward: t.reward, dataSource: t.dataSource,
              policyVersion: t.policyVersion, evidence: t.evidence.description,
              estimator: choice?.reported.estimator))
        }
      }
    }
  }
}

extension WindowValue {
  init(_ window: CallWindow, baseline: Double?, control: ControlStatistics) {
    count = window.count
    mean = window.mean
    max = window.max
    delta = window.mean.flatMap { mean in baseline.map { mean - $0 } }
    z = control.z(window.mean)
    spike = z.map { $0 > spikeThreshold }
    lower = window.lower
    upper = window.upper
  }
}
