import AdaptiveRollout
import Replay

/// A rule at many settings, as tables with charts, or as data.
struct SweepOutput {
  let options: SimulationOptions
  let points: [SweepPoint]
  /// One a setting.
  let reports: [SimulationReport]
  let isGrid: Bool

  private struct Line {
    var point: SweepPoint
    var row: SimulationRow
  }

  func write(_ format: OutputFormat, _ traits: TerminalTraits) throws {
    if format == .table {
      let out = BufferedOutput()
      out.write(page(traits))
      return try out.flush()
    }
    let writer = RowWriter(format: format, columns: Self.columns, traits: traits)
    for r in (reports.first?.runs ?? []).indices {
      for line in lines(r) { try writer.write(row(reports[0].runs[r].run, line)) }
    }
    try writer.finish()
  }

  private func lines(_ run: Int) -> [Line] {
    zip(points, reports).compactMap { point, report in
      report.runs[run].rows.first.map { Line(point: point, row: $0) }
    }
  }

  // MARK: Data

  private static let columns: [OutputColumn] =
    ["run_id", "algorithm", "timing", "alpha", "beta", "tau", "k", "swept"].map { OutputColumn($0) }
    + ["wanted", "branch_points", "forks", "leaves", "calls", "generated_tokens"].flatMap { name in
      [name, name + "_low", name + "_high"].map { OutputColumn($0) }
    } + ["unsampled_branches", "repetitions", "rollouts", "initial_rollouts", "beam_size", "call_limit", "seed"]

  private func row(_ run: ReplayRun, _ line: Line) -> [CellValue] {
    let used = line.point.applied(to: options.branching)
    let settings = used.settings(of: run)
    let row = line.row
    let isCode = used.rule == .code
    let tally = row.tally
    let head: [CellValue] = [
      .text(run.id), .text(row.algorithm.rawValue), .text(used.usedTiming.rawValue),
      .double(isCode ? settings.branchProbability : settings.alpha), .double(settings.entropyWeight),
      isCode ? .null : .double(settings.tau), .int(settings.windowTokens),
      .text(line.point.values.map(\.parameter.rawValue).joined(separator: ",")),
    ]
    let numbers = [row.wanted, row.branchPoints, row.forks, row.leaves, row.calls, row.tokens].flatMap(\.cells)
    return head + numbers + [
      .number(tally.map { Double($0.unsampledForks + $0.unsampledRoots) / Double(max(1, $0.repetitions)) }),
      .int(options.repetitions), .int(options.rollouts(of: run)), .int(options.initialRollouts(of: run)),
      .int(options.attempts(of: run) + 1), .integer(options.callLimit(of: run)),
      .text(String(options.branching.seed)),
    ]
  }

  // MARK: Page

  private func page(_ traits: TerminalTraits) -> String {
    guard let runs = reports.first?.runs, !runs.isEmpty else { return "nothing to sweep: no run was selected\n" }
    return runs.indices.map { page(run: $0, traits) }.joined(separator: "\n")
  }

  private func page(run r: Int, _ traits: TerminalTraits) -> String {
    guard let run = reports.first?.runs[r] else { return "" }
    var out = traits.title(
      run: run.run.id,
      facts: [
        traits.counted(run.groups, "group"), traits.counted(run.trajectories, "trajectory", "trajectories"),
        "\(traits.grouped(options.repetitions)) repetitions a group and setting", "seed \(options.branching.seed)",
      ])
    out += traits.fact("rule", BranchWords.rule(options.branching.rule, options.branching.settings(of: run.run)))
    out += traits.fact("timing", BranchWords.timing(options.branching))
    out += traits.fact("group", SimulationWords.group(options, run.run))
    let all = lines(r)
    guard all.contains(where: { ($0.row.tally?.decisions ?? 0) > 0 }) else {
      return out + "\n"
        + traits.wrapped("no decision of the simulations has a dH: \(SimulationWords.missing(run))", style: .red)
    }
    if isGrid {
      out += "\n" + traits.heading(parameters(all).map(\.rawValue).joined(separator: " x ")) + table(all, traits)
    } else {
      for parameter in parameters(all) {
        let own = all.filter { $0.point.values.first?.parameter == parameter }
        out += "\n" + traits.heading(parameter.rawValue) + table(own, traits)
        if own.count > 2 { out += chart(own, parameter, traits) }
      }
    }
    return out
      + traits.note(
        "means a group; wanted: forks of the rule if there were no budget; stand-ins: forks and roots that nobody sampled,"
          + " whose length and calls are those of another branch of the same point")
  }

  private func parameters(_ lines: [Line]) -> [SweepParameter] {
    var out: [SweepParameter] = []
    for value in lines.flatMap(\.point.values) where !out.contains(value.parameter) { out.append(value.parameter) }
    return out
  }

  private func table(_ lines: [Line], _ traits: TerminalTraits) -> String {
    RankedTable<Line>(
      keyTitle: "value", key: { $0.point.values.map { text($0.value) }.joined(separator: traits.separator) },
      columns: [
        .init(title: "wanted", rank: 3) { $0.row.wanted.value.map { decimals($0, 2) } },
        .init(title: "branch points", rank: 1) { $0.row.branchPoints.value.map { decimals($0, 2) } },
        .init(title: "95 %", rank: 6) { traits.ends($0.row.branchPoints, 2) },
        .init(title: "leaves", rank: 2) { $0.row.leaves.value.map { decimals($0, 2) } },
        .init(title: "tokens", rank: 1) { $0.row.tokens.value.map { decimals($0, 0) } },
        .init(title: "95 %", rank: 8) { traits.ends($0.row.tokens, 0) },
        .init(title: "calls", rank: 0) { $0.row.calls.value.map { decimals($0, 2) } },
        .init(title: "95 %", rank: 7) { traits.ends($0.row.calls, 2) },
        .init(title: "stand-ins", rank: 4) { line in
          line.row.tally.map {
            decimals(Double($0.unsampledForks + $0.unsampledRoots) / Double(max(1, $0.repetitions)), 2)
          }
        },
      ], rows: lines
    ).text(traits)
  }

  /// All four quantities on one axis: each as a share of its largest value in the sweep.
  private func chart(_ lines: [Line], _ parameter: SweepParameter, _ traits: TerminalTraits) -> String {
    func series(_ name: String, _ value: (SimulationRow) -> Double?) -> LineChart.Series? {
      let values = lines.map { value($0.row) }
      guard let largest = values.compactMap({ $0 }).max(), largest > 0 else { return nil }
      return LineChart.Series(
        name: "\(name) (\(decimals(largest, largest < 100 ? 1 : 0)))", values: values.map { $0.map { $0 / largest } })
    }
    let drawn = [
      series("branch points") { $0.branchPoints.value }, series("leaves") { $0.leaves.value },
      series("tokens") { $0.tokens.value }, series("calls") { $0.calls.value },
    ].compactMap { $0 }
    let chart = LineChart(
      series: drawn, xLabel: parameter.rawValue, xTicks: lines.map { text($0.point.values.first?.value ?? 0) },
      height: 10)
    return chart.render(traits, width: traits.proseWidth)
      + traits.note("shares of each line's largest value, which stands in brackets")
  }

  private func text(_ x: Double) -> String { CellValue.double(x).csv }
}
