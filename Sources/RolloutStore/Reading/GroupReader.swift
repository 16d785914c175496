import Foundation
import GRDB
import RolloutLogs
public import Replay
import Rollouts

/// Which part of a database an analysis reads.
public struct GroupSelection: Sendable {
  /// Names of runs; empty: all.
  public var runs: [String] = []
  /// Ids of groups; empty: all.
  public var groups: [String] = []
  /// Training step of the groups; `nil`: all.
  public var step: Int?
  /// Overrides the logged vocabulary size, for logs that do not name it.
  public var vocabSize: Int?
  /// Leaves out segment texts and tool arguments, which the audit does not need.
  public var withTexts = true
  /// Leaves out logprobs, candidates and entropies, which most attribution strategies do not need.
  public var withProbabilities = true
  /// Leaves out the ids of candidates where the place of the sampled token among them is enough, as it is for entropies.
  public var withCandidateIDs = true
  /// Reads what the log says of branchings (``ReplayTrajectory/branch``, ``ReplayTrajectory/decisions``).
  public var withBranches = false
  /// Reads logged advantages and the named parts of rewards.
  public var withOutcomes = false
  /// Name of the evidence set whose values stand in the place of the logged ones; `nil`: the logged ones.
  public var evidence: String?
  /// Whether text-only trajectories get the tokens that the evidence set took their text for.
  public var retokenizes = true
  /// Rows of groups; `nil`: all.
  public var rows: [Int64]?

  public init() {}
}

extension Store {
  /// Applies `transform` to every selected group, on several threads, and hands the results over in canonical order: by
  /// run, then group id by bytes, then step.
  ///
  /// Memory is bounded by the largest group, times the number of threads.
  public func forEachGroup<Result: Sendable>(
    _ selection: GroupSelection = GroupSelection(), workers: Int = 2,
    transform: @escaping @Sendable (ReplayGroup) throws -> Result, consume: (Result) throws -> Void
  ) throws {
    do {
      try OrderedPipeline.run(
        workers: workers, capacity: 2 * workers + 2,
        produce: { emit in
          let groups = try self.queue.read { try GroupReader(db: $0, selection: selection).groups() }
          for group in groups { guard emit(group) else { return } }
        },
        makeTransform: {
          // A connection each, so that they read at the same time; a temporary database has only one.
          let own = self.path.isEmpty ? .success(self) : Swift.Result { try Store.open(self.path, for: .reading) }
          let decoder = GroupDecoder(withCandidateIDs: selection.withCandidateIDs)
          return { (group: GroupReader.Reference) in
            Swift.Result {
              let stored = try own.get().queue.read { try GroupReader(db: $0, selection: selection).read(group) }
              return stored.trajectories.isEmpty ? nil : try transform(decoder.decode(stored))
            }
          }
        },
        consume: { (result: Swift.Result<Result?, any Error>) in
          if let result = try result.get() { try consume(result) }
        })
    } catch let error as DatabaseError {
      throw Self.translated(error, path)
    }
  }

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

