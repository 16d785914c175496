import Foundation
import GRDB
public import Replay
import Rollouts

/// Reads an evidence set's values beside the logged ones, group by group.
///
/// It has a connection of its own, so it may be asked while a store reads groups.
public final class EvidenceReader: Sendable {
  public let record: EvidenceRecord
  private let store: Store

  init(_ record: EvidenceRecord, _ store: Store) {
    self.record = record
    self.store = store
  }

  /// A trajectory's values, aligned with its own tokens.
  public struct Values: Sendable {
    public var ids: IDSource
    public var prompt: PromptSource
    /// NaN where a token has none.
    public var logprobs: [Float]
    public var entropies: [Float]
    /// The vocabulary's ids where the log's are numbers of texts; `nil`: as in the log.
    public var tokenIDs: [Int32]?
  }

  /// By trajectory of the group; `nil` where the set has nothing that aligns with the log's tokens: uncovered ones, and
  /// text-only ones, whose tokens are not the log's.
  public func values(of group: ReplayGroup) throws -> [Values?] {
    let decoder = ColumnDecoder()
    return try store.reading { db in
      let statement = try db.cachedStatement(
        sql: """
          SELECT t.trajectory_id, t.id, x.ids, x.prompt FROM rescored_trajectory x
          JOIN trajectory t ON t.id = x.trajectory
          WHERE x.evidence_set = ? AND x.scored > 0 AND x.ids <> 'retokenized' AND t.prompt_group = (\(StoredGroupKey.rowQuery))
          """)
      let rows = try Row.fetchAll(statement, arguments: [record.id, group.run.id, group.id, group.step])
      let found = Dictionary(rows.map { ($0["trajectory_id"] as String, $0) }, uniquingKeysWith: { first, _ in first })
      return try group.trajectories.map { trajectory in
        guard let row = found[trajectory.id] else { return nil }
        return try values(row, trajectory, db, decoder)
      }
    }
  }

  private func values(
    _ row: Row, _ trajectory: ReplayTrajectory, _ db: Database, _ decoder: ColumnDecoder
  ) throws -> Values {
    let statement = try db.cachedStatement(
      sql: """
        SELECT e.token_ids, e.logprobs, e.entropies FROM segment s
        LEFT JOIN rescored_tokens e ON e.segment = s.id AND e.evidence_set = ? WHERE s.trajectory = ? ORDER BY s.ordinal
        """)
    var out = Values(
      ids: IDSource(rawValue: row["ids"]) ?? .logged, prompt: PromptSource(rawValue: row["prompt"]) ?? .none,
      logprobs: [], entropies: [], tokenIDs: nil)
    var ids: [Int32] = []
    let segments = try Row.fetchAll(statement, arguments: [record.id, row["id"] as Int64])
    for (segment, row) in zip(trajectory.segments, segments) {
      out.logprobs += try reals(row["logprobs"], segment.count, decoder)
      out.entropies += try reals(row["entropies"], segment.count, decoder)
      let blob: Data? = row["token_ids"]
      try blob?.withUnsafeBytes { try decoder.integers($0, into: &ids) }
    }
    if out.ids == .matched { out.tokenIDs = ids }
    return out
  }

  private func reals(_ blob: Data?, _ count: Int, _ decoder: ColumnDecoder) throws -> [Float] {
    var column = RealColumn()
    try blob?.withUnsafeBytes { try decoder.reals($0, into: &column) }
    return column.count == count ? column.floats : [Float](repeating: .nan, count: count)
  }
}

extension Store {
  /// A complete evidence set, to be read group by group.
  /// - Throws: ``StoreError`` if there is none of that name, or it was cut off.
  public func evidenceReader(_ name: String) throws -> EvidenceReader {
    // A connection of its own: this one may be busy with the groups.
    let store = path.isEmpty ? self : try Store.open(path, for: .reading)
    return EvidenceReader(try store.evidence(named: name), store)
  }
}
