/// What the sampler is to do next.
public enum RolloutAction: Sendable, Hashable {
  /// Sample AEPO's probe and one whole rollout, and report them to ``AdaptiveRollout/premonitored(_:)``. They are not
  /// part of the group.
  case premonitor
  /// Begin a new rollout from the prompt and generate its first segment.
  ///
  /// - callsLeft: tool calls that it may make; at 0 a segment that ends in a call ends the rollout; `nil`: no limit.
  case begin(rollout: Int, callsLeft: Int?)
  /// Begin a new rollout with a copy of another's first segments, tool results included, and generate its next one.
  case fork(rollout: Int, of: Int, segments: Int, callsLeft: Int?)
  /// Generate a rollout's next segment.
  case advance(rollout: Int, callsLeft: Int?)

  /// The rollout to generate for; `nil` for pre-monitoring.
  public var rollout: Int? {
    switch self {
    case .premonitor: nil
    case .begin(let rollout, _), .fork(let rollout, _, _, _), .advance(let rollout, _): rollout
    }
  }
}

/// What a sampler saw of one generation segment: the tokens from the prompt or a tool result to the next call, the end, or
/// the length limit.
public struct SegmentOutcome: Sendable {
  /// How the segment ended.
  public enum Ending: Sendable, Hashable {
    /// In tool calls, whose results are appended.
    case toolCalls(Int)
    /// At a limit of length of this one generation; the rollout goes on.
    case length
    /// The rollout is over: end of sequence, its own length limit, no calls left.
    case finished
  }

  /// The rollout.
  public var rollout: Int
  /// Entropies of the segment's first k tokens, nats; `NaN` where there is none.
  public var entropies: [Double]
  /// Entropies of the first k tokens behind the result, which ``BranchTiming/postResult`` decides by; `nil` where there
  /// is no result, or where the timing does not ask for them.
  public var entropiesAfterResult: [Double]?
  /// How it ended.
  public var ending: Ending
  /// What a log recorded of the attempts to branch here, in place of the generator's draws; empty for a live policy.
  public var recorded: [RecordedAttempt]

  /// An outcome of these parts.
  public init(
    rollout: Int, entropies: [Double], entropiesAfterResult: [Double]? = nil, ending: Ending,
    recorded: [RecordedAttempt] = []
  ) {
    self.rollout = rollout
    self.entropies = entropies
    self.entropiesAfterResult = entropiesAfterResult
    self.ending = ending
    self.recorded = recorded
  }
}

/// What a log says of one attempt to branch.
public enum RecordedAttempt: Sendable, Hashable {
  /// The number that was drawn; the rule decides with it.
  case draw(Double)
  /// What was done, whatever the rule says.
  case outcome(Bool)
}

/// AEPO's pre-monitoring as a sampler saw it.
public struct PremonitoredRollout: Sendable {
  /// Entropies of the probe's first k tokens, nats; `NaN` where there is none.
  public var probe: [Double]
  /// The same of each segment of the rollout.
  public var segments: [[Double]]

  /// Pre-monitoring of these parts.
  public init(probe: [Double], segments: [[Double]]) {
    self.probe = probe
    self.segments = segments
  }
}

/// A decision that came up in a round.
public struct BranchDecision: Sendable, Hashable {
  /// What came of it.
  public enum Outcome: Sendable, Hashable {
    /// A fork.
    case branched
    /// The rule said no.
    case declined
    /// The group had as many rollouts as it may have.
    case noBudget
    /// dH cannot be had.
    case unknown
  }

  /// The rollout that could branch.
  public var rollout: Int
  /// Segments that it had by then, inherited ones included: the fork's prefix.
  public var segments: Int
  /// dH, normalised; exactly 0 where the segment is its own baseline.
  public var deltaH: Double?
  /// P of the rule, see ``BranchRule/probability(deltaH:consecutive:)``.
  public var probability: Double?
  /// The probability that the rule branches: P, or 0 or 1 where there is no coin.
  public var chance: Double?
  /// The number drawn, where the rule has a coin.
  public var draw: Double?
  /// What came of it.
  public var outcome: Outcome
  /// The new rollout, if one came of it.
  public var fork: Int?
}

/// What follows from the outcomes of a round.
public struct RolloutRound: Sendable {
  /// What to do next; empty once the group is complete.
  public var actions: [RolloutAction] = []
  /// The decisions that came up, oldest rollout first.
  public var decisions: [BranchDecision] = []
}

/// Outcomes that do not fit the rollouts that are under way.
public enum RolloutProtocolError: Error, Equatable, CustomStringConvertible {
  /// No such rollout is under way.
  case notActive(rollout: Int)
  /// A rollout under way has no outcome, or two.
  case outcomes(expected: Int, given: Int)
  /// More tool calls than were left.
  case tooManyCalls(rollout: Int)
  /// Pre-monitoring was reported where none was asked for, or a segment before it.
  case premonitoring

  /// The misfit as a sentence.
  public var description: String {
    switch self {
    case .notActive(let rollout): "rollout \(rollout) is not under way"
    case .outcomes(let expected, let given): "\(expected) rollouts are under way, \(given) outcomes were given"
    case .tooManyCalls(let rollout): "rollout \(rollout) made more tool calls than it had left"
    case .premonitoring: "pre-monitoring was reported where none was asked for, or is still missing"
    }
  }
}
