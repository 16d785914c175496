import GRDB
import RolloutLogs
import Rollouts

/// Trajectories that a log spreads over several records: an agent loop's outputs, a row each.
extension RecordWriter {
  /// The key under which the list of what only later parts say stands in a trajectory's `extra`.
  private static let laterParts = "later_parts"

  /// Writes a further record of a trajectory: its segments go behind those that are there.
  func writePart(
    _ prepared: PreparedTrajectory, _ run: Int64, _ known: Row?, _ key: String, _ origin: Origin
  ) throws -> Outcome {
    let record = prepared.record
    let name = "\(key)#\(record.part)"
    guard let known, let last = known["part"] as Int?, last >= record.part - 1 else {
      return .waits(
        reason: .missingPart, for: "\(key)#\(record.part - 1)", as: name,
        message: "part \(record.part) of \(record.trajectoryID) without part \(record.part - 1)")
    }
    let hash = Int64(bitPattern: prepared.contentHash)
    guard last == record.part - 1 else {
      if try contentHash(ofPart: record.part, of: known) == hash { return .duplicate }
      throw RecordError(
        .duplicateDisagrees, "part \(record.part) of \(record.trajectoryID) came before with other content")
    }
    guard !prepared.hasTokens else {
      throw RecordError(.unknownRecord, "parts of trajectories with tokens are not supported")
    }
    // One trajectory has one reward and one source.
    let reward: Double? = known["reward"]
    let dataSource: String? = known["data_source"]
    for (what, mine, theirs) in [
      ("reward", record.reward?.description, reward?.description), ("data_source", record.dataSource, dataSource),
    ] {
      guard let mine, let theirs, mine != theirs else { continue }
      throw RecordError(
        .duplicateDisagrees, "part \(record.part) of \(record.trajectoryID) has the \(what) \(mine), not \(theirs)")
    }
    try add(GroupFacts(groundTruth: record.groundTruth), to: known["prompt_group"], named: record.groupID)

    let id: Int64 = known["id"]
    let length: Int = known["length"]
    let count = try fetch("SELECT count(*) FROM segment WHERE trajectory = ?", [id])?[0] as Int? ?? 0
    var segments = prepared.segments
    for i in segments.indices {
      segments[i].segment.start += length
      segments[i].segment.end += length
    }
    _ = try insert(segments, prepared.block, trajectory: id, firstOrdinal: count)
    try rejoinToolCalls(of: id)
    for part in record.rewards {
      try execute(
        "INSERT OR IGNORE INTO reward (trajectory, name, score, weight) VALUES (?,?,?,?)",
        [id, part.name, part.score, part.weight])
    }
    for finding in record.findings { try insert(finding, trajectory: id, source: origin.source) }
    let text = record.text.map { ((known["text"] as String?).map { $0 + "\n" } ?? "") + $0 }
    try execute(
      """
      UPDATE trajectory SET part = ?, length = length + ?, owned = owned + ?, generated = generated + ?, text = ?,
        reward = ?, data_source = ?, finish_reason = ?, extra = ?, content_hash = ?, row_hash = ? WHERE id = ?
      """,
      [
        record.part, segments.count, segments.count, segments.reduce(0) { $0 + $1.generated }, text,
        reward ?? record.reward, dataSource ?? record.dataSource,
        record.finishReason ?? known["finish_reason"], try Self.extra(known["extra"], with: record),
        ContentHash64.joining(known["content_hash"], prepared.contentHash).stored,
        ContentHash64.joining(known["row_hash"], prepared.rowHash).stored, id,
      ])
    // Until there are two, the trajectory's own hash is the first part's.
    if last == 0 {
      try note(
        part: "\(key)#0", hash: known["content_hash"], end: length, of: id, run: run,
        (known["source"], known["line"], known["byte_offset"]))
    }
    try note(
      part: name, hash: hash, end: length + segments.count, of: id, run: run,
      (origin.source, origin.position.line, origin.position.byteOffset))
    paths.clear()
    counts.parts += 1
    return .inserted(id)
  }

  /// Notes a part as the model call that it is, with a hash of all that it says.
  private func note(
    part: String, hash: Int64, end: Int, of trajectory: Int64, run: Int64,
    _ origin: (source: Int64, line: Int, byteOffset: Int)
  ) throws {
    try execute(
      """
      INSERT INTO model_call (id, run, trajectory, response_id, messages, reply_key, end_index, is_joined, source, line,
        byte_offset) VALUES (?,?,?,?,0,?,?,1,?,?,?)
      """,
      [
        newID(.modelCall), run, trajectory, part, hash, end, origin.source, origin.line, origin.byteOffset,
      ])
  }

  /// The hash of what one record of a trajectory said.
  func contentHash(ofPart part: Int, of known: Row) throws -> Int64? {
    if known["part"] == 0 { return known["content_hash"] }
    let key = Self.key(known["trajectory_id"], known["step"])
    return try fetch(
      "SELECT reply_key FROM model_call WHERE run = ? AND response_id = ?", [known["run"] as Int64, "\(key)#\(part)"]
    )?["reply_key"]
  }

  /// The trajectory's further keys with those of a later part.
  private static func extra(_ known: String?, with record: TrajectoryRecord) throws -> String? {
    guard let text = record.extra, let own = try JSONValue(parsing: text).members else { return known }
    var members = try known.map { try JSONValue(parsing: $0) }?.members ?? []
    let part = JSONValue.object([JSONValue.Member("part", .int(Int64(record.part)))] + own)
    if let i = members.firstIndex(where: { $0.key == laterParts }) {
      members[i].value = .array((members[i].value.array ?? [members[i].value]) + [part])
    } else {
      members.append(JSONValue.Member(laterParts, .array([part])))
    }
    return JSONValue.object(members).text()
  }
}

extension ContentHash64 {
  fileprivate static func joining(_ a: Int64, _ b: UInt64) -> ContentHash64 {
    var hash = ContentHash64()
    hash.add(UInt64(bitPattern: a))
    hash.add(b)
    return hash
  }
}
