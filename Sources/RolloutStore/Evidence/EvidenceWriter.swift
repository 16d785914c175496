import Foundation
import GRDB
public import Replay
import Rollouts

/// Writes what a checkpoint says about the groups of a database, under a name.
///
///     let writer = try EvidenceWriter(store, "qwen", recipe)
///     for group in … { try writer.add(rescored, of: group) }
///     try writer.finish()
///
/// A group is one transaction, so that work that was cut off goes on behind the last group: ``pending(_:)`` are those that
/// are not done.
public final class EvidenceWriter {
  private let store: Store
  private let set: Int64
  private let name: String
  private let encoder = ColumnEncoder()
  /// Whether some of the set was in the database already.
  public let continues: Bool

  /// Begins, or goes on with, an evidence set.
  ///
  /// - Parameters:
  ///   - store: opened for writing.
  ///   - replace: whether a set of the same name and another recipe is removed.
  /// - Throws: ``StoreError`` where it is not.
  public init(_ store: Store, _ name: String, _ recipe: EvidenceRecipe, replace: Bool = false) throws {
    self.store = store
    self.name = name
    (set, continues) = try store.writing { db in
      if let old = try Row.fetchOne(db, sql: "SELECT * FROM evidence_set WHERE name = ?", arguments: [name]) {
        let record = EvidenceRecord(old)
        guard let (what, mine, other) = recipe.difference(from: record.recipe) else {
          try db.execute(sql: "UPDATE evidence_set SET state = 'writing' WHERE id = ?", arguments: [record.id])
          try Self.removeStale(record.id, db)
          return (record.id, true)
        }
        guard replace else {
          throw StoreError(
            .failed,
            "evidence \(name) is in the database with another \(what): \(other), not \(mine); "
              + "give another --name, or --replace it")
        }
        try Self.remove("1", record.id, db)
        try db.execute(sql: "DELETE FROM evidence_set WHERE id = ?", arguments: [record.id])
      }
      try db.execute(
        sql: """
          INSERT INTO evidence_set (name, policy, policy_sha256, adapter, adapter_sha256, vocab_size, temperature, top_k,
            inserted, unconditioned, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'writing')
          """,
        arguments: [
          name, recipe.policy, recipe.policySHA256, recipe.adapter, recipe.adapterSHA256, recipe.vocabSize,
          recipe.temperature, recipe.topK, recipe.withInserted, recipe.allowsNoPrompt,
        ])
      return (db.lastInsertedRowID, false)
    }
  }

  /// Groups that are not done, in the order in which ``Store/forEachGroup(_:workers:transform:consume:)`` gives them.
  public func pending(_ selection: GroupSelection) throws -> [PendingGroup] {
    try store.reading { db in
      let reader = GroupReader(db: db, selection: selection)
      return try reader.runs().flatMap { run in
        var (sql, arguments) = reader.groupsQuery(
          "id, (SELECT sum(owned) FROM trajectory t WHERE t.prompt_group = prompt_group.id) AS units", run)
        sql += """
           AND EXISTS (SELECT 1 FROM trajectory t WHERE t.prompt_group = prompt_group.id)
          AND NOT EXISTS (SELECT 1 FROM rescored_group x WHERE x.evidence_set = ? AND x.prompt_group = prompt_group.id)
          ORDER BY group_id, step IS NULL, step
          """
        arguments += [set]
        return try Row.fetchAll(db, sql: sql, arguments: arguments).map { PendingGroup(row: $0[0], units: $0[1] ?? 0) }
      }
    }
  }

  /// Writes a group.
  public func add(_ rescored: RescoredGroup, of group: ReplayGroup) throws {
    try store.writing { db in
      guard
        let row = try Int64.fetchOne(
          db.cachedStatement(sql: StoredGroupKey.rowQuery), arguments: [group.run.id, group.id, group.step])
      else { throw StoreError(.failed, "group \(group.id) is no longer in the database") }
      let rows = try Row.fetchAll(
        db.cachedStatement(sql: "SELECT trajectory_id, id FROM trajectory WHERE prompt_group = ?"), arguments: [row])
      let ids = Dictionary(rows.map { ($0[0] as String, $0[1] as Int64) }, uniquingKeysWith: { first, _ in first })
      try db.cachedStatement(
        sql:
          "INSERT INTO rescored_group (evidence_set, prompt_group, temperature, data_key) VALUES (?, ?, ?, \(Self.dataKey("?2")))"
      ).execute(arguments: [set, row, rescored.temperature])
      for (trajectory, values) in zip(group.trajectories, rescored.trajectories) {
        guard let id = ids[trajectory.id] else {
          throw StoreError(.failed, "trajectory \(trajectory.id) is no longer in the database")
        }
        try write(values, of: id, db)
      }
    }
  }

