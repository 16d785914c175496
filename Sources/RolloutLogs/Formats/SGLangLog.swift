public import Rollouts

/// Replies of SGLang's own `/generate` endpoint, bare or beside their request.
///
/// A record is one reply or the list of `n` replies to one prompt; each becomes a call. Tokens are tuples of
/// (logprob, id, text or null) or (logprob, id).
public struct SGLangLog: LogFormat {
  /// The name in options, messages and the database.
  public static let name = "sglang"
  /// Who writes such logs.
  public static let summary = "replies of SGLang's native /generate endpoint"

  /// A reader for one log.
  public init(file: LogFile) {}

  /// True for the first record of such a log.
  public static func recognises(_ record: JSONValue) -> Bool {
    let reply = replies(in: record)?.first
    guard let meta = reply?["meta_info"], meta.members != nil else { return false }
    return meta.has("output_token_logprobs") || meta.has("decode_token_logprobs") || reply?["output_ids"]?.array != nil
  }

  /// One file a call is how clients write single replies; the folder is the run then.
  public static func isNamedAfterFolder(_ file: LogFile, isLineBased: Bool) -> Bool { !isLineBased }

  /// The reply objects of a record, out of the wrappers that clients put around them.
  private static func replies(in record: JSONValue, depth: Int = 0) -> [JSONValue]? {
    guard depth < 4 else { return nil }
    if let list = record.array {
      return list.first?["meta_info"] != nil ? list : nil
    }
    if record["meta_info"] != nil { return [record] }
    for key in ["response", "body", "output"] {
      if let inner = record[key], let found = replies(in: inner, depth: depth + 1) { return found }
    }
    return nil
  }

  /// A call for each reply in the record.
  public func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError)
    -> [RolloutRecord]
  {
    let record = try JSONValue.parse(bytes)
    guard let replies = Self.replies(in: record) else {
      throw RecordError(.unknownRecord, "no \"meta_info\"; keys: \(record.keys.prefix(12).joined(separator: ", "))")
    }
    var hash = ContentHash()
    hash.add(bytes: bytes)
    let source = SGLangSource(record: record, recordID: hash.short, count: replies.count)
    var records: [RolloutRecord] = []
    for (i, reply) in replies.enumerated() {
      let path = replies.count > 1 || record.array != nil ? "[\(i)]." : ""
      if let call = try source.call(reply, i, path) { records.append(.call(call)) }
    }
    return records
  }
}

/// What the replies of one record share.
private struct SGLangSource {
  let record: JSONValue
  let recordID: String
  let count: Int
  private let request: JSONValue?

  init(record: JSONValue, recordID: String, count: Int) {
    self.record = record
    self.recordID = recordID
    self.count = count
    let given = record["request"]
    request = given?["body"] ?? given ?? record["obj"]
  }

  /// One reply as a call; `nil` if it has neither tokens nor text.
  func call(_ reply: JSONValue, _ i: Int, _ path: String) throws(RecordError) -> CallRecord? {
    guard reply.members != nil, let meta = reply["meta_info"], meta.members != nil else {
      throw RecordError(.missingField, "\(path)meta_info is missing")
    }
    var tokens = SampledTokens()
    try add(reply, meta, to: &tokens, path)
    var message = AssistantMessage()
    message.content = reply["text"]?.string ?? tokens.texts(from: 0)?.text(0..<tokens.count) ?? ""
    guard tokens.count > 0 || !message.content.isEmpty else { return nil }
    var promptIDs = try self.promptIDs(i, meta, path)
    let text = promptText(i)
    if promptIDs?.isEmpty == true { promptIDs = nil }
    let messages = text.map { [ChatTranscript.prompt($0)] } ?? promptIDs.map { [ChatTranscript.prompt(ids: $0)] } ?? []
    var call = CallRecord(
      responseID: meta["id"]?.string ?? (count > 1 ? "\(recordID)-\(i)" : recordID), choiceIndex: i, messages: messages,
      replyCanonical: ChatTranscript.canonical(message),
      segments: ReplySegments(message).covering(tokens.count, from: 0, texts: tokens.texts(from: 0)))
    // Without the prompt only the samples of one record are known to share it.
    call.groupID = groupID ?? (messages.isEmpty ? recordID : nil)
    call.promptTokenIDs = promptIDs
    call.columns = tokens.columns
    call.model = request?["model"]?.string ?? record["model"]?.string
    let sampling = request?["sampling_params"] ?? record["sampling_params"]
    call.temperature = sampling?["temperature"]?.double.flatMap { $0.isFinite ? $0 : nil }
    call.topP = sampling?["top_p"]?.double.flatMap { $0.isFinite ? $0 : nil }
    call.finishReason = meta["finish_reason"]?["type"]?.string ?? meta["finish_reason"]?.string
    call.reward = try LoggedReward.scalar(reply["reward"] ?? record["reward"], "\(path)reward")
    call.extra = meta.others([
      "id", "finish_reason", "input_token_logprobs", "output_token_logprobs", "input_top_logprobs",
      "output_top_logprobs",
      "prefill_token_logprobs", "decode_token_logprobs", "prefill_top_logprobs", "decode_top_logprobs",
      "input_token_ids_logprobs", "output_token_ids_logprobs",
    ])
    call.findings = tokens.findings
    if call.columns == nil { call.findings.append(Finding(.unknownTokens, count: call.segments.count)) }
    return call
  }

