import Foundation
import Rollouts

/// A completion and the request that it answers, taken out of whatever a client wrapped them in.
struct Exchange {
  /// A completion object, or the array of a stream's chunks.
  var body: JSONValue
  var request: JSONValue?
  /// The objects around the completion without what they wrap, the outermost first.
  var wrappers: [JSONValue] = []

  private static let keys = ["response", "body", "__data__", "model_response", "raw_response", "call"]
  private static let maxDepth = 8

  /// The exchange in a record; `nil` if there is none.
  static func find(in record: JSONValue) throws(RecordError) -> Exchange? {
    try find(in: record, request: nil, wrappers: [])
  }

  private static func find(in value: JSONValue, request: JSONValue?, wrappers: [JSONValue]) throws(RecordError)
    -> Exchange?
  {
    guard wrappers.count < maxDepth else { return nil }
    switch value {
    case .string(let text):
      // Elsewhere `response` is plain text.
      guard let first = text.utf8.first(where: { $0 > 0x20 }), first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
      else { return nil }
      guard let inner = try? JSONValue(parsing: text) else { return nil }
      return try find(in: inner, request: request, wrappers: wrappers + [.null])
    case .array(let elements):
      guard let first = elements.first, isChunk(unwrapped(first)) else { return nil }
      return Exchange(body: .array(elements.map(unwrapped)), request: request, wrappers: wrappers)
    case .object:
      if isCompletion(value) { return Exchange(body: value, request: request, wrappers: wrappers) }
      let request = requestBody(beside: value) ?? request
      for key in keys {
        guard let inner = value[key] else { continue }
        let around = value.members?.filter { $0.key != key } ?? []
        if let found = try find(in: inner, request: request, wrappers: wrappers + [.object(around)]) { return found }
      }
      return nil
    default: return nil
    }
  }

  private static func unwrapped(_ chunk: JSONValue) -> JSONValue { chunk["__data__"] ?? chunk }

  private static func isChunk(_ value: JSONValue) -> Bool {
    if let object = value["object"]?.string {
      return object == "chat.completion.chunk" || (object == "text_completion" && value["choices"]?.array != nil)
    }
    return value["choices"]?.array?.first?["delta"] != nil
  }

  /// Whether the reply is a stream's chunk, or several.
  var isStreamed: Bool { body.array != nil || body["object"]?.string == "chat.completion.chunk" }

  static func isCompletion(_ value: JSONValue) -> Bool {
    if let object = value["object"]?.string,
      ["chat.completion", "chat.completion.chunk", "text_completion", "response"].contains(object)
    {
      return true
    }
    guard let first = value["choices"]?.array?.first else { return false }
    return first["message"]?.members != nil || first["delta"]?.members != nil || first["text"]?.string != nil
  }

  private static func requestBody(beside value: JSONValue) -> JSONValue? {
    if let request = value["request"] {
      let body = request["body"] ?? request["kwargs"] ?? request
      return body.string.flatMap { text in try? JSONValue(parsing: text) } ?? body
    }
    if value["messages"]?.array != nil || value["prompt"] != nil { return value }
    return nil
  }

  // MARK: Request

  /// The conversation before the reply; empty if the log has neither the request nor prompt ids.
  func messages(for choice: LoggedChoice, of reply: LoggedReply, promptIDs: inout [Int32]?) throws(RecordError)
    -> [ChatMessage]
  {
    if let list = request?["messages"] { return try ChatTranscript.messages(list, "request.messages") }
    if let prompt = request?["prompt"] {
      if let message = try self.prompt(prompt, for: choice, of: reply, ids: &promptIDs) { return [message] }
    }
    if let text = reply.promptText { return [ChatTranscript.prompt(text)] }
    if let ids = promptIDs, !ids.isEmpty { return [ChatTranscript.prompt(ids: ids)] }
    return []
  }

