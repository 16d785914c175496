import Rollouts

/// A server's reply: a whole completion, or the chunks of a streamed one merged into one.
struct LoggedReply {
  var id: String?
  var created: Double?
  var model: String?
  var usage: JSONValue?
  /// vLLM puts the prompt of a chat beside the choices.
  var promptTokenIDs: [Int32]?
  var promptText: String?
  var error: JSONValue?
  var choices: [LoggedChoice] = []
  var extra: [JSONValue.Member] = []

  /// - Parameter body: a completion object or an array of chunks.
  init(_ body: JSONValue) throws(RecordError) {
    if let chunks = body.array {
      for (i, chunk) in chunks.enumerated() {
        try addHead(chunk, "chunks[\(i)]")
        guard let list = chunk["choices"] else { continue }
        guard let elements = list.array else { throw RecordError(.wrongType, "chunks[\(i)].choices is not an array") }
        for (k, element) in elements.enumerated() { try merge(element, k, "chunks[\(i)].choices[\(k)]") }
      }
    } else {
      try addWhole(body)
    }
    choices.sort { $0.index < $1.index }
  }

  private mutating func addWhole(_ body: JSONValue) throws(RecordError) {
    switch body["object"]?.string {
    case "response":
      throw RecordError(.unknownRecord, "object \"response\": logs of the Responses API are not read")
    case "chat.completion.chunk":
      // Usage alone is nothing to import.
      guard body["choices"]?.array?.isEmpty != true else { return }
      throw RecordError(
        .unknownRecord,
        "a chunk of a streamed reply on its own; the chunks of a reply must be the elements of one array")
    default: break
    }
    try addHead(body, "response")
    guard let list = body["choices"] else {
      if error == nil { throw RecordError(.missingField, "no \"choices\" in the response") }
      return
    }
    guard let elements = list.array else { throw RecordError(.wrongType, "choices is not an array") }
    var used: Set<Int> = []
    var free = 0
    for (k, element) in elements.enumerated() {
      var choice = LoggedChoice(index: try Self.index(element, k, "choices[\(k)]"))
      // Some servers number all choices 0.
      if used.contains(choice.index) {
        while used.contains(free) { free += 1 }
        choice.index = free
      }
      used.insert(choice.index)
      try choice.add(element, "choices[\(k)]", isDelta: false)
      choices.append(choice)
    }
  }

  private mutating func merge(_ element: JSONValue, _ k: Int, _ path: String) throws(RecordError) {
    let index = try Self.index(element, k, path)
    let place = choices.firstIndex { $0.index == index } ?? choices.count
    guard place < 4096 else { throw RecordError(.outOfRange, "\(path): more than 4096 choices in a stream") }
    if place == choices.count { choices.append(LoggedChoice(index: index)) }
    try choices[place].add(element, path, isDelta: true)
  }

  private static func index(_ choice: JSONValue, _ k: Int, _ path: String) throws(RecordError) -> Int {
    guard choice.members != nil else { throw RecordError(.wrongType, "\(path) is not an object") }
    guard let value = choice["index"] else { return k }
    guard let index = value.int, index >= 0, index <= Int(Int32.max) else {
      throw RecordError(.outOfRange, "\(path).index is not a position")
    }
    return index
  }

  private mutating func addHead(_ body: JSONValue, _ path: String) throws(RecordError) {
    id = id ?? body["id"]?.string
    model = model ?? body["model"]?.string
    usage = body["usage"] ?? usage
    error = error ?? body["error"]
    promptText = promptText ?? body["prompt_text"]?.string
    // Recorders put 0 where they drop the time.
    if created == nil, let time = body["created"]?.double, time.isFinite, time > 0 { created = time }
    if let ids = body["prompt_token_ids"] { promptTokenIDs = try ids.tokenIDs("\(path).prompt_token_ids") }
    if extra.isEmpty || body["usage"] != nil {
      extra = []
      for key in ["system_fingerprint", "service_tier"] {
        if let value = body[key] { extra.append(JSONValue.Member(key, value)) }
      }
      if let usage { extra.append(JSONValue.Member("usage", usage)) }
    }
  }
}

