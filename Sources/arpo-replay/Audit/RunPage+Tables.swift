import Replay

/// Rows that a table of a page shows.
private let mostRows = 30

extension RunPage {
  /// The trajectories' initial entropy.
  var baseline: String {
    guard let value = run.baseline.value else { return note("no trajectory has an initial entropy") }
    var text = "initial \(quantity) \(decimals(value))"
    if let interval = interval(run.baseline, digits: 4) { text += " [\(interval)]" }
    return traits.wrapped(
      text + ": mean of the first \(traits.counted(report.baselineTokens, "generated token")) of"
        + " \(traits.counted(run.baselineTrajectories, "trajectory", "trajectories"))")
  }

  /// All tools, each tool, and what to hold them against.
  var mainTable: String {
    var out = "\n" + heading("\(quantity.prefix(1).uppercased() + quantity.dropFirst()) after tool results, nats")
    guard run.toolResults > 0, let main = report.mainWindow else {
      return out + note(run.toolResults == 0 ? "the run has no tool result" : "no window was asked for")
    }
    let tools = run.tables.first { $0.dimension == .tool }?.rows ?? []
    let sorted = tools.sorted { a, b in
      let (x, y) = (events(a, main), events(b, main))
      return x == y ? a.key.utf8.lexicographicallyPrecedes(b.key.utf8) : x > y
    }
    var rows = [WindowRow(key: "all tools", windows: run.overall)]
    rows += sorted.prefix(mostRows).map { WindowRow(key: $0.key, windows: $0.windows) }
    let against = [
      WindowRow(key: "first segment", windows: run.earlyReasoning),
      WindowRow(key: "control blocks", control: run.control),
    ]
    out += table(keyTitle: "tool", rows, against)
    if sorted.count > mostRows { out += note("and \(traits.counted(sorted.count - mostRows, "more tool"))") }
    out += note("first segment: the same windows from the start of each trajectory, before any tool")
    return out + controlNote(main) + boundsNote
  }

  /// The calls split by a dimension, `nil` if the audit did not split them.
  func dimensionTable(_ dimension: AuditDimension) -> String? {
    guard let split = run.tables.first(where: { $0.dimension == dimension }) else { return nil }
    let name = dimension.rawValue.replacing("_", with: " ")
    var out = heading("By \(name), nats")
    if split.rows.isEmpty { return out + note("the run has no tool result") }
    out += table(
      keyTitle: name, split.rows.prefix(mostRows).map { WindowRow(key: $0.key, windows: $0.windows) }, [])
    if split.rows.count > mostRows {
      out += note("and \(traits.grouped(split.rows.count - mostRows)) more; --format csv has them all")
    }
    return out
  }

  /// What the numbers measure, in a word.
  var quantity: String {
    switch run.estimator?.estimator {
    case .sampledNLL: "surprisal"
    case .lower: "lower bound of the entropy"
    case .upper: "upper bound of the entropy"
    default: "entropy"
    }
  }

  /// Ends of an interval, `nil` if there is none.
  func interval(_ x: Estimate, digits: Int) -> String? {
    guard x.value != nil, let low = x.low, let high = x.high else { return nil }
    return decimals(low, digits) + traits.rangeMark + decimals(high, digits)
  }

  private func events(_ row: DimensionRow, _ w: Int) -> Int {
    row.windows.indices.contains(w) ? row.windows[w].events : 0
  }

  private func table(keyTitle: String, _ rows: [WindowRow], _ against: [WindowRow]) -> String {
    WindowTable(
      windows: report.windows, main: report.mainWindow ?? 0, keyTitle: keyTitle, rows: rows, against: against,
      traits: traits
    ).text
  }

  /// The matched null in words.
  private func controlNote(_ main: Int) -> String {
    let window = report.windows[main]
    guard run.control.indices.contains(main), run.control[main].blocks > 0 else {
      return note("no control block: no stretch of \(window.count) tokens away from tool results; no spikes")
    }
    let control = run.control[main]
    var text = "control: \(traits.counted(control.blocks, "block")) of \(window.count) tokens away from tool results"
    if let median = control.median, let mad = control.mad {
      text += ", median \(decimals(median)), MAD \(decimals(mad))"
    }
    text += "; a spike is a window of \(window.windowKey) with z > 3 against them"
    text += control.spikeShare.map { ", as \(percentText($0)) of the blocks are" } ?? ": too few blocks to tell"
    return note(text)
  }

  private var boundsNote: String {
    let parts = run.overall.compactMap { w -> String? in
      if w.lowerMean == nil, w.upperMean == nil { return nil }
      let (low, high) = (w.lowerMean.map { decimals($0) }, w.upperMean.map { decimals($0) })
      return "\(w.window.windowKey) \(low ?? traits.absent)\(traits.rangeMark)\(high ?? traits.absent)"
    }
    if parts.isEmpty { return "" }
    return note("bounds of the full-vocabulary entropy, all tools: \(parts.joined(separator: traits.separator))")
  }
}
