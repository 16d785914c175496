/// One decision point of a log: what the rule says there, and what the log did.
public struct BranchPoint: Sendable, Equatable {
  /// Why a fork could or could not be made there.
  public enum Budget: String, Sendable, Hashable {
    /// The group could still fork.
    case open
    /// It had as many rollouts as it may have.
    case spent
    /// The log does not tell.
    case unknown
  }

  /// Position of the trajectory in the group.
  public var trajectory: Int
  /// Its id.
  public var trajectoryID: String
  /// Number of the result on the path.
  public var result: Int
  /// Name of the tool.
  public var tool: String
  /// Path index behind the result: where a fork would begin.
  public var at: Int
  /// H at the start, normalised: of the trajectory's first own segment (code), of the path's first tokens (paper).
  public var initial: Double?
  /// H of the segment that decides, normalised.
  public var now: Double?
  /// now - initial; exactly 0 where they are the same segment.
  public var deltaH: Double?
  /// P: a probability (code), or what is held against tau (paper).
  public var probability: Double?
  /// The probability that the rule branches: P, or 0 or 1.
  public var chance: Double?
  /// Means of the entropies behind initial and now, nats a token.
  public var initialNats: Double?
  /// See ``initialNats``.
  public var nowNats: Double?
  /// Forks that the log has there.
  public var forks: Int
  /// Whether the group could fork.
  public var budget = Budget.unknown
  /// What the log says of the decision, the first attempt if there were several.
  public var recorded: LoggedDecision?
  /// Reward of the trajectory; `nil` = unscored.
  public var reward: Double?
  /// What the log holds of the trajectory.
  public var evidence: String
  /// What the entropies were had by; `nil`: there are none.
  public var estimator: String?

  /// Whether the rule had no entropy to go by: the segment is its own baseline.
  public var isBlind: Bool { deltaH == 0 }
}

/// A place where a log has two branches or more: how different their rewards are.
public struct ForkWorth: Sendable, Equatable {
  /// dH by the rule and timing in use; `nil`: cannot be had.
  public var deltaH: Double?
  /// Branches with a scored leaf.
  public var branches: Int
  /// Variance of the branches' mean rewards, with divisor n - 1.
  public var variance: Double
  /// Best branch minus the mean of the branches: what one branch, taken blindly, misses.
  public var regret: Double
}
