import Foundation
import GRDB
public import Replay

/// Reads a named attribution group by group, while the groups themselves stream by.
///
///     let attribution = try store.attribution(named: "arpo-hard")
///     try store.forEachGroup(transform: { ($0, try attribution.advantages(of: $0)) }) { group, advantages in … }
///
/// It has a connection of its own, so it may be asked from any thread.
public final class AttributionReader: Sendable {
  /// What is read.
  public let record: AttributionRecord
  /// Whether the results are of what the database holds now.
  ///
  /// Imports since may have changed what they stand on, or have added what they do not cover. `nil`: an earlier version kept
  /// them, and that cannot be told.
  public let isCurrent: Bool?
  private let store: Store

  init(_ record: AttributionRecord, isCurrent: Bool?, _ store: Store) {
    self.record = record
    self.isCurrent = isCurrent
    self.store = store
  }

  /// The advantages of a group's trajectories, in the group's order; `.missing` for a leaf without any.
  ///
  /// ``PathAdvantages/forEachRun(_:_:)`` goes through them with the path's generated runs, `RolloutPath.maskRuns` or
  /// ``AttributionLeaf/generated``; ``PathAdvantages/aligned(_:length:)`` is one number a response token.
  ///
  /// - Throws: ``StoreError`` if the attribution does not cover a trajectory, as after an import of more.
  public func advantages(of group: ReplayGroup) throws -> [PathAdvantages] {
    let decoder = ColumnDecoder()
    return try store.reading { db in
      let statement = try db.cachedStatement(
        sql: """
          SELECT t.trajectory_id, v.mean, v.runs FROM advantage v
          JOIN trajectory t ON t.id = v.trajectory
          WHERE v.attribution = ? AND t.prompt_group = (\(StoredGroupKey.rowQuery))
          """)
      var found: [String: PathAdvantages] = [:]
      let rows = try Row.fetchCursor(statement, arguments: [record.id, group.run.id, group.id, group.step])
      while let row = try rows.next() {
        let blob: Data? = row[2]
        let path = try blob?.withUnsafeBytes { try decoder.advantages($0).path }
        found[row[0]] = path ?? PathAdvantages(row[1] as Double?)
      }
      return try group.trajectories.map { trajectory in
        guard let path = found[trajectory.id] else {
          throw StoreError(
            .failed,
            "attribution \(record.name) does not cover trajectory \(trajectory.id) of group \(group.id): "
              + "run arpo-replay attribute again")
        }
        return path
      }
    }
  }
}

extension Store {
  /// A named attribution, to be read group by group.
  ///
  /// - Throws: ``StoreError`` if there is none of that name, or it was cut off.
  public func attribution(named name: String) throws -> AttributionReader {
    // A connection of its own: this one may be busy with the groups.
    let store = path.isEmpty ? self : try Store.open(path, for: .reading)
    let all = try store.attributions()
    guard let record = all.first(where: { $0.name == name }) else {
      let names = all.filter(\.isComplete).map(\.name)
      throw StoreError(
        .missing,
        "there is no attribution \(name); "
          + (names.isEmpty
            ? "make one with: arpo-replay attribute" : "the database has: \(names.joined(separator: ", "))"))
    }
    guard record.isComplete else {
      throw StoreError(.failed, "attribution \(name) was cut off: run arpo-replay attribute again")
    }
    let isCurrent = try store.reading { try AttributionDataKey.isCurrent(record, $0) }
    return AttributionReader(record, isCurrent: isCurrent, store)
  }
}