  /// Marks the set as complete.
  public func finish() throws {
    try store.writing { db in
      try db.execute(sql: "UPDATE evidence_set SET state = 'complete' WHERE id = ?", arguments: [set])
      guard db.changesCount == 1 else { throw StoreError(.failed, "evidence \(name) was removed by another program") }
    }
  }

  private func write(_ values: RescoredTrajectory, of trajectory: Int64, _ db: Database) throws {
    try db.cachedStatement(
      sql: """
        INSERT INTO rescored_trajectory (evidence_set, trajectory, ids, prompt, scored, missing, reason, drift_checked,
          drift_tokens, drift_first) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    ).execute(arguments: [
      set, trajectory, values.ids.rawValue, values.prompt.rawValue, values.scored, values.missing, values.reason,
      values.drift?.checked, values.drift?.differing, values.drift?.first,
    ])
    guard !values.segments.isEmpty else { return }
    let segments = try Int64.fetchAll(
      db.cachedStatement(sql: "SELECT id FROM segment WHERE trajectory = ? ORDER BY ordinal"), arguments: [trajectory])
    let statement = try db.cachedStatement(
      sql: """
        INSERT INTO rescored_tokens (evidence_set, segment, tokens, token_ids, logprobs, top_logprobs, entropies)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """)
    for segment in values.segments {
      guard segments.indices.contains(segment.ordinal) else {
        throw StoreError(.failed, "a segment of a rescored trajectory is no longer in the database")
      }
      try statement.execute(arguments: [
        set, segments[segment.ordinal], segment.count, segment.tokenIDs.map { Data(encoder.integers($0[...])) },
        reals(segment.logprobs),
        segment.topLogprobs.flatMap {
          encoder.candidates($0, 0..<$0.counts.count, 0..<$0.tokenIDs.count).map { Data($0) }
        }, reals(segment.entropies),
      ])
    }
  }

  private func reals(_ values: [Float]) -> Data? {
    guard values.contains(where: { !$0.isNaN }) else { return nil }
    return Data(encoder.reals(RealColumn(floats: values), 0..<values.count))
  }

  // MARK: What is no longer true

  // A number for what a group's trajectories say: imports change it.
  private static func dataKey(_ group: String) -> String {
    "(SELECT count(*) || ':' || coalesce(sum(t.content_hash % 1000000007), 0) || ':' || coalesce(sum(t.owned), 0) "
      + "FROM trajectory t WHERE t.prompt_group = \(group))"
  }

  private static func removeStale(_ set: Int64, _ db: Database) throws {
    try remove("x.data_key <> \(dataKey("x.prompt_group"))", set, db)
  }

  private static func remove(_ condition: String, _ set: Int64, _ db: Database) throws {
    let groups = "SELECT x.prompt_group FROM rescored_group x WHERE x.evidence_set = ?1 AND \(condition)"
    let trajectories = "SELECT t.id FROM trajectory t WHERE t.prompt_group IN (\(groups))"
    for sql in [
      """
      DELETE FROM rescored_tokens WHERE evidence_set = ?1
        AND segment IN (SELECT s.id FROM segment s WHERE s.trajectory IN (\(trajectories)))
      """,
      "DELETE FROM rescored_trajectory WHERE evidence_set = ?1 AND trajectory IN (\(trajectories))",
      "DELETE FROM rescored_group AS x WHERE x.evidence_set = ?1 AND \(condition)",
    ] { try db.execute(sql: sql, arguments: [set]) }
  }
}

/// A group that is to be scored.
public struct PendingGroup: Sendable {
  /// Its row, for ``GroupSelection/rows``.
  public var row: Int64
  /// Own tokens of its trajectories; of text-only ones segments.
  public var units: Int
}
