import Foundation
import GRDB
import RolloutLogs
import Rollouts

/// Joins model calls into trajectories: a call whose request repeats an earlier request and its reply is the next turn.
///
/// Runs at the end of an import, over the calls of the runs that it touched, in an order that does not depend on the
/// order of the log: by number of messages, then time, then response id. A second call that continues the same reply is
/// a branch: its parent is the trajectory of the reply, its branch index the reply's end.
struct ConversationJoiner {
  let writer: RecordWriter
  private var db: Database { writer.db }
  private let encoder = ColumnEncoder()
  private let decoder = ColumnDecoder()

  init(_ writer: RecordWriter) { self.writer = writer }

  func join(run: Int64) throws {
    let open = try Int64.fetchAll(
      db,
      sql: """
        SELECT id FROM model_call WHERE run = ? AND is_joined = 0
        ORDER BY messages, created IS NULL, created, response_id
        """, arguments: [run])
    for id in open { try join(call: id, run: run) }
  }

  private struct Call {
    var id: Int64
    var trajectory: Int64
    var end: Int
    var tokens: Int?
    var tokensKey: Int64?
  }

  private func join(call id: Int64, run: Int64) throws {
    guard let row = try writer.fetch("SELECT * FROM model_call WHERE id = ?", [id]),
      let keyData = row["request_keys"] as Data?, let countData = row["context_segments"] as Data?
    else { return }
    let keys = keyData.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
    let counts = countData.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    guard let (before, message) = try predecessor(keys, of: id, run: run) else { return }
    // Branches that an earlier import hung on this call keep their indices: then it stays a trajectory of its own.
    guard try writer.fetch("SELECT 1 FROM trajectory WHERE parent = ?", [row["trajectory"] as Int64]) == nil else {
      return
    }
    let drop = counts[...message].reduce(0) { $0 + Int($1) }
    let inserted = counts[(message + 1)...].reduce(0) { $0 + Int($1) }
    let gap = try insertedTokens(row["prompt_token_ids"], before)
    try append(
      call: Call(id: id, trajectory: row["trajectory"], end: row["end_index"]), to: before, drop: drop,
      inserted: inserted, gap: gap)
    try writer.execute(
      "UPDATE model_call SET is_joined = 1, request_keys = NULL, context_segments = NULL, prompt_token_ids = NULL WHERE id = ?",
      [id])
  }

  /// The call whose request and reply are the longest beginning of this request, and the number of its last message.
  private func predecessor(_ keys: [Int64], of id: Int64, run: Int64) throws -> (Call, Int)? {
    for i in keys.indices.reversed() where i > 0 {
      let row = try writer.fetch(
        """
        SELECT id, trajectory, end_index, tokens, tokens_key FROM model_call WHERE run = ? AND reply_key = ? AND id <> ?
        ORDER BY created IS NULL, created, response_id LIMIT 1
        """, [run, keys[i], id])
      if let row {
        return (
          Call(
            id: row["id"], trajectory: row["trajectory"], end: row["end_index"], tokens: row["tokens"],
            tokensKey: row["tokens_key"]), i
        )
      }
    }
    return nil
  }

  private enum Gap {
    case unknown
    case tokens([Int32])
    /// The later prompt does not begin with the earlier prompt and reply.
    case rewritten
  }

  private func insertedTokens(_ blob: Data?, _ before: Call) throws -> Gap {
    guard let blob, let count = before.tokens, let key = before.tokensKey else { return .unknown }
    var prompt: [Int32] = []
    try blob.withUnsafeBytes { try decoder.integers($0, into: &prompt) }
    guard prompt.count >= count, RecordWriter.key(prompt[..<count]) == key else { return .rewritten }
    return .tokens(Array(prompt[count...]))
  }

