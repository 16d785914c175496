/// A number that says whether a strategy keeps what it should, or where it leans.
public struct ConservationFinding: Sendable, Equatable {
  /// The checks.
  public enum Check: String, Sendable, Hashable, CaseIterable {
    /// Largest |sum of a group's leaf values|, relative to max(1, sum of |A|): 0 if advantages are centred.
    ///
    /// Groups of one scored leaf, and strategies with token values, have none.
    case groupSum = "group_sum"
    /// Largest difference between two paths' values on one shared token, relative to max(1, |A|).
    case sharedTokens = "shared_tokens"
    /// Sum of A over generated tokens, by multiplicity, over that of |A|: above 0, the gradient raises more than it
    /// lowers.
    case tokenBalance = "token_balance"
    /// Correlation of a leaf's mean advantage with its generated length less the mean length of its group.
    case lengthCorrelation = "length_correlation"
  }

  /// The strategy's name.
  public var strategy: String
  /// What was checked.
  public var check: Check
  /// The number; see ``Check``.
  public var value: Double
  /// The group in which the number was found, for those that are the largest of all groups'.
  public var group: String?
  /// What was looked at: groups, shared tokens, tokens, leaves (by multiplicity).
  public var count: Int
  /// How many of these are off by more than the tolerance; 0 where nothing has to hold.
  public var violations: Int
  /// Whether the strategy's formula requires the number to be 0.
  public var isRequired: Bool

  /// Whether something that must hold does not.
  public var isViolation: Bool { isRequired && violations > 0 }
}
