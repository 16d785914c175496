import Foundation
import GRDB
import GRDBSQLite
import RolloutLogs
import Rollouts

extension RecordWriter {
  /// What became of a trajectory record.
  enum Outcome {
    case inserted(Int64)
    /// The same trajectory is in the database already.
    case duplicate
    /// A padded copy: counted in the multiplicity of the row that is there.
    case copy
    /// It needs another record first.
    case waits(reason: QuarantineReason, for: String, as: String, message: String)
    /// It was read by comparing its bytes with a record that is not the one its parent was stored from: nothing is written,
    /// and it must be read in full.
    case mustBeReadInFull
  }

  /// Writes a trajectory.
  ///
  /// All checks come before the first row, so that an error leaves nothing behind.
  func write(_ prepared: PreparedTrajectory, run: Int64, _ origin: Origin) throws -> Outcome {
    let record = prepared.record
    let key = Self.key(record.trajectoryID, record.step)
    let known = try fetch(
      "SELECT * FROM trajectory WHERE run = ? AND trajectory_id = ? AND coalesce(step, 'none') = coalesce(?, 'none')",
      [run, record.trajectoryID, record.step])
    if record.part > 0 { return try writePart(prepared, run, known, key, origin) }
    if let known { return try duplicate(of: known, prepared, origin) }

    var parentID: Int64?
    var textShared = 0
    if let parent = record.parentID {
      guard let row = try parentRow(parent, record, run) else {
        return .waits(
          reason: .missingParent, for: Self.key(parent, record.step), as: key,
          message: "parent \(parent) is not in the log")
      }
      if case .sameAsRecord(let offset) = record.repeated,
        row["source"] as Int64 != origin.source || row["byte_offset"] as Int != offset
      {
        return .mustBeReadInFull
      }
      try check(prepared, against: row, named: parent)
      parentID = row["id"]
      textShared = sharedText(record, parent: row)
    }
    let group = try group(
      GroupKey(run: run, group: record.groupID, step: record.step),
      GroupFacts(
        promptText: record.promptText, promptTokenIDs: record.promptTokenIDs, groundTruth: record.groundTruth), origin)
    let id = try insert(prepared, run: run, group: group, parent: parentID, textShared: textShared, origin)
    return .inserted(id)
  }

  /// Identity of a trajectory within its run, as text.
  static func key(_ trajectory: String, _ step: Int?) -> String { "\(step.map(String.init) ?? "-")/\(trajectory)" }

  // MARK: Parents

  private func parentRow(_ parent: String, _ record: TrajectoryRecord, _ run: Int64) throws -> Row? {
    try fetch(
      """
      SELECT t.id, t.length, t.unit, t.text, t.text_shared, t.source, t.byte_offset, g.group_id FROM trajectory t
      JOIN prompt_group g ON g.id = t.prompt_group
      WHERE t.run = ? AND t.trajectory_id = ? AND coalesce(t.step, 'none') = coalesce(?, 'none')
      """, [run, parent, record.step])
  }

  private func check(_ prepared: PreparedTrajectory, against parent: Row, named name: String) throws {
    let record = prepared.record
    let length: Int = parent["length"]
    let branch = record.branchIndex
    guard ByteString(parent["group_id"]) == ByteString(record.groupID.withoutZeros) else {
      throw RecordError(.badBranch, "parent \(name) is in group \(parent["group_id"] as String), not \(record.groupID)")
    }
    guard (parent["unit"] == "token") == prepared.hasTokens else {
      throw RecordError(
        .badBranch, "\(record.trajectoryID) and its parent \(name) are not both with or both without tokens")
    }
    guard branch <= length else {
      throw RecordError(.badBranch, "the branch index is \(branch), behind the parent's end \(length)")
    }
    if prepared.hasTokens, let cut = try toolResult(around: branch, on: parent["id"]) {
      throw RecordError(
        .badBranch, "the branch index \(branch) lies inside a tool result \(cut.lowerBound)..<\(cut.upperBound)")
    }
    if let difference = try paths.disagreement(record, with: parent["id"]) {
      throw RecordError(.prefixDisagrees, difference)
    }
  }

