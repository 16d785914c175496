import Foundation
import GRDB
import RolloutLogs
import Rollouts

/// Where a record came from: the row of its file, and its place in it.
struct Origin: Sendable {
  var source: Int64
  var position: RecordPosition
}

/// Writes prepared records into the database, inside one access to it.
///
/// What several records say together is decided here: groups that are named before they are described, parents that come
/// after their children, copies, conversations. Row ids are counted up in the order of the log, so that an import that
/// was interrupted and goes on makes the same rows as one that was not.
final class RecordWriter {
  let db: Database
  let paths: PathCache
  let preparer = TrajectoryPreparer()
  /// Bytes of the longest record that the quarantine keeps.
  let keptBytes: Int
  /// Formats by source, to read a record again that had to wait.
  var formats: [Int64: any LogFormat] = [:]
  /// Called when something was committed.
  var onCommit: () -> Void = {}
  /// Of the file that is read.
  var counts = ImportCounts()
  /// By source: what joining its calls with others has changed in the numbers that ``counts`` had when they were written.
  var joined: [Int64: (trajectories: Int, tokens: Int)] = [:]
  /// Bad records of all files, without those that still wait for another one.
  var bad = 0

  /// The statements that run for every record.
  let hot: RecordStatements
  /// The statements that run for every segment and block.
  let insertSegment: Inserter
  let insertBlock: Inserter
  let insertToolCall: Inserter
  let candidateIDs: CandidateIDWriter

  private var nextID: [Int64] = []
  private var statements: [String: Statement] = [:]
  private var runs: [ByteString: Int64] = [:]
  private var groups: [GroupKey: Int64] = [:]
  /// By group: a hash of the facts that it was last found to have; records repeat them.
  private var agreed: [Int64: UInt64] = [:]
  var strings: StringTable
  /// Records in the quarantine that wait for another one.
  var waiting: Int

  struct GroupKey: Hashable {
    var run: Int64
    var group: ByteString
    var step: Int?

    init(run: Int64, group: String, step: Int?) {
      self.run = run
      self.group = ByteString(group)
      self.step = step
    }
  }

  init(_ db: Database, keptBytes: Int) throws {
    self.db = db
    self.keptBytes = keptBytes
    paths = PathCache(db)
    strings = StringTable(db)
    hot = try RecordStatements(db)
    insertSegment = try Inserter(
      db,
      """
      INSERT INTO segment (id, trajectory, ordinal, kind, tool, start_index, end_index, generated, tool_call_id, status,
        latency_s, arguments, text, extra, token_block, block_offset, token_ids_bytes, loss_mask_bytes, logprobs_bytes,
        entropies_bytes, top_logprobs_bytes, top_token_ids_offset, top_token_ids_bytes)
      VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
      """)
    insertBlock = try Inserter(db, "INSERT INTO token_block (id, columns) VALUES (?,?)")
    candidateIDs = try CandidateIDWriter(db)
    insertToolCall = try Inserter(
      db,
      """
      INSERT INTO tool_call (id, trajectory, number, tool, tool_call_id, call_segment, result_segment)
      VALUES (?,?,?,?,?,?,?)
      """)
    waiting = try Int.fetchOne(db, sql: "SELECT count(*) FROM quarantine WHERE waits_for IS NOT NULL") ?? 0
    paths.beforeReading = { [candidateIDs] in try candidateIDs.flush() }
    try readIDs()
  }

  /// Writes what was kept back, which belongs to the transaction that is about to end.
  func flush() throws { try candidateIDs.flush() }

  // MARK: Rows

  /// Counts on behind the ids that are there now, before anything is deleted: an import in pieces then gives the same
  /// ids as one in one go.
  private func readIDs() throws {
    nextID = try Table.allCases.map { try (Int64.fetchOne(db, sql: "SELECT max(id) FROM \($0.name)") ?? 0) + 1 }
  }

  /// The tables whose ids are counted here.
  enum Table: Int, CaseIterable {
    case source, run, promptGroup, trajectory, segment, toolCall, modelCall, finding

    fileprivate var name: String {
      switch self {
      case .promptGroup: "prompt_group"
      case .toolCall: "tool_call"
      case .modelCall: "model_call"
      case .source, .run, .trajectory, .segment, .finding: "\(self)"
      }
    }
  }

  /// The next id of a table.
  func newID(_ table: Table) -> Int64 {
    defer { nextID[table.rawValue] += 1 }
    return nextID[table.rawValue]
  }

  func statement(_ sql: String) throws -> Statement {
    if let statement = statements[sql] { return statement }
    let statement = try db.makeStatement(sql: sql)
    statements[sql] = statement
    return statement
  }

  func execute(_ sql: String, _ arguments: [(any DatabaseValueConvertible)?]) throws {
    try statement(sql).execute(arguments: StatementArguments(arguments.map(Self.storable)))
  }

  func fetch(_ sql: String, _ arguments: [(any DatabaseValueConvertible)?]) throws -> Row? {
    try Row.fetchOne(statement(sql), arguments: StatementArguments(arguments.map(Self.storable)))
  }