/// One choice of a reply, put together from its parts.
struct LoggedChoice {
  var index: Int
  var message = AssistantMessage()
  var finishReason: String?
  var extra: [JSONValue.Member] = []
  /// `logprobs.content` of a chat: one object a token.
  var chatTokens: [JSONValue] = []
  /// `logprobs` of a text completion: parallel arrays.
  var tokenTexts: [JSONValue] = []
  var tokenLogprobs: [JSONValue] = []
  var tokenCandidates: [JSONValue] = []
  var textOffsets: [JSONValue] = []
  /// vLLM's ids of the sampled tokens.
  var tokenIDs: [Int32]?
  /// vLLM puts the prompt of a text completion into the choice.
  var promptTokenIDs: [Int32]?

  /// Positions in `message.toolCalls` by the index that a stream gives each call.
  private var callPlaces: [Int: Int] = [:]

  init(index: Int) { self.index = index }

  /// Adds a whole choice, or what a chunk says about it.
  mutating func add(_ choice: JSONValue, _ path: String, isDelta: Bool) throws(RecordError) {
    if let delta = choice["delta"] ?? choice["message"] {
      let part = try ChatTranscript.assistant(delta, "\(path).\(choice["delta"] == nil ? "message" : "delta")")
      message.content += part.content
      message.otherParts += part.otherParts
      if let more = part.reasoning { Self.append(more, to: &message.reasoning) }
      if isDelta {
        let logged = delta["tool_calls"]?.array ?? []
        for (k, call) in part.toolCalls.enumerated() {
          merge(call, at: k < logged.count ? logged[k]["index"]?.int : nil)
        }
      } else {
        message.toolCalls = part.toolCalls
      }
    } else if let text = choice["text"] {
      guard let text = text.string else { throw RecordError(.wrongType, "\(path).text is not a string") }
      message.content += text
    }
    if let reason = choice["finish_reason"]?.string { finishReason = reason }
    if let reason = choice["stop_reason"] { extra = [JSONValue.Member("stop_reason", reason)] }
    if let ids = choice["token_ids"] {
      let more = try ids.tokenIDs("\(path).token_ids")
      if tokenIDs == nil { tokenIDs = more } else { tokenIDs?.append(contentsOf: more) }
    }
    if let ids = choice["prompt_token_ids"] { promptTokenIDs = try ids.tokenIDs("\(path).prompt_token_ids") }
    if let logprobs = choice["logprobs"] { try add(logprobs: logprobs, "\(path).logprobs") }
  }

  private mutating func add(logprobs: JSONValue, _ path: String) throws(RecordError) {
    guard logprobs.members != nil else { throw RecordError(.wrongType, "\(path) is not an object") }
    func list(_ key: String) throws(RecordError) -> [JSONValue] {
      guard let value = logprobs[key] else { return [] }
      guard let array = value.array else { throw RecordError(.wrongType, "\(path).\(key) is not an array") }
      return array
    }
    let content = try list("content")
    chatTokens += try content.isEmpty ? list("refusal") : content
    tokenTexts += try list("tokens")
    tokenLogprobs += try list("token_logprobs")
    tokenCandidates += try list("top_logprobs")
    textOffsets += try list("text_offset")
  }

  /// A call arrives in pieces: id and name first, then the arguments bit by bit.
  private mutating func merge(_ call: ToolCall, at index: Int?) {
    var place = index.flatMap { callPlaces[$0] }
    if place == nil, index == nil, call.id == nil { place = message.toolCalls.indices.last }
    guard let place else {
      if let index { callPlaces[index] = message.toolCalls.count }
      message.toolCalls.append(call)
      return
    }
    message.toolCalls[place].id = message.toolCalls[place].id ?? call.id
    message.toolCalls[place].name = message.toolCalls[place].name ?? call.name
    if let more = call.arguments { Self.append(more, to: &message.toolCalls[place].arguments) }
  }

  /// In place, because a stream may bring a text in a hundred thousand pieces.
  private static func append(_ more: String, to text: inout String?) {
    if text == nil { text = more } else { text?.append(more) }
  }
}
