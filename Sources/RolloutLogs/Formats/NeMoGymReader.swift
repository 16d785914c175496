import Rollouts

/// Makes columns and segments from the output items of one rollout.
struct NeMoGymReader {
  private var tokens = SampledTokens()
  private var segments: [Segment] = []
  private var promptTokenIDs: [Int32]?
  /// Prompt and generation of the last call: what the next prompt should begin with.
  private var context: [Int32]?
  private var calls = 0
  private var rewritten: Finding?
  private var withoutTokens = 0
  private let lastCaptured: Int?

  static func read(_ output: [JSONValue], into trajectory: inout TrajectoryRecord) throws(RecordError) {
    let items = try NeMoGymItem.items(output)
    guard let last = items.lastIndex(where: { !$0.generated.isEmpty }) else {
      trajectory.segments = textSegments(items)
      trajectory.findings.append(Finding(.unknownTokens, count: trajectory.segments.count))
      return
    }
    var reader = NeMoGymReader(lastCaptured: last)
    try reader.readTokens(items)
    trajectory.promptTokenIDs = reader.promptTokenIDs
    trajectory.columns = reader.tokens.columns
    trajectory.segments = reader.segments
    trajectory.findings += reader.tokens.findings
    if let rewritten = reader.rewritten { trajectory.findings.append(rewritten) }
    if reader.withoutTokens > 0 { trajectory.findings.append(Finding(.unknownTokens, count: reader.withoutTokens)) }
  }

  private init(lastCaptured: Int) { self.lastCaptured = lastCaptured }

  // MARK: Text

  private static func textSegments(_ items: [NeMoGymItem]) -> [Segment] {
    items.indices.map { i in
      var segment = items[i].segment(at: i, isAnswer: isAnswer(i, items))
      segment.end = i + 1
      return segment
    }
  }

  /// A message that goes on to call a tool is not an answer.
  private static func isAnswer(_ i: Int, _ items: [NeMoGymItem]) -> Bool {
    let next = items[(i + 1)...].first { $0.kind != .reasoning && $0.kind != .message }
    return next?.kind != .call
  }

  // MARK: Tokens

  private mutating func readTokens(_ items: [NeMoGymItem]) throws(RecordError) {
    var pending: [NeMoGymItem] = []
    for (i, item) in items.enumerated() {
      guard !item.generated.isEmpty else {
        pending.append(item)
        continue
      }
      // The items without arrays back to the last thing that is not the model's belong to the same call.
      let inserted = pending.lastIndex { !$0.kind.isModel }.map { $0 + 1 } ?? 0
      try readCall(
        Array(pending[inserted...]) + [item], behind: Array(pending[..<inserted]), isLast: i == lastCaptured)
      pending = []
    }
    addWithoutTokens(pending)
  }

  private mutating func readCall(_ call: [NeMoGymItem], behind between: [NeMoGymItem], isLast: Bool) throws(RecordError)
  {
    guard let captured = call.last else { return }
    try enterContext(captured.prompt, between)
    let start = tokens.count
    for (i, id) in captured.generated.enumerated() {
      let logprob = captured.logprobs.isEmpty ? nil : captured.logprobs[i]
      try tokens.add(SampledTokens.Name(id: id), logprob: logprob, captured.path)
    }
    let functions = call.filter { $0.kind == .call }
    let text = call.filter { $0.kind != .call }.map(\.text).filter { !$0.isEmpty }.joined(separator: "\n")
    var segment = Segment(
      kind: functions.isEmpty ? (isLast ? .answer : .reasoning) : .toolCall, start: start, end: tokens.count,
      text: text.isEmpty ? nil : text)
    if let first = functions.first { first.name(&segment) }
    segments.append(segment)
    // The arrays do not say where one call of several begins.
    for other in functions.dropFirst() { segments.append(other.segment(at: tokens.count, isAnswer: false)) }
    context = captured.prompt.isEmpty ? nil : captured.prompt + captured.generated
    calls += 1
  }

  /// Adds what stands in a call's prompt behind the last generation: results and other inserted messages.
  private mutating func enterContext(_ prompt: [Int32], _ between: [NeMoGymItem]) throws(RecordError) {
    if calls == 0 {
      promptTokenIDs = prompt.isEmpty ? nil : prompt
      return addWithoutTokens(between)
    }
    guard let context, !prompt.isEmpty else { return addWithoutTokens(between) }
    guard prompt.starts(with: context) else {
      noteRewriting(prompt, context)
      return addWithoutTokens(between)
    }
    let start = tokens.count
    tokens.addInserted(prompt[context.count...])
    // One stretch of tokens for all: the arrays do not say where one result of several begins.
    let owner = between.firstIndex { $0.kind == .result } ?? between.indices.first
    for (i, item) in between.enumerated() {
      var segment = item.segment(at: i <= owner ?? 0 ? start : tokens.count, isAnswer: false)
      if i == owner { segment.end = tokens.count }
      segments.append(segment)
    }
    if owner == nil, tokens.count > start {
      segments.append(Segment(kind: .other, start: start, end: tokens.count))
    }
  }

