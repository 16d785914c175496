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

  /// The group's trajectories with the set's values.
  func apply(to trajectories: inout [StoredTrajectory], withProbabilities: Bool) throws {
    let covered = try db.cachedStatement(
      sql: "SELECT ids, scored FROM rescored_trajectory WHERE evidence_set = ? AND trajectory = ?")
    let values = try db.cachedStatement(
      sql: """
        SELECT e.tokens, e.token_ids, e.logprobs, e.top_logprobs, e.entropies FROM segment s
        LEFT JOIN rescored_tokens e ON e.segment = s.id AND e.evidence_set = ? WHERE s.trajectory = ? ORDER BY s.ordinal
        """)
    for i in trajectories.indices {
      let row = trajectories[i].row
      let found = try Row.fetchOne(covered, arguments: [record.id, row])
      let ids = found.flatMap { IDSource(rawValue: $0["ids"]) } ?? .logged
      let scored: Int = ids == .retokenized && !retokenizes ? 0 : found?["scored"] ?? 0
      trajectories[i].trajectory.entropyKind = scored > 0 ? "exact" : nil
      trajectories[i].trajectory.evidence.formIntersection([.text, .tokenIDs])
      if scored > 0 {
        trajectories[i].trajectory.evidence.formUnion([.tokenIDs, .sampledLogprobs, .entropies])
        if record.recipe.topK > 0 { trajectories[i].trajectory.evidence.insert(.topLogprobs) }
      }
      let rows = scored > 0 ? try Row.fetchAll(values, arguments: [record.id, row]) : []
      if ids == .retokenized, scored > 0 {
        // The unit of the log is the segment; with the set's ids it is the token.
        trajectories[i].hasTokens = true
        trajectories[i].isRetokenized = true
        trajectories[i].segments = zip(rows, trajectories[i].trajectory.segments).map { row, segment in
          let count: Int = row["tokens"] ?? 0
          return StoredSegment(
            count: count, generated: segment.isInserted ? 0 : count,
            blobs: [row["token_ids"], nil] + Self.probabilities(of: row, withProbabilities))
        }
        continue
      }
      for k in trajectories[i].segments.indices {
        let row = rows.indices.contains(k) ? rows[k] : nil
        trajectories[i].segments[k].blobs.replaceSubrange(2...4, with: Self.probabilities(of: row, withProbabilities))
        if ids == .matched { trajectories[i].segments[k].vocabularyIDs = row?["token_ids"] }
      }
    }
  }

  private static func probabilities(of row: Row?, _ wanted: Bool) -> [Data?] {
    guard let row, wanted else { return [nil, nil, nil] }
    return [row["logprobs"], row["top_logprobs"], row["entropies"]]
  }
}

extension GroupDecoder {
  /// Gives retokenised trajectories indices that count tokens; as they are stored, they count segments.
  static func countTokens(_ stored: [StoredTrajectory], _ trajectories: inout [ReplayTrajectory]) {
    // Tokens up to a segment index of a trajectory's path.
    func tokens(_ t: Int, before index: Int, _ depth: Int = 0) -> Int {
      let first = stored[t].trajectory.declaredBranch
      let parent = trajectories[t].declaredParent
      guard depth <= stored.count else { return 0 }
      if index < first, let parent { return tokens(parent, before: index, depth + 1) }
      let inherited = parent.map { tokens($0, before: first, depth + 1) } ?? 0
      let own = stored[t].segments.prefix(max(0, index - first)).reduce(0) { $0 + $1.count }
      return inherited + own
    }
    for t in trajectories.indices where stored[t].isRetokenized {
      let first = stored[t].trajectory.declaredBranch
      var start = tokens(t, before: first)
      if trajectories[t].declaredParent != nil { trajectories[t].declaredBranch = start }
      for (k, segment) in stored[t].segments.enumerated() {
        trajectories[t].segments[k].start = start
        start += segment.count
        trajectories[t].segments[k].end = start
      }
    }
  }

  /// Gives candidates the ids that the log's own token has.
  ///
  /// Where the log names tokens by their texts, its ids are numbers of texts and the set's are the vocabulary's: the
  /// candidate that is the sampled token gets that token's number, the others one that no text has.
  static func translate(_ columns: inout TokenColumns, vocabulary: [Int32]) {
    guard var top = columns.topLogprobs, vocabulary.count == columns.count else { return }
    columns.topLogprobs = nil
    var flat = 0
    for i in 0..<columns.count {
      for _ in 0..<Int(top.counts[i]) {
        top.tokenIDs[flat] = top.tokenIDs[flat] == vocabulary[i] ? columns.tokenIDs[i] : ~top.tokenIDs[flat]
        flat += 1
      }
    }
    columns.topLogprobs = top
  }
}
