import Replay

/// Tools that a page draws.
private let mostTools = 6

extension RunPage {
  /// Mean entropy by offset, `nil` if no offset has a value: the tools called most, and the start of trajectories.
  var curveChart: String? {
    let tools = run.curves.filter { $0.tool != nil && $0.hasValues }
    let all = run.curves.first { $0.tool == nil && $0.hasValues }
    let drawn = Array(tools.sorted { calls($0) > calls($1) }.prefix(mostTools))
    guard let first = drawn.first ?? all else { return nil }
    var series = (drawn.isEmpty ? [first] : drawn).map {
      LineChart.Series(name: $0.tool ?? "all tools", values: $0.means)
    }
    if let start = run.startCurve, start.hasValues {
      series.append(LineChart.Series(name: "first segment", values: start.means))
    }
    let chart = LineChart(
      series: series,
      reference: run.baseline.value.map { LineChart.Reference(name: "initial \(decimals($0))", value: $0) },
      xLabel: "tokens after the result")
    var out = heading("Mean \(quantity) by generated token after the result, nats")
    out += chart.render(traits, width: traits.proseWidth)
    if tools.count > drawn.count { out += note("the \(drawn.count) tools called most, of \(tools.count)") }
    return out + countsNote(all ?? first)
  }

  /// Far from the result fewer segments are left, so that the lines get rough.
  private func countsNote(_ curve: EntropyCurve) -> String {
    guard let first = curve.counts.first, let last = curve.counts.last, curve.counts.count > 1 else { return "" }
    return note(
      "tokens behind \(curve.tool == nil ? "all tools" : "the first line"): \(traits.grouped(first)) at 0,"
        + " \(traits.grouped(last)) at \(curve.counts.count - 1)")
  }

  /// The calls of a tool in the main window; without a row for it, its tokens right behind results.
  private func calls(_ curve: EntropyCurve) -> Int {
    let row = run.tables.first { $0.dimension == .tool }?.rows.first { $0.key == curve.tool }
    guard let row, let main = report.mainWindow, row.windows.indices.contains(main) else {
      return curve.counts.first ?? 0
    }
    return row.windows[main].events
  }
}

extension EntropyCurve {
  /// Whether any offset has a mean.
  var hasValues: Bool { means.contains { $0 != nil } }
}
