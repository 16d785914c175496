import Foundation
import GRDB
import Replay

/// What an evidence set covers of one run.
public struct EvidenceSummary: Sendable, Equatable {
  public var run: String
  public var temperature: Double
  public var trajectories: Int
  /// Of them, those with any value.
  public var scored: Int
  /// Tokens with values.
  public var tokens: Int
  /// Generated tokens that should have values and have none.
  public var missing: Int
  /// Trajectories whose ids were found by the texts of tokens, or by tokenising text.
  public var matched: Int
  public var retokenized: Int
  /// Trajectories whose prompt was tokenised from its text, or that were scored without one.
  public var promptRetokenized: Int
  public var promptAbsent: Int
  /// Generated tokens whose text was tokenised again, and those that came out as other tokens.
  public var driftChecked: Int?
  public var driftTokens: Int?
}

/// A trajectory that an evidence set does not cover, or not to its end.
public struct EvidenceGap: Sendable, Equatable {
  public var run: String
  public var group: String
  public var trajectory: String
  public var missing: Int
  public var reason: String
}

extension Store {
  /// What an evidence set covers, by run in the order in which they came.
  public func summary(of evidence: String) throws -> [EvidenceSummary] {
    try reading { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT r.run_id, max(g.temperature) AS temperature, count(*) AS trajectories, sum(x.scored > 0) AS scored,
            sum(x.scored) AS tokens, sum(x.missing) AS missing,
            sum(x.ids = 'matched' AND x.scored > 0) AS matched, sum(x.ids = 'retokenized' AND x.scored > 0) AS retokenized,
            sum(x.prompt = 'retokenized' AND x.scored > 0) AS prompt_retokenized,
            sum(x.prompt = 'none' AND x.scored > 0) AS prompt_absent,
            sum(x.drift_checked) AS drift_checked, sum(x.drift_tokens) AS drift_tokens
          FROM rescored_trajectory x
          JOIN evidence_set e ON e.id = x.evidence_set AND e.name = ?
          JOIN trajectory t ON t.id = x.trajectory
          JOIN run r ON r.id = t.run
          JOIN rescored_group g ON g.evidence_set = e.id AND g.prompt_group = t.prompt_group
          GROUP BY r.id ORDER BY r.id
          """, arguments: [evidence]
      ).map { row in
        EvidenceSummary(
          run: row["run_id"], temperature: row["temperature"], trajectories: row["trajectories"], scored: row["scored"],
          tokens: row["tokens"], missing: row["missing"], matched: row["matched"], retokenized: row["retokenized"],
          promptRetokenized: row["prompt_retokenized"], promptAbsent: row["prompt_absent"],
          driftChecked: row["drift_checked"], driftTokens: row["drift_tokens"])
      }
    }
  }

  /// Trajectories with missing values, the first of them, and how many there are.
  public func gaps(of evidence: String, first limit: Int) throws -> (gaps: [EvidenceGap], count: Int) {
    try reading { db in
      let body = """
        FROM rescored_trajectory x
        JOIN evidence_set e ON e.id = x.evidence_set AND e.name = ?
        JOIN trajectory t ON t.id = x.trajectory
        JOIN run r ON r.id = t.run
        JOIN prompt_group g ON g.id = t.prompt_group
        WHERE x.missing > 0 OR x.scored = 0
        """
      let count = try Int.fetchOne(db, sql: "SELECT count(*) \(body)", arguments: [evidence]) ?? 0
      let rows = try Row.fetchAll(
        db,
        sql:
          "SELECT r.run_id, g.group_id, t.trajectory_id, x.missing, x.reason \(body) ORDER BY x.scored > 0, t.id LIMIT ?",
        arguments: [evidence, limit])
      return (
        rows.map {
          EvidenceGap(
            run: $0["run_id"], group: $0["group_id"], trajectory: $0["trajectory_id"], missing: $0["missing"],
            reason: $0["reason"] ?? "no generated tokens")
        }, count
      )
    }
  }

  /// The bytes of a token that a run's log names by its text.
  public func tokenBytes(run: String, number: Int32) throws -> [UInt8]? {
    try reading { db in
      let row = try Row.fetchOne(
        db.cachedStatement(
          sql: """
            SELECT s.text, s.bytes FROM token_string s JOIN run r ON r.id = s.run WHERE r.run_id = ? AND s.number = ?
            """), arguments: [run, number])
      return row.map { row in (row["bytes"] as Data?).map(Array.init) ?? Array((row["text"] as String).utf8) }
    }
  }
}
