import Rollouts

/// What one prompt group contributes to an audit: the numbers of its calls, before they are compared with the run.
///
/// Made by ``EntropyAudit/analyse(_:options:)`` on any thread, added to an ``EntropyAudit`` in canonical order.
public struct GroupAudit: Sendable {
  let run: ReplayRun
  var record: GroupRecord
  /// By estimator and window: means of the control blocks.
  var controlBlocks: [[[Double]]] = []
  /// By estimator: entropy by offset from the start of the trajectory.
  var startCurves: [CurveSums] = []
  /// By estimator: entropy by offset behind a result, by tool.
  var toolCurves: [[String: CurveSums]] = []
  var budget = ToolBudget()
}

/// The part of a ``GroupAudit`` that is kept until the run is complete.
struct GroupRecord: Sendable, Equatable {
  var id: String
  var step: Int?
  /// By estimator and window: sum and number of the control block means.
  var control: [[MeanSum]] = []
  var trajectories: [TrajectoryRecordEntry] = []
}

/// A sum and how many numbers are in it.
struct MeanSum: Sendable, Equatable {
  var sum = 0.0
  var count = 0

  mutating func add(_ x: Double?) {
    guard let x else { return }
    sum += x
    count += 1
  }

  static func += (a: inout MeanSum, b: MeanSum) {
    a.sum += b.sum
    a.count += b.count
  }
}

/// A trajectory of a ``GroupRecord``.
struct TrajectoryRecordEntry: Sendable, Equatable {
  var id: String
  var isTextOnly: Bool
  var step: Int?
  var dataSource: String?
  var policyVersion: Int?
  var reward: Double?
  var evidence: Evidence
  /// Generated tokens it owns.
  var generated: Int
  /// By estimator.
  var entropy: [TrajectoryEntropyEntry] = []
  var calls: [CallEntry] = []
}

/// A trajectory under one estimator.
struct TrajectoryEntropyEntry: Sendable, Equatable {
  /// Owned tokens with a value.
  var covered: Int
  var baseline: Double?
  /// By window: of the first generation segment.
  var early: [CallWindow]
}

/// A tool result of a path.
struct CallEntry: Sendable, Equatable {
  var result: Int
  var tool: String
  var toolCallID: String?
  var position: Int
  var isOwned: Bool
  var start: Int?
  var arpoLagged: Double?
  var arpoPostResult: Double?
  var arpoBaseline: Double?
  var paperDeltaV: Double?
  var paperDeltaLnV: Double?
  /// By estimator and window; without a `start` empty.
  var windows: [[CallWindow]] = []
}

/// One window of a call under one estimator.
struct CallWindow: Sendable, Equatable {
  var count: Int
  var mean: Double?
  var max: Double?
  /// Owned tokens with a value, their sum and maximum.
  var ownedCount: Int
  var ownedSum: Double
  var ownedMax: Double?
  var lower: Double?
  var upper: Double?

  init(_ cell: WindowCell, lower: Double? = nil, upper: Double? = nil) {
    count = cell.all.count
    mean = cell.all.mean
    max = cell.all.maximum
    ownedCount = cell.owned.count
    ownedSum = cell.owned.sum
    ownedMax = cell.owned.maximum
    self.lower = lower
    self.upper = upper
  }
}

/// Sums by offset.
struct CurveSums: Sendable, Equatable {
  private(set) var sums: [Double]
  private(set) var counts: [Int]

  init(length: Int) {
    sums = [Double](repeating: 0, count: length)
    counts = [Int](repeating: 0, count: length)
  }

  mutating func add(_ x: Double, at offset: Int) {
    if x.isNaN { return }
    sums[offset] += x
    counts[offset] += 1
  }

  mutating func add(_ other: CurveSums) {
    for i in sums.indices {
      sums[i] += other.sums[i]
      counts[i] += other.counts[i]
    }
  }

  func curve(tool: String?) -> EntropyCurve {
    EntropyCurve(tool: tool, counts: counts, means: zip(sums, counts).map { $1 > 0 ? $0 / Double($1) : nil })
  }
}
