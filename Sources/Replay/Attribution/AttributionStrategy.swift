/// A way to turn the rewards of a prompt group's leaves into advantages of their tokens.
///
/// Advantages have the unit of rewards, or none where they are divided by a standard deviation. Rules that all
/// strategies keep: an unscored leaf has no advantage and takes no part in any statistic; a leaf of multiplicity m counts
/// as m leaves; inserted tokens (loss_mask 0) have advantage 0; rewards that differ by rounding only (``areEqual(_:)``)
/// have deviations of exactly 0.
///
/// A strategy of scope ``AttributionScope/batch`` needs to see all groups of a training step before it can say
/// anything. It is asked twice, so that groups can stream by:
///
///     var batches = BatchStatistics()
///     for group in groups { strategy.collect(group, into: &batches) }
///     for group in groups { use(strategy.advantages(of: group, in: batches)) }
public protocol AttributionStrategy: Sendable {
  /// The name by which it is asked for, such as `grpo:trl`.
  var name: String { get }
  /// The formula as a report prints it.
  var formula: String { get }
  /// Paper or code that the formula is taken from.
  var source: String { get }
  /// What it reads besides rewards.
  var needs: AttributionNeeds { get }
  /// What its statistics run over.
  var scope: AttributionScope { get }
  /// Whether a leaf has one value or its tokens have their own.
  var kind: AttributionKind { get }
  /// The numbers of the formula, those that can be set among them.
  var parameters: [AttributionParameter] { get }
  /// What must hold for its results, whatever the rewards.
  var invariants: AttributionInvariants { get }

  /// Adds what a group contributes to the statistics of its batches; first phase.
  func collect(_ group: AttributionGroup, into batches: inout BatchStatistics)

  /// The advantages of a group's leaves, in their order; second phase.
  ///
  /// The group must have been made with the strategy's needs: a leaf whose tree or anchors were not asked for is
  /// missing. See ``AttributionGroup/unmet(_:)`` for what the log itself lacks.
  ///
  /// - Parameter batches: what ``collect(_:into:)`` made of all groups; not read in scope ``AttributionScope/group``.
  func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages]

  /// The formula with its numbers put in, for one token: the last term's value is what ``advantages(of:in:)`` has there.
  func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation

  /// The strategy with a parameter that can be set to a value that is allowed; asked for by ``with(_:_:)``.
  func setting(_ parameter: String, to value: Double) -> any AttributionStrategy
}

extension AttributionStrategy {
  /// Rewards are enough.
  public var needs: AttributionNeeds { [] }

  /// Statistics of the prompt group.
  public var scope: AttributionScope { .group }

  /// One value a leaf.
  public var kind: AttributionKind { .leaf }

  /// None.
  public var invariants: AttributionInvariants { [] }

  /// None.
  public var parameters: [AttributionParameter] { [] }

  /// None can be set.
  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy { self }

  /// Contributes nothing.
  public func collect(_ group: AttributionGroup, into batches: inout BatchStatistics) {}

  /// The advantages where a group is all there is: as of a batch of this group alone.
  public func advantages(of group: AttributionGroup) -> [PathAdvantages] {
    var batches = BatchStatistics()
    collect(group, into: &batches)
    return advantages(of: group, in: batches)
  }
}

/// What the statistics of a strategy run over.
public enum AttributionScope: String, Sendable, Hashable {
  /// The leaves of one prompt.
  case group
  /// All leaves of a training step.
  case batch
}

/// How fine the advantages of a strategy are.
public enum AttributionKind: String, Sendable, Hashable {
  /// One value for all generated tokens of a leaf.
  case leaf
  /// Tokens of one leaf may differ.
  case token
}

/// What a strategy reads besides rewards, multiplicities and the group's forks.
public struct AttributionNeeds: OptionSet, Sendable, Hashable {
  /// One bit a need.
  public let rawValue: Int

  /// The needs with these bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Counts of tokens: logs with text only do not do.
  public static let tokens = AttributionNeeds(rawValue: 1)
  /// The tree of all common token prefixes.
  public static let anyTree = AttributionNeeds(rawValue: 2)
  /// What was inserted before each model call.
  public static let anchors = AttributionNeeds(rawValue: 4)
  /// Truncated entropies of the listed candidates.
  public static let topkEntropy = AttributionNeeds(rawValue: 8)
  /// Logged entropies over the full vocabulary.
  public static let exactEntropy = AttributionNeeds(rawValue: 16)

  /// What the results stand on, by the names of the log's columns.
  public var evidence: [String] {
    ["reward", "forks"] + (isDisjoint(with: [.tokens, .anyTree]) ? [] : ["token_ids"])
      + (contains(.anchors) ? ["insertions"] : []) + (contains(.topkEntropy) ? ["top_logprobs"] : [])
      + (contains(.exactEntropy) ? ["entropies"] : [])
  }

  /// The entropies among the needs.
  public var estimators: [Estimator] {
    (contains(.topkEntropy) ? [.topk] : []) + (contains(.exactEntropy) ? [.exact] : [])
  }
}

/// What must hold for the results of a strategy.
public struct AttributionInvariants: OptionSet, Sendable, Hashable {
  /// One bit an invariant.
  public let rawValue: Int

  /// The invariants with these bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The leaves' values of a group of two or more leaves sum to 0.
  public static let groupSumsToZero = AttributionInvariants(rawValue: 1)
  /// A shared token has the same value on every path through it.
  public static let sharedTokensAgree = AttributionInvariants(rawValue: 2)
}