  /// The tool result of a path that an index cuts in two.
  private func toolResult(around index: Int, on trajectory: Int64) throws -> Range<Int>? {
    var owner: Int64? = trajectory
    while let id = owner, let entry = try paths.entry(id) {
      if entry.branch < index {
        guard
          let row = try fetch(
            """
            SELECT start_index, end_index FROM segment
            WHERE trajectory = ? AND kind = 'tool_result' AND start_index < ? AND end_index > ?
            """, [id, index, index])
        else { return nil }
        return (row[0] as Int)..<(row[1] as Int)
      }
      owner = entry.parent
    }
    return nil
  }

  /// Bytes at the front of a full record's text that stand in the parent's text too.
  private func sharedText(_ record: TrajectoryRecord, parent: Row) -> Int {
    guard record.firstIndex < record.branchIndex, let text = record.text,
      let other = parent["text"] as String?, parent["text_shared"] == 0
    else { return 0 }
    var (mine, theirs) = (text, other)
    return mine.withUTF8 { mine in
      theirs.withUTF8 { theirs in
        var n = 0
        let limit = min(mine.count, theirs.count)
        while n < limit, mine[n] == theirs[n] { n += 1 }
        // Not in the middle of a character.
        while n > 0, n < mine.count, mine[n] & 0xC0 == 0x80 { n -= 1 }
        return n
      }
    }
  }

  // MARK: Duplicates

  private func duplicate(of known: Row, _ prepared: PreparedTrajectory, _ origin: Origin) throws -> Outcome {
    let record = prepared.record
    if record.copiesArePadding, known["row_hash"] == Int64(bitPattern: prepared.rowHash) {
      guard known["source"] == origin.source else { return .duplicate }
      try execute(
        "UPDATE trajectory SET multiplicity = multiplicity + ?, copies = copies + ? WHERE id = ?",
        [record.multiplicity, record.multiplicity, known["id"] as Int64])
      return .copy
    }
    guard try contentHash(ofPart: 0, of: known) == Int64(bitPattern: prepared.contentHash) else {
      throw RecordError(
        .duplicateDisagrees,
        "trajectory \(record.trajectoryID) came before with other content (line \(known["line"] as Int) of source \(known["source"] as Int64))"
      )
    }
    // Token ids of a prompt may be left out or added: they are the group's.
    if record.promptTokenIDs != nil {
      let facts = GroupFacts(promptTokenIDs: record.promptTokenIDs)
      try add(facts, to: known["prompt_group"], named: record.groupID)
    }
    return .duplicate
  }

  // MARK: Rows

  func insert(
    _ prepared: PreparedTrajectory, run: Int64, group: Int64, parent: Int64?, textShared: Int, _ origin: Origin
  ) throws -> Int64 {
    let record = prepared.record
    let id = try newID("trajectory")
    let owned = prepared.owned
    let text =
      textShared == 0 ? record.text : record.text.map { String(decoding: $0.utf8.dropFirst(textShared), as: UTF8.self) }
    try execute(
      """
      INSERT INTO trajectory (id, run, prompt_group, trajectory_id, step, rollout_index, parent, branch_index, branch,
        unit, length, owned, generated, reward, data_source, policy_version, finish_reason, multiplicity, copies,
        evidence, entropy_kind, text, text_shared, extra, part, content_hash, row_hash, source, line, byte_offset)
      VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0,?,?,?,?,?,?,?,?,?,?,?)
      """,
      [
        id, run, group, record.trajectoryID, record.step, record.rolloutIndex, parent, record.branchIndex,
        record.branch,
        prepared.hasTokens ? "token" : "segment", record.branchIndex + owned, owned,
        prepared.segments.reduce(0) { $0 + $1.generated }, record.reward, record.dataSource, record.policyVersion,
        record.finishReason, record.multiplicity, prepared.evidence.rawValue, record.entropyKind, text, textShared,
        record.extra, record.part, Int64(bitPattern: prepared.contentHash), Int64(bitPattern: prepared.rowHash),
        origin.source, origin.position.line, origin.position.byteOffset,
      ])
    let segments = try insert(prepared.segments, trajectory: id, firstOrdinal: 0)
    try insertToolCalls(prepared.segments.map(\.segment), ids: segments, trajectory: id)
    for part in record.rewards {
      try execute(
        "INSERT OR REPLACE INTO reward (trajectory, name, score, weight) VALUES (?,?,?,?)",
        [id, part.name, part.score, part.weight])
    }
    for finding in record.findings { try insert(finding, trajectory: id, source: origin.source) }
    paths.insert(
      id,
      PathCache.Entry(
        parent: parent, branch: record.branchIndex, length: record.branchIndex + owned, hasTokens: prepared.hasTokens))
    counts.trajectories += 1
    counts.tokens += prepared.hasTokens ? owned : 0
    return id
  }

