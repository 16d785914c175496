public import Rollouts

/// One trajectory as the analyses see it: what it owns, and where it hangs.
///
/// Columns hold only the tokens that the trajectory stores itself: those from `declaredBranch` on if it has a declared
/// parent, else all of them. The path (all response tokens) is the parent's path up to the branch, then the own tokens.
public struct ReplayTrajectory: Sendable {
  /// The trajectory's id, unique within its run and step.
  public var id: String
  /// Position of the declared parent in the group's `trajectories`.
  public var declaredParent: Int?
  /// First index that the trajectory owns; 0 without a declared parent.
  public var declaredBranch: Int
  /// Position in the group as the log numbers it.
  public var rolloutIndex: Int?
  /// The leaf's reward; `nil` = unscored.
  public var reward: Double?
  /// How many identical leaves the record stands for, at least 1.
  public var multiplicity: Int
  /// Training step.
  public var step: Int?
  /// Data set or task family the prompt comes from.
  public var dataSource: String?
  /// Version of the weights that sampled the trajectory.
  public var policyVersion: Int?
  /// Why generation ended, as logged.
  public var finishReason: String?
  /// What the log holds of the trajectory.
  public var evidence: Evidence
  /// `exact`, `topk`, …: how the logged entropies were made.
  public var entropyKind: String?
  /// Own segments, indices absolute.
  public var segments: [Segment]
  /// Advantages as the log has them; `nil` where it has none, or they were not asked for.
  public var loggedAdvantages: LoggedAdvantages?
  /// Scores of the reward's named parts; empty where the log names none, or they were not asked for.
  public var namedRewards: [NamedReward] = []
  /// Own tokens.
  ///
  /// In a text-only trajectory `nil`: the unit is the segment.
  public var columns: TokenColumns?
  /// What the log says of why the trajectory was forked; read only where a selection asks for it.
  public var branch: LoggedBranch?
  /// What the log says of decisions that came up on the trajectory; read only where a selection asks for it.
  public var decisions: [LoggedDecision] = []

  /// A trajectory of these parts.
  public init(
    id: String, declaredParent: Int?, declaredBranch: Int, rolloutIndex: Int?, reward: Double?, multiplicity: Int,
    step: Int?, dataSource: String?, policyVersion: Int?, finishReason: String?, evidence: Evidence,
    entropyKind: String?, segments: [Segment], columns: TokenColumns?
  ) {
    self.id = id
    self.declaredParent = declaredParent
    self.declaredBranch = declaredBranch
    self.rolloutIndex = rolloutIndex
    self.reward = reward
    self.multiplicity = multiplicity
    self.step = step
    self.dataSource = dataSource
    self.policyVersion = policyVersion
    self.finishReason = finishReason
    self.evidence = evidence
    self.entropyKind = entropyKind
    self.segments = segments
    self.columns = columns
  }
}

/// Advantages that the trainer logged with a trajectory.
public enum LoggedAdvantages: Sendable, Equatable {
  /// One for the whole trajectory.
  case leaf(Double)
  /// One a token, `NaN` where there is none; which tokens is told by their number, see
  /// ``PathAdvantages/init(logged:_:)``.
  case tokens([Double])
}

/// A part of a reward that has a name.
public struct NamedReward: Sendable, Equatable {
  /// The part's name.
  public var name: String
  /// `nil` = not scored.
  public var score: Double?

  /// A part with its score.
  public init(name: String, score: Double?) {
    self.name = name
    self.score = score
  }
}

/// A prompt group read from the store: its trajectories in canonical order (`rollout_index`, missing last, then id by
/// bytes).
///
/// A parent may stand behind its children.
public struct ReplayGroup: Sendable {
  /// The run that the group belongs to.
  public var run: ReplayRun
  /// The group's id, unique within its run and step.
  public var id: String
  /// Training step.
  public var step: Int?
  /// In canonical order.
  public var trajectories: [ReplayTrajectory]

  /// A group of these trajectories.
  public init(run: ReplayRun, id: String, step: Int?, trajectories: [ReplayTrajectory]) {
    self.run = run
    self.id = id
    self.step = step
    self.trajectories = trajectories
  }
}

/// What the analyses need to know about a run.
public struct ReplayRun: Sendable, Equatable {
  /// The run's id.
  public var id: String
  /// The trainer's algorithm, as logged.
  public var algorithm: String?
  /// Number of ids the policy could have sampled; unknown in many logs.
  public var vocabSize: Int?
  /// Temperature of the logged logprobs: 1 for raw ones, the sampling temperature for processed ones, 1 if unknown.
  public var logprobTemperature: Double
  /// Parameters of ARPO's branching rule.
  public var branching: BranchingSettings
  /// The checkpoint whose values stand in the place of the logged probabilities and entropies; `nil`: they are the log's.
  public var evidence: String?

  /// A run of these properties.
  public init(
    id: String, algorithm: String?, vocabSize: Int?, logprobTemperature: Double, branching: BranchingSettings
  ) {
    self.id = id
    self.algorithm = algorithm
    self.vocabSize = vocabSize
    self.logprobTemperature = logprobTemperature
    self.branching = branching
  }
}

/// The parameters of ARPO's branching rule, the run's own where it names them.
public struct BranchingSettings: Sendable, Equatable {
  /// The algorithm that branched, as logged; `nil` where the log does not say.
  public var algorithm: String?
  /// The code's base probability `bp`.
  public var branchProbability = 0.5
  /// The code's `w`, the paper's beta.
  public var entropyWeight = 0.2
  /// Generated tokens that enter an entropy value.
  public var windowTokens = 20
  /// Candidates per position that enter the code's entropy value.
  public var topK = 10
  /// The paper's alpha.
  public var alpha = 0.5
  /// The paper's tau: it branches above.
  public var tau = 0.5
  /// M: rollouts of a group; `nil`, like those below, where the log does not say.
  public var rollouts: Int?
  /// N: rollouts from the prompt at the start.
  public var initialRollouts: Int?
  /// Branches of a rollout at a branching point, itself included: Z + 1.
  public var beamSize: Int?
  /// Tool calls that a rollout may make.
  public var callLimit: Int?

  /// The defaults of ARPO's scripts.
  public init() {}
}
