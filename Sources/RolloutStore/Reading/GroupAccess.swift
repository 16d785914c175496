import GRDB
public import Replay

/// A group's row, by which it can be read on its own and in any order.
public struct GroupRow: Sendable, Hashable {
  /// `prompt_group.id`.
  public let id: Int64
}

extension Store {
  /// The selected groups that have trajectories, in the order of ``forEachGroup(_:workers:transform:consume:)``.
  public func groupRows(_ selection: GroupSelection = GroupSelection()) throws -> [GroupRow] {
    try reading { db in
      let reader = GroupReader(db: db, selection: selection)
      return try reader.runs().flatMap { run in
        let (sql, arguments) = reader.groupsQuery("id", run)
        return try Int64.fetchAll(
          db,
          sql: """
            SELECT g.id FROM prompt_group g WHERE g.id IN (\(sql))
              AND EXISTS (SELECT 1 FROM trajectory t WHERE t.prompt_group = g.id)
            ORDER BY g.group_id, g.step IS NULL, g.step
            """, arguments: arguments
        ).map { GroupRow(id: $0) }
      }
    }
  }

  /// One group with its token columns.
  public func group(_ row: GroupRow, _ selection: GroupSelection = GroupSelection()) throws -> ReplayGroup {
    try reading { db in
      let reader = GroupReader(db: db, selection: selection)
      let number = try Int64.fetchOne(
        db.cachedStatement(sql: "SELECT run FROM prompt_group WHERE id = ?"), arguments: [row.id])
      guard let run = try reader.runs().first(where: { $0.row == number }) else {
        throw StoreError(.failed, "a group is no longer in the database")
      }
      return try reader.read(GroupReader.Reference(id: row.id, run: run.run), ColumnDecoder())
    }
  }
}
