/// What one record of a log says, in the vocabulary of the native format.
public enum RolloutRecord: Sendable {
  case run(RunRecord)
  case group(GroupRecord)
  case trajectory(TrajectoryRecord)
  case call(CallRecord)
  /// The writer's own count of trajectories, so that a cut-off log is visible.
  case end(trajectories: Int?)
}

/// A training or evaluation run: holds for the records after it.
public struct RunRecord: Sendable, Equatable {
  public var runID: String
  public var algorithm: String?
  public var model: String?
  public var tokenizerName: String?
  public var tokenizerSHA256: String?
  public var vocabSize: Int?
  public var temperature: Double?
  public var topP: Double?
  public var topK: Int?
  /// `processed_logprobs` (after temperature and top-p) or `raw_logprobs` (before), as vLLM names them.
  public var logprobsMode: String?
  /// JSON object with the rollout's branching settings.
  public var branching: String?
  /// JSON object with the keys that have no column of their own.
  public var extra: String?

  public init(runID: String) { self.runID = runID }
}

/// A prompt group: all rollouts of one prompt at one step.
public struct GroupRecord: Sendable, Equatable {
  public var runID: String?
  public var groupID: String
  public var step: Int?
  public var dataSource: String?
  public var policyVersion: Int?
  public var promptText: String?
  public var promptTokenIDs: [Int32]?
  public var groundTruth: String?
  public var extra: String?

  public init(groupID: String) { self.groupID = groupID }
}

/// One reward component.
public struct RewardPart: Sendable, Equatable {
  public var name: String
  public var score: Double?
  public var weight: Double

  public init(name: String, score: Double?, weight: Double = 1) {
    self.name = name
    self.score = score
    self.weight = weight
  }
}

/// The tokens of its parent's path that a record says again.
public enum RepeatedPrefix: Sendable {
  case none
  /// As read; the store compares them with the parent's.
  case columns(TokenColumns)
  /// Byte for byte what the record at this offset of the same log says from its first token on.
  case sameAsRecord(byteOffset: Int)
}

/// One trajectory, or the part of it that a record stores.
public struct TrajectoryRecord: Sendable {
  public var runID: String?
  public var groupID: String
  public var step: Int?
  public var trajectoryID: String
  public var rolloutIndex: Int?
  public var parentID: String?
  /// First response index that this trajectory owns; the ones before belong to its ancestors.
  public var branchIndex = 0
  /// Response index of the first stored token: 0 if the parent's prefix is repeated, else `branchIndex`.
  public var firstIndex = 0
  /// JSON object: why the branch was taken.
  public var branch: String?
  public var promptText: String?
  public var promptTokenIDs: [Int32]?
  public var groundTruth: String?
  /// The tokens from `branchIndex` on; `nil` for text-only trajectories.
  public var columns: TokenColumns?
  /// What the record repeats of its parent's tokens, `firstIndex ..< branchIndex`.
  public var repeated = RepeatedPrefix.none
  /// The same of its parent's segments, where they are still to be compared.
  public var repeatedSegments = RepeatedSegments()
  /// How the logged entropies were made, such as `exact` or `topk`.
  public var entropyKind: String?
  /// Cover the stored tokens; indices are absolute response indices.
  public var segments: [Segment] = []
  /// The decoded response as logged, of the stored tokens.
  public var text: String?
  public var reward: Double?
  public var rewards: [RewardPart] = []
  public var dataSource: String?
  public var policyVersion: Int?
  public var finishReason: String?
  public var multiplicity = 1
  public var extra: String?
  public var findings: [Finding] = []
  /// A record with the same content from the same file is a padded copy (multiplicity + 1) and not an error.
  public var copiesArePadding = false
  /// Set for a trajectory that a log spreads over several records: record `part` goes behind `part - 1`.
  public var part = 0

  public init(groupID: String, trajectoryID: String) {
    self.groupID = groupID
    self.trajectoryID = trajectoryID
  }
}

/// A message of a chat request.
public struct ChatMessage: Sendable, Equatable {
  public var role: String
  /// Visible text, and what an assistant message says besides (reasoning, tool calls), as segments without indices.
  public var segments: [Segment]
  /// Canonical form: two messages are the same message if these are equal.
  public var canonical: String

  public init(role: String, segments: [Segment], canonical: String) {
    self.role = role
    self.segments = segments
    self.canonical = canonical
  }
}

/// One model call of a server's response log.
///
/// Calls whose request repeats an earlier request and its reply are turns of one trajectory; the store joins them.
public struct CallRecord: Sendable {
  public var runID: String?
  /// The server's id of the response, or a hash of its content.
  public var responseID: String
  public var choiceIndex: Int
  /// Group that the log names; `nil`: calls whose conversations begin with the same prompt.
  public var groupID: String?
  /// The name is a session's, a user's or part of a numbered id: where several prompts stand behind it, each of them is a
  /// group of its own.
  public var isGroupGuessed = false
  /// Seconds since 1970, orders calls.
  public var created: Double?
  public var messages: [ChatMessage]
  /// Canonical form of this call's own reply as an assistant message.
  public var replyCanonical: String
  public var promptTokenIDs: [Int32]?
  /// The reply's tokens; `nil` if the log has text only.
  public var columns: TokenColumns?
  /// Segments of the reply, indices from 0.
  public var segments: [Segment]
  public var model: String?
  public var temperature: Double?
  public var topP: Double?
  public var finishReason: String?
  public var reward: Double?
  public var dataSource: String?
  public var extra: String?
  public var findings: [Finding] = []

  public init(
    responseID: String, choiceIndex: Int, messages: [ChatMessage], replyCanonical: String, segments: [Segment]
  ) {
    self.responseID = responseID
    self.choiceIndex = choiceIndex
    self.messages = messages
    self.replyCanonical = replyCanonical
    self.segments = segments
  }
}

/// Something a log's numbers show that a user should know before trusting them.
public struct Finding: Sendable, Equatable {
  /// The checks, by the names under which they are stored and reported.
  public enum Check: String, Sendable, CaseIterable {
    /// Runs of generated tokens whose logprob is exactly 0.0: often a placeholder for "missing".
    case zeroRun = "zero_logprob_run"
    /// Logprobs at or below -9999: a server's clamp of minus infinity.
    case sentinel = "sentinel_logprob"
    /// Numbers that are not finite and were read as missing.
    case notFinite = "not_finite"
    /// The sampled token is not in its own top-k list.
    case sampledNotListed = "sampled_not_in_top_k"
    /// Logged entropies below 0.
    case negativeEntropy = "negative_entropy"
    /// Text whose token ids are unknown.
    case unknownTokens = "tokens_unknown"
    /// A later request does not repeat the earlier one and its reply.
    case contextRewritten = "context_rewritten"
    /// Trajectories of one group id whose prompts differ, at a step and without one: they are groups of their own.
    case promptDisagrees = "prompt_disagrees"
    /// The same row more than once (ARPO pads short groups with copies).
    case duplicateRow = "duplicate_row"
  }

  public var check: Check
  /// How many tokens or records.
  public var count: Int
  /// Response index of the first one, where it has one.
  public var firstIndex: Int?
  public var note: String?

  public init(_ check: Check, count: Int, firstIndex: Int? = nil, note: String? = nil) {
    self.check = check
    self.count = count
    self.firstIndex = firstIndex
    self.note = note
  }
}