  private var groupID: String? {
    for key in ["group_id", "prompt_id"] {
      if let value = record[key] ?? request?[key] { return value.looseText }
    }
    return nil
  }

  // MARK: Tokens

  private func add(_ reply: JSONValue, _ meta: JSONValue, to tokens: inout SampledTokens, _ path: String)
    throws(RecordError)
  {
    let listName = meta["output_token_logprobs"] != nil ? "output_token_logprobs" : "decode_token_logprobs"
    let topName = meta["output_top_logprobs"] != nil ? "output_top_logprobs" : "decode_top_logprobs"
    let list = try Self.list(meta, listName, path)
    let top = try Self.list(meta, topName, path)
    let ids = try reply["output_ids"]?.tokenIDs("\(path)output_ids") ?? []
    guard !list.isEmpty else {
      for id in ids { try tokens.add(SampledTokens.Name(id: id), logprob: nil, "\(path)output_ids") }
      return
    }
    guard ids.isEmpty || ids.count == list.count else {
      throw RecordError(
        .lengthMismatch, "\(path)meta_info.\(listName) has \(list.count) elements, output_ids has \(ids.count)")
    }
    guard top.isEmpty || top.count == list.count else {
      throw RecordError(
        .lengthMismatch, "\(path)meta_info.\(topName) has \(top.count) elements, \(listName) has \(list.count)")
    }
    for (i, tuple) in list.enumerated() {
      let (name, logprob) = try Self.token(tuple, "\(path)meta_info.\(listName)[\(i)]")
      guard ids.isEmpty || ids[i] == name.id else {
        throw RecordError(
          .duplicateDisagrees,
          "\(path)meta_info.\(listName)[\(i)] is token \(name.id ?? 0), output_ids says \(ids[i])")
      }
      try tokens.add(name, logprob: logprob, "\(path)meta_info.\(listName)[\(i)]")
      guard !top.isEmpty, top[i] != .null else { continue }
      guard let candidates = top[i].array else {
        throw RecordError(.wrongType, "\(path)meta_info.\(topName)[\(i)] is not an array")
      }
      for (k, candidate) in candidates.enumerated() {
        let (name, logprob) = try Self.token(candidate, "\(path)meta_info.\(topName)[\(i)][\(k)]")
        tokens.addCandidate(name, logprob: logprob)
      }
    }
  }

  private static func list(_ meta: JSONValue, _ key: String, _ path: String) throws(RecordError) -> [JSONValue] {
    guard let value = meta[key] else { return [] }
    guard let array = value.array else { throw RecordError(.wrongType, "\(path)meta_info.\(key) is not an array") }
    return array
  }

  /// A tuple of logprob, id and, if the server was asked for it, text.
  private static func token(_ tuple: JSONValue, _ path: @autoclosure () -> String) throws(RecordError)
    -> (SampledTokens.Name, Double?)
  {
    guard let parts = tuple.array, parts.count == 2 || parts.count == 3 else {
      throw RecordError(.wrongType, "\(path()) is not [logprob, id, text]")
    }
    let id = try parts[1].tokenID("\(path())[1]")
    return (
      SampledTokens.Name(id: id, text: parts.count == 3 ? parts[2].string : nil), try parts[0].logprob("\(path())[0]")
    )
  }

  // MARK: Prompt

  /// Ids of the prompt, where the log has all of them.
  private func promptIDs(_ i: Int, _ meta: JSONValue, _ path: String) throws(RecordError) -> [Int32]? {
    if let given = request?["input_ids"] ?? record["input_ids"], let list = given.array, let first = list.first {
      if first.array == nil { return try given.tokenIDs("input_ids") }
      let perPrompt = max(1, count / list.count)
      if i / perPrompt < list.count { return try list[i / perPrompt].tokenIDs("input_ids[\(i / perPrompt)]") }
    }
    let key = meta["input_token_logprobs"] != nil ? "input_token_logprobs" : "prefill_token_logprobs"
    guard let list = meta[key]?.array, !list.isEmpty, list.count == meta["prompt_tokens"]?.int else { return nil }
    var ids: [Int32] = []
    for (k, tuple) in list.enumerated() {
      guard let parts = tuple.array, parts.count >= 2 else {
        throw RecordError(.wrongType, "\(path)meta_info.\(key)[\(k)] is not [logprob, id, text]")
      }
      ids.append(try parts[1].tokenID("\(path)meta_info.\(key)[\(k)][1]"))
    }
    return ids
  }

  private func promptText(_ i: Int) -> String? {
    guard let given = request?["text"] ?? request?["prompt"] ?? record["prompt"] else { return nil }
    if let text = given.string { return text }
    guard let list = given.array, !list.isEmpty else { return nil }
    let perPrompt = max(1, count / list.count)
    return i / perPrompt < list.count ? list[i / perPrompt].string : nil
  }
}
