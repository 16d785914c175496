import GRDB

/// The statements that run for every record of a log, prepared once.
struct RecordStatements {
  /// The row of a trajectory, by run, id and step.
  let trajectory: RowReader
  /// What a child must know of its parent: columns of ``RecordWriter/Parent``, by run, id and step.
  let parent: RowReader
  /// A trajectory's text, where all of it stands in its row; by row.
  let wholeText: RowReader
  /// The tool result of a trajectory that an index, given twice, cuts in two.
  let cutResult: RowReader
  let insertTrajectory: Inserter
  let insertReward: Inserter
  let insertFinding: Inserter

  init(_ db: Database) throws {
    trajectory = try RowReader(
      db,
      """
      SELECT id FROM trajectory
      WHERE run = ? AND trajectory_id = ? AND coalesce(step, 'none') = coalesce(?, 'none')
      """)
    parent = try RowReader(
      db,
      """
      SELECT t.id, t.length, t.unit = 'token', t.source, t.byte_offset, g.group_id FROM trajectory t
      JOIN prompt_group g ON g.id = t.prompt_group
      WHERE t.run = ? AND t.trajectory_id = ? AND coalesce(t.step, 'none') = coalesce(?, 'none')
      """)
    wholeText = try RowReader(db, "SELECT text FROM trajectory WHERE id = ? AND text_shared = 0")
    cutResult = try RowReader(
      db,
      """
      SELECT start_index, end_index FROM segment
      WHERE trajectory = ? AND kind = 'tool_result' AND start_index < ? AND end_index > ?
      """)
    insertTrajectory = try Inserter(
      db,
      """
      INSERT INTO trajectory (id, run, prompt_group, trajectory_id, step, rollout_index, parent, branch_index, branch,
        unit, length, owned, generated, reward, data_source, policy_version, finish_reason, multiplicity, copies,
        evidence, entropy_kind, text, text_shared, extra, part, content_hash, row_hash, source, line, byte_offset)
      VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0,?,?,?,?,?,?,?,?,?,?,?)
      """)
    insertReward = try Inserter(
      db, "INSERT OR REPLACE INTO reward (trajectory, name, score, weight) VALUES (?,?,?,?)")
    insertFinding = try Inserter(
      db, "INSERT INTO finding (id, source, trajectory, check_name, count, first_index, note) VALUES (?,?,?,?,?,?,?)")
  }
}
