import Foundation
import GRDB
public import Replay
import Rollouts

/// Keeps the results of strategies in the database under names.
///
///     let writer = try AttributionWriter(store, [.init("arpo-hard", ARPOHard(.own))], selection: selection)
///     for group in groups { try writer.add(group) }
///     try writer.finish()
///
/// Rows are written a batch a transaction. An attribution is `writing` until ``finish(checks:)``: one that was cut off is
/// started over by the next writer of its name. Complete results of the same name stay, and are read, until then: their
/// successor is written under ``AttributionRecord/successor(of:)``.
public final class AttributionWriter {
  /// A strategy and the name of its results.
  public struct Entry: Sendable {
    /// The name of the results.
    public var name: String
    /// What makes them.
    public var strategy: any AttributionStrategy

    /// A strategy whose results get a name.
    public init(_ name: String, _ strategy: any AttributionStrategy) {
      self.name = name
      self.strategy = strategy
    }
  }

  /// What became of an entry.
  public enum State: Sendable, Equatable {
    /// It is written: `replaced` = over older results.
    case writing(replaced: Bool)
    /// The same strategy with the same numbers over the same data is in the database already.
    case unchanged
  }

  /// By entry.
  public let states: [State]
  private let store: Store
  private let entries: [Entry]
  /// By entry, its row; `nil` for unchanged ones.
  private let rows: [Int64?]
  private let encoder = ColumnEncoder()
  private var waiting: [WaitingPath] = []
  private var waitingBytes = 0
  private var counts: [(trajectories: Int, missing: Int)]

  /// Bytes that are kept before they are written.
  private static let batchBytes = 1 << 20

  /// Begins to write.
  ///
  /// - Parameters:
  ///   - store: opened for writing.
  ///   - entries: strategies with names that differ.
  ///   - selection: the runs and groups that will be added.
  ///   - replace: whether results of the same name and other parameters are overwritten.
  /// - Throws: ``StoreError`` where they are not.
  public init(
    _ store: Store, _ entries: [Entry], selection: GroupSelection = GroupSelection(), replace: Bool = false
  ) throws {
    self.store = store
    self.entries = entries
    let evidence = try selection.evidence.map { try store.evidence(named: $0) }
    let chosen = AttributionJSON.selection(selection, evidence)
    counts = entries.map { _ in (0, 0) }
    (states, rows) = try store.writing { db in
      let dataKey = AttributionDataKey(selection: selection, evidence: evidence)
      var keys: [AttributionScope: String] = [:]
      var states: [State] = []
      var rows: [Int64?] = []
      for entry in entries {
        guard !AttributionRecord.isSuccessor(entry.name) else {
          throw StoreError(.failed, "\(entry.name): such names are kept for results that are being replaced")
        }
        let recipe = Recipe(entry, selection: chosen)
        let scope = entry.strategy.scope
        let key = try keys[scope] ?? dataKey.value(scope, db)
        keys[scope] = key
        let old = try AttributionRecord.find(entry.name, db)
        var name = entry.name
        if let record = old {
          if recipe.isThat(of: record), record.isComplete, record.dataKey == key {
            states.append(.unchanged)
            rows.append(nil)
            continue
          }
          guard recipe.isThat(of: record) || replace else { throw recipe.conflict(with: record) }
          if record.isComplete {
            name = AttributionRecord.successor(of: entry.name)
          } else {
            try Self.delete(record.id, db)
          }
        }
        if let left = try AttributionRecord.find(AttributionRecord.successor(of: entry.name), db) {
          try Self.delete(left.id, db)
        }
        states.append(.writing(replaced: old != nil))
        rows.append(try recipe.insert(entry, name: name, dataKey: key, db))
      }
      return (states, rows)
    }
  }

  /// Whether an entry's results are taken.
  public func isWriting(_ entry: Int) -> Bool { rows[entry] != nil }

  /// Adds a group's results, in the order of the entries.
  public func add(_ attribution: GroupAttribution) throws {
    let group = attribution.tree.group
    for (e, row) in rows.enumerated() {
      guard let row else { continue }
      for (t, leaf) in attribution.group.leaves.enumerated() {
        let advantages = attribution.advantages[e][t]
        counts[e].trajectories += 1
        if case .missing = advantages { counts[e].missing += 1 }
        let path = WaitingPath(
          attribution: row, run: group.run.id, group: group.id, step: group.step, trajectory: leaf.id,
          credit: PathCredit(leaf, advantages), runs: blob(leaf, advantages), segments: leaf.segments,
          branch: attribution.tree.paths[t].branch)
        waitingBytes += 200 + (path.runs?.count ?? 0) + 100 * path.credit.segments.count
        waiting.append(path)
      }
    }
    if waitingBytes >= Self.batchBytes { try flush() }
  }

  /// Writes what is left and marks the results as complete, in the place of older ones.
  ///
  /// - Parameter checks: by entry, JSON of its conservation checks.
  public func finish(checks: [DocumentValue]) throws {
    try flush()
    try store.writing { db in
      for (e, row) in rows.enumerated() {
        guard let row else { continue }
        if let old = try AttributionRecord.find(entries[e].name, db), old.id != row { try Self.delete(old.id, db) }
        try db.execute(
          sql: """
            UPDATE attribution SET name = ?, state = 'complete', trajectories = ?, missing = ?, checks = ? WHERE id = ?
            """,
          arguments: [entries[e].name, counts[e].trajectories, counts[e].missing, checks[e].json, row])
        try Self.checkChanged(db, entries[e].name)
      }
    }
  }

  /// Removes what was begun and not finished; results that it would have replaced stay.
  public func discard() throws {
    waiting = []
    try store.writing { db in for row in rows.compactMap({ $0 }) { try Self.delete(row, db) } }
  }

