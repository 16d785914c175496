import GRDB
import Replay

/// What identifies a prompt group in a database.
public struct StoredGroupKey: Sendable, Equatable {
  /// Name of the run.
  public var run: String
  /// The group's id.
  public var group: String
  /// Training step.
  public var step: Int?
  /// Trajectories of the group.
  public var trajectories: Int

  /// SQL that gives `prompt_group.id` for a run's name, a group's id and a step, in this order; as the index has it.
  static let rowQuery = """
    SELECT g.id FROM prompt_group g JOIN run r ON r.id = g.run
    WHERE r.run_id = ? AND g.group_id = ? AND coalesce(g.step, 'none') = coalesce(?, 'none')
    """
}

extension Store {
  /// The groups of a selection that have trajectories, in canonical order.
  ///
  /// - Parameter limit: how many at the most.
  public func groupKeys(_ selection: GroupSelection, limit: Int) throws -> [StoredGroupKey] {
    try reading { db in
      let reader = GroupReader(db: db, selection: selection)
      var out: [StoredGroupKey] = []
      for run in try reader.runs() {
        let counted = "group_id, step, (SELECT count(*) FROM trajectory t WHERE t.prompt_group = prompt_group.id) AS n"
        let (sql, arguments) = reader.groupsQuery(counted, run)
        let rows = try Row.fetchCursor(db, sql: sql + " ORDER BY group_id, step IS NULL, step", arguments: arguments)
        while out.count < limit, let row = try rows.next() {
          let n: Int = row["n"]
          if n > 0 {
            out.append(StoredGroupKey(run: run.run.id, group: row["group_id"], step: row["step"], trajectories: n))
          }
        }
      }
      return out
    }
  }

  /// The training steps of a selection, in order.
  ///
  /// - Parameter limit: how many at the most.
  public func steps(_ selection: GroupSelection, limit: Int) throws -> [Int] {
    try reading { db in
      let reader = GroupReader(db: db, selection: selection)
      let steps = try reader.runs().flatMap { run in
        let (sql, arguments) = reader.groupsQuery("DISTINCT step", run)
        return try Int.fetchAll(
          db, sql: sql + " AND step IS NOT NULL ORDER BY step LIMIT \(limit)", arguments: arguments)
      }
      return Array(Set(steps).sorted().prefix(limit))
    }
  }
}
