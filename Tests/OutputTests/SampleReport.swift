#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif
@testable import Replay

/// Hand-made audits: numbers of no log, easy to find again in what is drawn.
enum SampleReport {
  static let windows = [0..<10, 10..<50, 0..<20, 0..<50]

  /// Two tools, everything there, estimator `topk` with bounds.
  static var full: AuditReport { report([run]) }

  /// A run of text alone.
  static var textOnly: AuditReport { report([textOnlyRun]) }

  static func report(_ runs: [RunAudit]) -> AuditReport {
    AuditReport(
      windows: windows, baselineTokens: 20, temperature: nil, bootstrapReplicates: 1000, seed: 7, runs: runs)
  }

  /// A row's windows, each a tenth above the one before.
  static func summaries(events: Int, mean: Double, spikeShare: Double, bounds: Bool = true) -> [WindowSummary] {
    windows.enumerated().map { i, window in
      let m = mean + 0.1 * Double(i)
      return WindowSummary(
        window: window, events: events - i, eventMean: Estimate(value: m, low: m - 0.02, high: m + 0.03),
        eventDelta: Estimate(value: m - 0.5, low: m - 0.52, high: m - 0.47),
        spikes: Int(spikeShare * Double(events)), scored: events, spikeShare: spikeShare, tokens: events * window.count,
        tokenMean: m, tokenMax: 2.5, lowerMean: bounds ? m - 0.01 : nil, upperMean: bounds ? m + 0.25 : nil)
    }
  }

  /// A window without any value.
  static func empty(_ window: Range<Int>) -> WindowSummary {
    WindowSummary(
      window: window, events: 0, eventMean: Estimate(), eventDelta: Estimate(), spikes: 0, scored: 0, tokens: 0)
  }

  static var control: [ControlSummary] {
    windows.map {
      ControlSummary(window: $0, blocks: 312, median: 0.391, mad: 0.0312, mean: 0.4017, spikeShare: 0.0411)
    }
  }

  static func curve(_ tool: String?, start: Double, end: Double) -> EntropyCurve {
    EntropyCurve(
      tool: tool, counts: (0..<64).map { 1500 - 20 * $0 },
      means: (0..<64).map { end + (start - end) * Double(64 - $0) / 64 * Double(64 - $0) / 64 })
  }

  static let missing = [
    MissingEvidence(
      what: "exact entropies", trajectories: 2048,
      consequence: "no full-vocabulary entropy; topk leaves out the unlisted tokens",
      remedy: "log the trainer's entropies with entropy_kind exact"),
    MissingEvidence(
      what: "token ids", trajectories: 48, consequence: "no token has an entropy",
      remedy: "log the sampled token ids, not the decoded text alone"),
  ]

  static let findings = [
    PilotFinding(
      number: 1, statement: "entropy rises in the first 10-50 tokens after a tool result", verdict: .supported,
      reason: "tokens 0-50 after a result: against the control blocks 0.2983 nats, 95 % interval 0.2803 to 0.3101",
      numbers: [
        FindingNumber(name: "mean of 0-50", estimate: Estimate(value: 0.7, low: 0.68, high: 0.73), count: 1497)
      ]),
    PilotFinding(
      number: 2, statement: "entropy after search results is higher than after python results",
      verdict: .notSupported,
      reason: "search minus python, tokens 0-50: -0.1000 nats, 95 % interval -0.1300 to -0.0700", numbers: []),
    PilotFinding(
      number: 3, statement: "entropy after a tool result exceeds the trajectory's initial entropy",
      verdict: .cannotTell,
      reason: "tokens 0-50 after a result are on average above the initial entropy: 0.0100 nats, 95 % interval -0.0100"
        + " to 0.0300, which includes 0", numbers: []),
  ]

  static var run: RunAudit {
    RunAudit(
      runID: "qwen-arpo", algorithm: "arpo", vocabSize: 151_669, groups: 128, trajectories: 2048,
      textOnlyTrajectories: 48, toolResults: 1500, executedCalls: 1200,
      estimator: EstimatorChoice(
        estimator: .topk, formula: Estimator.topk.formula,
        reason: "topk has a value for 98.1 % of the generated tokens; exact has none",
        coverage: [
          EstimatorCoverage(estimator: .exact, tokens: 0), EstimatorCoverage(estimator: .topk, tokens: 1_211_000),
          EstimatorCoverage(estimator: .sampledNLL, tokens: 1_234_567),
        ]),
      evidence: [
        EvidenceCount(label: "text,token_ids,sampled_logprobs,top_logprobs", trajectories: 2000),
        EvidenceCount(label: "text", trajectories: 48),
      ], generatedTokens: 1_234_567, tokensWithValue: 1_211_000,
      baseline: Estimate(value: 0.5, low: 0.49, high: 0.52), baselineTrajectories: 2000,
      earlyReasoning: summaries(events: 2000, mean: 0.35, spikeShare: 0.02), control: control,
      overall: summaries(events: 1500, mean: 0.4, spikeShare: 0.123),
      tables: [
        DimensionTable(
          dimension: .tool,
          rows: [
            DimensionRow(key: "python", windows: summaries(events: 600, mean: 0.45, spikeShare: 0.2)),
            DimensionRow(key: "search", windows: summaries(events: 900, mean: 0.35, spikeShare: 0.08)),
          ]),
        DimensionTable(
          dimension: .dataSource,
          rows: [
            DimensionRow(key: "hotpotqa", windows: summaries(events: 1000, mean: 0.41, spikeShare: 0.1)),
            DimensionRow(key: "null", windows: summaries(events: 500, mean: 0.38, spikeShare: 0.15)),
          ]),
      ], findings: findings,
      curves: [
        curve(nil, start: 0.8, end: 0.45), curve("python", start: 0.9, end: 0.5),
        curve("search", start: 0.7, end: 0.4),
      ], startCurve: curve(nil, start: 0.3, end: 0.55), missing: missing)
  }

  static var textOnlyRun: RunAudit {
    RunAudit(
      runID: "verl-dump", algorithm: nil, vocabSize: nil, groups: 2, trajectories: 16, textOnlyTrajectories: 16,
      toolResults: 31, executedCalls: 31, estimator: nil,
      evidence: [EvidenceCount(label: "text", trajectories: 16)], generatedTokens: 0, tokensWithValue: 0,
      baseline: Estimate(), baselineTrajectories: 0, earlyReasoning: [], control: [], overall: [], tables: [],
      findings: findings.map {
        PilotFinding(
          number: $0.number, statement: $0.statement, verdict: .cannotTell, reason: "the log has no entropies",
          numbers: [])
      }, curves: [], startCurve: nil,
      missing: [
        MissingEvidence(
          what: "token ids", trajectories: 16,
          consequence: "no token has an entropy; windows and baselines cannot be placed",
          remedy: "log the sampled token ids (vLLM: return_token_ids), not the decoded text alone"),
        MissingEvidence(
          what: "top-k logprobs", trajectories: 16, consequence: "no topk entropy, no bounds, no ARPO entropy value",
          remedy: "log the most likely tokens at each position (vLLM: logprobs=20)"),
      ])
  }
}
