import Foundation
import Policy
import Replay
import Rescoring
import RolloutStore

/// The mismatch report for a person and for a program.
struct MismatchPage {
  let record: EvidenceRecord
  let tokenizer: Tokenizer?
  let traits: TerminalTraits

  // MARK: Rows

  private static let valueColumns: [OutputColumn] = [
    OutputColumn("tokens", isCount: true), "mean_abs", "max_abs", "k1", "k3", "ppl_logged", "ppl_ratio",
  ]

  static func columns(_ rows: MismatchRun.Rows) -> [OutputColumn] {
    switch rows {
    case .run:
      ["run_id", "verdict", "logged_temperature", "temperature"] + valueColumns
        + [
          OutputColumn("not_logged", isCount: true), OutputColumn("not_recomputed", isCount: true),
          OutputColumn("without_prompt_ids", isCount: true),
        ]
    case .turn: ["run_id", "turn"] + valueColumns
    case .token:
      [
        "run_id", "group_id", "step", "trajectory_id", "turn", "index", "token", "text", "logged", "recomputed",
        "difference",
      ]
    }
  }

  static func values(_ s: MismatchStatistics) -> [CellValue] {
    [
      .int(s.tokens), .number(s.meanAbsolute), .number(s.tokens > 0 ? s.maxAbsolute : nil), .number(s.k1),
      .number(s.k3), .number(s.loggedPerplexity), .number(s.perplexityRatio),
    ]
  }

  static func row(_ run: RunMismatch) -> [CellValue] {
    [
      .text(run.run.id), .text(run.verdict.rawValue), .double(run.run.logprobTemperature), .double(run.temperature),
    ] + values(run.all) + [.int(run.notLogged), .int(run.notRecomputed), .int(run.withoutPromptIDs)]
  }

  func row(_ token: MismatchToken, of run: String) -> [CellValue] {
    [
      .text(run), .text(token.group), .integer(token.step), .text(token.trajectory), .int(token.turn),
      .int(token.index),
      .int(Int(token.token)), .string(text(token)), .double(token.logged), .double(token.recomputed),
      .double(token.difference),
    ]
  }

  private func text(_ token: MismatchToken) -> String? {
    guard let tokenizer, tokenizer.contains(token.token) else { return nil }
    return String(decoding: tokenizer.bytes(of: token.token), as: UTF8.self)
  }

  // MARK: The answer

  /// Whether the checkpoint made the run's log, as a sentence.
  func answer(_ run: RunMismatch) -> String {
    let all = run.all
    guard all.tokens > 0, let mean = all.meanAbsolute, let k3 = all.k3 else {
      if run.notLogged > 0 || run.textOnly > 0 { return "cannot tell: the log has no logprobs to compare with" }
      return "cannot tell: no token has a recomputed value"
    }
    guard run.isComparable else {
      return "cannot tell: the log's logprobs are of temperature \(run.run.logprobTemperature), the recomputed ones of "
        + "\(run.temperature); rescore without --temperature"
    }
    let numbers = "mean |x| \(number(mean)), k3 \(number(k3))"
    switch run.verdict {
    case .same: return "yes: this checkpoint made this log, to float32 rounding (\(numbers))"
    case .sameRounded:
      return "yes: the differences are no larger than 16-bit arithmetic leaves the same weights (\(numbers))"
    case .related:
      return
        "probably not: a relative of it, such as another training step or a quantised copy, or logprobs of another "
        + "temperature (\(numbers))"
    default:
      return "no: another policy wrote this log, or its logprobs are of another temperature or prompt (\(numbers))"
    }
  }

  private func number(_ x: Double) -> String { String(format: "%.2g", x) }

  private func caveats(_ run: RunMismatch) -> [String] {
    var out: [String] = []
    if run.withoutPromptIDs > 0 {
      out.append(
        "\(traits.counted(run.withoutPromptIDs, "compared token")) stand behind a prompt whose ids are not in the log: "
          + "a difference may come from the prompt")
    }
    if run.all.tokens > 0, run.notLogged > 0 {
      out.append("\(traits.counted(run.notLogged, "generated token")) have no logged logprob")
    }
    if run.notRecomputed > 0 {
      out.append("\(traits.counted(run.notRecomputed, "generated token")) have no recomputed value")
    }
    return out
  }

  // MARK: Page

