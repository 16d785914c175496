import GRDB
import Rollouts

extension RecordWriter {
  /// Trajectories that name no step belong to the one group record of their id that does, wherever it stood in the log.
  func mergeGroups(run: Int64) throws {
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT a.id AS old, min(b.id) AS new FROM prompt_group a
        JOIN prompt_group b ON b.run = a.run AND b.group_id = a.group_id AND b.step IS NOT NULL AND b.is_recorded = 1
        WHERE a.run = ? AND a.step IS NULL AND a.is_recorded = 0 GROUP BY a.id HAVING count(*) = 1
        """, arguments: [run])
    for row in rows {
      let old: Int64 = row["old"]
      let new: Int64 = row["new"]
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
  /// say nothing.
  func spreadSteplessGroups(run: Int64) throws {
    let facts = ["data_source", "policy_version", "prompt_text", "prompt_token_ids", "ground_truth", "extra"]
    let filled = facts.map { "\($0) = coalesce(g.\($0), a.\($0))" }.joined(separator: ", ")
    try execute(
      """
      UPDATE prompt_group AS g SET \(filled) FROM prompt_group a
      WHERE g.run = ?1 AND g.step IS NOT NULL
        AND a.run = ?1 AND a.group_id = g.group_id AND a.step IS NULL AND a.is_recorded = 1
      """, [run])
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
