import Foundation
import GRDB
public import Replay

extension Store {
  /// Prompt and provenance of a group.
  ///
  /// Must not be called while this store reads groups (``forEachGroup(_:workers:transform:consume:)`` holds its connection): open a
  /// second store for it.
  ///
  /// - Parameter condition: an SQL expression over the columns of the view `trajectories`; `nil`: all are selected.
  public func origin(of group: ReplayGroup, where condition: String? = nil) throws -> GroupOrigin {
    do {
      return try queue.read { db in
        guard
          let row = try Row.fetchOne(
            db.cachedStatement(
              sql: """
                SELECT id, prompt_text, prompt_token_ids, ground_truth, data_source FROM prompt_group
                WHERE id = (\(StoredGroupKey.rowQuery))
                """), arguments: [group.run.id, group.id, group.step])
        else { throw StoreError(.failed, "group \(group.id) of run \(group.run.id) is no longer in the database") }
        var origin = GroupOrigin(
          promptText: row["prompt_text"], promptTokenIDs: nil, groundTruth: row["ground_truth"],
          dataSource: row["data_source"], trajectories: [])
        if let blob = row["prompt_token_ids"] as Data? {
          var ids: [Int32] = []
          try blob.withUnsafeBytes { try ColumnDecoder().integers($0, into: &ids) }
          origin.promptTokenIDs = ids
        }
        let rows = try Row.fetchAll(
          db.cachedStatement(
            sql: """
              SELECT t.trajectory_id, s.path, t.line, t.byte_offset, s.format,
                iif(t.parent IS NULL AND t.text_shared = 0 AND t.part = 0, t.text, NULL) AS text,
                \(condition.map { "t.id IN (SELECT id FROM trajectories WHERE id = t.id AND (\($0)))" } ?? "1") AS selected
              FROM trajectory t JOIN source s ON s.id = t.source WHERE t.prompt_group = ?
              """), arguments: [row["id"] as Int64])
        var byID: [String: TrajectoryOrigin] = [:]
        for row in rows {
          byID[row["trajectory_id"]] = TrajectoryOrigin(
            path: row["path"], line: row["line"], byteOffset: row["byte_offset"], format: row["format"],
            text: row["text"], isSelected: row["selected"])
        }
        origin.trajectories = try group.trajectories.map { trajectory in
          guard let found = byID[trajectory.id] else {
            throw StoreError(.failed, "trajectory \(trajectory.id) is no longer in the database")
          }
          return found
        }
        return origin
      }
    } catch let error as DatabaseError {
      throw condition != nil && error.resultCode == .SQLITE_ERROR
        ? StoreError(.failed, "--where: \(error.message ?? error.description)") : Self.translated(error, path)
    }
  }

  /// Checks an SQL condition over the view `trajectories` before work begins.
  public func check(condition: String) throws {
    do {
      try queue.read { db in
        let sql = "SELECT id FROM trajectories WHERE (\(condition)) LIMIT 1"
        let statement = try db.makeStatement(sql: sql)
        guard statement.isReadonly else { throw StoreError(.failed, "--where would change the database") }
        _ = try Row.fetchOne(statement)
      }
    } catch let error as DatabaseError {
      throw StoreError(.failed, "--where: \(error.message ?? error.description)")
    }
  }
}
