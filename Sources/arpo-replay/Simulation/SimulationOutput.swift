import Replay

/// Simulated rollouts as a page or as data.
struct SimulationOutput {
  let report: SimulationReport

  private var options: SimulationOptions { report.options }

  func write(_ format: OutputFormat, _ traits: TerminalTraits) throws {
    try ReportWriter.write(
      format, traits,
      page: {
        report.runs.isEmpty
          ? "nothing to simulate: no run was selected\n" : report.runs.map { page($0, traits) }.joined(separator: "\n")
      }, document: { document }, columns: Self.columns,
      rows: { report.runs.flatMap { run in run.rows.map { [.text(run.run.id)] + members(run, $0).map(\.value) } } })
  }

  // MARK: Data

  private struct Member {
    var name: String
    var value: CellValue
  }

  private static let names: [String] =
    ["algorithm", "formula", "repetitions"]
    + [
      "leaves", "forks", "branch_points", "wanted", "calls", "generated_tokens", "spread", "spread_per_call", "signal",
    ]
    .flatMap { [$0, $0 + "_low", $0 + "_high"] }
    + [
      "spread_groups", "groups_with_spread", "copies_left_out", "sibling_pairs", "decisions", "blind", "unknown",
      "roots_at_start", "leaves_logged", "leaves_scored",
      "leaves_cut",
      "unsampled_forks", "unsampled_roots", "calls_on_stand_ins", "tokens_on_stand_ins", "monitor_calls",
      "monitor_tokens",
    ]

  private static let columns: [OutputColumn] = [OutputColumn("run_id")] + names.map { OutputColumn($0) }

  /// Means a group under ``names``.
  private func members(_ run: RunSimulation, _ row: SimulationRow) -> [Member] {
    let tally = row.tally ?? SimulationTally()
    let n = Double(tally.repetitions)
    func mean(_ x: Int) -> CellValue { row.tally == nil || n == 0 ? .null : .double(Double(x) / n) }
    let estimates = [
      row.leaves, row.forks, row.branchPoints, row.wanted, row.calls, row.tokens.if(hasTokens(run)), row.spread,
      row.spreadPerCall, row.signal,
    ]
    let head: [CellValue] = [
      .text(row.algorithm.rawValue), .text(SimulationWords.formula(row)), .int(options.repetitions),
    ]
    let rest: [CellValue] = [
      .int(run.spreadGroups), .int(row.groupsWithSpread), .int(run.copies),
      .number(tally.pairs > 0 ? Double(tally.siblingPairs) / Double(tally.pairs) : nil), mean(tally.decisions),
      mean(tally.blind), mean(tally.unknown), mean(tally.initialRollouts),
      mean(tally.loggedLeaves), mean(tally.scoredLeaves), mean(tally.cutLeaves), mean(tally.unsampledForks),
      mean(tally.unsampledRoots), mean(tally.calls.standIn), hasTokens(run) ? mean(tally.tokens.standIn) : .null,
      mean(tally.monitorCalls), hasTokens(run) ? mean(tally.monitorTokens) : .null,
    ]
    return zip(Self.names, head + estimates.flatMap(\.cells) + rest).map { Member(name: $0, value: $1) }
  }

  private func hasTokens(_ run: RunSimulation) -> Bool { run.textOnly == 0 }

  private var document: DocumentValue {
    .object([
      ("schema", .string("arpo-replay/simulation/1")), ("seed", .seed(options.branching.seed)),
      ("repetitions", .int(options.repetitions)),
      (
        "intervals",
        .intervals(replicates: options.branching.bootstrapReplicates, seed: options.branching.seed)
      ),
      (
        "runs",
        .array(
          report.runs.map { run in
            .object([
              ("run_id", .string(run.run.id)), ("groups", .int(run.groups)), ("trajectories", .int(run.trajectories)),
              ("scored", .int(run.scored)), ("text_only_trajectories", .int(run.textOnly)),
              ("forks_inside_turns", .int(run.splits)), ("copies_left_out", .int(run.copies)),
              ("spread_groups", .int(run.spreadGroups)), ("rollouts", .int(options.rollouts(of: run.run))),
              ("initial_rollouts", .int(options.initialRollouts(of: run.run))),
              ("beam_size", .int(options.attempts(of: run.run) + 1)),
              ("call_limit", .integer(options.callLimit(of: run.run))),
              ("config", options.branching.settings(of: run.run).document),
              (
                "algorithms",
                .array(run.rows.map { row in .object(members(run, row).map { ($0.name, $0.value.document) }) })
              ),
            ])
          })
      ),
    ])
  }

