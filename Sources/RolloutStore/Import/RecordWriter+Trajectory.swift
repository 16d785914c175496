import Foundation
import GRDB
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
    let known = try knownRow(record, run)
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
        row.source != origin.source || row.byteOffset != offset
      {
        return .mustBeReadInFull
      }
      try check(prepared, against: row, named: parent)
      parentID = row.id
      textShared = try sharedText(record, parent: row.id)
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

  /// The row of a record's trajectory, where there is one: most records are new.
  private func knownRow(_ record: TrajectoryRecord, _ run: Int64) throws -> Row? {
    let id = try hot.trajectory.first { values in
      values.bind(run)
      values.bind(record.trajectoryID)
      values.bind(record.step)
    } read: {
      $0.int64(0)
    }
    return try id.flatMap { try fetch("SELECT * FROM trajectory WHERE id = ?", [$0]) }
  }

  // MARK: Parents

  /// What a child must know of its parent.
  struct Parent {
    var id: Int64
    var length: Int
    var hasTokens: Bool
    var source: Int64
    var byteOffset: Int
    var group: String
  }

  private func parentRow(_ parent: String, _ record: TrajectoryRecord, _ run: Int64) throws -> Parent? {
    try hot.parent.first { values in
      values.bind(run)
      values.bind(parent)
      values.bind(record.step)
    } read: { row in
      Parent(
        id: row.int64(0), length: row.int(1), hasTokens: row.int(2) == 1, source: row.int64(3), byteOffset: row.int(4),
        group: row.text(5) ?? "")
    }
  }

  private func check(_ prepared: PreparedTrajectory, against parent: Parent, named name: String) throws {
    let record = prepared.record
    let length = parent.length
    let branch = record.branchIndex
    guard ByteString(parent.group) == ByteString(record.groupID.withoutZeros) else {
      throw RecordError(.badBranch, "parent \(name) is in group \(parent.group), not \(record.groupID)")
    }
    guard parent.hasTokens == prepared.hasTokens else {
      throw RecordError(
        .badBranch, "\(record.trajectoryID) and its parent \(name) are not both with or both without tokens")
    }
    guard branch <= length else {
      throw RecordError(.badBranch, "the branch index is \(branch), behind the parent's end \(length)")
    }
    if prepared.hasTokens, let cut = try toolResult(around: branch, on: parent.id) {
      throw RecordError(
        .badBranch, "the branch index \(branch) lies inside a tool result \(cut.lowerBound)..<\(cut.upperBound)")
    }
    if let difference = try paths.disagreement(record, with: parent.id) {
      throw RecordError(.prefixDisagrees, difference)
    }
  }

  /// The tool result of a path that an index cuts in two.
  private func toolResult(around index: Int, on trajectory: Int64) throws -> Range<Int>? {
    var owner: Int64? = trajectory
    while let id = owner, let entry = try paths.entry(id) {
      if entry.branch < index {
        return try hot.cutResult.first { values in
          values.bind(id)
          values.bind(index)
          values.bind(index)
        } read: { row in
          row.int(0)..<row.int(1)
        }
      }
      owner = entry.parent
    }
    return nil
  }

  /// Bytes at the front of a full record's text that stand in the parent's text too.
  private func sharedText(_ record: TrajectoryRecord, parent: Int64) throws -> Int {
    guard record.firstIndex < record.branchIndex, var text = record.text else { return 0 }
    let shared = try hot.wholeText.first {
      $0.bind(parent)
    } read: { row in
      guard let theirs = row.blob(0) else { return 0 }
      return text.withUTF8 { mine in
        var n = 0
        let limit = min(mine.count, theirs.count)
        while n < limit, mine[n] == theirs[n] { n += 1 }
        // Not in the middle of a character.
        while n > 0, n < mine.count, mine[n] & 0xC0 == 0x80 { n -= 1 }
        return n
      }
    }
    return shared ?? 0
  }

  // MARK: Duplicates

  private func duplicate(of known: Row, _ prepared: PreparedTrajectory, _ origin: Origin) throws -> Outcome {
    let record = prepared.record
    let isElsewhere = known["source"] != origin.source
    if record.copiesArePadding, known["row_hash"] == Int64(bitPattern: prepared.rowHash) {
      guard !isElsewhere else { return .duplicate }
      try execute(
        "UPDATE trajectory SET multiplicity = multiplicity + ?, copies = copies + ? WHERE id = ?",
        [record.multiplicity, record.multiplicity, known["id"] as Int64])
      return .copy
    }
    guard try contentHash(ofPart: 0, of: known) == Int64(bitPattern: prepared.contentHash) else {
      let path = try fetch("SELECT path FROM source WHERE id = ?", [known["source"] as Int64])?["path"] as String?
      throw RecordError(
        .duplicateDisagrees,
        "trajectory \(record.trajectoryID) came before with other content (\(path ?? "?"):\(known["line"] as Int))")
    }
    // Token ids of a prompt may be left out or added: they are the group's.
    if record.promptTokenIDs != nil {
      let facts = GroupFacts(promptTokenIDs: record.promptTokenIDs)
      try add(facts, to: known["prompt_group"], named: record.groupID)
    }
    if isElsewhere { counts.knownElsewhere += 1 }
    return .duplicate
  }

  // MARK: Rows

  func insert(
    _ prepared: PreparedTrajectory, run: Int64, group: Int64, parent: Int64?, textShared: Int, _ origin: Origin
  ) throws -> Int64 {
    let record = prepared.record
    let id = newID(.trajectory)
    let owned = prepared.owned
    let text =
      textShared == 0 ? record.text : record.text.map { String(decoding: $0.utf8.dropFirst(textShared), as: UTF8.self) }
    try hot.insertTrajectory.run { row in
      row.bind(id)
      row.bind(run)
      row.bind(group)
      row.bind(record.trajectoryID)
      row.bind(record.step)
      row.bind(record.rolloutIndex)
      row.bind(parent)
      row.bind(record.branchIndex)
      row.bind(record.branch)
      row.bind(prepared.hasTokens ? "token" : "segment")
      row.bind(record.branchIndex + owned)
      row.bind(owned)
      row.bind(prepared.segments.reduce(0) { $0 + $1.generated })
      row.bind(record.reward)
      row.bind(record.dataSource)
      row.bind(record.policyVersion)
      row.bind(record.finishReason)
      row.bind(record.multiplicity)
      row.bind(prepared.evidence.rawValue)
      row.bind(record.entropyKind)
      row.bind(text)
      row.bind(textShared)
      row.bind(record.extra)
      row.bind(record.part)
      row.bind(Int64(bitPattern: prepared.contentHash))
      row.bind(Int64(bitPattern: prepared.rowHash))
      row.bind(origin.source)
      row.bind(origin.position.line)
      row.bind(origin.position.byteOffset)
    }
    let segments = try insert(prepared.segments, prepared.block, trajectory: id, firstOrdinal: 0)
    try insertToolCalls(prepared.segments.map(\.segment), ids: segments, trajectory: id)
    for part in record.rewards {
      try hot.insertReward.run { row in
        row.bind(id)
        row.bind(part.name)
        row.bind(part.score)
        row.bind(part.weight)
      }
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
    let id = newID(.finding)
    try hot.insertFinding.run { row in
      row.bind(id)
      row.bind(source)
      row.bind(trajectory)
      row.bind(finding.check.rawValue)
      row.bind(finding.count)
      row.bind(finding.firstIndex)
      row.bind(finding.note)
    }
  }

  func insert(
    _ segments: [PreparedSegment], _ block: TokenBlock, trajectory: Int64, firstOrdinal: Int
  ) throws -> [Int64] {
    let ids = segments.map { _ in newID(.segment) }
    let firstWithTokens = segments.firstIndex { $0.place != nil }.map { ids[$0] }
    if let firstWithTokens { try insert(block, id: firstWithTokens) }
    for (i, prepared) in segments.enumerated() {
      let segment = prepared.segment
      try insertSegment.run { row in
        row.bind(ids[i])
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
        let place = prepared.place
        row.bind(place == nil ? nil : firstWithTokens)
        row.bind(place?.offset)
        row.bind(place?.tokenIDs)
        row.bind(place?.lossMask)
        row.bind(place?.logprobs)
        row.bind(place?.entropies)
        row.bind(place?.topLogprobs)
        row.bind(place?.candidateIDs?.lowerBound)
        row.bind(place?.candidateIDs?.count)
      }
    }
    return ids
  }

  /// Blocks are most of the bytes, so they are bound without copies.
  private func insert(_ block: TokenBlock, id: Int64) throws {
    try block.columns.withUnsafeBytes { columns in
      try insertBlock.run { row in
        row.bind(id)
        row.bind(lasting: columns)
      }
    }
    try candidateIDs.add(block.candidateIDs, block: id)
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
      let id = newID(.toolCall)
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
