import Foundation
import GRDB
import RolloutLogs
import Rollouts

extension RecordWriter {
  /// Writes a model call as a trajectory of its own; `ConversationJoiner` puts calls of one conversation together.
  ///
  /// The prompt ends before the first assistant message of the request. What stands behind it was said in this trajectory,
  /// by calls that the log may hold too: until they are joined, it is segments with text and without tokens.
  func write(_ call: CallRecord, run: Int64, _ origin: Origin) throws -> Outcome {
    let responseID = call.choiceIndex == 0 ? call.responseID : "\(call.responseID)/\(call.choiceIndex)"
    var keys: [UInt64] = []
    var hash = ContentHash64()
    for message in call.messages {
      hash.add(message.canonical)
      keys.append(hash.value)
    }
    hash.add(call.replyCanonical)
    let replyKey = Int64(bitPattern: hash.value)
    if let known = try fetch("SELECT reply_key FROM model_call WHERE run = ? AND response_id = ?", [run, responseID]) {
      guard known["reply_key"] == replyKey else {
        throw RecordError(.duplicateDisagrees, "response \(responseID) came before with other content")
      }
      return .duplicate
    }

    let promptEnd = call.messages.firstIndex { $0.role == "assistant" } ?? call.messages.count
    let context = call.messages[promptEnd...].map(\.segments)
    let promptKey = promptEnd > 0 ? keys[promptEnd - 1] : 0
    let promptText = Self.rendered(call.messages[..<promptEnd])
    var record = TrajectoryRecord(
      groupID: try groupName(call, promptText, run: run) ?? String(promptKey, radix: 16), trajectoryID: responseID)
    record.columns = call.columns
    record.segments = context.flatMap { $0 } + call.segments
    if call.columns == nil {
      for i in record.segments.indices {
        record.segments[i].start = i
        record.segments[i].end = i + 1
      }
    }
    record.promptText = promptText
    // The ids of a first call are the prompt's; those of a later one hold what was said since.
    if promptEnd == call.messages.count { record.promptTokenIDs = call.promptTokenIDs }
    record.reward = call.reward
    record.dataSource = call.dataSource
    record.finishReason = call.finishReason
    record.extra = call.extra
    record.findings = call.findings
    let outcome = try write(number(record, run: run), run: run, origin)
    guard case .inserted(let id) = outcome else { return outcome }
    counts.calls += 1
    try describe(run, call)

    let contextCounts = call.messages.indices.map { i in i < promptEnd ? 0 : Int32(call.messages[i].segments.count) }
    var tokens: Int?
    var tokensKey: Int64?
    if let prompt = call.promptTokenIDs, let columns = call.columns, columns.strings == nil {
      let all = prompt + columns.tokenIDs
      tokens = all.count
      tokensKey = Self.key(all[...])
    }
    try execute(
      """
      INSERT INTO model_call (id, run, trajectory, response_id, created, messages, request_keys, context_segments,
        prompt_token_ids, reply_key, tokens, tokens_key, end_index, is_joined, source, line, byte_offset)
      VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
      """,
      [
        newID(.modelCall), run, id, responseID, call.created, call.messages.count,
        promptEnd == call.messages.count ? nil : keys.withUnsafeBytes { Data($0) },
        promptEnd == call.messages.count ? nil : contextCounts.withUnsafeBytes { Data($0) },
        promptEnd == call.messages.count ? nil : call.promptTokenIDs.map { Data(preparerEncoder.integers($0[...])) },
        replyKey, tokens, tokensKey, call.columns?.count ?? record.segments.count,
        promptEnd == call.messages.count, origin.source, origin.position.line, origin.position.byteOffset,
      ])
    return outcome
  }

  /// Gives texts their numbers, then cuts and encodes.
  func number(_ record: TrajectoryRecord, run: Int64) throws -> PreparedTrajectory {
    var record = record
    if var columns = record.columns, columns.strings != nil {
      record.columns = nil
      try strings.intern(&columns, run: run)
      record.columns = columns
    }
    return preparer.prepare(record)
  }

  static func key(_ ids: ArraySlice<Int32>) -> Int64 {
    var hash = ContentHash64()
    ids.withUnsafeBytes { hash.add($0) }
    return hash.stored
  }

  /// What a call says about its run, where the run does not say it yet.
  private func describe(_ run: Int64, _ call: CallRecord) throws {
    guard call.model != nil || call.temperature != nil || call.topP != nil else { return }
    try execute(
      """
      UPDATE run SET model = coalesce(model, ?), temperature = coalesce(temperature, ?), top_p = coalesce(top_p, ?)
      WHERE id = ? AND (model IS NULL OR temperature IS NULL OR top_p IS NULL)
      """, [call.model, call.temperature, call.topP, run])
  }

  private static func rendered(_ messages: ArraySlice<ChatMessage>) -> String? {
    guard !messages.isEmpty else { return nil }
    return messages.map { message in
      "\(message.role)\n\(message.segments.compactMap(\.text).joined(separator: "\n"))"
    }.joined(separator: "\n")
  }
}
