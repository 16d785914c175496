/// A row of the audit's tables.
enum RowKey: Hashable {
  case overall
  /// All tools that a finding of the paper speaks of.
  case toolClass(ToolClass)
  case value(AuditDimension, RowName)
}

/// A value of a dimension.
enum RowName: Hashable {
  case number(Int)
  case name(String)
  /// The log does not say.
  case null

  init(_ number: Int?) { self = number.map { .number($0) } ?? .null }
  init(_ name: String?) { self = name.map { .name($0) } ?? .null }

  /// As a report prints it.
  var text: String {
    switch self {
    case .number(let x): String(x)
    case .name(let x): x
    case .null: "null"
    }
  }
}

extension RowName: Comparable {
  /// Numbers ascending, then names by their bytes, then null.
  static func < (a: RowName, b: RowName) -> Bool {
    switch (a, b) {
    case (.number(let x), .number(let y)): x < y
    case (.name(let x), .name(let y)): x.utf8.lexicographicallyPrecedes(y.utf8)
    case (.number, _): b != a
    case (.name, .null): true
    default: false
    }
  }
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

/// The rows of a pass over the calls, numbered.
struct RowNumbers {
  private(set) var keys: [RowKey] = []
  private var numbers: [RowKey: Int] = [:]
  /// Whether rows that come up are added; else they are passed over.
  private let isOpen: Bool
  private var toolClasses: [String: ToolClass?] = [:]

  /// Rows as they come up.
  init() { isOpen = true }

  /// These rows only.
  init(_ rows: [RowKey]) {
    isOpen = false
    keys = rows
    numbers = Dictionary(uniqueKeysWithValues: zip(rows, rows.indices))
  }

  subscript(key: RowKey) -> Int? { numbers[key] }

  /// Calls the body with each call that has windows and the numbers of its rows.
  mutating func forEachCall(of t: TrajectoryRecordEntry, _ body: (CallEntry, [Int]) -> Void) {
    var shared: [Int] = []
    var rows: [Int] = []
    for call in t.calls where !call.windows.isEmpty {
      if shared.isEmpty {
        append(.overall, to: &shared)
        append(.value(.dataSource, RowName(t.dataSource)), to: &shared)
        append(.value(.step, RowName(t.step)), to: &shared)
        append(.value(.outcome, .name(t.outcome)), to: &shared)
        append(.value(.policyVersion, RowName(t.policyVersion)), to: &shared)
      }
      rows.removeAll(keepingCapacity: true)
      rows += shared
      append(.value(.tool, .name(call.tool)), to: &rows)
      append(.value(.callNumber, .number(call.result + 1)), to: &rows)
      if let kind = toolClass(call.tool) { append(.toolClass(kind), to: &rows) }
      body(call, rows)
    }
  }

  private mutating func append(_ key: RowKey, to rows: inout [Int]) {
    if let number = numbers[key] {
      rows.append(number)
    } else if isOpen {
      numbers[key] = keys.count
      rows.append(keys.count)
      keys.append(key)
    }
  }

  private mutating func toolClass(_ tool: String) -> ToolClass? {
    if let known = toolClasses[tool] { return known }
    let kind = ToolClass(tool: tool)
    toolClasses[tool] = .some(kind)
    return kind
  }
}

extension TrajectoryRecordEntry {
  fileprivate var outcome: String { reward.map { $0 > 0 ? "reward > 0" : "reward <= 0" } ?? "unscored" }
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

/// Sums over the calls, first segments and control blocks of a run under one estimator; one entry a window each.
struct RunSums {
  var rows: [RowKey: [RowSums]] = [:]
  /// Initial entropies of the trajectories.
  var baseline = MeanSum()
  /// First segments of the trajectories.
  var early: [RowSums]
  /// Means of the control blocks.
  var control: [MeanSum]
}

extension RunAccumulator {
  /// Sums of every row under one estimator.
  func sums(_ e: Int, control: [ControlStatistics]) throws -> RunSums {
    let empty = options.windows.map { _ in RowSums() }
    var out = RunSums(early: empty, control: options.windows.map { _ in MeanSum() })
    var numbers = RowNumbers()
    var rows: [[RowSums]] = []
    try forEachGroup { group in
      for w in out.control.indices {
        out.control[w].sum += group.control[e][w].sum
        out.control[w].count += group.control[e][w].count
      }
      for t in group.trajectories {
        let baseline = t.entropy[e].baseline
        out.baseline.add(baseline)
        for w in out.early.indices {
          out.early[w].add(t.entropy[e].early[w], baseline: baseline, control: control[w])
        }
        numbers.forEachCall(of: t) { call, of in
          for row in of {
            while rows.count <= row { rows.append(empty) }
            for w in empty.indices { rows[row][w].add(call.windows[e][w], baseline: baseline, control: control[w]) }
          }
        }
      }
    }
    out.rows = Dictionary(uniqueKeysWithValues: zip(numbers.keys, rows))
    if out.rows[.overall] == nil { out.rows[.overall] = empty }
    return out
  }
}
