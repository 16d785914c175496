import Replay

/// Tool budgets as a page or as data.
struct BudgetOutput {
  let report: BudgetReport

  func write(_ format: OutputFormat, _ traits: TerminalTraits) throws {
    try ReportWriter.write(
      format, traits,
      page: {
        report.runs.isEmpty
          ? "nothing to count: no run was selected\n" : report.runs.map { page($0, traits) }.joined(separator: "\n")
      }, document: { document }, columns: Self.columns,
      rows: { report.runs.flatMap { run in run.rows.map { [.text(run.run.id)] + cells(run, $0) } } })
  }

  // MARK: Data

  private static let names = [
    "dimension", "key", "trajectories", "executed", "independent", "saved", "call_share", "call_share_low",
    "call_share_high", "generated_unique", "generated_flat", "generated_share", "generated_share_low",
    "generated_share_high", "total_share", "total_share_low", "total_share_high",
  ]

  private static let columns: [OutputColumn] = [OutputColumn("run_id")] + names.map { OutputColumn($0) }

  private func cells(_ run: RunBudget, _ row: BudgetRow) -> [CellValue] {
    // Segments of text are no tokens.
    let hasTokens = run.textOnly == 0 && row.dimension != .tool
    let nothing = Estimate()
    let counts: [CellValue] = [
      .text(row.dimension.rawValue), .string(row.key), .integer(row.trajectories), .int(row.executed),
      .int(row.independent), .int(row.independent - row.executed),
    ]
    return counts + row.calls.cells
      + [hasTokens ? .int(row.generatedUnique) : .null, hasTokens ? .int(row.generatedFlat) : .null]
      + (hasTokens ? row.generated : nothing).cells + (hasTokens ? row.total : nothing).cells
  }

  private var document: DocumentValue {
    .object([
      ("schema", .string("arpo-replay/budget/1")),
      ("intervals", .intervals(replicates: report.bootstrapReplicates, seed: report.seed)),
      (
        "runs",
        .array(
          report.runs.map { run in
            .object([
              ("run_id", .string(run.run.id)), ("algorithm", .text(run.run.algorithm)), ("groups", .int(run.groups)),
              ("text_only_trajectories", .int(run.textOnly)), ("budget", run.budget.document),
              (
                "fork_evidence",
                .object([.declared, .inferred, .none].map { ($0.rawValue, .int(run.forkEvidence[$0] ?? 0)) })
              ),
              ("needs_half", run.needsHalf.map { .bool($0) } ?? .null),
              (
                "rows",
                .array(
                  run.rows.map { row in
                    .object(zip(Self.names, cells(run, row)).map { ($0, $1.document) })
                  })
              ),
            ])
          })
      ),
    ])
  }

  // MARK: Page

  private func page(_ run: RunBudget, _ traits: TerminalTraits) -> String {
    var facts = [
      traits.counted(run.groups, "group"), traits.counted(run.budget.trajectories, "trajectory", "trajectories"),
      traits.counted(run.budget.executed, "executed call"),
    ]
    if let algorithm = run.run.algorithm { facts.insert(traits.safe(algorithm), at: 0) }
    var out = traits.title(run: run.run.id, facts: facts)
    out += traits.fact("forks", forks(run, traits))
    if run.textOnly > 0 {
      out += traits.fact(
        "text only",
        "\(traits.grouped(run.textOnly)) of \(traits.counted(run.budget.trajectories, "trajectory", "trajectories")):"
          + " calls are counted, tokens are not known", style: .yellow)
    }
    out += traits.fact(
      "intervals", traits.intervals(replicates: report.bootstrapReplicates, seed: report.seed), style: .dim)
    out += "\n" + traits.heading("Executed, against the same leaves sampled whole")
    if run.budget.independent == 0 { return out + traits.note("the run has no tool result") }
    out += table(run, traits)
    return out + claim(run, traits)
  }

  private func forks(_ run: RunBudget, _ traits: TerminalTraits) -> String {
    if let declared = run.forkEvidence[.declared] {
      return "named by the log in \(traits.grouped(declared)) of \(traits.counted(run.groups, "group"))"
    }
    if let inferred = run.forkEvidence[.inferred] {
      return "found by common prefixes up to a tool result in \(traits.grouped(inferred)) of"
        + " \(traits.counted(run.groups, "group")): rollouts that made the same first call by chance count as forks"
    }
    return "none: every trajectory was sampled whole"
  }

  private func table(_ run: RunBudget, _ traits: TerminalTraits) -> String {
    let hasTokens = run.textOnly == 0
    func name(_ row: BudgetRow) -> String {
      switch row.dimension {
      case .run: "all"
      case .benchmark: row.key ?? "no data source"
      case .tool: row.key ?? "unknown"
      }
    }
    func table(_ title: String, _ rows: [BudgetRow]) -> String {
      RankedTable<BudgetRow>(
        keyTitle: title, key: name,
        columns: [
          .init(title: "leaves", rank: 6) { $0.trajectories.map(traits.grouped) },
          .init(title: "executed", rank: 1) { traits.grouped($0.executed) },
          .init(title: "whole", rank: 2) { traits.grouped($0.independent) },
          .init(title: "saved", rank: 5) { traits.grouped($0.independent - $0.executed) },
          .init(title: "share", rank: 0) { $0.calls.value.map(percentText) },
          .init(title: "95 %", rank: 3) { percents($0.calls, traits) },
          .init(title: "tokens", rank: 4) {
            hasTokens && $0.dimension != .tool ? $0.generated.value.map(percentText) : nil
          },
          .init(title: "95 %", rank: 7) { hasTokens && $0.dimension != .tool ? percents($0.generated, traits) : nil },
        ], rows: Array(rows.prefix(30))
      ).text(traits) + (rows.count > 30 ? traits.note("and \(rows.count - 30) more; --format csv has them all") : "")
    }
    let benchmarks = run.rows.filter { $0.dimension == .benchmark }
    let tools = run.rows.filter { $0.dimension == .tool }
    var out = table(benchmarks.isEmpty ? "run" : "data source", run.rows.filter { $0.dimension == .run } + benchmarks)
    out += "\n" + table("tool", tools)
    return out
      + traits.note(
        "executed: tool calls, each of the tree once; whole: calls on all paths; share: executed of whole"
          + (hasTokens ? "; tokens: the same share of generated tokens" : ""))
  }

  private func percents(_ x: Estimate, _ traits: TerminalTraits) -> String? {
    traits.ends(x.scaled(100), 1).map { $0 + " %" }
  }

  /// The paper's claim in a sentence.
  private func claim(_ run: RunBudget, _ traits: TerminalTraits) -> String {
    guard let share = run.rows.first?.calls, let value = share.value else { return "" }
    let numbers = "\(percentText(value)) of the calls" + (percents(share, traits).map { " (95 % \($0))" } ?? "")
    if run.budget.saved == 0 {
      return traits.wrapped("Did sharing prefixes halve the tool calls? No: no call is shared by two leaves.")
    }
    let told: (String, TextStyle) =
      switch run.needsHalf {
      case true?: ("Yes: it needed \(numbers)", .green)
      case false?: ("No: it needed \(numbers)", .yellow)
      case nil:
        share.low == nil
          ? ("Cannot tell: it needed \(numbers); from fewer than two groups there is no interval", .yellow)
          : ("Cannot tell: it needed \(numbers)", .yellow)
      }
    return traits.wrapped("Did sharing prefixes halve the tool calls? \(told.0).", style: told.1)
      + traits.note(
        "ARPO's paper compares with GRPO at the same number of rollouts (figure 7); this compares with the same leaves")
  }
}
