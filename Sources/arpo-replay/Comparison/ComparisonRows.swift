import Replay
import Rollouts

/// A comparison as flat rows.
enum ComparisonRows {
  /// The columns of one kind of rows.
  static func columns(_ rows: CompareCommand.Rows) -> [OutputColumn] {
    switch rows {
    case .pairs:
      ["run_id", "a", "b", "tokens"] + interval("pearson") + interval("spearman") + interval("sign_flip")
        + interval("mean_abs_delta") + ["largest_delta", "differing_tokens", "groups", "differing_groups", "verdict"]
    case .shares: ["run_id", "strategy", "dimension", "key"] + interval("share")
    case .segments:
      [
        "run_id", "a", "b", "group_id", "step", "trajectory_id", "paths", "kind", "tool", "start", "end", "tokens",
        "mean_a", "mean_b", "total_abs_delta", "text",
      ]
    }
  }

  /// The rows of one run.
  static func rows(_ rows: CompareCommand.Rows, _ result: CompareRun.Result) -> [[CellValue]] {
    switch rows {
    case .pairs: result.report.pairs.map { pair(result.run.id, $0) }
    case .shares: result.report.columns.flatMap { shares(result.run.id, $0) }
    case .segments:
      zip(result.report.pairs, result.tokenTexts).flatMap { pair, texts in
        zip(pair.disagreements, texts).map { segment(result.run.id, pair, $0, $1) }
      }
    }
  }

  private static func interval(_ name: String) -> [OutputColumn] {
    [OutputColumn(name), OutputColumn(name + "_low"), OutputColumn(name + "_high")]
  }

  private static func cells(_ x: Estimate) -> [CellValue] { [.number(x.value), .number(x.low), .number(x.high)] }

  private static func pair(_ run: String, _ pair: ComparisonReport.Pair) -> [CellValue] {
    [.text(run), .text(pair.a), .text(pair.b), .int(pair.tokens)] + cells(pair.pearson) + cells(pair.spearman)
      + cells(pair.signFlip) + cells(pair.meanAbsDelta)
      + [
        .number(pair.largestDelta), .int(pair.differingTokens), .int(pair.groups), .int(pair.differingGroups),
        .text(pair.verdict.rawValue),
      ]
  }

  private static func shares(_ run: String, _ column: ComparisonReport.Column) -> [[CellValue]] {
    [[.text(run), .text(column.name), .text("zero_signal"), .text("tokens")] + cells(column.zeroShare)]
      + column.sortedShares.map { part, share in
        [.text(run), .text(column.name), .text(part.dimension.rawValue), .text(part.key)] + cells(share)
      }
  }

  private static func segment(
    _ run: String, _ pair: ComparisonReport.Pair, _ d: Disagreement, _ text: String?
  ) -> [CellValue] {
    [
      .text(run), .text(pair.a), .text(pair.b), .text(d.group), .integer(d.step), .text(d.trajectory), .int(d.paths),
      .text(d.kind.rawValue), .string(d.tool), .int(d.range.lowerBound), .int(d.range.upperBound), .int(d.tokens),
      .double(d.first), .double(d.second), .double(d.totalDelta), .string(d.words(text)),
    ]
  }
}

extension ComparisonReport.Column {
  /// By dimension, then by key: depths as numbers, names by bytes.
  var sortedShares: [(part: CreditPart, share: Estimate)] {
    let order = CreditPart.Dimension.allCases
    return shares.map { ($0, $1) }.sorted { a, b in
      let (x, y) = (a.0, b.0)
      if x.dimension != y.dimension {
        return (order.firstIndex(of: x.dimension) ?? 0) < (order.firstIndex(of: y.dimension) ?? 0)
      }
      if x.dimension == .depth, let m = Int(x.key), let n = Int(y.key) { return m < n }
      if x.dimension == .afterTool, (x.key == "none") != (y.key == "none") { return x.key == "none" }
      return x.key.utf8.lexicographicallyPrecedes(y.key.utf8)
    }
  }
}

extension Disagreement {
  /// The segment's text, or its tokens' texts, or their ids.
  func words(_ tokenText: String?) -> String? {
    if let text = text ?? tokenText { return text }
    return tokenIDs.isEmpty ? nil : tokenIDs.map(String.init).joined(separator: " ")
  }
}
