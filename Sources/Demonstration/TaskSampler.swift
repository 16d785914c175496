import AdaptiveRollout
import Sampling
/// Draws tokens from a policy.
public protocol TokenSource: AnyObject {
  /// Draws tokens behind each context until one of `stops` or `limit` of them.
  ///
  /// - Parameter seeds: one a context; the same context and seed give the same tokens, whatever else is drawn.
  /// - Returns: the tokens with their logprobs and the entropies (nats) of the distributions they were drawn from.
  func draw(
    behind contexts: [[Int32]], stops: Set<Int32>, limit: Int, seeds: [UInt64]
  ) throws -> [[DrawnToken]]
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

  /// Generates the next segment of each rollout and runs the tool that it calls.
  ///
  /// - Parameter callsLeft: by rollout; at 0 a segment that ends in a call ends the response.
  /// - Returns: by rollout, the entropies of the segment's tokens, and whether the response goes on.
  func advance(
    _ rollouts: inout [TaskRollout], callsLeft: [Int], seeds: [UInt64]
  ) throws -> [(entropies: [Double], goesOn: Bool)] {
    let contexts = rollouts.map { TaskVocabulary.ids($0.question.prompt) + $0.ids }
    let drawn = try source.draw(behind: contexts, stops: Self.stops, limit: Self.segmentLimit, seeds: seeds)
    return drawn.enumerated().map { i, tokens in
      rollouts[i].generate(
        tokens.map { TaskRollout.Token(id: $0.id, isGenerated: true, logprob: $0.logprob, entropy: $0.entropy) })
      let entropies = tokens.map { Double($0.entropy) }
      guard callsLeft[i] > 0, let call = task.call(in: tokens.map(\.id)) else { return (entropies, false) }
      rollouts[i].insert(call)
      return (entropies, true)
    }
  }

  /// Whole responses, from the prompt.
  func respond(to questions: [TaskQuestion], seeds: [UInt64]) throws -> [TaskRollout] {
    var out = questions.map { TaskRollout(question: $0) }
    var randoms = zip(questions, seeds).map { SeededRandom(seed: $1, stream: $0.prompt) }
    var going = Array(out.indices)
    for callsLeft in stride(from: Self.callLimit, through: 0, by: -1) {
      if going.isEmpty { break }
      var part = going.map { out[$0] }
      let results = try advance(
        &part, callsLeft: going.map { _ in callsLeft }, seeds: going.map { randoms[$0].next() })
      for (k, i) in going.enumerated() { out[i] = part[k] }
      going = zip(going, results).filter { $1.goesOn }.map(\.0)
    }
    return out
  }

  /// Mean reward of `count` fresh responses to each question.
  public func rewards(on questions: [TaskQuestion], count: Int, seed: UInt64) throws -> [Double] {
    var sums = [Double](repeating: 0, count: questions.count)
    for n in 0..<count {
      let responses = try respond(to: questions, seeds: questions.map { _ in seed &+ UInt64(n) })
      for (i, response) in responses.enumerated() { sums[i] += task.reward(of: response.ids, to: questions[i]) }
    }
    return sums.map { $0 / Double(count) }
  }
}
