import AdaptiveRollout
import Replay

/// A replay of the branching rule as JSON.
struct BranchDocument {
  let report: BranchReport

  /// The document; keys and their order are stable.
  var value: DocumentValue {
    let options = report.options
    return .object([
      ("schema", .string("arpo-replay/branches/1")), ("rule", .string(options.rule.rawValue)),
      ("timing", .string(options.usedTiming.rawValue)), ("normalizer", .string(options.usedNormalizer.rawValue)),
      ("intervals", .intervals(replicates: options.bootstrapReplicates, seed: options.seed)),
      ("runs", .array(report.runs.map(run))),
    ])
  }

  private func run(_ run: RunBranches) -> DocumentValue {
    .object([
      ("run_id", .string(run.run.id)), ("algorithm", .text(run.run.algorithm)),
      ("vocab_size", .integer(run.run.vocabSize)), ("recomputed_by", .text(run.run.evidence)),
      ("config", run.settings.document), ("groups", .int(run.groups)),
      ("trajectories", .int(run.trajectories)), ("text_only_trajectories", .int(run.textOnly)),
      ("executed_calls", .int(run.executedCalls)),
      (
        "evidence",
        .array(
          run.evidence.map {
            .object([("evidence", .string($0.label)), ("trajectories", .int($0.trajectories))])
          })
      ),
      (
        "estimators",
        .array(run.estimators.map { .object([("estimator", .text($0.name)), ("points", .int($0.points))]) })
      ),
      ("forks", run.forks.document),
      ("fork_evidence", .object([.declared, .inferred, .none].map { ($0.rawValue, .int(run.forkEvidence[$0] ?? 0)) })),
      ("by_tool", .array(run.rows.map(row))),
      (
        "confusion",
        .object([
          ("branched", line(run.confusion.branched)), ("declined", line(run.confusion.declined)),
          ("budget_spent", line(run.confusion.spent)), ("not_branched", line(run.confusion.notBranched)),
          ("not_told", line(run.confusion.untold)),
        ])
      ),
      ("recorded", recorded(run.recorded)), ("fork_worth", worth(run.worth)),
    ])
  }

  private func row(_ row: BranchRow) -> DocumentValue {
    .object(
      [
        ("tool", .text(row.tool)), ("points", .int(row.points)), ("with_dh", .int(row.withChange)),
        ("blind", .int(row.blind)),
      ] + row.initial.members("initial") + row.now.members("now") + row.deltaH.members("dh")
        + row.probability.members("probability") + row.chance.members("branches")
        + [("expected", .double(row.expected)), ("logged_forks_at", .int(row.branched))])
  }

  private func line(_ line: BranchConfusion.Line) -> DocumentValue {
    .object([
      ("points", .int(line.points)), ("would_branch", .double(line.branches)), ("would_not", .double(line.declines)),
      ("no_dh", .int(line.unknown)),
    ])
  }

  private func recorded(_ r: RecordedBranches) -> DocumentValue {
    .object([
      ("forks", .int(r.forks)), ("drawn", .int(r.drawn)), ("consistent", .int(r.consistent)),
      ("not_checked", .int(r.unchecked)),
      ("replayed", .int(r.replayed)), ("reproduced", .int(r.reproduced)),
      ("largest_difference", .number(r.largestDifference)), ("groups_in_order", .int(r.groupsInOrder)),
      ("groups_in_other_order", .int(r.groupsInOtherOrder)),
    ])
  }

  private func worth(_ w: WorthReport) -> DocumentValue {
    .object(
      [("forks", .int(w.forks)), ("with_dh", .int(w.withChange))] + w.variance.members("variance")
        + w.regret.members("regret") + w.different.members("different")
        + [
          (
            "by_dh",
            .array(
              w.bins.map { bin in
                .object(
                  [("from", .double(bin.from)), ("to", .double(bin.to)), ("forks", .int(bin.forks))]
                    + bin.variance.members("variance") + bin.regret.members("regret"))
              })
          )
        ] + w.varianceDifference.members("variance_difference") + w.regretDifference.members("regret_difference")
        + w.concordance.members("concordance")
        + [
          ("pairs", .int(w.pairs)), ("paired_groups", .int(w.pairedGroups)),
          ("dh_predicts_variance", .string(w.verdict.rawValue.replacing(" ", with: "_"))),
        ])
  }
}

extension DocumentValue {
  /// How intervals were had.
  static func intervals(replicates: Int, seed: UInt64) -> DocumentValue {
    .object([
      ("level", .double(0.95)), ("method", .string("poisson bootstrap over prompt groups")),
      ("replicates", .int(replicates)), ("seed", .seed(seed)),
    ])
  }

  /// JSON readers keep whole numbers up to 2^53.
  static func seed(_ seed: UInt64) -> DocumentValue { seed < 1 << 53 ? .int(Int(seed)) : .string(String(seed)) }
}