  func table(_ runs: [RunMismatch]) -> String {
    var sections = [fact("evidence", record.description)]
    if runs.isEmpty { sections.append("no groups\n") }
    for run in runs {
      let style: TextStyle =
        switch run.verdict {
        case .same, .sameRounded: .green
        case .related, .unknown: .yellow
        case .other: .red
        }
      var text = traits.styled("run \(traits.cut(traits.safe(run.run.id), to: traits.proseWidth - 4))", .bold) + "\n"
      text += traits.wrapped(traits.safe(answer(run)), style: style)
      for caveat in caveats(run) { text += traits.wrapped(caveat, style: .yellow) }
      sections.append(text)
      guard run.all.tokens > 0 else { continue }
      var table = TextTable(
        columns: [
          .text("turn"), .number("tokens"), .number("mean |x|"), .number("max |x|"), .number("k1"), .number("k3"),
          .number("ppl logged"), .number("ppl ratio"),
        ])
      table.add([.init("all")] + cells(run.all))
      if run.turns.count > 1 {
        table.addRule()
        for (turn, statistics) in run.turns.prefix(20).enumerated() where statistics.tokens > 0 {
          table.add([.init("\(turn)")] + cells(statistics))
        }
      }
      var body = table.render(traits)
      if run.turns.count > 20 {
        body += traits.wrapped(
          "\(traits.counted(run.turns.count - 20, "more turn")): --by turn --format csv", style: .dim)
      }
      sections.append(body)
      if !run.worst.isEmpty { sections.append(worst(run)) }
    }
    return sections.joined(separator: "\n")
  }

  private func cells(_ s: MismatchStatistics) -> [TextTable.Cell] {
    [TextTable.Cell(traits.grouped(s.tokens))]
      + [s.meanAbsolute, s.maxAbsolute, s.k1, s.k3].map { TextTable.Cell($0.map { decimals($0, 5) } ?? traits.absent) }
      + [s.loggedPerplexity, s.perplexityRatio].map { TextTable.Cell($0.map { decimals($0) } ?? traits.absent) }
  }

  private func worst(_ run: RunMismatch) -> String {
    var table = TextTable(
      columns: [
        .text("trajectory"), .number("turn"), .number("index"), .number("id"), .text("token"), .number("logged"),
        .number("recomputed"), .number("x"),
      ])
    for token in run.worst {
      table.add([
        .init(token.trajectory), .init("\(token.turn)"), .init("\(token.index)"), .init("\(token.token)"),
        text(token).map { TextTable.Cell($0) } ?? .init(traits.absent, .dim), .init(decimals(token.logged)),
        .init(decimals(token.recomputed)), .init(signedDecimals(token.difference)),
      ])
    }
    return traits.wrapped("Tokens that differ most", style: .bold) + table.render(traits)
  }

  private func fact(_ name: String, _ text: String) -> String {
    traits.wrapped(traits.safe(text), first: name, firstStyle: .dim, indent: 11)
  }

  // MARK: Document

  func document(_ runs: [RunMismatch]) -> DocumentValue {
    func values(_ s: MismatchStatistics) -> [(String, DocumentValue)] {
      zip(Self.valueColumns, Self.values(s)).map { ($0.name, $1.document) }
    }
    let columns = Self.columns(.token)
    return .object([
      (
        "evidence",
        .object([
          ("name", .string(record.name)), ("policy", .string(record.recipe.policy)),
          ("policy_sha256", .string(record.recipe.policySHA256)), ("adapter", .text(record.recipe.adapter)),
          ("adapter_sha256", .text(record.recipe.adapterSHA256)),
        ])
      ),
      (
        "runs",
        .array(
          runs.map { run in
            .object(
              [
                ("run_id", .string(run.run.id)), ("verdict", .string(run.verdict.rawValue)),
                ("answer", .string(answer(run))), ("logged_temperature", .double(run.run.logprobTemperature)),
                ("temperature", .double(run.temperature)),
              ] + values(run.all) + [
                ("not_logged", .int(run.notLogged)), ("not_recomputed", .int(run.notRecomputed)),
                ("without_prompt_ids", .int(run.withoutPromptIDs)),
                (
                  "turns",
                  .array(
                    run.turns.enumerated().filter { $1.tokens > 0 }.map { .object([("turn", .int($0))] + values($1)) })
                ),
                (
                  "worst",
                  .array(
                    run.worst.map { token in
                      .object(
                        zip(columns, row(token, of: run.run.id)).dropFirst().map { ($0.name, $1.document) })
                    })
                ),
              ])
          })
      ),
    ])
  }
}
