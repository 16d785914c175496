/// What one update did.
public struct UpdateReport: Sendable {
  /// Counted from 1.
  public var update: Int
  /// Of the run.
  public var updates: Int
  /// Passes over the data begun, as a number: 0.5 = half of the first.
  public var epoch: Double
  /// What was measured, by name.
  public var metrics: MetricList
  /// What was beyond a limit.
  public var findings: [GuardFinding]
  /// Whether the parameters changed.
  public var isApplied: Bool
}

/// How a run ended.
public enum TrainingOutcome: Sendable, Equatable {
  /// All updates are done.
  case complete
  /// Asked to stop; a checkpoint was made.
  case interrupted
  /// A limit was reached; the update that reached it was not applied.
  case stopped(String)
}

/// Who watches a run.
public protocol TrainingObserver: AnyObject {
  /// Before each forest of an update; may throw ``TrainingInterrupted``.
  func willCompute(update: Int, forest: Int, of forests: Int) throws

  /// After each update, whose metrics are written by then.
  func didUpdate(_ report: UpdateReport) throws

  /// The comparison of packed and flattened gradients.
  func didCheckPacking(_ check: PackingCheck)

  /// After a checkpoint.
  func didSave(update: Int) throws
}

/// Ends an update in the middle; what it had computed is dropped.
public struct TrainingInterrupted: Error {
  /// The error.
  public init() {}
}