  private func append(call: Call, to before: Call, drop: Int, inserted: Int, gap: Gap) throws {
    guard let target = try writer.fetch("SELECT * FROM trajectory WHERE id = ?", [before.trajectory]),
      let own = try writer.fetch("SELECT * FROM trajectory WHERE id = ?", [call.trajectory])
    else { return }
    let apart = try size(of: before, call)
    // Turns with and without tokens in one trajectory: those without become text of no length.
    var end = before.end
    var length: Int = target["length"]
    let hasTokens = target["unit"] == "token" || own["unit"] == "token"
    if hasTokens, target["unit"] == "segment" {
      try flatten(before.trajectory)
      end = 0
      length = 0
    }
    if hasTokens, own["unit"] == "segment" { try flatten(call.trajectory) }

    let isBranch = end < length
    let segments = try Row.fetchAll(
      db, sql: "SELECT * FROM segment WHERE trajectory = ? ORDER BY ordinal", arguments: [call.trajectory])
    var drop = drop
    var inserted = inserted
    var isShared = false
    if isBranch,
      let shared = try sharedEnd(segments.dropFirst(drop).prefix(inserted), in: before.trajectory, behind: end)
    {
      // The same messages stand in between: they were said once, and the branch begins behind them.
      drop += inserted
      inserted = 0
      end = shared
      isShared = true
    }
    for row in segments.prefix(drop) { try delete(segment: row["id"]) }
    var first = isBranch ? 0 : try count(before.trajectory)
    var shift = end - (hasTokens ? 0 : drop)
    // The tokens of shared messages are where they were said.
    if !isShared, inserted == 0, hasTokens, case .tokens(let ids) = gap, !ids.isEmpty {
      // Tokens that no message explains stood before the reply all the same.
      try insert(ids, at: end, ordinal: -1 - first, in: isBranch ? call.trajectory : before.trajectory)
      shift += ids.count
      first += 1
    }
    for (i, row) in segments.dropFirst(drop).enumerated() {
      var start: Int = row["start_index"]
      var stop: Int = row["end_index"]
      start += shift
      stop += shift
      if i == 0, inserted > 0, hasTokens, case .tokens(let ids) = gap, !ids.isEmpty {
        try fill(segment: row["id"], ids)
        stop += ids.count
        shift += ids.count
      }
      try writer.execute(
        "UPDATE segment SET trajectory = ?, ordinal = ?, start_index = ?, end_index = ? WHERE id = ?",
        [isBranch ? call.trajectory : before.trajectory, -1 - first, start, stop, row["id"] as Int64])
      first += 1
    }
    // Ordinals are unique, so they move in two steps.
    let holder = isBranch ? call.trajectory : before.trajectory
    try writer.execute("UPDATE segment SET ordinal = -1 - ordinal WHERE trajectory = ? AND ordinal < 0", [holder])
    let newEnd = (hasTokens && own["unit"] == "segment" ? 0 : call.end) + shift
    try writer.execute("UPDATE model_call SET trajectory = ?, end_index = ? WHERE id = ?", [holder, newEnd, call.id])
    if isBranch {
      try writer.execute(
        "UPDATE trajectory SET parent = ?, branch_index = ?, prompt_group = ? WHERE id = ?",
        [before.trajectory, end, target["prompt_group"] as Int64, call.trajectory])
    } else {
      try merge(own, into: before.trajectory)
    }
    if case .rewritten = gap {
      try writer.insert(
        Finding(.contextRewritten, count: 1, firstIndex: end, note: "a prompt does not repeat the tokens before it"),
        trajectory: holder, source: own["source"])
    }
    try settle(holder)
    let together = try size(of: before, call)
    let change = writer.joined[own["source"]] ?? (0, 0)
    writer.joined[own["source"]] = (
      change.trajectories + together.trajectories - apart.trajectories, change.tokens + together.tokens - apart.tokens
    )
  }

  /// The trajectories that two calls are in, and the tokens stored for these.
  private func size(of a: Call, _ b: Call) throws -> (trajectories: Int, tokens: Int) {
    let row = try writer.fetch(
      "SELECT count(*), coalesce(sum(iif(unit = 'token', owned, 0)), 0) FROM trajectory WHERE id IN (?, ?)",
      [a.trajectory, b.trajectory])
    return (row?[0] ?? 0, row?[1] ?? 0)
  }

  /// Where the trajectory's segments behind an index end, if they begin with the same messages.
  private func sharedEnd(_ messages: ArraySlice<Row>, in trajectory: Int64, behind end: Int) throws -> Int? {
    guard !messages.isEmpty else { return nil }
    let there = try Row.fetchAll(
      db, sql: "SELECT * FROM segment WHERE trajectory = ? AND start_index >= ? ORDER BY ordinal",
      arguments: [trajectory, end])
    // Calls without tokens of their own end the reply before.
    let behind = there.drop { $0["kind"] == "tool_call" && $0["start_index"] == $0["end_index"] as Int? }
    guard behind.count >= messages.count else { return nil }
    for (a, b) in zip(messages, behind) {
      for column in ["kind", "tool", "tool_call_id", "text"]
      where a[column] as DatabaseValue != b[column] as DatabaseValue {
        return nil
      }
    }
    return behind.prefix(messages.count).last?["end_index"]
  }

