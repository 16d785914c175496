import Replay

/// A row of a table of windows: a tool, say, or the control blocks.
struct WindowRow {
  var key: String
  var count: Int?
  /// By window.
  var means: [Double?]
  /// The rest is of the main window only.
  var mean = Estimate()
  var delta = Estimate()
  var spikeShare: Double?
  var lower: Double?
  var upper: Double?
  private var windows: [WindowSummary] = []
  private var control: [ControlSummary] = []

  init(key: String, windows: [WindowSummary]) {
    self.key = key
    self.windows = windows
    means = windows.map(\.eventMean.value)
  }

  init(key: String, control: [ControlSummary]) {
    self.key = key
    self.control = control
    means = control.map(\.mean)
  }

  /// The row with the numbers of a window filled in.
  func filled(_ main: Int) -> WindowRow {
    var out = self
    if windows.indices.contains(main) {
      let w = windows[main]
      (out.count, out.mean, out.delta, out.spikeShare) = (w.events, w.eventMean, w.eventDelta, w.spikeShare)
      (out.lower, out.upper) = (w.lowerMean, w.upperMean)
    }
    if control.indices.contains(main) {
      (out.count, out.spikeShare) = (control[main].blocks, control[main].spikeShare)
    }
    return out
  }
}

/// A table of windows with as many columns as the width has room for.
struct WindowTable {
  let windows: [Range<Int>]
  let main: Int
  let keyTitle: String
  let rows: [WindowRow]
  /// Rows below a rule.
  let against: [WindowRow]
  let traits: TerminalTraits

  private typealias NumberColumn = RankedTable<WindowRow>.Column

  /// The table, and a note on what had no room.
  var text: String {
    RankedTable(
      keyTitle: keyTitle, key: \.key, columns: numberColumns, rows: rows.map { $0.filled(main) },
      below: against.map { $0.filled(main) }
    ).text(traits)
  }

  private var numberColumns: [NumberColumn] {
    // The main window comes last, so that its interval stands beside it.
    let order = windows.indices.filter { $0 != main } + windows.indices.filter { $0 == main }
    let means = order.map { w in
      NumberColumn(title: windows[w].windowKey, rank: w == main ? 0 : 6 + w) { row in
        row.means.indices.contains(w) ? row.means[w].map { decimals($0) } : nil
      }
    }
    return [NumberColumn(title: "calls", rank: 2) { $0.count.map(traits.grouped) }] + means + [
      NumberColumn(title: "95 %", rank: 5) { interval($0.mean) },
      NumberColumn(title: "vs initial", rank: 1) { row in row.delta.value.map { signedDecimals($0) } },
      NumberColumn(title: "95 %", rank: 4) { interval($0.delta) },
      NumberColumn(title: "spikes", rank: 3) { $0.spikeShare.map(percentText) },
      NumberColumn(title: "bounds", rank: 1000) { row in
        if row.lower == nil, row.upper == nil { return nil }
        let (low, high) = (row.lower.map { decimals($0, 3) }, row.upper.map { decimals($0, 3) })
        return "\(low ?? traits.absent)\(traits.rangeMark)\(high ?? traits.absent)"
      },
    ]
  }

  /// Three decimals: a fourth of an interval says nothing.
  private func interval(_ x: Estimate) -> String? {
    guard x.value != nil, let low = x.low, let high = x.high else { return nil }
    return decimals(low, 3) + traits.rangeMark + decimals(high, 3)
  }
}
