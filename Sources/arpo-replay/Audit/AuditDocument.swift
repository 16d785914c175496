import Replay

/// An audit as JSON.
struct AuditDocument {
  let report: AuditReport

  /// The document; keys and their order are stable.
  var value: DocumentValue {
    .object([
      ("schema", .string("arpo-replay/audit/1")),
      ("unit", .string("nats")),
      ("windows", .array(report.windows.map(window))),
      ("baseline_tokens", .int(report.baselineTokens)),
      ("temperature", .number(report.temperature)),
      (
        "intervals",
        .object([
          ("level", .double(0.95)), ("method", .string("poisson bootstrap over prompt groups")),
          ("replicates", .int(report.bootstrapReplicates)),
          // JSON readers keep whole numbers up to 2^53.
          ("seed", report.seed < 1 << 53 ? .int(Int(report.seed)) : .string(String(report.seed))),
        ])
      ),
      ("runs", .array(report.runs.map(run))),
    ])
  }

  private func run(_ run: RunAudit) -> DocumentValue {
    let labels = RunLabels(run)
    return .object(
      facts(run) + [
        ("baseline", baseline(run, labels)),
        ("early_reasoning", labels.object(byWindow(run.earlyReasoning, summary))),
        ("control", labels.object(control(run.control))),
        ("overall", labels.object(byWindow(run.overall, summary))),
        ("by", .object(run.tables.map { ($0.dimension.rawValue, table($0, labels)) })),
        ("findings", .array(run.findings.map { finding($0, labels) })),
        ("curves", .array(run.curves.map { curve($0, "after_result", labels) })),
        ("start_curve", run.startCurve.map { curve($0, "start", labels) } ?? .null),
        ("missing", .array(run.missing.map(missing))),
      ])
  }

  private func facts(_ run: RunAudit) -> [(String, DocumentValue)] {
    [
      ("run_id", .string(run.runID)), ("algorithm", .text(run.algorithm)), ("vocab_size", .integer(run.vocabSize)),
      ("recomputed_by", .text(run.recomputedBy)),
      ("groups", .int(run.groups)), ("trajectories", .int(run.trajectories)),
      ("text_only_trajectories", .int(run.textOnlyTrajectories)), ("tool_results", .int(run.toolResults)),
      ("executed_calls", .int(run.executedCalls)), ("generated_tokens", .int(run.generatedTokens)),
      ("tokens_with_value", .int(run.tokensWithValue)),
      (
        "evidence",
        .array(
          run.evidence.map {
            .object([
              ("evidence", .array($0.label.split(separator: ",").map { .string(String($0)) })),
              ("trajectories", .int($0.trajectories)),
            ])
          })
      ), ("estimator", run.estimator.map { estimator($0, run) } ?? .null),
    ]
  }

  private func estimator(_ choice: EstimatorChoice, _ run: RunAudit) -> DocumentValue {
    .object([
      ("name", .string(choice.estimator.rawValue)), ("formula", .string(choice.formula)), ("unit", .string("nats")),
      ("reason", .string(choice.reason)),
      (
        "coverage",
        .array(
          choice.coverage.map {
            .object([
              ("estimator", .string($0.estimator.rawValue)), ("tokens", .int($0.tokens)),
              ("share", .number(run.generatedTokens > 0 ? Double($0.tokens) / Double(run.generatedTokens) : nil)),
            ])
          })
      ),
    ])
  }

  private func window(_ window: Range<Int>) -> DocumentValue {
    .object([
      ("key", .string(window.windowKey)), ("start", .int(window.lowerBound)), ("end", .int(window.upperBound)),
    ])
  }
}

/// What a run's numbers are, put beside them.
private struct RunLabels {
  private let estimator: DocumentValue

  init(_ run: RunAudit) { estimator = .text(run.estimator?.estimator.rawValue) }

  func object(_ members: [(String, DocumentValue)]) -> DocumentValue {
    .object([("unit", .string("nats")), ("estimator", estimator)] + members)
  }
}

extension AuditDocument {
  private func baseline(_ run: RunAudit, _ labels: RunLabels) -> DocumentValue {
    labels.object(
      [("tokens", .int(report.baselineTokens)), ("trajectories", .int(run.baselineTrajectories))]
        + estimate("mean", run.baseline))
  }

  /// A window asked for twice is written once: keys of an object are unique.
  private func byWindow(
    _ summaries: [WindowSummary], _ members: (WindowSummary) -> [(String, DocumentValue)]
  ) -> [(String, DocumentValue)] {
    var seen: Set<Range<Int>> = []
    let unique = summaries.filter { seen.insert($0.window).inserted }
    return [("windows", .object(unique.map { ($0.window.windowKey, .object(members($0))) }))]
  }

  private func summary(_ w: WindowSummary) -> [(String, DocumentValue)] {
    [("events", .int(w.events))] + estimate("event_mean", w.eventMean) + estimate("event_delta", w.eventDelta) + [
      ("spikes", .int(w.spikes)), ("scored", .int(w.scored)), ("spike_share", .number(w.spikeShare)),
      ("tokens", .int(w.tokens)), ("token_mean", .number(w.tokenMean)), ("token_max", .number(w.tokenMax)),
      ("lower_mean", .number(w.lowerMean)), ("upper_mean", .number(w.upperMean)),
    ]
  }

  private func control(_ summaries: [ControlSummary]) -> [(String, DocumentValue)] {
    var seen: Set<Range<Int>> = []
    let unique = summaries.filter { seen.insert($0.window).inserted }
    let windows = unique.map { w -> (String, DocumentValue) in
      let members: [(String, DocumentValue)] = [
        ("blocks", .int(w.blocks)), ("mean", .number(w.mean)), ("median", .number(w.median)),
        ("mad", .number(w.mad)), ("spike_share", .number(w.spikeShare)),
      ]
      return (w.window.windowKey, .object(members))
    }
    return [("windows", .object(windows))]
  }

  private func table(_ table: DimensionTable, _ labels: RunLabels) -> DocumentValue {
    labels.object([
      ("rows", .array(table.rows.map { .object([("key", .string($0.key))] + byWindow($0.windows, summary)) }))
    ])
  }

  private func finding(_ finding: PilotFinding, _ labels: RunLabels) -> DocumentValue {
    let numbers = finding.numbers.map { n in
      DocumentValue.object([("name", .string(n.name))] + estimate("value", n.estimate) + [("count", .int(n.count))])
    }
    return labels.object([
      ("number", .int(finding.number)), ("statement", .string(finding.statement)),
      ("verdict", .string(finding.verdict.rawValue.replacing(" ", with: "_"))), ("reason", .string(finding.reason)),
      ("numbers", .array(numbers)),
    ])
  }

  private func curve(_ curve: EntropyCurve, _ kind: String, _ labels: RunLabels) -> DocumentValue {
    labels.object([
      ("kind", .string(kind)), ("tool", .text(curve.tool)), ("counts", .array(curve.counts.map { .int($0) })),
      ("means", .array(curve.means.map { .number($0) })),
    ])
  }

  private func missing(_ item: MissingEvidence) -> DocumentValue {
    .object([
      ("what", .string(item.what)), ("trajectories", .int(item.trajectories)),
      ("consequence", .string(item.consequence)), ("remedy", .string(item.remedy)),
    ])
  }

  private func estimate(_ name: String, _ x: Estimate) -> [(String, DocumentValue)] {
    [(name, .number(x.value)), (name + "_low", .number(x.low)), (name + "_high", .number(x.high))]
  }
}
