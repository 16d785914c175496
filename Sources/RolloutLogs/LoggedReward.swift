import Foundation
import Rollouts

/// Rewards in the shapes that reward functions return.
enum LoggedReward {
  /// The scalar that a logged score says, `nil` where the log has none (absent or null).
  ///
  /// Booleans count 1 and 0, numbers in quotes as numbers, and an object by its `score`: what verl's reward managers
  /// take from a reward function's result. Anything else (a word, a list of one score a token) is an error that names
  /// `path`: a trajectory would be unscored without anybody noticing.
  static func scalar(_ value: JSONValue?, _ path: @autoclosure () -> String) throws(RecordError) -> Double? {
    switch value {
    case nil, .null: return nil
    case .bool(let b): return b ? 1 : 0
    case .int, .double: return try finite(value?.double, path())
    case .string(let s):
      guard let number = Double(s.trimmingCharacters(in: .whitespacesAndNewlines)) else {
        throw RecordError(.wrongType, "\(path()) is a text, not a number: \(s.prefix(40))")
      }
      return try finite(number, path())
    case .array: throw RecordError(.wrongType, "\(path()) is a list, not one number")
    case .object(let members):
      guard let inner = members.first(where: { $0.key == "score" })?.value, inner.members == nil else {
        throw RecordError(.wrongType, "\(path()) is an object without a number \"score\"")
      }
      return try scalar(inner, "\(path()).score")
    }
  }

  /// The extras that are named like a reward: `acc`, `…_reward`, `reward_…`, `…_score`.
  ///
  /// They stand beside the reward and need not add up to it, so their weight is 0. Values that are no finite number are
  /// left out.
  static func parts(of record: JSONValue, except known: Set<String>, suffixes: [String]) -> [RewardPart] {
    var parts: [RewardPart] = []
    for member in record.members ?? [] where !known.contains(member.key) {
      let key = member.key
      guard key == "acc" || key.hasPrefix("reward_") || suffixes.contains(where: { key.hasSuffix($0) }),
        !parts.contains(where: { $0.name == key })
      else { continue }
      let score = member.value.double ?? member.value.bool.map { $0 ? 1 : 0 }
      if let score, score.isFinite { parts.append(RewardPart(name: key, score: score, weight: 0)) }
    }
    return parts
  }

  private static func finite(_ value: Double?, _ path: String) throws(RecordError) -> Double? {
    guard let value else { return nil }
    guard value.isFinite else { throw RecordError(.notFinite, "\(path) is not finite") }
    return value
  }
}
