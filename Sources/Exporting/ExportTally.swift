/// Why something was left out of an export.
public enum ExportGap: String, Error, Sendable, CaseIterable {
  case noPrompt = "the log has no prompt of it"
  case noText = "neither text of that stretch nor ids with a tokenizer (--tokenizer DIR)"
  case messagesOnly = "a chat log has the messages and not the text between them (--style conversational)"
  case textWithoutTokens = "text between the tokens whose ids are not in the log (--style conversational)"
  case insideMessage = "the fork lies inside an assistant message (--style standard)"
  case renderedPrompt = "the prompt is a rendered chat template, not messages (--style standard)"
  case splitCharacter = "the cut splits a character of several tokens"
  case unscored = "no reward"
  case noAdvantage = "the attribution has no advantage for it"
  case emptyContinuation = "a continuation is empty"
  case sameContinuation = "both continuations are the same"
  case belowMargin = "the scores differ by too little"
  case manyPairs = "the fork has pairs of larger margins (--max-pairs-per-fork)"
  case noSignal = "no leaf above the group's mean"
  case belowReward = "below the least reward (--min-reward)"
  case notBest = "not among the best of its group (--best)"
  case onThreshold = "its score is the threshold itself"
  case noIDs = "the log has no token ids of it"
}

/// What an export wrote and left out.
public struct ExportTally: Sendable {
  /// Groups read.
  public var groups = 0
  /// Forks with two scored branches or more.
  public var forks = 0
  /// Records written.
  public var records = 0
  /// Of them, those without text.
  public var withoutText = 0
  /// Of them, those without ids.
  public var withoutIDs = 0
  /// What was left out, by reason.
  public var skipped: [ExportGap: Int] = [:]

  /// Nothing yet.
  public init() {}

  mutating func skip(_ gap: ExportGap, _ count: Int = 1) { if count > 0 { skipped[gap, default: 0] += count } }

  /// Adds another group's.
  public static func += (a: inout ExportTally, b: ExportTally) {
    a.groups += b.groups
    a.forks += b.forks
    a.records += b.records
    a.withoutText += b.withoutText
    a.withoutIDs += b.withoutIDs
    a.skipped.merge(b.skipped, uniquingKeysWith: +)
  }
}
