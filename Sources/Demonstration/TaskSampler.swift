import AdaptiveRollout
import Sampling
/// Draws tokens from a policy.
public protocol TokenSource: AnyObject {
  /// Draws tokens behind a context until one of `stops` or `limit` of them.
  ///
  /// - Parameter seed: decides all draws; the same context and seed give the same tokens.
  /// - Returns: the tokens with their logprobs and the entropies (nats) of the distributions they were drawn from.
  func draw(behind context: [Int32], stops: Set<Int32>, limit: Int, seed: UInt64) throws -> [DrawnToken]
}

/// A token that a policy drew.
public struct DrawnToken: Sendable, Equatable {
  public var id: Int32
  /// Natural logarithm of its probability.
  public var logprob: Float
  /// Of the distribution it was drawn from, nats.
  public var entropy: Float

  public init(id: Int32, logprob: Float, entropy: Float) {
    self.id = id
    self.logprob = logprob
    self.entropy = entropy
  }
}

/// Lets a policy answer the task's questions and runs the tools for it.
public struct TaskSampler {
  /// Tool calls of a response; a further one ends it.
  public static let callLimit = 2
  /// Generated tokens between two results.
  static let segmentLimit = 16
  private static let stops: Set<Int32> = [
    TaskVocabulary.endOfText, TaskVocabulary.endSearch, TaskVocabulary.endPython,
  ]

  let task: ToolTask
  let source: any TokenSource

  public init(_ task: ToolTask, _ source: any TokenSource) {
    self.task = task
    self.source = source
  }

  /// Generates one segment and runs the tool that it calls.
  ///
  /// - Returns: the entropies of the segment's tokens, and whether the response goes on.
  func advance(
    _ rollout: inout TaskRollout, callsLeft: Int, seed: UInt64
  ) throws -> (entropies: [Double], goesOn: Bool) {
    let context = TaskVocabulary.ids(rollout.question.prompt) + rollout.ids
    let drawn = try source.draw(behind: context, stops: Self.stops, limit: Self.segmentLimit, seed: seed)
    rollout.generate(
      drawn.map { TaskRollout.Token(id: $0.id, isGenerated: true, logprob: $0.logprob, entropy: $0.entropy) })
    let entropies = drawn.map { Double($0.entropy) }
    guard callsLeft > 0, let call = task.call(in: drawn.map(\.id)) else { return (entropies, false) }
    rollout.insert(call)
    return (entropies, true)
  }

  /// A whole response, from the prompt.
  func respond(to question: TaskQuestion, seed: UInt64) throws -> TaskRollout {
    var rollout = TaskRollout(question: question)
    var random = SeededRandom(seed: seed, stream: question.prompt)
    for callsLeft in stride(from: Self.callLimit, through: 0, by: -1) {
      guard try advance(&rollout, callsLeft: callsLeft, seed: random.next()).goesOn else { break }
    }
    return rollout
  }

  /// Mean reward of `count` fresh responses to each question.
  public func rewards(on questions: [TaskQuestion], count: Int, seed: UInt64) throws -> [Double] {
    try questions.map { question in
      var sum = 0.0
      for n in 0..<count {
        sum += task.reward(of: try respond(to: question, seed: seed &+ UInt64(n)).ids, to: question)
      }
      return sum / Double(count)
    }
  }
}
