import GRDB
import Replay
import Rollouts

/// A trajectory as it is read: its row, then its segments and token columns.
struct StoredTrajectory {
  var row: Int64
  var parent: Int64?
  var trajectory: ReplayTrajectory
  /// Whether its unit is the token.
  var hasTokens: Bool
  /// Units that it owns, by its row.
  var owned: Int
  var source = ColumnSource.log
  /// By segment: its tokens; empty without an evidence set, which may count others than the log.
  var segmentTokens: [Int] = []
}

extension GroupReader {
  /// A group's trajectories without segments and columns, in canonical order.
  func trajectories(of group: GroupRow) throws -> [StoredTrajectory] {
    let branches =
      selection.withBranches
      ? "branch, iif(extra LIKE '%\"branch_decisions\"%', extra, NULL)" : "NULL, NULL"
    let outcomes = selection.withOutcomes ? "iif(extra LIKE '%\"advantage%', extra, NULL)" : "NULL"
    let rows = try RowReader(
      db,
      """
      SELECT id, parent, branch_index, trajectory_id, rollout_index, reward, multiplicity, step, data_source,
        policy_version, finish_reason, evidence, entropy_kind, unit, owned, \(branches), \(outcomes)
      FROM trajectory WHERE prompt_group = ?
      ORDER BY rollout_index IS NULL, rollout_index, trajectory_id
      """)
    var out: [StoredTrajectory] = []
    try rows.forEach(group.id) { row in
      var trajectory = ReplayTrajectory(
        id: row.text(3) ?? "", declaredParent: nil, declaredBranch: row.int(2), rolloutIndex: row.optionalInt(4),
        reward: row.double(5), multiplicity: row.int(6), step: row.optionalInt(7) ?? group.step,
        dataSource: row.text(8) ?? group.dataSource, policyVersion: row.optionalInt(9) ?? group.policyVersion,
        finishReason: row.text(10), evidence: Evidence(rawValue: row.int(11)), entropyKind: row.text(12), segments: [],
        columns: nil)
      if selection.withBranches {
        trajectory.branch = LoggedBranch(logged: row.text(15))
        trajectory.decisions = [LoggedDecision](extra: row.text(16))
      }
      if let extra = row.text(17) { trajectory.loggedAdvantages = LoggedAdvantages(extra: extra) }
      out.append(
        StoredTrajectory(
          row: row.int64(0), parent: row.optionalInt(1).map(Int64.init), trajectory: trajectory,
          hasTokens: row.text(13) == "token", owned: row.int(14)))
    }
    if selection.withOutcomes { for i in out.indices { try addRewards(to: &out[i]) } }
    return out
  }

  /// The named parts of a trajectory's reward.
  private func addRewards(to stored: inout StoredTrajectory) throws {
    let parts = try RowReader(db, "SELECT name, score FROM reward WHERE trajectory = ? ORDER BY name")
    try parts.forEach(stored.row) { row in
      stored.trajectory.namedRewards.append(NamedReward(name: row.text(0) ?? "", score: row.double(1)))
    }
  }

  /// Turns the rows of declared parents into positions in the group.
  static func link(_ stored: inout [StoredTrajectory]) throws {
    var position: [Int64: Int] = [:]
    for (i, trajectory) in stored.enumerated() { position[trajectory.row] = i }
    for i in stored.indices {
      guard let parent = stored[i].parent else { continue }
      guard let at = position[parent] else {
        throw ColumnError("trajectory \(stored[i].trajectory.id) has its parent in another group")
      }
      stored[i].trajectory.declaredParent = at
    }
  }
}