  private static func storable(_ value: (any DatabaseValueConvertible)?) -> (any DatabaseValueConvertible)? {
    (value as? String)?.withoutZeros ?? value
  }

  // MARK: Runs

  /// The run that a record belongs to: the one it names, else the one that holds at this place of the log.
  func run(named name: String?, source: inout SourceState) throws -> Int64 {
    if let name { return try run(named: name) }
    if source.isRunLost {
      throw RecordError(.missingRun, "it names no run, and the run record before it could not be read")
    }
    if let current = source.currentRun { return current }
    let run = try run(named: source.defaultRunName)
    source.currentRun = run
    return run
  }

  func run(named name: String) throws -> Int64 {
    let name = name.withoutZeros
    if let id = runs[ByteString(name)] { return id }
    let id: Int64
    if let known = try Int64.fetchOne(db, sql: "SELECT id FROM run WHERE run_id = ?", arguments: [name]) {
      id = known
      try reopen(id)
    } else {
      id = newID(.run)
      try execute("INSERT INTO run (id, run_id) VALUES (?, ?)", [id, name])
    }
    runs[ByteString(name)] = id
    return id
  }

  /// Calls and groups of a run are joined again at the end of this import.
  func reopen(_ run: Int64) throws { try execute("UPDATE run SET is_settled = 0 WHERE id = ?", [run]) }

  /// The run that holds from here on.
  @discardableResult
  func enter(run name: String, _ source: inout SourceState) throws -> Int64 {
    let id = try run(named: name)
    source.currentRun = id
    if source.isRunLost {
      source.isRunLost = false
      try execute(
        "UPDATE quarantine SET waits_as = NULL WHERE source = ? AND waits_as = ?", [source.id, Self.lostRunMark])
    }
    return id
  }

  /// Notes that a run record which says what run it is not could not be read, with the record that was just put aside.
  ///
  /// Its row in the quarantine says so, for an import that goes on behind it: it is what the next records wait for.
  func loseRun(_ origin: Origin, _ source: inout SourceState) throws {
    source.isRunLost = true
    try execute(
      "UPDATE quarantine SET waits_as = ? WHERE source = ? AND byte_offset = ?",
      [Self.lostRunMark, origin.source, origin.position.byteOffset])
  }

  func isRunLost(in source: Int64) throws -> Bool {
    try fetch("SELECT 1 FROM quarantine WHERE source = ? AND waits_as = ?", [source, Self.lostRunMark]) != nil
  }

  /// What records that are in no known run wait for; no record can come to be it.
  private static let lostRunMark = "run"

  /// Writes a run record; the same run described otherwise is an error of the second record.
  func write(_ run: RunRecord, _ origin: Origin, source: inout SourceState) throws {
    let id = try enter(run: run.runID, &source)
    let values: [(any DatabaseValueConvertible)?] = [
      run.algorithm, run.model, run.tokenizerName, run.tokenizerSHA256, run.vocabSize, run.temperature, run.topP,
      run.topK, run.logprobsMode, run.branching, run.extra,
    ]
    let columns = [
      "algorithm", "model", "tokenizer_name", "tokenizer_sha256", "vocab_size", "temperature", "top_p", "top_k",
      "logprobs_mode", "branching", "extra",
    ]
    let old = try fetch("SELECT * FROM run WHERE id = ?", [id])
    if let old, (old["source"] as Int64?) != nil {
      for (column, value) in zip(columns, values) {
        let logged = Self.storable(value)?.databaseValue ?? .null
        guard old[column] as DatabaseValue == logged else {
          throw RecordError(.duplicateDisagrees, "run \(run.runID) was described before with another \(column)")
        }
      }
      return
    }
    try execute(
      "UPDATE run SET \(columns.map { "\($0) = ?" }.joined(separator: ", ")), source = ?, line = ?, byte_offset = ? WHERE id = ?",
      values + [origin.source, origin.position.line, origin.position.byteOffset, id])
  }

  // MARK: Groups

  /// What a record says about its group; `nil` says nothing.
  struct GroupFacts {
    var dataSource: String?
    var policyVersion: Int?
    var promptText: String?
    var promptTokenIDs: [Int32]?
    var groundTruth: String?
    var extra: String?

    var hash: UInt64 {
      var hash = ContentHash64()
      for text in [dataSource, promptText, groundTruth, extra] { hash.add(text) }
      hash.add(policyVersion)
      promptTokenIDs?.withUnsafeBytes { hash.add($0) }
      hash.add(promptTokenIDs?.count)
      return hash.value
    }
  }

  func write(_ group: GroupRecord, _ origin: Origin, source: inout SourceState) throws {
    let run = try run(named: group.runID, source: &source)
    let facts = GroupFacts(
      dataSource: group.dataSource, policyVersion: group.policyVersion, promptText: group.promptText,
      promptTokenIDs: group.promptTokenIDs, groundTruth: group.groundTruth, extra: group.extra)
    let key = GroupKey(run: run, group: group.groupID, step: group.step)
    let id = try self.group(key, facts, origin)
    try execute(
      "UPDATE prompt_group SET is_recorded = 1, source = ?, line = ?, byte_offset = ? WHERE id = ? AND is_recorded = 0",
      [origin.source, origin.position.line, origin.position.byteOffset, id])
  }

