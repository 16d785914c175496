import AdaptiveRollout
import Sampling

/// A question of the task, its tool and its answer.
public struct TaskQuestion: Sendable, Hashable {
  /// `d?` asks for the digit of a letter, which only the search tool knows; `3+4?` for the last digit of a sum.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case lookup
    case sum
  }

  public var kind: Kind
  /// What the tool is to be asked: `d`, or `3+4`.
  public var argument: String
  /// The right answer, one digit.
  public var answer: String

  /// The prompt.
  public var prompt: String { argument + "?" }
}

/// A task of two tools with a known optimum: every question is answered right by calling the one right tool with what
/// the question names and repeating the result, which earns 1; a wrong answer, or none, earns 0.
///
/// Which digit belongs to a letter is drawn from the seed, so nothing but the tool tells it. A tool that is asked what it
/// does not know answers `?`.
public struct ToolTask: Sendable {
  /// Reward of the best policy.
  public static let optimum = 1.0
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz")

  /// By letter.
  private let digits: [Int]
  /// All questions, lookups first.
  public let questions: [TaskQuestion]

  /// A task whose table is drawn from a seed.
  public init(seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: "table")
    let digits = Self.letters.map { _ in random.below(10) }
    self.digits = digits
    let lookups = zip(Self.letters, digits).map { letter, digit in
      TaskQuestion(kind: .lookup, argument: String(letter), answer: String(digit))
    }
    let sums = (0..<100).map { i in
      TaskQuestion(kind: .sum, argument: "\(i / 10)+\(i % 10)", answer: String((i / 10 + i % 10) % 10))
    }
    questions = lookups + sums
  }

  /// Some of the questions, half of them lookups, drawn without replacement.
  public func questions(_ count: Int, seed: UInt64) -> [TaskQuestion] {
    var random = SeededRandom(seed: seed, stream: "questions")
    let lookups = random.shuffled(questions.filter { $0.kind == .lookup }).prefix(count / 2)
    let sums = random.shuffled(questions.filter { $0.kind == .sum }).prefix(count - lookups.count)
    return Array(lookups) + Array(sums)
  }

  /// What a tool answers: `search` knows the letters, `python` adds two digits and keeps the last digit of the sum.
  func answer(of tool: String, to argument: String) -> String? {
    let characters = Array(argument)
    if tool == "search" {
      guard characters.count == 1, let at = Self.letters.firstIndex(of: characters[0]) else { return nil }
      return String(digits[at])
    }
    guard characters.count == 3, characters[1] == "+", let a = characters[0].wholeNumberValue,
      let b = characters[2].wholeNumberValue
    else { return nil }
    return String((a + b) % 10)
  }

  /// The call that a stretch of generated tokens ends with; `nil` if its last token ends no call.
  ///
  /// A call without its opening tag asks for nothing, which no tool knows.
  func call(in tokens: some BidirectionalCollection<Int32>) -> ToolCall? {
    let all = Array(tokens)
    guard let end = all.last, end == TaskVocabulary.endSearch || end == TaskVocabulary.endPython else { return nil }
    let isSearch = end == TaskVocabulary.endSearch
    let opening = isSearch ? TaskVocabulary.search : TaskVocabulary.python
    let tool = isSearch ? "search" : "python"
    guard let start = all.lastIndex(of: opening) else {
      return ToolCall(tool: tool, start: all.count - 1, argument: "", result: nil)
    }
    let argument = TaskVocabulary.text(all[(start + 1)..<(all.count - 1)])
    return ToolCall(tool: tool, start: start, argument: argument, result: answer(of: tool, to: argument))
  }

  /// The reward of a whole response: 1 if its last answer is the right one.
  func reward(of response: some BidirectionalCollection<Int32>, to question: TaskQuestion) -> Double {
    let all = Array(response)
    guard let end = all.lastIndex(of: TaskVocabulary.endAnswer),
      let start = all[..<end].lastIndex(of: TaskVocabulary.answer)
    else { return 0 }
    return TaskVocabulary.text(all[(start + 1)..<end]) == question.answer ? 1 : 0
  }
}

/// A tool call in a stretch of tokens.
struct ToolCall: Sendable, Hashable {
  var tool: String
  /// Position of the call's first token in the stretch.
  var start: Int
  var argument: String
  /// What the tool answers; `nil`: it does not know.
  var result: String?

  /// The tokens that stand behind the call.
  var resultTokens: [Int32] {
    [TaskVocabulary.result] + TaskVocabulary.ids(result ?? "?") + [TaskVocabulary.endResult]
  }
}