  /// A group's rows and blobs, those of the evidence set in the place of the logged ones.
  func read(_ group: Reference) throws -> StoredGroup {
    let row = try Row.fetchOne(
      db.cachedStatement(sql: "SELECT id, group_id, step, data_source, policy_version FROM prompt_group WHERE id = ?"),
      arguments: [group.id])
    guard let row else { throw StoreError(.failed, "a group is no longer in the database") }
    var stored = try read(row, group.run)
    try EvidenceOverlay(selection, db)?.apply(
      to: &stored.trajectories, withProbabilities: selection.withProbabilities)
    return stored
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

  func read(_ group: Row, _ run: ReplayRun) throws -> StoredGroup {
    let id: Int64 = group["id"]
    let dataSource: String? = group["data_source"]
    let policyVersion: Int? = group["policy_version"]
    let groupStep: Int? = group["step"]
    let branches =
      selection.withBranches
      ? "branch, iif(extra LIKE '%\"branch_decisions\"%', extra, NULL)" : "NULL, NULL"
    let outcomes = selection.withOutcomes ? ", iif(extra LIKE '%\"advantage%', extra, NULL) AS extra" : ""
    let rows = try Row.fetchAll(
      db.cachedStatement(
        sql: """
          SELECT id, parent, branch_index, trajectory_id, rollout_index, reward, multiplicity, step, data_source,
            policy_version, finish_reason, evidence, entropy_kind, unit, \(branches)\(outcomes)
          FROM trajectory WHERE prompt_group = ?
          ORDER BY rollout_index IS NULL, rollout_index, trajectory_id
          """), arguments: [id])
    var trajectories = rows.map { row in
      var stored = StoredTrajectory(
        row: row["id"], parent: row["parent"],
        trajectory: ReplayTrajectory(
          id: row["trajectory_id"], declaredParent: nil, declaredBranch: row["branch_index"],
          rolloutIndex: row["rollout_index"], reward: row["reward"], multiplicity: row["multiplicity"],
          step: row["step"] ?? groupStep, dataSource: row["data_source"] ?? dataSource,
          policyVersion: row["policy_version"] ?? policyVersion, finishReason: row["finish_reason"],
          evidence: Evidence(rawValue: row["evidence"]), entropyKind: row["entropy_kind"], segments: [], columns: nil),
        hasTokens: row["unit"] == "token", segments: [])
      if selection.withBranches {
        stored.trajectory.branch = LoggedBranch(logged: row[14])
        stored.trajectory.decisions = [LoggedDecision](extra: row[15])
      }
      return stored
    }
    if selection.withOutcomes {
      for (i, row) in rows.enumerated() { try addOutcomes(row, &trajectories[i].trajectory) }
    }
    // Forks are inferred from the tokens, and where there are none from the text.
    let texts =
      selection.withTexts
      ? "s.status, s.latency_s, s.arguments, s.text"
      : "NULL, NULL, NULL, iif(t.segment IS NULL, s.text, NULL)"
    let probabilities =
      selection.withProbabilities ? "t.logprobs, t.top_logprobs, t.entropies" : "NULL, NULL, NULL"
    let segments = try db.cachedStatement(
      sql: """
        SELECT s.kind, s.tool, s.start_index, s.end_index, s.generated, s.tool_call_id, \(texts),
          t.token_ids, t.loss_mask, \(probabilities)
        FROM segment s LEFT JOIN segment_tokens t ON t.segment = s.id WHERE s.trajectory = ? ORDER BY s.ordinal
        """)
    for i in trajectories.indices {
      let cursor = try Row.fetchCursor(segments, arguments: [trajectories[i].row])
      while let row = try cursor.next() {
        let start: Int = row[2]
        let end: Int = row[3]
        var segment = Segment(
          kind: SegmentKind(rawValue: row[0]) ?? .other, start: start, end: end, tool: row[1], toolCallID: row[5],
          status: row[6], latency: row[7], arguments: row[8], text: row[9])
        // Tokens have a mask that says it of each.
        segment.isContext = !trajectories[i].hasTokens && segment.kind != .toolResult && row[4] == 0
        trajectories[i].trajectory.segments.append(segment)
        if trajectories[i].hasTokens {
          trajectories[i].segments.append(
            StoredSegment(count: end - start, generated: row[4], blobs: (10...14).map { row[$0] as Data? }))
        }
      }
    }
    return StoredGroup(run: run, groupID: group["group_id"], step: groupStep, trajectories: trajectories)
  }
}

extension GroupReader {
  /// Advantages among the keys that the log has and no column, and the named parts of the reward.
  private func addOutcomes(_ row: Row, _ trajectory: inout ReplayTrajectory) throws {
    if let extra: String = row["extra"] { trajectory.loggedAdvantages = LoggedAdvantages(extra: extra) }
    let parts = try Row.fetchCursor(
      db.cachedStatement(sql: "SELECT name, score FROM reward WHERE trajectory = ? ORDER BY name"),
      arguments: [row["id"] as Int64])
    while let part = try parts.next() {
      trajectory.namedRewards.append(NamedReward(name: part["name"], score: part["score"]))
    }
  }
}

extension LoggedAdvantages {
  /// `advantages` or `advantage` of a JSON object; `nil` if it has neither, or they are no numbers.
  init?(extra: String) {
    guard extra.contains("\"advantage"), let value = try? JSONValue(parsing: extra),
      let logged = value["advantages"] ?? value["advantage"]
    else { return nil }
    if let number = logged.double {
      self = .leaf(number)
    } else if case .array(let items) = logged, !items.isEmpty {
      // A list that holds anything but numbers and null is something else.
      var values: [Double] = []
      for item in items {
        if item == .null { values.append(.nan) } else if let x = item.double { values.append(x) } else { return nil }
      }
      self = .tokens(values)
    } else {
      return nil
    }
  }
}

extension BranchingSettings {
  /// The settings that a run's `branching` object names, defaults for the others.
  init(logged json: String?) {
    self.init()
    guard let json, let value = try? JSONValue(parsing: json) else { return }
    algorithm = value["algorithm"]?.string
    branchProbability = value["branch_probability"]?.double ?? branchProbability
    entropyWeight = value["entropy_weight"]?.double ?? entropyWeight
    // Numbers that no sampler can have used count as not named.
    func count(_ key: String, from least: Int) -> Int? {
      value[key]?.int.flatMap { (least...1_000_000).contains($0) ? $0 : nil }
    }
    windowTokens = count("window_tokens", from: 1) ?? windowTokens
    topK = count("top_k", from: 1) ?? topK
    alpha = value["alpha"]?.double ?? alpha
    tau = value["tau"]?.double ?? tau
    rollouts = count("rollouts", from: 1)
    initialRollouts = count("initial_rollouts", from: 0)
    beamSize = count("beam_size", from: 1)
    callLimit = count("call_limit", from: 0)
  }
}

extension LoggedBranch {
  /// A trajectory's `branch` object; `nil` without one.
  init?(logged json: String?) {
    guard let json, let value = try? JSONValue(parsing: json), value.members != nil else { return nil }
    self.init(value)
  }

  fileprivate init(_ value: JSONValue) {
    self.init()
    reason = value["reason"]?.string
    entropyInitial = value["entropy_initial"]?.double
    entropyNow = value["entropy_now"]?.double
    probability = value["probability"]?.double
    draw = value["draw"]?.double
  }
}

extension [LoggedDecision] {
  /// The `branch_decisions` among a trajectory's other keys; entries that do not say where they lie are left out.
  init(extra json: String?) {
    self = []
    guard let json, let entries = (try? JSONValue(parsing: json))?["branch_decisions"]?.array else { return }
    for entry in entries {
      guard let at = entry["at"]?.int else { continue }
      append(LoggedDecision(at: at, branch: LoggedBranch(entry), branched: entry["branched"]?.bool))
    }
  }
}
