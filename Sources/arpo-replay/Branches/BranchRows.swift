import AdaptiveRollout
import Replay

/// The branching rule as flat rows.
enum BranchRows {
  private static let rule: [OutputColumn] = [
    "rule", "timing", "normalizer", "alpha", "beta", "tau", "k", "top_k",
  ]

  private static func ruleCells(_ options: BranchingOptions, _ settings: BranchingSettings) -> [CellValue] {
    [
      .text(options.rule.rawValue), .text(options.usedTiming.rawValue), .text(options.usedNormalizer.rawValue),
      .double(options.rule == .code ? settings.branchProbability : settings.alpha), .double(settings.entropyWeight),
      options.rule == .code ? .null : .double(settings.tau), .int(settings.windowTokens), .int(settings.topK),
    ]
  }

  private static func triple(_ name: String) -> [OutputColumn] {
    [name, name + "_low", name + "_high"].map { OutputColumn($0) }
  }

  /// Columns of ``summary(_:_:)``.
  static let summaryColumns: [OutputColumn] =
    ["run_id", "tool", "points", "with_dh", "blind"] + triple("initial") + triple("now") + triple("dh")
    + triple("probability") + triple("branches") + ["expected", "logged_forks_at"] + rule

  /// A row a tool, all tools (no name) first.
  static func summary(_ run: RunBranches, _ options: BranchingOptions) -> [[CellValue]] {
    run.rows.map { row in
      [.text(run.run.id), .string(row.tool), .int(row.points), .int(row.withChange), .int(row.blind)]
        + row.initial.cells + row.now.cells + row.deltaH.cells + row.probability.cells + row.chance.cells
        + [.double(row.expected), .int(row.branched)] + ruleCells(options, run.settings)
    }
  }

  /// Columns of ``decision(_:_:_:)``.
  static let decisionColumns: [OutputColumn] =
    [
      "run_id", "group_id", "step", "trajectory_id", "result", "tool", "at", "initial", "now", "dh", "probability",
      "branches", "blind", "initial_nats", "now_nats", "logged_forks", "logged_as", "budget", "recorded_probability",
      "recorded_draw", "recorded_branched", "reward", "data_source", "estimator", "evidence",
    ] + rule

  /// Numbers of the columns that a table for a person has.
  static func decisionTable(_ rule: ARPORule) -> [Int] {
    let names =
      ["trajectory_id", "tool", "at", "initial", "now", "dh", "probability"]
      + (rule == .paper ? ["branches"] : []) + ["logged_forks", "budget"]
    return names.compactMap { name in decisionColumns.firstIndex { $0.name == name } }
  }

  /// A decision point.
  static func decision(_ group: GroupBranches, _ point: BranchPoint, _ options: BranchingOptions) -> [CellValue] {
    let settings = options.settings(of: group.run)
    let recorded = point.recorded
    return [
      .text(group.run.id), .text(group.id), .integer(group.step), .text(point.trajectoryID), .int(point.result),
      .text(point.tool), .int(point.at), .number(point.initial), .number(point.now), .number(point.deltaH),
      .number(point.probability), .number(point.chance), .bool(point.isBlind), .number(point.initialNats),
      .number(point.nowNats), .int(point.forks), .text(group.forkEvidence.rawValue), .text(point.budget.rawValue),
      .number(recorded?.branch.probability), .number(recorded?.branch.draw), .truth(recorded?.branched),
      .number(point.reward), .string(group.dataSource), .string(point.estimator), .text(point.evidence),
    ] + ruleCells(options, settings)
  }
}
