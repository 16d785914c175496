import Replay

/// Outcomes as a table, as JSON, and as rows.
struct ScoreRenderer {
  let rows: [OutcomeRow]
  let rules: OutcomeRules
  let dimensions: Set<OutcomeDimension>
  let against: String?
  let traits: TerminalTraits

  func write(_ format: OutputFormat) throws {
    switch format {
    case .table, .json:
      let output = BufferedOutput()
      output.write(format == .table ? text : DocumentText.json(document) + "\n")
      try output.flush()
    case .ndjson, .csv:
      let writer = RowWriter(format: format, columns: columns, traits: traits)
      for row in rows { try writer.write(cells(row)) }
      try writer.finish()
    }
  }

  // MARK: Table

  private var text: String {
    if rows.isEmpty { return "nothing to score: no group was selected\n" }
    let limit = traits.limit ?? traits.width
    // The widest that fits: with intervals of everything, of accuracy alone, of nothing, and with fewer columns.
    let tables = [2, 1, 0, -1].map(table)
    let found = tables.first { $0.narrowest(traits) <= limit } ?? tables[3]
    var out = found.render(traits)
    if tables[0].narrowest(traits) > limit {
      out += note("more intervals in a wider window; --format csv has them all")
    }
    return out + notes
  }

  /// - Parameter detail: 2 = all intervals, 1 = that of accuracy, 0 = none, -1 = no algorithm and groups either.
  private func table(_ detail: Int) -> TextTable {
    var columns = [TextTable.Column(title: "run", narrowest: 6)]
    if detail >= 0 { columns.append(TextTable.Column(title: "algorithm", narrowest: 4)) }
    if dimensions.contains(.dataSource) { columns.append(TextTable.Column(title: "data source", narrowest: 6)) }
    if dimensions.contains(.step) { columns.append(.number("step")) }
    if detail >= 0 { columns.append(.number("groups")) }
    columns += [.number("leaves"), .number("accuracy")]
    if detail > 0 { columns.append(.number("95 %")) }
    for k in rules.ks {
      columns.append(.number("pass@\(k)"))
      if detail > 1 { columns.append(.number("95 %")) }
    }
    columns.append(.number("format"))
    if detail > 1 { columns.append(.number("95 %")) }
    columns += [.number("calls"), .number("on paths")]
    if against != nil {
      columns.append(.number(traits.unicode ? "Δaccuracy" : "diff"))
      if detail > 0 { columns.append(.number("95 %")) }
    }
    var table = TextTable(columns: columns)
    var last: String?
    for row in rows {
      if let last, last != row.key.run, !dimensions.isEmpty { table.addRule() }
      last = row.key.run
      let isWhole = row.key.dimensions.isEmpty
      var cells = [TextTable.Cell(row.key.run, isWhole ? .bold : .plain)]
      if detail >= 0 { cells.append(TextTable.Cell(row.algorithm ?? "")) }
      if dimensions.contains(.dataSource) {
        cells.append(TextTable.Cell(isWhole ? "all" : row.key.dataSource ?? traits.absent))
      }
      if dimensions.contains(.step) {
        cells.append(TextTable.Cell(isWhole ? "all" : row.key.step.map(String.init) ?? traits.absent))
      }
      if detail >= 0 { cells.append(TextTable.Cell(traits.grouped(row.groups))) }
      cells.append(TextTable.Cell(traits.grouped(row.scored)))
      cells.append(cell(row.accuracy, 4))
      if detail > 0 { cells.append(interval(row.accuracy, 3)) }
      for pass in row.pass {
        cells.append(cell(pass.estimate, 3))
        if detail > 1 { cells.append(interval(pass.estimate, 3)) }
      }
      cells.append(row.formatFailures.value.map { TextTable.Cell(percentText($0)) } ?? absent)
      if detail > 1 { cells.append(interval(row.formatFailures, 1, scale: 100)) }
      cells += [cell(row.executedCalls, 2), cell(row.independentCalls, 2)]
      if against != nil {
        let difference = row.accuracyDifference
        cells.append(difference?.value.map { TextTable.Cell(signedDecimals($0, 4)) } ?? absent)
        if detail > 0 { cells.append(interval(difference ?? Estimate(), 3)) }
      }
      table.add(cells)
    }
    return table
  }

  private var absent: TextTable.Cell { TextTable.Cell(traits.absent, .dim) }

