import Evaluation
import Foundation
import Replay

/// An evaluation as a person or a program reads it.
struct EvaluationPage {
  let report: EvaluationReport
  let minimumShare: Double
  /// What was judged, on what, and what to keep in mind.
  let facts: [(String, DocumentValue)]
  let caveats: [String]
  let replicates: Int

  private var refusal: EvaluationRefusal? { report.refusal(floor: minimumShare) }

  // MARK: Text

  func text(_ traits: TerminalTraits) -> String {
    var out = facts.map { "\($0.0): \(plain($0.1))" }.joined(separator: "\n") + "\n"
    for caveat in caveats { out += "note: \(caveat)\n" }
    out += "\n" + rewardsText(traits)
    out += marginsText(traits) + windowsText(traits)
    return out
  }

  private func plain(_ value: DocumentValue) -> String {
    if case .string(let text) = value { return text }
    return value.json
  }

  private func rewardsText(_ traits: TerminalTraits) -> String {
    var out = "Expected reward on the log's prompts\n"
    if let effective = report.effective {
      out +=
        "effective leaves  before \(percentText(effective.before.share)), after \(percentText(effective.after.share))"
        + " (least of a group \(percentText(effective.after.leastOfGroup)), floor \(percentText(minimumShare)));"
        + " mean weight \(decimals(effective.after.meanWeight, 3)), largest \(decimals(report.maximumWeight, 2))\n"
    }
    if let refusal { return out + "refused: \(refusal.description)\n\n" }
    var table = TextTable(columns: [
      .text("estimator"), .number("before"), .number("95 %"), .number("after"), .number("95 %"), .number("change"),
      .number("95 %"), .number("groups"),
    ])
    if let log = report.behaviourReward {
      table.add([
        TextTable.Cell("the log itself"), TextTable.Cell(decimals(log.value)),
        TextTable.Cell(interval(log, traits), .dim),
        TextTable.Cell(""), TextTable.Cell(""), TextTable.Cell(""), TextTable.Cell(""),
        TextTable.Cell(traits.grouped(log.groups)),
      ])
    }
    for row in report.rewards {
      table.add([
        TextTable.Cell(row.name), TextTable.Cell(decimals(row.before.value)),
        TextTable.Cell(interval(row.before, traits), .dim), TextTable.Cell(decimals(row.after.value), .bold),
        TextTable.Cell(interval(row.after, traits), .dim), TextTable.Cell(signedDecimals(row.change.value)),
        TextTable.Cell(interval(row.change, traits), .dim), TextTable.Cell(traits.grouped(row.after.groups)),
      ])
    }
    return out + table.render(traits) + "\n"
  }

  private func marginsText(_ traits: TerminalTraits) -> String {
    guard let margins = report.margins else { return "No fork has continuations with different rewards.\n\n" }
    var table = TextTable(columns: [
      .text("best against worst sibling, nats"), .number("value"), .number("95 %"),
    ])
    for (name, value) in [
      ("margin before", margins.before), ("margin after", margins.after), ("change", margins.change),
      ("share of pairs whose margin rose", margins.raised),
    ] {
      table.add([
        TextTable.Cell(name), TextTable.Cell(decimals(value.value)), TextTable.Cell(interval(value, traits), .dim),
      ])
    }
    return "Preference at forks, \(traits.counted(margins.pairs, "pair"))\n" + table.render(traits) + "\n"
  }

  private func windowsText(_ traits: TerminalTraits) -> String {
    let rows = report.windowRows
    if rows.isEmpty { return "" }
    var table = TextTable(columns: [
      .text("window"), .number("tokens"), .number("entropy before"), .number("after"), .number("KL k1"),
      .number("KL k3"),
      .number("95 %"),
    ])
    for row in rows {
      table.add([
        TextTable.Cell(row.name), TextTable.Cell(traits.grouped(row.tokens)),
        TextTable.Cell(decimals(row.entropyBefore.value)), TextTable.Cell(decimals(row.entropyAfter.value)),
        TextTable.Cell(signedDecimals(row.k1.value)), TextTable.Cell(decimals(row.k3.value)),
        TextTable.Cell(interval(row.k3, traits), .dim),
      ])
    }
    return "Entropy and KL(before || after), nats a token, on the logged tokens\n" + table.render(traits)
  }

  private func interval(_ x: EvaluationEstimate, _ traits: TerminalTraits) -> String {
    guard let low = x.low, let high = x.high else { return traits.absent }
    return "\(decimals(low))\(traits.unicode ? "…" : "..")\(decimals(high))"
  }

  // MARK: Data

  var document: DocumentValue {
    func value(_ x: EvaluationEstimate?) -> DocumentValue {
      guard let x else { return .null }
      return .object([
        ("value", .double(x.value)), ("low", .number(x.low)), ("high", .number(x.high)), ("groups", .int(x.groups)),
      ])
    }
    func effective(_ x: EvaluationReport.Effective?) -> DocumentValue {
      guard let x else { return .null }
      return .object([
        ("share", .double(x.share)), ("least_of_group", .double(x.leastOfGroup)),
        ("mean_weight", .double(x.meanWeight)),
      ])
    }
    let margins = report.margins
    return .object(
      facts + [
        ("notes", .array(caveats.map { .string($0) })), ("bootstrap_replicates", .int(replicates)),
        ("groups", .int(report.counts.groups)), ("trajectories", .int(report.counts.leaves)),
        ("unscored", .int(report.counts.unscored)),
        ("without_behaviour_logprobs", .int(report.counts.withoutBehaviour)),
        ("status", .string(refusal == nil ? "estimated" : "refused")), ("refusal", .text(refusal?.name)),
        ("min_ess", .double(minimumShare)),
        (
          "effective_sample_size",
          .object([("before", effective(report.effective?.before)), ("after", effective(report.effective?.after))])
        ),
        ("maximum_weight", .double(report.maximumWeight)),
        (
          "reward",
          .object(
            [("behaviour", value(report.behaviourReward))]
              + (refusal == nil ? report.rewards : []).map { row in
                (
                  row.name,
                  .object([
                    ("before", value(row.before)), ("after", value(row.after)), ("change", value(row.change)),
                  ])
                )
              })
        ),
        (
          "preference_margin",
          margins.map {
            .object([
              ("pairs", .int($0.pairs)), ("before", value($0.before)), ("after", value($0.after)),
              ("change", value($0.change)), ("share_raised", value($0.raised)),
            ])
          } ?? .null
        ),
        (
          "windows",
          .array(
            report.windowRows.map {
              .object([
                ("window", .string($0.name)), ("tokens", .int($0.tokens)), ("entropy_before", value($0.entropyBefore)),
                ("entropy_after", value($0.entropyAfter)), ("kl_k1", value($0.k1)), ("kl_k3", value($0.k3)),
              ])
            })
        ),
      ])
  }
}
