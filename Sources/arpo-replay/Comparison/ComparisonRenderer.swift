import Replay
import Rollouts

/// Comparisons as pages to read, and as JSON.
struct ComparisonRenderer {
  let results: [CompareRun.Result]
  let traits: TerminalTraits

  /// One page a run.
  var text: String {
    if results.isEmpty { return "nothing to compare: no run was selected\n" }
    return results.map { ComparisonPage(result: $0, traits: traits).text }.joined(separator: "\n")
  }

  /// Everything, under the schema `arpo-replay/comparison/1`.
  var document: DocumentValue {
    .object([("schema", .string("arpo-replay/comparison/1")), ("runs", .array(results.map(run)))])
  }

  private func run(_ result: CompareRun.Result) -> DocumentValue {
    let report = result.report
    return .object([
      ("run_id", .string(result.run.id)), ("recomputed_by", .text(result.run.evidence)),
      ("groups", .int(report.groups)), ("trajectories", .int(report.trajectories)),
      ("scored", .int(report.scored)), ("generated_tokens", .int(report.generatedTokens)),
      ("strategies", .array(report.columns.map { column($0, result) })),
      ("pairs", .array(zip(report.pairs, result.tokenTexts).map(pair))),
      ("warnings", .array(result.warnings.map { .string($0) })),
    ])
  }

  private func column(_ column: ComparisonReport.Column, _ result: CompareRun.Result) -> DocumentValue {
    let strategy = result.strategies.first { $0.name == column.name }
    let shares = CreditPart.Dimension.allCases.map { dimension in
      (
        dimension.rawValue,
        DocumentValue.object(
          column.sortedShares.filter { $0.part.dimension == dimension }.map { ($0.part.key, estimate($0.share)) })
      )
    }
    return .object([
      ("name", .string(column.name)), ("formula", .text(strategy?.formula)),
      (
        "parameters",
        strategy.map { .object($0.parameters.map { ($0.name, .number($0.value)) }) } ?? .null
      ),
      ("tokens", .int(column.tokens)), ("zero_share", estimate(column.zeroShare)), ("groups", .int(column.groups)),
      ("groups_without_signal", .int(column.groupsWithoutSignal)), ("total_abs", .double(column.totalAbs)),
      ("shares", .object(shares)),
    ])
  }

  private func pair(_ pair: ComparisonReport.Pair, _ texts: [String?]) -> DocumentValue {
    .object([
      ("a", .string(pair.a)), ("b", .string(pair.b)), ("tokens", .int(pair.tokens)),
      ("pearson", estimate(pair.pearson)), ("spearman", estimate(pair.spearman)),
      ("sign_flip", estimate(pair.signFlip)), ("mean_abs_delta", estimate(pair.meanAbsDelta)),
      ("largest_delta", .number(pair.largestDelta)), ("differing_tokens", .int(pair.differingTokens)),
      ("groups", .int(pair.groups)), ("differing_groups", .int(pair.differingGroups)),
      ("verdict", .string(pair.verdict.rawValue)),
      ("segments", .array(zip(pair.disagreements, texts).map(segment))),
    ])
  }

  private func segment(_ d: Disagreement, _ text: String?) -> DocumentValue {
    .object([
      ("group_id", .string(d.group)), ("step", .integer(d.step)), ("trajectory_id", .string(d.trajectory)),
      ("paths", .int(d.paths)), ("kind", .string(d.kind.rawValue)), ("tool", .text(d.tool)),
      ("start", .int(d.range.lowerBound)), ("end", .int(d.range.upperBound)), ("tokens", .int(d.tokens)),
      ("mean_a", .double(d.first)), ("mean_b", .double(d.second)), ("total_abs_delta", .double(d.totalDelta)),
      ("text", .text(d.text ?? text)), ("token_ids", .array(d.tokenIDs.map { .int(Int($0)) })),
    ])
  }

  private func estimate(_ x: Estimate) -> DocumentValue {
    .object([("value", .number(x.value)), ("low", .number(x.low)), ("high", .number(x.high))])
  }
}