  func insert(_ finding: Finding, trajectory: Int64?, source: Int64) throws {
    try execute(
      "INSERT INTO finding (id, source, trajectory, check_name, count, first_index, note) VALUES (?,?,?,?,?,?,?)",
      [
        newID("finding"), source, trajectory, finding.check.rawValue, finding.count, finding.firstIndex, finding.note,
      ])
  }

  func insert(_ segments: [PreparedSegment], trajectory: Int64, firstOrdinal: Int) throws -> [Int64] {
    var ids: [Int64] = []
    for (i, prepared) in segments.enumerated() {
      let segment = prepared.segment
      let id = try newID("segment")
      ids.append(id)
      try insertSegment.run { row in
        row.bind(id)
        row.bind(trajectory)
        row.bind(firstOrdinal + i)
        row.bind(segment.kind.rawValue)
        row.bind(segment.tool)
        row.bind(segment.start)
        row.bind(segment.end)
        row.bind(prepared.generated)
        row.bind(segment.toolCallID)
        row.bind(segment.status)
        row.bind(segment.latency)
        row.bind(segment.arguments)
        row.bind(segment.text)
        row.bind(segment.extra)
      }
      if let tokens = prepared.tokens { try insert(tokens, segment: id) }
    }
    return ids
  }

  /// Blobs are most of the bytes, so they are bound without copies.
  private func insert(_ tokens: EncodedTokens, segment: Int64) throws {
    try tokens.bytes.withUnsafeBytes { all in
      try insertTokens.run { row in
        row.bind(segment)
        for range in [
          tokens.tokenIDs, tokens.lossMask, tokens.logprobs, tokens.topLogprobs, tokens.entropies, tokens.topTokenIDs,
        ] {
          row.bind(lasting: range.map { UnsafeRawBufferPointer(rebasing: all[$0]) })
        }
      }
    }
  }

  /// Joins the calls and results of a trajectory anew, after segments were added to it.
  func rejoinToolCalls(of trajectory: Int64) throws {
    let rows = try Row.fetchAll(
      statement("SELECT id, kind, tool, tool_call_id FROM segment WHERE trajectory = ? ORDER BY ordinal"),
      arguments: [trajectory])
    let segments = rows.map { row in
      Segment(
        kind: SegmentKind(rawValue: row["kind"]) ?? .other, start: 0, end: 0, tool: row["tool"],
        toolCallID: row["tool_call_id"])
    }
    try execute("DELETE FROM tool_call WHERE trajectory = ?", [trajectory])
    try insertToolCalls(segments, ids: rows.map { $0["id"] }, trajectory: trajectory)
  }

  /// A call and its result are joined by their id, else in order.
  func insertToolCalls(_ segments: [Segment], ids: [Int64], trajectory: Int64) throws {
    struct Call {
      var call: Int?
      var result: Int?
    }
    var calls: [Call] = []
    for (i, segment) in segments.enumerated() {
      switch segment.kind {
      case .toolCall: calls.append(Call(call: i))
      case .toolResult:
        let match = calls.firstIndex { open in
          guard open.result == nil, let call = open.call else { return false }
          guard let a = segments[call].toolCallID, let b = segment.toolCallID else {
            return segments[call].tool == nil || segment.tool == nil || segments[call].tool == segment.tool
          }
          return a == b
        }
        if let match { calls[match].result = i } else { calls.append(Call(result: i)) }
      default: break
      }
    }
    for (number, call) in calls.enumerated() {
      let result = call.result.map { segments[$0] }
      let made = call.call.map { segments[$0] }
      let id = try newID("tool_call")
      try insertToolCall.run { row in
        row.bind(id)
        row.bind(trajectory)
        row.bind(number)
        row.bind(result?.tool ?? made?.tool)
        row.bind(result?.toolCallID ?? made?.toolCallID)
        row.bind(call.call.map { ids[$0] })
        row.bind(call.result.map { ids[$0] })
      }
    }
  }
}
