import Foundation
import GRDB

/// A run of the learner as the database keeps it.
public struct LearnerRunRecord: Sendable, Equatable {
  /// How a run stands.
  public enum State: String, Sendable {
    /// Or killed.
    case running
    case interrupted
    case stopped
    case complete
  }

  /// Absolute path of the run's folder.
  public var directory: String
  /// The checkpoint it started from.
  public var policy: String
  /// The adapter it started from.
  public var adapter: String?
  /// Where advantages come from.
  public var attribution: String?
  /// The loss's name.
  public var loss: String
  /// Seed of order, split and initial adapter.
  public var seed: UInt64
  /// JSON: everything that decides the result.
  public var options: String
  /// SHA-256 of what is trained on.
  public var dataHash: String
  /// Updates of the whole run.
  public var updates: Int

  /// A run.
  public init(
    directory: String, policy: String, adapter: String?, attribution: String?, loss: String, seed: UInt64,
    options: String, dataHash: String, updates: Int
  ) {
    self.directory = directory
    self.policy = policy
    self.adapter = adapter
    self.attribution = attribution
    self.loss = loss
    self.seed = seed
    self.options = options
    self.dataHash = dataHash
    self.updates = updates
  }
}

/// What a run of the learner does with a group.
public struct LearnerGroup: Sendable, Equatable {
  /// Where it goes.
  public enum Split: String, Sendable {
    case train
    case heldOut = "held_out"
    case dropped
  }

  /// The group.
  public var row: GroupRow
  /// Where it goes.
  public var split: Split
  /// Why it is dropped.
  public var reason: String?
  /// Trajectories used of it.
  public var trajectories: Int

  /// A group's fate.
  public init(row: GroupRow, split: Split, reason: String? = nil, trajectories: Int) {
    self.row = row
    self.split = split
    self.reason = reason
    self.trajectories = trajectories
  }
}

extension Store {
  /// Writes down that a run begins, or goes on, and what it does with which group.
  ///
  /// A run in the same folder is replaced, unless it goes on; then its metrics up to a step are kept.
  ///
  /// - Parameter step: `nil`: a new run.
  /// - Returns: the run's number.
  public func beginLearnerRun(
    _ run: LearnerRunRecord, groups: [LearnerGroup], resumingAfter step: Int? = nil
  ) throws -> Int64 {
    try writing { db in
      let known = try Int64.fetchOne(
        db, sql: "SELECT id FROM learner_run WHERE directory = ?", arguments: [run.directory])
      if let known, let step {
        try db.execute(
          sql: "DELETE FROM learner_metric WHERE learner_run = ? AND step > ?", arguments: [known, step])
        try db.execute(
          sql: "UPDATE learner_run SET state = 'running', reason = NULL, finished = NULL WHERE id = ?",
          arguments: [known])
        return known
      }
      if let known { try Self.remove(known, db) }
      try db.execute(
        sql: """
          INSERT INTO learner_run (directory, policy, adapter, attribution, loss, seed, options, data_hash, updates, state,
            started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', datetime('now'))
          """,
        arguments: [
          run.directory, run.policy, run.adapter, run.attribution, run.loss, Int64(bitPattern: run.seed), run.options,
          run.dataHash, run.updates,
        ])
      let id = db.lastInsertedRowID
      let insert = try db.makeStatement(sql: "INSERT INTO learner_group VALUES (?, ?, ?, ?, ?)")
      for group in groups {
        try insert.execute(arguments: [id, group.row.id, group.split.rawValue, group.reason, group.trajectories])
      }
      return id
    }
  }

  /// Keeps the numbers of updates; those of a step that is there already are replaced.
  public func addLearnerMetrics(_ run: Int64, _ steps: [(step: Int, values: [(name: String, value: Double)])]) throws {
    try writing { db in
      let insert = try db.makeStatement(sql: "INSERT OR REPLACE INTO learner_metric VALUES (?, ?, ?, ?)")
      for (step, values) in steps {
        for (name, value) in values where value.isFinite { try insert.execute(arguments: [run, step, name, value]) }
      }
    }
  }

  /// Writes down how a run ended.
  public func endLearnerRun(_ run: Int64, _ state: LearnerRunRecord.State, reason: String? = nil) throws {
    try writing { db in
      try db.execute(
        sql: "UPDATE learner_run SET state = ?, reason = ?, finished = datetime('now') WHERE id = ?",
        arguments: [state.rawValue, reason, run])
    }
  }

  /// The groups of a run's split, in the order of the database; `nil` if there is no run in the folder.
  public func learnerGroups(directory: String, _ split: LearnerGroup.Split) throws -> [GroupRow]? {
    try reading { db in
      guard try db.tableExists("learner_run"),
        let run = try Int64.fetchOne(db, sql: "SELECT id FROM learner_run WHERE directory = ?", arguments: [directory])
      else { return nil }
      return try Int64.fetchAll(
        db, sql: "SELECT prompt_group FROM learner_group WHERE learner_run = ? AND split = ? ORDER BY 1",
        arguments: [run, split.rawValue]
      ).map { GroupRow(id: $0) }
    }
  }

  private static func remove(_ run: Int64, _ db: Database) throws {
    for table in ["learner_metric", "learner_group"] {
      try db.execute(sql: "DELETE FROM \(table) WHERE learner_run = ?", arguments: [run])
    }
    try db.execute(sql: "DELETE FROM learner_run WHERE id = ?", arguments: [run])
  }
}
