import Replay

/// Tool results as flat rows.
enum AuditCallRows {
  private static let before: [OutputColumn] = [
    "run_id", "group_id", "step", "trajectory_id", "result", "tool", "tool_call_id", "position", "owned", "start",
    "estimator", "unit", "baseline",
  ]
  private static let ofWindow = ["count", "mean", "max", "delta", "z", "spike", "lower", "upper"]
  private static let after: [OutputColumn] = [
    "arpo_lagged", "arpo_post_result", "arpo_baseline", "paper_delta_v", "paper_delta_ln_v", "reward", "data_source",
    "policy_version", "evidence",
  ]

  /// The columns; those of a window [a, b) begin with `wa_b_`.
  static func columns(windows: [Range<Int>]) -> [OutputColumn] {
    before
      + windows.flatMap { w in ofWindow.map { OutputColumn("w\(w.lowerBound)_\(w.upperBound)_\($0)") } } + after
  }

  /// A tool result; its windows are those that the columns were made for.
  static func row(_ call: AuditCall, estimator: Estimator?) -> [CellValue] {
    var out: [CellValue] = [
      .text(call.runID), .text(call.groupID), .integer(call.step), .text(call.trajectoryID), .int(call.result),
      .text(call.tool), .string(call.toolCallID), .int(call.position), .bool(call.owned), .integer(call.start),
      .string(estimator?.rawValue), .text("nats"), .number(call.baseline),
    ]
    for w in call.windows {
      out += [
        .int(w.count), .number(w.mean), .number(w.max), .number(w.delta), .number(w.z), .truth(w.spike),
        .number(w.lower), .number(w.upper),
      ]
    }
    return out + [
      .number(call.arpoLagged), .number(call.arpoPostResult), .number(call.arpoBaseline),
      .number(call.paperDeltaV), .number(call.paperDeltaLnV), .number(call.reward), .string(call.dataSource),
      .integer(call.policyVersion), .text(call.evidence),
    ]
  }
}
