import GRDB
import Rollouts

extension RecordWriter {
  /// True in SQL where two groups may be one prompt: what both say of it is the same.
  private static func agree(_ a: String, _ b: String) -> String {
    ["prompt_text", "prompt_token_ids", "ground_truth"]
      .map { "(\(a).\($0) IS \(b).\($0) OR \(a).\($0) IS NULL OR \(b).\($0) IS NULL)" }.joined(separator: " AND ")
  }

  /// Trajectories that name no step belong to the one group record of their id that does, wherever it stood in the log.
  ///
  /// Where the two have other prompts they stay what they are, and that is told.
  func mergeGroups(run: Int64) throws {
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT a.id AS old, min(b.id) AS new, \(Self.agree("a", "b")) AS agree FROM prompt_group a
        JOIN prompt_group b ON b.run = a.run AND b.group_id = a.group_id AND b.step IS NOT NULL AND b.is_recorded = 1
        WHERE a.run = ? AND a.step IS NULL AND a.is_recorded = 0 GROUP BY a.id HAVING count(*) = 1
        """, arguments: [run])
    for row in rows {
      let old: Int64 = row["old"]
      let new: Int64 = row["new"]
      guard row["agree"] else {
        try tell(.promptDisagrees, of: old, "no step, and another prompt than the group record that has one")
        continue
      }
      try execute("UPDATE trajectory SET prompt_group = ? WHERE prompt_group = ?", [new, old])
      try execute(
        """
        UPDATE prompt_group SET
          prompt_text = coalesce(prompt_text, (SELECT prompt_text FROM prompt_group WHERE id = ?1)),
          prompt_token_ids = coalesce(prompt_token_ids, (SELECT prompt_token_ids FROM prompt_group WHERE id = ?1)),
          ground_truth = coalesce(ground_truth, (SELECT ground_truth FROM prompt_group WHERE id = ?1)) WHERE id = ?2
        """, [old, new])
      try execute("DELETE FROM prompt_group WHERE id = ?", [old])
    }
  }

  /// A group record that names no step speaks of the prompt at every step: what it says holds where a step's own records
  /// say nothing, unless they have another prompt or ground truth: then it speaks of something else.
  func spreadSteplessGroups(run: Int64) throws {
    let facts = ["data_source", "policy_version", "prompt_text", "prompt_token_ids", "ground_truth", "extra"]
    let filled = facts.map { "\($0) = coalesce(g.\($0), a.\($0))" }.joined(separator: ", ")
    let pairs = """
      g.run = ?1 AND g.step IS NOT NULL
        AND a.run = ?1 AND a.group_id = g.group_id AND a.step IS NULL AND a.is_recorded = 1
      """
    try execute(
      "UPDATE prompt_group AS g SET \(filled) FROM prompt_group a WHERE \(pairs) AND \(Self.agree("a", "g"))", [run])
    let others = try Int64.fetchAll(
      db,
      sql:
        "SELECT g.id FROM prompt_group g, prompt_group a WHERE \(pairs) AND NOT (\(Self.agree("a", "g"))) ORDER BY g.id",
      arguments: [run])
    for group in others { try tell(.promptDisagrees, of: group, "another prompt than the group record without a step") }
  }

  /// Findings about groups are made anew whenever a run's records are put together.
  func forgetGroupFindings(run: Int64) throws {
    try execute(
      "DELETE FROM finding WHERE check_name = ? AND trajectory IN (SELECT id FROM trajectory WHERE run = ?)",
      [Finding.Check.promptDisagrees.rawValue, run])
  }

  /// Notes a finding about a group with its first trajectory; a group without any harms nobody.
  private func tell(_ check: Finding.Check, of group: Int64, _ note: String) throws {
    let first = try fetch(
      "SELECT min(id) AS id, source, count(*) AS count FROM trajectory WHERE prompt_group = ?", [group])
    guard let first, let trajectory = first["id"] as Int64? else { return }
    try insert(Finding(check, count: first["count"], note: note), trajectory: trajectory, source: first["source"])
  }

  /// Notes rows that say the same as another of their group (ARPO pads short groups with copies of the last row).
  func findCopies(run: Int64) throws {
    try execute(
      """
      DELETE FROM finding WHERE check_name = ? AND trajectory IN (SELECT id FROM trajectory WHERE run = ?)
      """, [Finding.Check.duplicateRow.rawValue, run])
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT min(id) AS id, min(source) AS source, count(*) - 1 + sum(copies) AS copies FROM trajectory WHERE run = ?
        GROUP BY prompt_group, row_hash HAVING count(*) > 1 OR sum(copies) > 0 ORDER BY 1
        """, arguments: [run])
    for row in rows {
      try insert(Finding(.duplicateRow, count: row["copies"]), trajectory: row["id"], source: row["source"])
    }
  }
}