  private func cell(_ x: Estimate, _ digits: Int) -> TextTable.Cell {
    x.value.map { TextTable.Cell(decimals($0, digits)) } ?? absent
  }

  private func interval(_ x: Estimate, _ digits: Int, scale: Double = 1) -> TextTable.Cell {
    guard x.value != nil, let low = x.low, let high = x.high else { return absent }
    return TextTable.Cell(decimals(scale * low, digits) + traits.rangeMark + decimals(scale * high, digits), .dim)
  }

  private func note(_ text: String) -> String { traits.wrapped(text, style: .dim) }

  private var notes: String {
    var out = note(
      "leaves: scored ones; accuracy: their mean reward; success: reward \(traits.unicode ? "≥" : ">=") "
        + "\(DocumentText.json(.double(rules.success))); calls: tool calls a trajectory, executed, and on all paths as "
        + "independent rollouts would have made them")
    let whole = rows.filter { $0.key.dimensions.isEmpty }
    let names = Set(whole.flatMap(\.formatRewards)).sorted()
    let byReward = whole.contains { $0.judgedByName < $0.leaves }
    var rule: [String] = []
    if !names.isEmpty {
      rule.append("the reward \(names.map { traits.safe($0) }.joined(separator: ", ")) is 0 or less")
    }
    if byReward {
      rule.append(
        (names.isEmpty ? "" : "elsewhere ") + "the reward is \(DocumentText.json(.double(rules.failedReward)))")
    }
    out += note("format: leaves that failed it: \(rule.joined(separator: "; "))")
    for (i, k) in rules.ks.enumerated() {
      let short = whole.filter { $0.pass[i].groups < $0.groups }
      if short.isEmpty { continue }
      let some = short.prefix(6).map { "\(traits.safe($0.key.run)) \($0.pass[i].groups) of \($0.groups)" }
      out += note(
        "pass@\(k) is over groups with \(traits.counted(k, "scored leaf", "scored leaves")): "
          + some.joined(separator: ", ") + (short.count > 6 ? " and \(short.count - 6) more runs" : ""))
    }
    return out
  }

  // MARK: Data

  private var columns: [OutputColumn] {
    var out: [OutputColumn] = [
      "run_id", "algorithm", "data_source", "step", "is_total", "groups", "trajectories", "leaves", "scored",
    ]
    out += triple("accuracy")
    for k in rules.ks { out += triple("pass_at_\(k)") + [OutputColumn("pass_at_\(k)_groups")] }
    out += triple("format_failures") + ["format_rewards"]
    out += triple("executed_calls") + triple("independent_calls") + triple("generated_tokens")
    out += ["executed_total", "independent_total", "success_threshold"]
    if against != nil { out += triple("accuracy_difference") }
    return out
  }

  private func triple(_ name: String) -> [OutputColumn] {
    [OutputColumn(name), OutputColumn(name + "_low"), OutputColumn(name + "_high")]
  }

  private func cells(_ row: OutcomeRow) -> [CellValue] {
    func triple(_ x: Estimate) -> [CellValue] { [.number(x.value), .number(x.low), .number(x.high)] }
    var out: [CellValue] = [
      .text(row.key.run), .string(row.algorithm), .string(row.key.dataSource), .integer(row.key.step),
      .bool(row.key.dimensions.isEmpty), .int(row.groups), .int(row.trajectories), .int(row.leaves), .int(row.scored),
    ]
    out += triple(row.accuracy)
    for pass in row.pass { out += triple(pass.estimate) + [.int(pass.groups)] }
    out += triple(row.formatFailures)
    out.append(.string(row.formatRewards.isEmpty ? nil : row.formatRewards.joined(separator: ",")))
    out += triple(row.executedCalls) + triple(row.independentCalls) + triple(row.generatedTokens)
    out += [.int(row.budget.executed), .int(row.budget.independent), .double(rules.success)]
    if against != nil { out += triple(row.accuracyDifference ?? Estimate()) }
    return out
  }

  /// Everything, under the schema `arpo-replay/score/1`.
  private var document: DocumentValue {
    .object([
      ("schema", .string("arpo-replay/score/1")), ("success_threshold", .double(rules.success)),
      ("failed_reward", .double(rules.failedReward)), ("format_reward", .text(rules.formatReward)),
      ("against", .text(against)),
      (
        "rows",
        .array(rows.map { row in .object(zip(columns, cells(row)).map { ($0.name, $1.document) }) })
      ),
    ])
  }
}