  // MARK: Page

  private func page(_ run: RunSimulation, _ traits: TerminalTraits) -> String {
    var out = traits.title(
      run: run.run.id,
      facts: [
        traits.counted(run.groups, "group"), traits.counted(run.trajectories, "trajectory", "trajectories"),
        "\(traits.grouped(run.scored)) scored", "\(traits.grouped(options.repetitions)) repetitions a group",
        "seed \(options.branching.seed)",
      ])
    out += traits.fact("group", SimulationWords.group(options, run.run))
    if run.textOnly > 0 {
      out += traits.fact(
        "text only",
        "\(traits.grouped(run.textOnly)) of \(traits.counted(run.trajectories, "trajectory", "trajectories")):"
          + " calls are counted, tokens are not known", style: .yellow)
    }
    out += traits.fact(
      "intervals",
      traits.intervals(replicates: options.branching.bootstrapReplicates, seed: options.branching.seed), style: .dim)
    let able = run.rows.filter(isAble)
    if !able.isEmpty {
      out += "\n" + traits.heading("Simulated groups: means a group") + table(run, able, traits)
      out += notes(run, able, traits)
    }
    let unable = run.rows.filter { !isAble($0) }
    if !unable.isEmpty {
      out +=
        "\n"
        + traits.wrapped(
          "not simulated: \(unable.map(\.algorithm.rawValue).joined(separator: ", ")): \(SimulationWords.missing(run))",
          style: .yellow)
    }
    return out
  }

  /// Whether an algorithm could decide anything; a log without tool calls decides nothing and lacks nothing.
  private func isAble(_ row: SimulationRow) -> Bool {
    guard let tally = row.tally, tally.repetitions > 0 else { return false }
    return !row.algorithm.needsEntropy || tally.decisions > 0 || tally.unknown == 0
  }

  private func table(_ run: RunSimulation, _ rows: [SimulationRow], _ traits: TerminalTraits) -> String {
    func mean(_ row: SimulationRow, _ x: (SimulationTally) -> Int) -> String? {
      row.tally.map { decimals(Double(x($0)) / Double(max(1, $0.repetitions)), 1) }
    }
    return RankedTable<SimulationRow>(
      keyTitle: "algorithm", key: \.algorithm.rawValue,
      columns: [
        .init(title: "leaves", rank: 1) { $0.leaves.value.map { decimals($0, 1) } },
        .init(title: "forks", rank: 4) { $0.forks.value.map { decimals($0, 1) } },
        .init(title: "calls", rank: 0) { $0.calls.value.map { decimals($0, 1) } },
        .init(title: "95 %", rank: 7) { traits.ends($0.calls, 1) },
        .init(title: "tokens", rank: 2) { hasTokens(run) ? $0.tokens.value.map { decimals($0, 0) } : nil },
        .init(title: "95 %", rank: 9) { hasTokens(run) ? traits.ends($0.tokens, 0) : nil },
        .init(title: "spread", rank: 3) { $0.spread.value.map { decimals($0, 3) } },
        .init(title: "95 %", rank: 10) { traits.ends($0.spread, 3) },
        .init(title: "a call", rank: 2) { $0.spreadPerCall.value.map { decimals($0, 4) } },
        .init(title: "95 %", rank: 6) { traits.ends($0.spreadPerCall, 4) },
        .init(title: "signal", rank: 5) { $0.signal.value.map(percentText) },
        .init(title: "logged leaves", rank: 3) { mean($0, \.loggedLeaves) },
        .init(title: "calls on stand-ins", rank: 8) { row in
          row.tally.flatMap { t in
            t.calls.all > 0 ? percentText(Double(t.calls.standIn) / Double(t.calls.all)) : nil
          }
        },
      ], rows: rows
    ).text(traits)
  }

