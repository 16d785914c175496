/// How a group is scored.
public struct RescoreOptions: Sendable, Equatable {
  /// Logits are divided by it; `nil`: by the temperature of the run's logged logprobs.
  public var temperature: Double?
  /// Candidates kept a token; 0: none.
  public var topK = 0
  /// Whether tokens that the policy did not sample (tool results) are scored too.
  public var withInserted = true
  /// Whether trajectories without a prompt are scored as if nothing stood before them.
  public var allowsNoPrompt = false
  /// Nodes of a batch, about: what bounds memory.
  public var batchTokens = 4096

  public init() {}
}

/// What stands before the responses of a group.
public struct GroupPrompt: Sendable, Equatable {
  public var tokenIDs: [Int32]?
  public var text: String?

  public init(tokenIDs: [Int32]? = nil, text: String? = nil) {
    self.tokenIDs = tokenIDs
    self.text = text
  }
}
