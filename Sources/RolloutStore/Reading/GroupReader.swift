import CKernels
import GRDB
public import Replay
import Synchronization

extension Store {
  /// Applies `transform` to every selected group, on several threads, and hands the results over in canonical order: by
  /// run, then group id by bytes, then step.
  ///
  /// Memory is bounded by the largest group, times the number of threads.
  public func forEachGroup<Result: Sendable>(
    _ selection: GroupSelection = GroupSelection(), workers: Int = 2,
    transform: @escaping @Sendable (ReplayGroup) throws -> Result, consume: (Result) throws -> Void
  ) throws {
    let readers = Readers(of: self)
    defer { readers.giveBack() }
    do {
      let groups = try queue.read { try GroupReader(db: $0, selection: selection).groups() }
      try OrderedPipeline(
        workers: workers, capacity: 2 * workers + 2, items: groups,
        makeTransform: {
          arpo_warm_heap(Self.groupBytes)
          let own = Swift.Result { try readers.take() }
          let decoder = ColumnDecoder()
          return { (group: GroupReader.Reference) in
            Swift.Result {
              let read = try own.get().queue.read { try GroupReader(db: $0, selection: selection).read(group, decoder) }
              return read.trajectories.isEmpty ? nil : try transform(read)
            }
          }
        }
      ).consume { (result: Swift.Result<Result?, any Error>) in
        if let result = try result.get() { try consume(result) }
      }
    } catch let error as DatabaseError {
      throw Self.translated(error, path)
    }
  }

  /// What a group of usual size takes in memory, with candidates.
  private static let groupBytes = 2 << 20

  /// Number of selected groups that have trajectories.
  public func groupCount(_ selection: GroupSelection = GroupSelection()) throws -> Int {
    try queue.read { db in
      let reader = GroupReader(db: db, selection: selection)
      return try reader.runs().reduce(0) { sum, run in
        let (sql, arguments) = reader.groupsQuery("count(*)", run)
        let filled = sql + " AND EXISTS (SELECT 1 FROM trajectory t WHERE t.prompt_group = prompt_group.id)"
        return try sum + (Int.fetchOne(db, sql: filled, arguments: arguments) ?? 0)
      }
    }
  }

  /// The selected runs that have trajectories, in the order in which they came.
  public func runs(_ selection: GroupSelection = GroupSelection()) throws -> [ReplayRun] {
    try queue.read { db in
      let used = try Set(Int64.fetchAll(db, sql: "SELECT DISTINCT run FROM prompt_group"))
      return try GroupReader(db: db, selection: selection).runs().filter { used.contains($0.row) }.map(\.run)
    }
  }
}

/// Hands out a connection to each of some threads, so that they read at the same time.
private final class Readers: Sendable {
  private let store: Store
  private let state = Mutex(State())

  private struct State {
    /// The store itself does for one of the threads, unless it also writes.
    var isStoreFree = false
    var taken: [Store] = []

    mutating func takeStore() -> Bool {
      defer { isStoreFree = false }
      return isStoreFree
    }
  }

  init(of store: Store) {
    self.store = store
    state.withLock { $0.isStoreFree = store.queue.configuration.readonly }
  }

  func take() throws -> Store {
    // A temporary database has no other connection.
    if store.path.isEmpty || state.withLock({ $0.takeStore() }) { return store }
    let reader = try store.readers.withLock { $0.popLast() } ?? Store.open(store.path, for: .reading)
    state.withLock { $0.taken.append(reader) }
    return reader
  }

  /// Leaves the connections to the next ones who read.
  func giveBack() {
    let taken = state.withLock { $0.taken }
    store.readers.withLock { $0 += taken }
  }
}

/// Reads groups from the database in canonical order.
struct GroupReader {
  let db: Database
  let selection: GroupSelection

  /// A group that is to be read.
  struct Reference: Sendable {
    var id: Int64
    var run: ReplayRun
  }

  /// The selected groups in canonical order.
  func groups() throws -> [Reference] {
    try runs().flatMap { run in
      let (sql, arguments) = groupsQuery("id", run)
      return try Int64.fetchAll(db, sql: sql + " ORDER BY group_id, step IS NULL, step", arguments: arguments).map {
        Reference(id: $0, run: run.run)
      }
    }
  }

  /// A group with its token columns, the values of the evidence set in the place of the logged ones.
  func read(_ group: Reference, _ decoder: ColumnDecoder) throws -> ReplayGroup {
    let row = try RowReader(db, "SELECT group_id, step, data_source, policy_version FROM prompt_group WHERE id = ?")
      .first {
        $0.bind(group.id)
      } read: { row in
        GroupRow(
          id: group.id, name: row.text(0) ?? "", step: row.optionalInt(1), dataSource: row.text(2),
          policyVersion: row.optionalInt(3))
      }
    guard let row else { throw StoreError(.failed, "a group is no longer in the database") }
    var stored = try trajectories(of: row)
    let overlay = try EvidenceOverlay(selection, db)
    var segments = try SegmentReader(db, selection, decoder, evidenceSet: overlay?.record.id)
    for i in stored.indices {
      try overlay?.apply(to: &stored[i])
      try segments.read(&stored[i])
    }
    try Self.link(&stored)
    if stored.contains(where: { $0.source == .retokenized }) { StoredTrajectory.countTokens(&stored) }
    return ReplayGroup(
      run: group.run, id: row.name, step: row.step, trajectories: stored.map(\.trajectory))
  }

  /// What a group's row says of all its trajectories.
  struct GroupRow {
    var id: Int64
    var name: String
    var step: Int?
    var dataSource: String?
    var policyVersion: Int?
  }

  /// The selected groups of a run, in no order.
  func groupsQuery(_ columns: String, _ run: Run) -> (sql: String, arguments: StatementArguments) {
    var sql = "SELECT \(columns) FROM prompt_group WHERE run = ?"
    var arguments: [any DatabaseValueConvertible] = [run.row]
    if !selection.groups.isEmpty {
      sql += " AND group_id IN (\(selection.groups.map { _ in "?" }.joined(separator: ",")))"
      arguments += selection.groups
    }
    if let step = selection.step {
      sql += " AND step = ?"
      arguments.append(step)
    }
    if let rows = selection.rows { sql += " AND id IN (\(rows.map(String.init).joined(separator: ",")))" }
    return (sql, StatementArguments(arguments))
  }

  struct Run {
    var row: Int64
    var run: ReplayRun
  }

  func runs() throws -> [Run] {
    let rows = try Row.fetchAll(db, sql: "SELECT * FROM run ORDER BY id")
    let known = rows.map { $0["run_id"] as String }
    for name in selection.runs where !known.contains(name) {
      throw StoreError(.failed, "there is no run \(name); the database has: \(known.joined(separator: ", "))")
    }
    let overlay = try EvidenceOverlay(selection, db)
    return try rows.filter { selection.runs.isEmpty || selection.runs.contains($0["run_id"] as String) }.map { row in
      let isRaw = (row["logprobs_mode"] as String?)?.hasPrefix("raw") ?? false
      let temperature = (row["temperature"] as Double?) ?? 1
      var run = ReplayRun(
        id: row["run_id"], algorithm: row["algorithm"], vocabSize: row["vocab_size"],
        logprobTemperature: isRaw || temperature <= 0 ? 1 : temperature,
        branching: BranchingSettings(logged: row["branching"]))
      try overlay?.apply(to: &run, row: row["id"])
      run.vocabSize = selection.vocabSize ?? run.vocabSize
      return Run(row: row["id"], run: run)
    }
  }
}
