public import Rollouts

/// Response logs of chat and text completion servers: OpenAI, vLLM, SGLang's OpenAI endpoint, and what wraps them.
///
/// A record is one exchange with the server (or one list of the chunks of a streamed one) and becomes one call for
/// each choice. Turns of a conversation are joined by the store. Records with `turns` hold whole trajectories.
public struct OpenAILog: LogFormat {
  /// The name in options, messages and the database.
  public static let name = "openai"
  /// Who writes such logs.
  public static let summary =
    "chat and text completions as OpenAI, vLLM and others log them, whole, streamed or batched"

  /// A reader for one log.
  public init(file: LogFile) {}

  /// True for the first record of such a log.
  public static func recognises(_ record: JSONValue) -> Bool {
    if isTurns(record) { return true }
    if record["custom_id"]?.string != nil, record.has("response"), record.has("error") { return true }
    return (try? Exchange.find(in: record)) ?? nil != nil
  }

  /// One file a call is how clients write single exchanges; the folder is the run then.
  public static func isNamedAfterFolder(_ file: LogFile, isLineBased: Bool) -> Bool { !isLineBased }

  /// A call for each choice of the reply, or the trajectory that the record holds.
  public func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError)
    -> [RolloutRecord]
  {
    let record = try JSONValue.parse(bytes)
    if Self.isTurns(record) { return [.trajectory(try turns(record))] }
    guard let exchange = try Exchange.find(in: record) else {
      let failure = record["error"] ?? record["response"]?["error"] ?? record["response"]?["body"]?["error"]
      if let failure { throw RecordError(.missingField, "no response: \(failure.text().prefix(200))") }
      throw RecordError(.unknownRecord, "no completion found; keys: \(record.keys.prefix(12).joined(separator: ", "))")
    }
    let reply = try LoggedReply(exchange.body)
    if reply.choices.isEmpty {
      if let failure = reply.error { throw RecordError(.missingField, "no choices: \(failure.text().prefix(200))") }
      // A chunk may hold nothing but the usage; a whole reply has something to say.
      guard exchange.isStreamed else { throw RecordError(.missingField, "choices is empty: a reply without content") }
    }
    var hash = ContentHash()
    hash.add(bytes: bytes)
    let responseID = reply.id.flatMap { $0.isEmpty ? nil : $0 } ?? hash.short
    var records: [RolloutRecord] = []
    for choice in reply.choices {
      records.append(.call(try call(choice, of: reply, in: exchange, responseID: responseID)))
    }
    return records
  }

  private func call(_ choice: LoggedChoice, of reply: LoggedReply, in exchange: Exchange, responseID: String)
    throws(RecordError) -> CallRecord
  {
    var tokens = SampledTokens()
    let message = try choice.addTokens(
      to: &tokens, request: exchange.request, usage: reply.usage, choices: reply.choices.count)
    var promptIDs = choice.promptTokenIDs ?? reply.promptTokenIDs
    let messages = try exchange.messages(for: choice, of: reply, promptIDs: &promptIDs)
    var call = CallRecord(
      responseID: responseID, choiceIndex: choice.index, messages: messages,
      replyCanonical: ChatTranscript.canonical(message),
      segments: ReplySegments(message).covering(tokens.count, from: 0, texts: tokens.texts(from: 0)))
    // A reply without its request shares its prompt with the other choices of the response and with nothing else.
    if let group = exchange.groupID() {
      call.groupID = group.name
      call.isGroupGuessed = group.isGuessed
    } else if messages.isEmpty {
      call.groupID = responseID
    }
    call.created = reply.created ?? exchange.timestamp
    call.promptTokenIDs = promptIDs
    call.columns = tokens.columns
    call.model = reply.model ?? exchange.request?["model"]?.string
    call.temperature = exchange.request?["temperature"]?.double.flatMap { $0.isFinite ? $0 : nil }
    call.topP = exchange.request?["top_p"]?.double.flatMap { $0.isFinite ? $0 : nil }
    call.finishReason = choice.finishReason
    call.reward = try exchange.reward()
    call.dataSource = exchange.text("data_source")
    let others = exchange.others(reply, choice)
    call.extra = others.others([])
    call.findings = tokens.findings
    let notFinite = others.notFiniteCount
    if notFinite > 0 { call.findings.append(Finding(.notFinite, count: notFinite, note: "beside the tokens")) }
    if call.columns == nil, !call.segments.isEmpty {
      call.findings.append(Finding(.unknownTokens, count: call.segments.count))
    }
    return call
  }
}