  private func blob(_ leaf: AttributionLeaf, _ advantages: PathAdvantages) -> Data? {
    switch advantages {
    case .missing, .constant: return nil
    case .tokens(let values): return Data(encoder.advantages(values, generated: leaf.generated, length: leaf.length))
    case .runs(let runs):
      let values = runs.flatMap { [Double](repeating: $0.value, count: $0.range.count) }
      return Data(encoder.advantages(values, generated: leaf.generated, length: leaf.length))
    }
  }

  private func flush() throws {
    if waiting.isEmpty { return }
    try store.writing { db in
      var ids = TrajectoryRows(db)
      for path in waiting { try path.insert(ids.id(of: path), db) }
    }
    waiting.removeAll(keepingCapacity: true)
    waitingBytes = 0
  }

  private static func delete(_ id: Int64, _ db: Database) throws {
    for table in ["segment_advantage", "advantage"] {
      try db.execute(sql: "DELETE FROM \(table) WHERE attribution = ?", arguments: [id])
    }
    try db.execute(sql: "DELETE FROM attribution WHERE id = ?", arguments: [id])
  }

  /// Another program may have replaced the results meanwhile.
  private static func checkChanged(_ db: Database, _ name: String) throws {
    guard db.changesCount == 1 else {
      throw StoreError(.failed, "attribution \(name) was replaced by another program")
    }
  }
}

/// What identifies results besides their name.
private struct Recipe {
  let strategy: String
  let parameters: String
  let selection: String
  let formula: String

  init(_ entry: AttributionWriter.Entry, selection: String) {
    strategy = entry.strategy.name
    formula = entry.strategy.formula
    parameters = DocumentValue.object(entry.strategy.parameters.map { ($0.name, .number($0.value)) }).json
    self.selection = selection
  }

  func isThat(of record: AttributionRecord) -> Bool {
    record.strategy == strategy && record.parameters == parameters && record.selection == selection
      && record.formula == formula
  }

  func conflict(with record: AttributionRecord) -> StoreError {
    let (what, old, new) =
      record.strategy != strategy
      ? ("strategy", record.strategy, strategy)
      : record.selection != selection
        ? ("selection", record.selection, selection)
        : record.parameters != parameters
          ? ("parameters", record.parameters, parameters) : ("formula", record.formula, formula)
    return StoreError(
      .failed,
      "attribution \(record.name) is in the database with another \(what): \(old), not \(new); "
        + "give another --name, or --replace it")
  }

  func insert(_ entry: AttributionWriter.Entry, name: String, dataKey: String, _ db: Database) throws -> Int64 {
    let s = entry.strategy
    try db.execute(
      sql: """
        INSERT INTO attribution (name, strategy, kind, scope, formula, formula_source, epsilon, ddof, parameters, evidence,
          selection, data_key, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'writing')
        """,
      arguments: [
        name, s.name, s.kind.rawValue, s.scope.rawValue, s.formula, s.source, s.parameter("epsilon"),
        s.parameter("ddof").map { Int($0) }, parameters, s.needs.evidence.joined(separator: ","), selection, dataKey,
      ])
    return db.lastInsertedRowID
  }
}

/// A trajectory's results on their way to the database.
private struct WaitingPath {
  var attribution: Int64
  var run: String
  var group: String
  var step: Int?
  var trajectory: String
  var credit: PathCredit
  var runs: Data?
  var segments: [PathSegment]
  var branch: Int

  func insert(_ row: Int64, _ db: Database) throws {
    try db.cachedStatement(
      sql: "INSERT INTO advantage (attribution, trajectory, mean, total_abs, runs) VALUES (?, ?, ?, ?, ?)"
    ).execute(arguments: [attribution, row, credit.mean, credit.totalAbs, runs])
    let statement = try db.cachedStatement(
      sql: """
        INSERT INTO segment_advantage (attribution, trajectory, ordinal, kind, tool, start_index, end_index, is_owned,
          generated, mean, total_abs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    for part in credit.segments {
      let segment = segments[part.ordinal]
      try statement.execute(arguments: [
        attribution, row, part.ordinal, segment.kind.rawValue, segment.tool, segment.start, segment.end,
        segment.end > branch, part.generated, part.mean, part.totalAbs,
      ])
    }
  }
}

/// Rows of trajectories by their names, group by group.
private struct TrajectoryRows {
  private let db: Database
  private var key: [String?] = []
  private var ids: [String: Int64] = [:]

  init(_ db: Database) { self.db = db }

  mutating func id(of path: WaitingPath) throws -> Int64 {
    let wanted = [path.run, path.group, path.step.map(String.init)]
    if key != wanted {
      key = wanted
      ids = [:]
      let rows = try Row.fetchCursor(
        db.cachedStatement(
          sql: """
            SELECT t.id, t.trajectory_id FROM trajectory t WHERE t.prompt_group = (\(StoredGroupKey.rowQuery))
            """), arguments: [path.run, path.group, path.step])
      while let row = try rows.next() { ids[row[1]] = row[0] }
    }
    guard let id = ids[path.trajectory] else {
      throw StoreError(.failed, "trajectory \(path.trajectory) of group \(path.group) is no longer in the database")
    }
    return id
  }
}

extension Store {
  /// Runs a body in a transaction of its own, errors in words for the user.
  func writing<T>(_ body: (Database) throws -> T) throws -> T {
    do {
      return try queue.writeWithoutTransaction { db in
        var out: T?
        try db.inTransaction(.immediate) {
          out = try body(db)
          return .commit
        }
        guard let out else { throw StoreError(.failed, "\(path): a transaction did not run") }
        return out
      }
    } catch let error as DatabaseError {
      throw Self.translated(error, path)
    }
  }
}
