import Replay

extension RunPage {
  /// Columns in front of the facts on what the numbers stand on.
  private static let indent = 11

  /// How the numbers were had, and from what.
  var evidence: String {
    guard let choice = run.estimator else { return "" }
    let formula =
      run.recomputedBy == nil
      ? choice.formula : choice.formula.replacing("as logged (entropy_kind exact)", with: "recomputed")
    var out = fact("estimator", "\(choice.estimator.rawValue), in nats: \(formula)")
    if let checkpoint = run.recomputedBy { out += fact("recomputed", checkpoint) }
    if hasBounds { out += fact("", "bounds of the full-vocabulary entropy stand beside it") }
    let others = choice.coverage.filter { $0.estimator != choice.estimator }.map {
      "\($0.estimator.rawValue) has \(traits.grouped($0.tokens))"
    }
    let values = "\(traits.grouped(run.tokensWithValue)) of \(traits.counted(run.generatedTokens, "generated token"))"
    out += fact("values", ([values] + others).joined(separator: "; "))
    out += fact("reason", choice.reason)
    if let temperature = report.temperature {
      out += fact(
        "rescaled", "logprobs taken to temperature \(temperature) where logged at another: an approximation",
        style: .yellow)
    }
    if run.textOnlyTrajectories > 0 {
      out += fact(
        "text only",
        "\(traits.counted(run.textOnlyTrajectories, "trajectory", "trajectories")) of"
          + " \(traits.grouped(run.trajectories)): in no number below", style: .yellow)
    }
    out += fact("evidence", evidenceCounts, style: .dim)
    return out + fact("intervals", intervals, style: .dim)
  }

  /// In place of all numbers, where there are none.
  var nothingComputable: String {
    let absent = run.missing.filter { $0.trajectories >= run.trajectories }.map { "no \($0.what)" }
    let reason = absent.isEmpty ? "no token has a value" : "it has \(absent.joined(separator: ", "))"
    // A log with probabilities can be audited, if not by the estimator that was asked for.
    let hasOthers = run.evidence.contains { $0.label.contains("logprobs") || $0.label.contains("entropies") }
    let told = hasOthers ? "no entropy by the estimator asked for" : "no entropy can be computed from this log"
    var out = traits.wrapped("\(told): \(traits.safe(reason))", style: .red)
    if run.textOnlyTrajectories > 0 {
      out += fact(
        "text only",
        "\(traits.grouped(run.textOnlyTrajectories)) of"
          + " \(traits.counted(run.trajectories, "trajectory", "trajectories"))")
    }
    return run.evidence.isEmpty ? out : out + fact("evidence", evidenceCounts, style: .dim)
  }

  /// What the log lacks and what would provide it.
  var missing: String? {
    if run.missing.isEmpty { return nil }
    var out = heading(run.estimator == nil ? "What would provide it" : "Not in this log")
    for item in run.missing {
      let share =
        item.trajectories >= run.trajectories
        ? "" : " (\(traits.grouped(item.trajectories)) of \(traits.grouped(run.trajectories)) trajectories)"
      out += traits.wrapped("\(item.what)\(share): \(item.consequence)", first: "  ", indent: 2)
      out += traits.wrapped(item.remedy, first: traits.unicode ? "    → " : "    > ", indent: 6, style: .dim)
    }
    return out
  }

  /// Whether some window has bounds.
  var hasBounds: Bool { run.overall.contains { $0.lowerMean != nil || $0.upperMean != nil } }

  private var evidenceCounts: String {
    run.evidence.map { "\(traits.grouped($0.trajectories)) \($0.label.replacing(",", with: ", "))" }
      .joined(separator: "; ")
  }

  private var intervals: String {
    report.bootstrapReplicates == 0
      ? "none (no bootstrap replicates)"
      : "95 %, bootstrap over prompt groups: \(traits.grouped(report.bootstrapReplicates)) replicates,"
        + " seed \(report.seed)"
  }

  private func fact(_ name: String, _ text: String, style: TextStyle = .plain) -> String {
    traits.wrapped(traits.safe(text), first: name, firstStyle: .dim, indent: Self.indent, style: style)
  }
}