  private func count(_ trajectory: Int64) throws -> Int {
    try writer.fetch("SELECT count(*) FROM segment WHERE trajectory = ?", [trajectory])?[0] ?? 0
  }

  private func delete(segment: Int64) throws {
    try writer.execute(
      "UPDATE tool_call SET call_segment = NULL WHERE call_segment = ?", [segment])
    try writer.execute("UPDATE tool_call SET result_segment = NULL WHERE result_segment = ?", [segment])
    try writer.execute("DELETE FROM segment_columns WHERE segment = ?", [segment])
    try writer.execute("DELETE FROM segment WHERE id = ?", [segment])
  }

  private func flatten(_ trajectory: Int64) throws {
    try writer.execute(
      "UPDATE segment SET start_index = 0, end_index = 0, generated = 0 WHERE trajectory = ?", [trajectory])
    try writer.execute(
      "UPDATE trajectory SET unit = 'token', length = 0, owned = 0, generated = 0 WHERE id = ?", [trajectory])
    try writer.execute("UPDATE model_call SET end_index = 0 WHERE trajectory = ?", [trajectory])
  }

  /// A segment of inserted tokens that nothing else is known about.
  private func insert(_ ids: [Int32], at start: Int, ordinal: Int, in trajectory: Int64) throws {
    let id = writer.newID(.segment)
    try writer.execute(
      """
      INSERT INTO segment (id, trajectory, ordinal, kind, start_index, end_index, generated) VALUES (?,?,?,?,?,?,0)
      """, [id, trajectory, ordinal, SegmentKind.other.rawValue, start, start + ids.count])
    try fill(segment: id, ids)
  }

  private func fill(segment: Int64, _ ids: [Int32]) throws {
    let columns = Data(encoder.integers(ids[...]))
    try writer.execute("INSERT INTO token_block (id, columns) VALUES (?,?)", [segment, columns])
    try writer.execute(
      "UPDATE segment SET token_block = ?1, block_offset = 0, token_ids_bytes = ?2 WHERE id = ?1",
      [segment, columns.count])
  }

  /// The joined trajectory says what its parts said; its row replaces theirs.
  private func merge(_ part: Row, into trajectory: Int64) throws {
    let id: Int64 = part["id"]
    try writer.execute(
      """
      UPDATE trajectory SET unit = iif(? = 'token', 'token', unit), evidence = evidence | ?,
        reward = coalesce(?, reward), finish_reason = coalesce(?, finish_reason), data_source = coalesce(data_source, ?)
      WHERE id = ?
      """,
      [
        part["unit"] as String, part["evidence"] as Int, part["reward"] as Double?, part["finish_reason"] as String?,
        part["data_source"] as String?, trajectory,
      ])
    for table in ["finding", "model_call"] {
      try writer.execute("UPDATE \(table) SET trajectory = ? WHERE trajectory = ?", [trajectory, id])
    }
    try writer.execute("DELETE FROM tool_call WHERE trajectory = ?", [id])
    try writer.execute("DELETE FROM reward WHERE trajectory = ?", [id])
    try writer.execute("DELETE FROM trajectory WHERE id = ?", [id])
    let group: Int64 = part["prompt_group"]
    try writer.execute(
      "DELETE FROM prompt_group WHERE id = ? AND is_recorded = 0 AND id NOT IN (SELECT prompt_group FROM trajectory)",
      [group])
  }

  /// Lengths and tool calls, from the segments that are there now.
  private func settle(_ trajectory: Int64) throws {
    try writer.execute(
      """
      UPDATE trajectory SET (owned, generated, length) = (
        SELECT sum(end_index - start_index), sum(generated), max(end_index) FROM segment WHERE trajectory = ?1)
      WHERE id = ?1
      """, [trajectory])
    try writer.rejoinToolCalls(of: trajectory)
    writer.paths.clear()
  }
}
