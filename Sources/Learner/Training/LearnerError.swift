/// Why a run of the learner cannot begin or go on, in words for the user.
public struct LearnerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The sentence.
  public var description: String

  /// An error of this sentence.
  public init(_ description: String) { self.description = description }
}
