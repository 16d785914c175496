/// Which part of a database an analysis reads.
public struct GroupSelection: Sendable {
  /// Names of runs; empty: all.
  public var runs: [String] = []
  /// Ids of groups; empty: all.
  public var groups: [String] = []
  /// Training step of the groups; `nil`: all.
  public var step: Int?
  /// Overrides the logged vocabulary size, for logs that do not name it.
  public var vocabSize: Int?
  /// Leaves out segment texts and tool arguments, which the audit does not need.
  public var withTexts = true
  /// Leaves out logprobs, candidates and entropies, which most attribution strategies do not need.
  public var withProbabilities = true
  /// Leaves out the ids of candidates where the place of the sampled token among them is enough, as it is for entropies.
  public var withCandidateIDs = true
  /// Reads what the log says of branchings (``ReplayTrajectory/branch``, ``ReplayTrajectory/decisions``).
  public var withBranches = false
  /// Reads logged advantages and the named parts of rewards.
  public var withOutcomes = false
  /// Name of the evidence set whose values stand in the place of the logged ones; `nil`: the logged ones.
  public var evidence: String?
  /// Whether text-only trajectories get the tokens that the evidence set took their text for.
  public var retokenizes = true
  /// Rows of groups; `nil`: all.
  public var rows: [Int64]?

  public init() {}
}
