import Foundation
import Replay
import RolloutStore

/// Strategies compared over the runs of a database.
struct CompareRun {
  let pass: AttributionPass
  var replicates = 1000
  var seed: UInt64 = 0
  var top = 3

  /// What was found in one run.
  struct Result {
    var run: ReplayRun
    var report: ComparisonReport
    var strategies: [any AttributionStrategy]
    /// Why the numbers of some strategies are doubtful.
    var warnings: [String]
    /// By pair and disagreement, texts of tokens where the log has them and no text of the segment.
    var tokenTexts: [[String?]]
  }

  func results() throws -> [Result] { try pass.runs().map(compare) }

  private func compare(_ run: ReplayRun) throws -> Result {
    let progress = GroupProgress(of: try pass.groupCount(of: run), traits: .standardError)
    let batches = try pass.batches(of: run)
    let names = pass.strategies.map(\.name)
    let most = top
    // Whether the log has advantages of its own is known at the end, so their column is always there and dropped if empty.
    var comparison = StrategyComparison(
      names: names + [ComparisonReport.logged], run: run.id, replicates: replicates, seed: seed, disagreements: most,
      spill: Spill.factory)
    var summaries = pass.strategies.map { AttributionSummary($0) }
    try pass.forEachGroup(
      of: run, batches,
      transform: { attribution in
        let logged = attribution.logged ?? attribution.group.leaves.map { _ in .missing }
        return (attribution, GroupComparison(attribution, attribution.advantages + [logged], disagreements: most))
      },
      consume: { attribution, group in
        try comparison.add(group)
        for s in summaries.indices { summaries[s].add(attribution, s) }
        progress.advance()
      })
    progress.finish()
    var report = try comparison.finish()
    if report.columns.last?.groups == 0 {
      report.columns.removeLast()
      report.pairs.removeAll { $0.b == ComparisonReport.logged }
    }
    let texts = try report.pairs.map { pair in
      try pair.disagreements.map { try pass.store.tokenText(run: run.id, $0.tokenIDs) }
    }
    let warnings = zip(names, summaries).flatMap { name, summary in summary.warnings.map { "\(name): \($0)" } }
    for warning in warnings { Talk.warn("run \(run.id): \(warning)") }
    return Result(run: run, report: report, strategies: pass.strategies, warnings: warnings, tokenTexts: texts)
  }
}