  private func notes(_ run: RunSimulation, _ rows: [SimulationRow], _ traits: TerminalTraits) -> String {
    var out = traits.note(
      "spread: standard deviation (n - 1) of a group's rewards, from pairs of logged leaves: pairs that share a prefix and"
        + " pairs that do not each stand for all of their kind; a call: the same for each executed tool call; signal: share"
        + " of groups whose logged rewards differ")
    out += traits.note(spreadGroups(run, rows, traits))
    out += "\n" + traits.heading("What the log cannot tell")
    let total = rows.reduce(into: SimulationTally()) { $0.add($1.tally) }
    let unsampled = rows.map { row -> String in
      let tally = row.tally ?? SimulationTally()
      let n = Double(max(1, tally.repetitions))
      return "\(row.algorithm.rawValue) \(decimals(Double(tally.unsampledForks) / n, 1)) forks,"
        + " \(decimals(Double(tally.unsampledRoots) / n, 1)) roots"
    }
    out += traits.wrapped(
      "Branches that nobody sampled, a group: " + unsampled.joined(separator: "; ")
        + ". Their calls and tokens are those of another logged branch of the same point; their rewards are unknown and in"
        + " no number.")
    if total.unknown > 0 {
      out += traits.wrapped(
        "\(percentText(Double(total.unknown) / Double(max(1, total.unknown + total.decisions)))) of the decisions had no dH;"
          + " they do not branch")
    }
    if total.cutLeaves > 0 {
      out += traits.wrapped(
        "\(percentText(Double(total.cutLeaves) / Double(max(1, total.leaves)))) of the leaves were ended by the tool limit"
          + " where the log went on: what they would have answered is unknown")
    }
    if run.splits > 0 {
      out += traits.wrapped(
        "\(traits.counted(run.splits, "fork")) of the log not behind a tool result: no algorithm here makes such, so of"
          + " their branches one is drawn, and the others are left out")
    }
    if run.copies > 0 {
      out += traits.wrapped(
        "\(traits.counted(run.copies, "leaf", "leaves")) that records stand for as padded copies: a copy is no draw of the"
          + " policy, so a record is one continuation and one leaf here, whatever its multiplicity")
    }
    for row in rows { out += traits.fact(row.algorithm.rawValue, SimulationWords.formula(row), style: .dim) }
    return out
  }
}

extension SimulationOutput {
  /// Over which groups spreads are means, and for want of whom others are left out.
  private func spreadGroups(_ run: RunSimulation, _ rows: [SimulationRow], _ traits: TerminalTraits) -> String {
    let compared = rows.filter { $0.groupsWithSpread > 0 }
    if compared.isEmpty {
      return "no group has a spread: in none are two logged leaves with a reward of each kind of pair"
    }
    let groups = traits.counted(run.groups, "group")
    var out = "spread and a call: over the \(traits.grouped(run.spreadGroups)) of \(groups) in which "
    out += compared.count == 1 ? "\(compared[0].algorithm.rawValue) has one" : "every algorithm that has any has one"
    let lacking = compared.filter { $0.groupsWithSpread < run.groups }
    if compared.count > 1, !lacking.isEmpty {
      let told = lacking.map { "\($0.algorithm.rawValue) in \(traits.grouped($0.groupsWithSpread))" }
      out += " (\(told.joined(separator: ", "))); --algorithm compares fewer on more groups"
    }
    return out
  }
}

extension Estimate {
  /// Nothing, unless.
  fileprivate func `if`(_ condition: Bool) -> Estimate { condition ? self : Estimate() }
}

extension SimulationTally {
  fileprivate mutating func add(_ other: SimulationTally?) {
    guard let other else { return }
    unknown += other.unknown
    decisions += other.decisions
    cutLeaves += other.cutLeaves
    leaves += other.leaves
  }
}
