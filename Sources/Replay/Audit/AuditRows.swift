/// A row of the audit's tables.
enum RowKey: Hashable {
  case overall
  /// All tools that a finding of the paper speaks of.
  case toolClass(ToolClass)
  case value(AuditDimension, String)
}

/// Tools of the paper's third observation, told by name.
enum ToolClass: Hashable {
  case search
  case python

  /// A name with "search" in it; else one with "python" or "code".
  init?(tool: String) {
    let name = tool.lowercased()
    if name.contains("search") {
      self = .search
    } else if name.contains("python") || name.contains("code") {
      self = .python
    } else {
      return nil
    }
  }
}

extension TrajectoryRecordEntry {
  /// The rows that a call of this trajectory belongs to.
  func rows(of call: CallEntry) -> [RowKey] {
    var rows: [RowKey] = [.overall]
    if let kind = ToolClass(tool: call.tool) { rows.append(.toolClass(kind)) }
    for dimension in AuditDimension.allCases { rows.append(.value(dimension, key(dimension, call))) }
    return rows
  }

  private func key(_ dimension: AuditDimension, _ call: CallEntry) -> String {
    switch dimension {
    case .tool: call.tool
    case .dataSource: dataSource ?? "null"
    case .step: step.map(String.init) ?? "null"
    case .callNumber: String(call.result + 1)
    case .outcome: reward.map { $0 > 0 ? "reward > 0" : "reward <= 0" } ?? "unscored"
    case .policyVersion: policyVersion.map(String.init) ?? "null"
    }
  }
}

/// Sums over the calls of a row in one window.
struct RowSums {
  var mean = MeanSum()
  var delta = MeanSum()
  var lower = MeanSum()
  var upper = MeanSum()
  var scored = 0
  var spikes = 0
  var tokens = ValueStatistics()

  /// Takes in a call's window, given the trajectory's baseline and the run's control blocks.
  mutating func add(_ window: CallWindow, baseline: Double?, control: ControlStatistics) {
    if window.ownedCount > 0, let top = window.ownedMax {
      tokens.add(ValueStatistics(count: window.ownedCount, sum: window.ownedSum, max: top))
    }
    guard let mean = window.mean else { return }
    self.mean.add(mean)
    delta.add(baseline.map { mean - $0 })
    lower.add(window.lower)
    upper.add(window.upper)
    guard let z = control.z(mean) else { return }
    scored += 1
    if z > spikeThreshold { spikes += 1 }
  }
}

extension MeanSum {
  var mean: Double? { count > 0 ? sum / Double(count) : nil }
}

/// Sorts the keys of a dimension: numbers ascending, names by their bytes, "null" last.
func sortedRowKeys(_ keys: [String]) -> [String] {
  keys.sorted { a, b in
    if (a == "null") != (b == "null") { return b == "null" }
    if let x = Int(a), let y = Int(b) { return x < y }
    return a.utf8.lexicographicallyPrecedes(b.utf8)
  }
}

extension RunAccumulator {
  /// Sums of every row under one estimator, one entry a window.
  func rowSums(_ e: Int, control: [ControlStatistics]) throws -> [RowKey: [RowSums]] {
    let empty = options.windows.map { _ in RowSums() }
    var rows: [RowKey: [RowSums]] = [.overall: empty]
    try forEachGroup { group in
      for t in group.trajectories {
        for call in t.calls where !call.windows.isEmpty {
          for row in t.rows(of: call) {
            for (w, window) in call.windows[e].enumerated() {
              rows[row, default: empty][w].add(window, baseline: t.entropy[e].baseline, control: control[w])
            }
          }
        }
      }
    }
    return rows
  }
}
