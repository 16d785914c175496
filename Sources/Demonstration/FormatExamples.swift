import AdaptiveRollout
import Sampling
public import Rollouts

/// Responses in the right form with much wrong in them: what the policy is taught before it learns from rewards.
///
/// The tool is drawn without a look at the question, the argument is often another, and so is the answer. A policy that
/// has learned this calls tools and answers in the right form, and is right as often as the examples are.
public struct FormatExamples: Sendable {
  /// Probability that a call's tool is the question's.
  public var rightTool = 0.5
  /// Probability that the argument is what the question names, where the tool is the right one.
  public var rightArgument = 0.7
  /// Probability that the answer is the tool's.
  public var repeatedResult = 0.75
  /// Probability of an answer without any call.
  public var noCall = 0.1
  /// Probability of another call where the tool did not know.
  public var secondCall = 0.5

  /// The usual mixture.
  public init() {}

  /// The records of `count` examples, one group each, the questions in turn.
  public func records(_ task: ToolTask, count: Int, seed: UInt64) -> (
    groups: [GroupRecord], examples: [TrajectoryRecord]
  ) {
    var random = SeededRandom(seed: seed, stream: "examples")
    var groups: [GroupRecord] = []
    var examples: [TrajectoryRecord] = []
    for i in 0..<count {
      // Both kinds alike, so that neither is a rarity.
      let kind = TaskQuestion.Kind.allCases[i % 2]
      let questions = task.questions.filter { $0.kind == kind }
      let question = questions[random.below(questions.count)]
      var rollout = TaskRollout(question: question)
      write(&rollout, task, &random)
      let id = "example\(i)"
      groups.append(rollout.group(id: id))
      examples.append(rollout.record(group: id, id: id, index: 0, reward: 1))
    }
    return (groups, examples)
  }

  private func write(_ rollout: inout TaskRollout, _ task: ToolTask, _ random: inout SeededRandom) {
    var result: String?
    if random.unit() >= noCall {
      for attempt in 0..<2 {
        if attempt == 1, result != nil || random.unit() >= secondCall { break }
        let call = self.call(rollout.question, task, &random)
        rollout.generate(call)
        guard let made = task.call(in: call) else { break }
        rollout.insert(made)
        result = made.result
      }
    }
    let digit = result.flatMap { random.unit() < repeatedResult ? $0 : nil } ?? String(random.below(10))
    rollout.generate(
      [TaskVocabulary.answer] + TaskVocabulary.ids(digit) + [TaskVocabulary.endAnswer, TaskVocabulary.endOfText])
  }

  private func call(_ question: TaskQuestion, _ task: ToolTask, _ random: inout SeededRandom) -> [Int32] {
    let isRight = random.unit() < rightTool
    let isSearch = (question.kind == .lookup) == isRight
    var argument = question.argument
    if !isRight || random.unit() >= rightArgument {
      let others = task.questions.filter { ($0.kind == .lookup) == isSearch }
      argument = others[random.below(others.count)].argument
    }
    return isSearch
      ? [TaskVocabulary.search] + TaskVocabulary.ids(argument) + [TaskVocabulary.endSearch]
      : [TaskVocabulary.python] + TaskVocabulary.ids(argument) + [TaskVocabulary.endPython]
  }
}
