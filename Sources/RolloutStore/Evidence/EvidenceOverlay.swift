import Foundation
import GRDB
import Replay
import Rollouts

/// Puts a checkpoint's values in the place of the logged ones while groups are read.
///
/// Nothing is mixed: a trajectory that the set does not cover has no probabilities at all then, whatever its log says.
struct EvidenceOverlay {
  let record: EvidenceRecord
  private let retokenizes: Bool
  private let db: Database

  init?(_ selection: GroupSelection, _ db: Database) throws {
    guard let name = selection.evidence else { return nil }
    record = try Store.evidence(named: name, db)
    retokenizes = selection.retokenizes
    self.db = db
  }

  /// A run as the set sees it: vocabulary and temperature are those of the scoring.
  func apply(to run: inout ReplayRun, row: Int64) throws {
    run.evidence = record.description
    run.vocabSize = record.recipe.vocabSize
    run.logprobTemperature =
      try Double.fetchOne(
        db.cachedStatement(
          sql: """
            SELECT x.temperature FROM rescored_group x JOIN prompt_group g ON g.id = x.prompt_group
            WHERE x.evidence_set = ? AND g.run = ? LIMIT 1
            """), arguments: [record.id, row]) ?? run.logprobTemperature
  }

  /// Says where a trajectory's columns come from with the set.
  func apply(to stored: inout StoredTrajectory) throws {
    let found = try Row.fetchOne(
      db.cachedStatement(
        sql: "SELECT ids, scored FROM rescored_trajectory WHERE evidence_set = ? AND trajectory = ?"),
      arguments: [record.id, stored.row])
    let ids = found.flatMap { IDSource(rawValue: $0["ids"]) } ?? .logged
    let scored: Int = ids == .retokenized && !retokenizes ? 0 : found?["scored"] ?? 0
    stored.trajectory.entropyKind = scored > 0 ? "exact" : nil
    stored.trajectory.evidence.formIntersection([.text, .tokenIDs])
    stored.source = .tokens
    guard scored > 0 else { return }
    stored.trajectory.evidence.formUnion([.tokenIDs, .sampledLogprobs, .entropies])
    if record.recipe.topK > 0 { stored.trajectory.evidence.insert(.topLogprobs) }
    switch ids {
    case .retokenized:
      // The unit of the log is the segment; with the set's ids it is the token.
      stored.hasTokens = true
      stored.source = .retokenized
    case .matched: stored.source = .matched
    case .logged: stored.source = .scored
    }
  }
}

extension StoredTrajectory {
  /// Gives retokenised trajectories indices that count tokens; as they are stored, they count segments.
  static func countTokens(_ stored: inout [StoredTrajectory]) {
    // As the log counts them.
    let branches = stored.map(\.trajectory.declaredBranch)
    // Tokens up to a segment index of a trajectory's path.
    func tokens(_ t: Int, before index: Int, _ depth: Int = 0) -> Int {
      let first = branches[t]
      let parent = stored[t].trajectory.declaredParent
      guard depth <= stored.count else { return 0 }
      if index < first, let parent { return tokens(parent, before: index, depth + 1) }
      let inherited = parent.map { tokens($0, before: first, depth + 1) } ?? 0
      return inherited + stored[t].segmentTokens.prefix(max(0, index - first)).reduce(0, +)
    }
    for t in stored.indices where stored[t].source == .retokenized {
      var start = tokens(t, before: branches[t])
      if stored[t].trajectory.declaredParent != nil { stored[t].trajectory.declaredBranch = start }
      for (k, count) in stored[t].segmentTokens.enumerated() {
        stored[t].trajectory.segments[k].start = start
        start += count
        stored[t].trajectory.segments[k].end = start
      }
    }
  }
}

extension TokenColumns {
  /// Gives candidates the ids that the log's own token has.
  ///
  /// Where the log names tokens by their texts, its ids are numbers of texts and the set's are the vocabulary's: the
  /// candidate that is the sampled token gets that token's number, the others one that no text has.
  mutating func renameCandidates(from vocabulary: [Int32]) {
    // Places need no names.
    guard var top = topLogprobs, top.places.isEmpty, vocabulary.count == count else { return }
    topLogprobs = nil
    var flat = 0
    for i in 0..<count {
      for _ in 0..<Int(top.counts[i]) {
        top.tokenIDs[flat] = top.tokenIDs[flat] == vocabulary[i] ? tokenIDs[i] : ~top.tokenIDs[flat]
        flat += 1
      }
    }
    topLogprobs = top
  }
}
