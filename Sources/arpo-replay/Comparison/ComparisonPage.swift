import Replay
import Rollouts

/// The comparison of one run, to read.
struct ComparisonPage {
  let result: CompareRun.Result
  let traits: TerminalTraits

  private var report: ComparisonReport { result.report }

  /// Parts of a dimension that are shown.
  private static let mostParts = 12

  /// The sections, a blank line between them.
  var text: String {
    var sections = [head, pairs, shares]
    if let logged { sections.insert(logged, at: 2) }
    if let segments { sections.append(segments) }
    return sections.joined(separator: "\n")
  }

  private func heading(_ text: String) -> String { traits.wrapped(text, style: .bold) }
  private func note(_ text: String) -> String { traits.wrapped(text, style: .dim) }

  private var head: String {
    let facts = [
      traits.counted(report.groups, "group"),
      "\(traits.counted(report.trajectories, "trajectory", "trajectories")) (\(traits.grouped(report.scored)) scored)",
      "\(traits.counted(report.generatedTokens, "generated token")) on all paths",
    ]
    var out = traits.styled("run \(traits.cut(traits.safe(result.run.id), to: traits.proseWidth - 4))", .bold) + "\n"
    out += traits.wrapped(facts.joined(separator: traits.separator))
    if let checkpoint = result.run.evidence { out += traits.fact("recomputed", checkpoint) }
    for strategy in result.strategies {
      out += traits.wrapped(
        strategy.formula, first: strategy.name + " ", indent: min(24, longestName + 2), style: .dim)
    }
    return out
  }

  private var longestName: Int { result.strategies.map { $0.name.count }.max() ?? 0 }

  // MARK: Pairs

  private var pairs: String {
    let wide = pairTable(intervals: true)
    let fits = wide.narrowest(traits) <= (traits.limit ?? traits.width)
    var out = heading("Pairs, over generated tokens, each path by itself")
    out += (fits ? wide : pairTable(intervals: false)).render(traits)
    if !fits { out += note("95 % intervals in a wider window; --format json has every number") }
    for pair in report.pairs {
      guard let words = words(pair) else { continue }
      out += traits.wrapped(words, first: traits.unicode ? "≈ " : "= ", indent: 2)
    }
    return out
  }

  private func pairTable(intervals: Bool) -> TextTable {
    let delta = traits.unicode ? "mean |ΔA|" : "mean |dA|"
    var columns: [TextTable.Column] = [
      TextTable.Column(title: "a", narrowest: 9), TextTable.Column(title: "b", narrowest: 9), .number("tokens"),
    ]
    for title in ["Pearson", "Spearman", "sign flips", delta] {
      columns.append(.number(title))
      if intervals { columns.append(.number("95 %")) }
    }
    var table = TextTable(columns: columns)
    for pair in report.pairs {
      var cells = [
        TextTable.Cell(pair.a), TextTable.Cell(pair.b), TextTable.Cell(traits.grouped(pair.tokens)),
      ]
      for (x, isShare) in [
        (pair.pearson, false), (pair.spearman, false), (pair.signFlip, true), (pair.meanAbsDelta, false),
      ] {
        cells.append(cell(x, isShare: isShare))
        if intervals { cells.append(interval(x, isShare: isShare)) }
      }
      table.add(cells)
    }
    return table
  }

  /// What one should not read into a pair.
  private func words(_ pair: ComparisonReport.Pair) -> String? {
    let names = "\(pair.a) and \(pair.b)"
    switch pair.verdict {
    case .nothing: return "\(names): no token has both"
    case .equal: return "\(names): equal on every token: this log cannot tell them apart"
    case .scaleOnly: return "\(names): the same order and the same signs: they differ in scale only"
    case .nearlyEqual:
      return "\(names): this log hardly tells them apart (correlation above 0.99, signs flip below 1 %)"
    case .fewGroups:
      return
        "\(names): they differ in \(pair.differingGroups) of \(traits.counted(pair.groups, "group")) only: too few to tell"
    case .different: return nil
    }
  }

  // MARK: Logged advantages

  private var logged: String? {
    let pairs = report.pairs.filter { $0.b == ComparisonReport.logged }
    guard !pairs.isEmpty else { return nil }
    let sorted = pairs.sorted { ($0.meanAbsDelta.value ?? .infinity) < ($1.meanAbsDelta.value ?? .infinity) }
    var table = TextTable(columns: [
      .text("recomputed"), .number("tokens"), .number("mean |dev|"), .number("largest"), .number("off by > 1e-9"),
    ])
    for pair in sorted {
      table.add([
        TextTable.Cell(pair.a), TextTable.Cell(traits.grouped(pair.tokens)), cell(pair.meanAbsDelta, isShare: false),
        cell(Estimate(value: pair.largestDelta), isShare: false),
        TextTable.Cell(
          pair.tokens == 0 ? traits.absent : percentText(Double(pair.differingTokens) / Double(pair.tokens))),
      ])
    }
    return heading("The log's own advantages against the recomputed ones") + table.render(traits)
  }

