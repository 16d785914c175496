public import Rollouts

/// Where the token ids that a checkpoint scored come from.
public enum IDSource: String, Sendable, CaseIterable {
  /// The log has them.
  case logged
  /// The log has the texts of single tokens; each was looked up in the vocabulary.
  case matched
  /// The log has text only, which was tokenised: not necessarily the tokens that were sampled.
  case retokenized
}

/// What stands before the response.
public enum PromptSource: String, Sendable, CaseIterable {
  /// The prompt's ids are in the log.
  case logged
  /// The prompt's text was tokenised.
  case retokenized
  /// Nothing: the response was scored as if it began the text.
  case none
}

/// How far tokenising the text of sampled tokens leads to other tokens.
public struct TokenDrift: Sendable, Equatable {
  /// Generated tokens whose text was tokenised again.
  public var checked = 0
  /// Of them, those that did not come out again at their place.
  public var differing = 0
  /// Response index of the first of these.
  public var first: Int?

  public init() {}
}

/// A checkpoint's values for the tokens of one of a trajectory's own segments.
public struct RescoredSegment: Sendable, Equatable {
  /// Position among the trajectory's own segments.
  public var ordinal: Int
  /// Number of tokens.
  public var count: Int
  /// The ids that were scored; `nil`: the logged ones.
  public var tokenIDs: [Int32]?
  /// Natural log-probability of each token; NaN where it was not scored.
  public var logprobs: [Float]
  /// Entropy in nats, over the whole vocabulary, of the distribution that the token was drawn from.
  public var entropies: [Float]
  /// The likeliest tokens at each position; `nil` if none were asked for.
  public var topLogprobs: TopLogprobs?

  public init(
    ordinal: Int, count: Int, tokenIDs: [Int32]?, logprobs: [Float], entropies: [Float], topLogprobs: TopLogprobs?
  ) {
    self.ordinal = ordinal
    self.count = count
    self.tokenIDs = tokenIDs
    self.logprobs = logprobs
    self.entropies = entropies
    self.topLogprobs = topLogprobs
  }
}

/// A checkpoint's values for one trajectory.
public struct RescoredTrajectory: Sendable, Equatable {
  public var ids: IDSource
  public var prompt: PromptSource
  /// The own segments that have tokens; empty if nothing was scored.
  public var segments: [RescoredSegment]
  /// Own tokens with values.
  public var scored: Int
  /// Own generated tokens that should have values and have none.
  public var missing: Int
  /// Why, in words.
  public var reason: String?
  public var drift: TokenDrift?

  public init(
    ids: IDSource, prompt: PromptSource, segments: [RescoredSegment] = [], scored: Int = 0, missing: Int = 0,
    reason: String? = nil, drift: TokenDrift? = nil
  ) {
    self.ids = ids
    self.prompt = prompt
    self.segments = segments
    self.scored = scored
    self.missing = missing
    self.reason = reason
    self.drift = drift
  }
}

/// A checkpoint's values for a group, in the order of its trajectories.
public struct RescoredGroup: Sendable, Equatable {
  /// Logits were divided by it.
  public var temperature: Double
  public var trajectories: [RescoredTrajectory]

  public init(temperature: Double, trajectories: [RescoredTrajectory]) {
    self.temperature = temperature
    self.trajectories = trajectories
  }
}
