import Foundation
import Rollouts

/// Rewards in the shapes that reward functions return.
enum LoggedReward {
  /// The scalar that a logged score says, `nil` where it says none (a list, a word, an object without `score`).
  ///
  /// Booleans count 1 and 0, numbers in quotes as numbers, and an object by its `score`: what verl's reward managers
  /// take from a reward function's result.
  static func scalar(_ value: JSONValue?, _ path: @autoclosure () -> String) throws(RecordError) -> Double? {
    switch value {
    case .bool(let b): return b ? 1 : 0
    case .string(let s):
      let trimmed = s.trimmingCharacters(in: .whitespacesAndNewlines)
      return try trimmed.isEmpty ? nil : finite(Double(trimmed), path())
    case .object:
      if let inner = value?["score"], inner.members == nil { return try scalar(inner, "\(path()).score") }
      return nil
    default: return try finite(value?.double, path())
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