  // MARK: Shares

  private var shares: String {
    let names = report.columns.map(\.name)
    let delta = traits.unicode ? "Σ|A|" : "sum |A|"
    var table = TextTable(columns: [TextTable.Column(title: "part", narrowest: 14)] + names.map { .number($0) })
    for dimension in CreditPart.Dimension.allCases {
      var keys: [String] = []
      for column in report.columns {
        for (part, _) in column.sortedShares where part.dimension == dimension && !keys.contains(part.key) {
          keys.append(part.key)
        }
      }
      if keys.isEmpty { continue }
      if dimension != .kind { table.addRule() }
      for key in keys.prefix(Self.mostParts) {
        let part = CreditPart(dimension, key)
        table.add([TextTable.Cell(label(part))] + report.columns.map { shareCell($0.shares[part]) })
      }
      if keys.count > Self.mostParts {
        table.add([TextTable.Cell("and \(keys.count - Self.mostParts) more")] + names.map { _ in TextTable.Cell("") })
      }
    }
    table.addRule()
    table.add([TextTable.Cell("tokens without signal")] + report.columns.map { shareCell($0.zeroShare) })
    table.add(
      [TextTable.Cell("groups without signal")]
        + report.columns.map {
          TextTable.Cell("\(traits.grouped($0.groupsWithoutSignal)) of \(traits.grouped($0.groups))")
        })
    return heading("Where the credit is: % of \(delta)\(hasWideShares ? ", with 95 % intervals" : "")")
      + table.render(traits)
      + note(
        "call: the tool's tool_call segments; after: tokens after that tool's last result; depth: nodes of the tree above"
      )
  }

  private var hasWideShares: Bool {
    // A label of 22 columns, and a value with its interval of 16.
    24 + report.columns.count * 18 <= (traits.limit ?? traits.width)
  }

  private func shareCell(_ x: Estimate?) -> TextTable.Cell {
    guard let value = x?.value else { return TextTable.Cell(traits.absent, .dim) }
    var text = decimals(100 * value, 1)
    if hasWideShares, let low = x?.low, let high = x?.high {
      text += " [\(decimals(100 * low, 0))\(traits.rangeMark)\(decimals(100 * high, 0))]"
    }
    return TextTable.Cell(text)
  }

  private func label(_ part: CreditPart) -> String {
    switch part.dimension {
    case .kind: part.key.replacing("_", with: " ")
    case .callTool: "call \(part.key)"
    case .afterTool: part.key == "none" ? "before any result" : "after \(part.key)"
    case .depth: "depth \(part.key)"
    }
  }

  // MARK: Disagreements

  private var segments: String? {
    var out = ""
    // What equals a column before it disagrees as that does.
    let repeated = Set(report.pairs.filter { $0.verdict == .equal }.map(\.b))
    for (pair, texts) in zip(report.pairs, result.tokenTexts)
    where !pair.disagreements.isEmpty && !repeated.contains(pair.a) && !repeated.contains(pair.b) {
      out += heading("Where \(pair.a) and \(pair.b) disagree most")
      for (d, text) in zip(pair.disagreements, texts) {
        out += traits.wrapped(facts(d, pair), indent: 2)
        if let words = d.words(text) {
          let line = traits.safe(words.split(whereSeparator: \.isWhitespace).joined(separator: " "))
          out += traits.styled("    " + traits.cut(line, to: max(20, traits.proseWidth - 4)), .dim) + "\n"
        }
      }
    }
    return out.isEmpty
      ? nil : out + note("ordered by the sum of |A - B| over the segment's tokens and all paths through it")
  }

  private func facts(_ d: Disagreement, _ pair: ComparisonReport.Pair) -> String {
    var place = d.trajectory.hasPrefix(d.group) ? d.trajectory : "\(d.group) \(d.trajectory)"
    if let step = d.step { place += " step \(step)" }
    let kind = [d.kind.rawValue.replacing("_", with: " "), d.tool].compactMap { $0 }.joined(separator: " ")
    var text =
      "\(traits.safe(place)) \(d.range.lowerBound)\(traits.rangeMark)\(d.range.upperBound) \(traits.safe(kind))"
    text += ": \(signedDecimals(d.first, 3)) against \(signedDecimals(d.second, 3))"
    if d.paths > 1 { text += ", \(d.paths) paths" }
    return text
  }

  // MARK: Numbers

  private func cell(_ x: Estimate, isShare: Bool) -> TextTable.Cell {
    guard let value = x.value else { return TextTable.Cell(traits.absent, .dim) }
    return TextTable.Cell(isShare ? percentText(value) : decimals(value, 4))
  }

  private func interval(_ x: Estimate, isShare: Bool) -> TextTable.Cell {
    guard x.value != nil, let low = x.low, let high = x.high else { return TextTable.Cell(traits.absent, .dim) }
    let (scale, digits) = isShare ? (100.0, 1) : (1.0, 3)
    return TextTable.Cell(
      decimals(scale * low, digits) + traits.rangeMark + decimals(scale * high, digits), .dim)
  }
}
