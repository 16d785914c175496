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
