import Replay

/// The summaries of a run in long form: a row for each dimension, key and window.
struct AuditSummaryRows {
  let report: AuditReport
  let run: RunAudit

  static let columns: [OutputColumn] = [
    "run_id", "dimension", "key", "window", "window_start", "window_end", "estimator", "unit", "events", "event_mean",
    "event_mean_low", "event_mean_high", "event_delta", "event_delta_low", "event_delta_high", "spikes", "scored",
    "spike_share", "control_blocks", "control_mean", "control_median", "control_mad", "control_spike_share", "tokens",
    "token_mean", "token_max", "lower_mean", "upper_mean",
  ]

  /// The rows: the initial entropy, first segments, all calls, then the dimensions.
  var rows: [[CellValue]] {
    var out = [baseline]
    out += rows("early_reasoning", nil, run.earlyReasoning)
    out += rows("all", nil, run.overall)
    for table in run.tables {
      for row in table.rows { out += rows(table.dimension.rawValue, row.key, row.windows) }
    }
    return out
  }

  /// The initial entropy; its window counts from the start of the trajectory and not from a result.
  ///
  /// A run without any estimator has this row alone, so that it is not overlooked.
  private var baseline: [CellValue] {
    var row = head("baseline", nil, 0..<report.baselineTokens)
    row += [.int(run.baselineTrajectories)] + cells(run.baseline)
    return row + [CellValue](repeating: .null, count: Self.columns.count - row.count)
  }

  private func rows(_ dimension: String, _ key: String?, _ windows: [WindowSummary]) -> [[CellValue]] {
    windows.enumerated().map { i, w in
      let control = run.control.indices.contains(i) ? run.control[i] : nil
      return head(dimension, key, w.window) + [.int(w.events)] + cells(w.eventMean) + cells(w.eventDelta)
        + [.int(w.spikes), .int(w.scored), .number(w.spikeShare)] + cells(control)
        + [
          .int(w.tokens), .number(w.tokenMean), .number(w.tokenMax), .number(w.lowerMean), .number(w.upperMean),
        ]
    }
  }

  private func head(_ dimension: String, _ key: String?, _ window: Range<Int>) -> [CellValue] {
    [
      .text(run.runID), .text(dimension), .string(key), .text(window.windowKey), .int(window.lowerBound),
      .int(window.upperBound), .string(run.estimator?.estimator.rawValue), .text("nats"),
    ]
  }

  private func cells(_ x: Estimate) -> [CellValue] { [.number(x.value), .number(x.low), .number(x.high)] }

  private func cells(_ control: ControlSummary?) -> [CellValue] {
    [
      .integer(control?.blocks), .number(control?.mean), .number(control?.median), .number(control?.mad),
      .number(control?.spikeShare),
    ]
  }
}

/// Mean entropy by offset in long form.
enum AuditCurveRows {
  static let columns: [OutputColumn] = ["run_id", "curve", "tool", "offset", "n", "mean", "estimator", "unit"]

  /// The curves after results, all tools first with no tool's name, then the one from the start of trajectories.
  static func rows(_ run: RunAudit) -> [[CellValue]] {
    run.curves.flatMap { rows(run, $0, "after_result") } + (run.startCurve.map { rows(run, $0, "start") } ?? [])
  }

  private static func rows(_ run: RunAudit, _ curve: EntropyCurve, _ kind: String) -> [[CellValue]] {
    zip(curve.counts, curve.means).enumerated().map { offset, point in
      [
        .text(run.runID), .text(kind), .string(curve.tool), .int(offset), .int(point.0), .number(point.1),
        .string(run.estimator?.estimator.rawValue), .text("nats"),
      ]
    }
  }
}