  /// The prompt of a text completion: a text, token ids, or a list of either with `n` choices for each.
  private func prompt(_ value: JSONValue, for choice: LoggedChoice, of reply: LoggedReply, ids: inout [Int32]?)
    throws(RecordError) -> ChatMessage?
  {
    var prompt = value
    if let list = value.array, let first = list.first, first.double == nil {
      let n = request?["n"]?.int ?? max(1, reply.choices.count / list.count)
      guard n > 0, choice.index / n < list.count else {
        throw RecordError(.outOfRange, "choices[].index is \(choice.index) with \(list.count) prompts")
      }
      prompt = list[choice.index / n]
    }
    if let text = prompt.string { return ChatTranscript.prompt(text) }
    guard prompt.array != nil else { throw RecordError(.wrongType, "request.prompt is neither text nor token ids") }
    let tokens = try prompt.tokenIDs("request.prompt")
    ids = ids ?? tokens
    return tokens.isEmpty ? nil : ChatTranscript.prompt(ids: tokens)
  }

  // MARK: Group

  /// The group that the log names: the stem of a batch's `custom_id`, else a name in the metadata or in the request.
  ///
  /// It is guessed where the name need not be a prompt's: a session or a user can have many, and a stem can be that of any
  /// numbered list.
  func groupID() -> (name: String, isGuessed: Bool)? {
    if let id = text("custom_id"), let stem = Self.stem(id) { return (stem, true) }
    for key in ["group_id", "prompt_id", "session_id"] {
      let isGuessed = key == "session_id"
      for place in [request?["metadata"], request?["extra_body"]] + wrappers.reversed().map({ $0["metadata"] }) {
        if let name = Self.name(place?[key]) { return (name, isGuessed) }
      }
      if let name = wrappers.reversed().lazy.compactMap({ Self.name($0[key]) }).first { return (name, isGuessed) }
    }
    return (Self.name(request?["session_id"]) ?? Self.name(request?["user"])).map { ($0, true) }
  }

  /// A `custom_id` without the number of the sample: `p7` for `p7-3` and `p7_3`.
  ///
  /// A stem without a digit (`request-3`) names no prompt but numbers the requests, so there is no group in it.
  static func stem(_ id: String) -> String? {
    let bytes = Array(id.utf8)
    var i = bytes.count
    while i > 0, bytes[i - 1] &- 0x30 < 10 { i -= 1 }
    guard i < bytes.count, i > 1, bytes[i - 1] == UInt8(ascii: "-") || bytes[i - 1] == UInt8(ascii: "_") else {
      return id
    }
    let stem = bytes[..<(i - 1)]
    return stem.contains { $0 &- 0x30 < 10 } ? String(decoding: stem, as: UTF8.self) : nil
  }

  private static func name(_ value: JSONValue?) -> String? {
    if let text = value?.string { return text.isEmpty ? nil : text }
    return value?.int.map(String.init)
  }

  // MARK: Around the exchange

  /// A text under a key of one of the wrappers.
  func text(_ key: String) -> String? { wrappers.lazy.compactMap { $0[key]?.string }.first }

  /// A reward that somebody wrote beside the exchange.
  func reward() throws(RecordError) -> Double? {
    for wrapper in wrappers {
      for key in ["reward", "score"] {
        if let value = wrapper[key] { return try LoggedReward.scalar(value, key) }
      }
    }
    return nil
  }

  /// Seconds since 1970 beside the exchange.
  var timestamp: Double? {
    wrappers.lazy.compactMap { $0["timestamp"]?.double }.first { $0.isFinite && $0 > 0 }
  }

  /// What the log says besides: all that stands around the exchange, usage, fingerprints.
  func others(_ reply: LoggedReply, _ choice: LoggedChoice) -> JSONValue {
    var members: [JSONValue.Member] = []
    for wrapper in wrappers {
      var known: Set<String> = ["reward", "score", "data_source", "timestamp", "object", "request"]
      // Here they are the request.
      if wrapper["request"] == nil { known.formUnion(["messages", "prompt"]) }
      members += (wrapper.members ?? []).filter { !known.contains($0.key) }
    }
    return .object(members + reply.extra + choice.extra)
  }
}
