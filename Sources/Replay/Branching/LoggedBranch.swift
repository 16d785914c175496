/// What a log says of why a trajectory was forked off: the `branch` object of its record.
public struct LoggedBranch: Sendable, Equatable {
  /// `entropy`, `random` or another word of the log.
  public var reason: String?
  /// H of the trajectory it was forked from, at its start.
  public var entropyInitial: Double?
  /// H at the branching point.
  public var entropyNow: Double?
  /// Probability that the rule gave.
  public var probability: Double?
  /// The number that was drawn.
  public var draw: Double?

  /// A branch of which nothing is known.
  public init() {}
}

/// What a log says of one attempt to branch: an entry of a trajectory's `branch_decisions`.
///
/// The native format has a `branch` object for forks that were taken only; this key, which readers of the format keep like
/// every other they do not know, is for those that were not.
public struct LoggedDecision: Sendable, Equatable {
  /// Path index behind the tool result.
  public var at: Int
  /// H of the trajectory's baseline, of the segment that decided, and what the rule made of them.
  public var branch: LoggedBranch
  /// Whether a fork was made; `nil`: not logged.
  public var branched: Bool?

  /// A decision of these parts.
  public init(at: Int, branch: LoggedBranch, branched: Bool?) {
    self.at = at
    self.branch = branch
    self.branched = branched
  }
}