  /// The row of a group, with the facts added that it did not have; facts that differ from known ones are an error.
  func group(_ key: GroupKey, _ facts: GroupFacts, _ origin: Origin) throws -> Int64 {
    if let id = groups[key], let hash = agreed[id], hash == facts.hash { return id }
    let prompt = facts.promptTokenIDs.map { Data(preparerEncoder.integers($0[...])) }
    if let id = try groups[key] ?? knownGroup(key) {
      remember(key, id)
      if facts.promptText != nil || prompt != nil || facts.groundTruth != nil || facts.extra != nil
        || facts.dataSource != nil || facts.policyVersion != nil
      {
        try merge(facts, prompt, into: id, named: key.group.text)
        agreed[id] = facts.hash
      }
      return id
    }
    let id = newID(.promptGroup)
    agreed[id] = facts.hash
    try execute(
      """
      INSERT INTO prompt_group (id, run, group_id, step, data_source, policy_version, prompt_text, prompt_token_ids,
        ground_truth, extra, source, line, byte_offset, is_recorded) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,0)
      """,
      [
        id, key.run, key.group.text, key.step, facts.dataSource, facts.policyVersion, facts.promptText, prompt,
        facts.groundTruth, facts.extra, origin.source, origin.position.line, origin.position.byteOffset,
      ])
    remember(key, id)
    return id
  }

  private func knownGroup(_ key: GroupKey) throws -> Int64? {
    try fetch(
      "SELECT id FROM prompt_group WHERE run = ? AND group_id = ? AND coalesce(step, 'none') = coalesce(?, 'none')",
      [key.run, key.group.text, key.step])?["id"]
  }

  private func remember(_ key: GroupKey, _ id: Int64) {
    if groups.count >= 10_000 {
      groups.removeAll(keepingCapacity: true)
      agreed.removeAll(keepingCapacity: true)
    }
    groups[key] = id
  }

  func rename(_ key: GroupKey, _ id: Int64, to name: String) throws {
    try execute("UPDATE prompt_group SET group_id = ? WHERE id = ?", [name, id])
    groups[key] = nil
  }

  /// A further record about a trajectory says of its prompt what the trajectory's group is known to have, or adds to it.
  func add(_ facts: GroupFacts, to group: Int64, named name: String) throws {
    try merge(facts, facts.promptTokenIDs.map { Data(preparerEncoder.integers($0[...])) }, into: group, named: name)
    agreed[group] = nil
  }

  private func merge(_ facts: GroupFacts, _ prompt: Data?, into id: Int64, named name: String) throws {
    let ofPrompt: [(String, (any DatabaseValueConvertible)?)] = [
      ("prompt_text", facts.promptText), ("prompt_token_ids", prompt), ("ground_truth", facts.groundTruth),
    ]
    let ofRecord: [(String, (any DatabaseValueConvertible)?)] = [
      ("data_source", facts.dataSource), ("policy_version", facts.policyVersion), ("extra", facts.extra),
    ]
    guard let old = try fetch("SELECT * FROM prompt_group WHERE id = ?", [id]) else { return }
    // Only group records say these. Where the group has none yet, they come from the one that names no step, and the
    // step's own counts.
    let isFirstRecord = old["is_recorded"] == 0
    func disagrees(_ column: String, _ value: (any DatabaseValueConvertible)?) -> Bool {
      let known: DatabaseValue = old[column]
      guard let logged = Self.storable(value)?.databaseValue else { return false }
      return known != .null && known != logged
    }
    // All are compared before the first is written: a record that is put aside leaves nothing behind.
    if let (column, _) = ofPrompt.first(where: disagrees) {
      throw RecordError(.promptDisagrees, "group \(name) has another \(column) in an earlier record")
    }
    if !isFirstRecord, let (column, _) = ofRecord.first(where: disagrees) {
      throw RecordError(.duplicateDisagrees, "group \(name) was described before with another \(column)")
    }
    for (column, value) in ofPrompt + ofRecord
    where value != nil && ((old[column] as DatabaseValue) == .null || disagrees(column, value)) {
      try execute("UPDATE prompt_group SET \(column) = ? WHERE id = ?", [value, id])
    }
  }

  let preparerEncoder = ColumnEncoder()

  /// A transaction was rolled back: what is remembered of its rows is wrong.
  func forget() throws {
    candidateIDs.forget()
    try readIDs()
    runs.removeAll()
    groups.removeAll()
    agreed.removeAll()
    paths.clear()
    strings = StringTable(db)
    waiting = try Int.fetchOne(db, sql: "SELECT count(*) FROM quarantine WHERE waits_for IS NOT NULL") ?? 0
  }
}
