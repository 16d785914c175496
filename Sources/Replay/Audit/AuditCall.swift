/// The entropy of one window, and how it compares.
public struct WindowValue: Sendable, Equatable {
  /// Tokens of the window that have a value.
  public var count: Int
  /// Mean over them in nats; `nil` if there are none.
  public var mean: Double?
  /// Largest value, nats.
  public var max: Double?
  /// Mean minus the trajectory's baseline.
  public var delta: Double?
  /// (mean - median of the control blocks) / (1.4826 MAD); `nil` with fewer than five blocks or no spread.
  public var z: Double?
  /// z > 3.
  public var spike: Bool?
  /// Mean of the lower bounds of the same tokens, where the estimator is `topk`.
  public var lower: Double?
  /// Mean of the upper bounds of the same tokens, where the estimator is `topk` and the vocabulary known.
  public var upper: Double?
}

/// One tool result on one trajectory's path, and the entropy around it.
public struct AuditCall: Sendable, Equatable {
  /// The run's id.
  public var runID: String
  /// The prompt group's id.
  public var groupID: String
  /// The trajectory's training step.
  public var step: Int?
  /// The trajectory on whose path the result lies.
  public var trajectoryID: String
  /// 0-based number of the result among those of the path.
  public var result: Int
  /// "unknown" where the log names none.
  public var tool: String
  /// Id that call and result share, as logged.
  public var toolCallID: String?
  /// Path index behind the result.
  public var position: Int
  /// Whether this trajectory made the call; else it is an ancestor's, seen again on this path.
  public var owned: Bool
  /// First token of the generation segment that follows; `nil` if another result or nothing does.
  public var start: Int?
  /// One for each of the options' windows; counts are 0 where there is no `start` or no value.
  public var windows: [WindowValue]
  /// Initial entropy of the trajectory in nats.
  public var baseline: Double?
  /// ARPO's code: H of the segment before the result, normalised by ln V (what the code decided on).
  public var arpoLagged: Double?
  /// ARPO's code: H of the segment after the result, normalised by ln V.
  public var arpoPostResult: Double?
  /// ARPO's code: H of the trajectory's first own segment, normalised by ln V.
  public var arpoBaseline: Double?
  /// ARPO's paper: sum of H_now - H_initial over the first tokens after the result, divided by V.
  public var paperDeltaV: Double?
  /// The same divided by ln V.
  public var paperDeltaLnV: Double?
  /// The trajectory's reward; `nil` = unscored.
  public var reward: Double?
  /// The trajectory's data source.
  public var dataSource: String?
  /// Version of the weights that sampled the trajectory.
  public var policyVersion: Int?
  /// Labels of what the trajectory's log holds, as in ``Rollouts/Evidence``.
  public var evidence: String
  /// What the windows and the baseline were computed with; `nil`: no estimator has a value in the run.
  public var estimator: Estimator?
}