  private mutating func noteRewriting(_ prompt: [Int32], _ context: [Int32]) {
    var common = 0
    while common < prompt.count, common < context.count, prompt[common] == context[common] { common += 1 }
    if rewritten == nil {
      rewritten = Finding(
        .contextRewritten, count: 0, firstIndex: tokens.count,
        note:
          "the prompt of call \(calls + 1) has \(common) of \(context.count) tokens in common with what was before it")
    }
    rewritten?.count += 1
  }

  private mutating func addWithoutTokens(_ items: [NeMoGymItem]) {
    for item in items { segments.append(item.segment(at: tokens.count, isAnswer: false)) }
    withoutTokens += items.count
  }
}

/// One item of a rollout's output.
struct NeMoGymItem {
  enum Kind {
    case reasoning, message, call, result, other
    var isModel: Bool { self == .reasoning || self == .message || self == .call }
  }

  var kind: Kind
  var text: String
  var call = ToolCall()
  var path: String
  /// Ids of the call's prompt and of what it generated, with their logprobs; empty where none were captured.
  var prompt: [Int32] = []
  var generated: [Int32] = []
  var logprobs: [Double?] = []

  static func items(_ output: [JSONValue]) throws(RecordError) -> [NeMoGymItem] {
    var items: [NeMoGymItem] = []
    var tools: [String: String] = [:]
    for (i, value) in output.enumerated() {
      guard value.members != nil else { throw RecordError(.wrongType, "response.output[\(i)] is not an object") }
      var item = try NeMoGymItem(value, "response.output[\(i)]")
      if item.kind == .call, let id = item.call.id, let name = item.call.name { tools[id] = name }
      if item.kind == .result, item.call.name == nil, let id = item.call.id { item.call.name = tools[id] }
      items.append(item)
    }
    return items
  }

  private init(_ value: JSONValue, _ path: String) throws(RecordError) {
    self.path = path
    switch value["type"]?.string ?? (value["role"] != nil ? "message" : "") {
    case "reasoning":
      kind = .reasoning
      text = ChatTranscript.content(value["summary"]).text + ChatTranscript.content(value["content"]).text
    case "message":
      let role = value["role"]?.string ?? "assistant"
      kind = role == "assistant" ? .message : role == "tool" ? .result : .other
      text = ChatTranscript.content(value["content"]).text
      call.id = value["tool_call_id"]?.string
    case "function_call":
      kind = .call
      call = ToolCall(
        id: value["call_id"]?.string ?? value["id"]?.string, name: value["name"]?.string,
        arguments: value["arguments"]?.looseText)
      text = call.text
    case "function_call_output":
      kind = .result
      call = ToolCall(id: value["call_id"]?.string, name: value["name"]?.string)
      text = ChatTranscript.content(value["output"]).text
    default:
      kind = .other
      text = value.others(["prompt_token_ids", "generation_token_ids", "generation_log_probs"]) ?? ""
    }
    try readTokens(value)
  }

  private mutating func readTokens(_ value: JSONValue) throws(RecordError) {
    generated = try value["generation_token_ids"]?.tokenIDs("\(path).generation_token_ids") ?? []
    logprobs = try value["generation_log_probs"]?.logprobs("\(path).generation_log_probs") ?? []
    prompt = try value["prompt_token_ids"]?.tokenIDs("\(path).prompt_token_ids") ?? []
    guard logprobs.isEmpty || logprobs.count == generated.count else {
      throw RecordError(
        .lengthMismatch,
        "\(path).generation_log_probs has \(logprobs.count) elements, generation_token_ids has \(generated.count)")
    }
  }

  /// The item as an empty segment with its text.
  func segment(at index: Int, isAnswer: Bool) -> Segment {
    var segment = Segment(kind: .other, start: index, end: index, text: text)
    switch kind {
    case .reasoning: segment.kind = .reasoning
    case .message: segment.kind = isAnswer ? .answer : .reasoning
    case .call: segment.kind = .toolCall
    case .result: segment.kind = .toolResult
    case .other: segment.isContext = true
    }
    name(&segment)
    return segment
  }

  /// Puts the tool, the call's id and its arguments into a segment.
  func name(_ segment: inout Segment) {
    segment.tool = call.name
    segment.toolCallID = call.id
    segment.arguments = call.arguments
  }
}
