import Rollouts

/// Reads the messages of a chat request.
enum ChatTranscript {
  /// The messages in order, without indices.
  ///
  /// A tool's message takes the tool's name from the call that it answers.
  static func messages(_ list: JSONValue, _ path: @autoclosure () -> String) throws(RecordError) -> [ChatMessage] {
    guard let elements = list.array else { throw RecordError(.wrongType, "\(path()) is not an array") }
    var out: [ChatMessage] = []
    var tools: [String: String] = [:]
    for (i, element) in elements.enumerated() {
      guard element.members != nil else { throw RecordError(.wrongType, "\(path())[\(i)] is not an object") }
      guard let role = element["role"]?.string else {
        throw RecordError(.missingField, "\(path())[\(i)] has no \"role\"")
      }
      switch role {
      case "assistant":
        let message = try assistant(element, "\(path())[\(i)]")
        for call in message.toolCalls { if let id = call.id, let name = call.name { tools[id] = name } }
        out.append(
          ChatMessage(role: role, segments: ReplySegments(message).textOnly(), canonical: canonical(message)))
      case "tool", "function":
        let content = content(element["content"])
        let id = element["tool_call_id"]?.string
        let tool = id.flatMap { tools[$0] } ?? element["name"]?.string
        out.append(
          ChatMessage(
            role: role,
            segments: [Segment(kind: .toolResult, start: 0, end: 0, tool: tool, toolCallID: id, text: content.text)],
            canonical: canonical(role: role, content, [("tool_call_id", id)])))
      default:
        let content = content(element["content"])
        out.append(
          ChatMessage(
            role: role, segments: [said(content.text)],
            canonical: canonical(role: role, content, [("name", element["name"]?.string)])))
      }
    }
    return out
  }

  /// A text as one user message: the prompt of a request that is no chat.
  static func prompt(_ text: String) -> ChatMessage {
    ChatMessage(
      role: "user", segments: [said(text)], canonical: canonical(role: "user", Content(text: text), []))
  }

  /// What neither the policy nor a tool said.
  private static func said(_ text: String) -> Segment {
    var segment = Segment(kind: .other, start: 0, end: 0, text: text)
    segment.isContext = true
    return segment
  }

  /// A prompt of which only the token ids are known, as one user message without text.
  static func prompt(ids: [Int32]) -> ChatMessage {
    var hash = ContentHash()
    hash.add(ids)
    return ChatMessage(role: "user", segments: [], canonical: "prompt_token_ids \(hash.hex)")
  }

  // MARK: Content

  /// What the `content` of a message holds.
  struct Content {
    var text = ""
    /// Digests of the parts that are no text.
    var others: [String] = []
  }

  /// Text as it is, or the texts of a list of parts behind each other.
  static func content(_ value: JSONValue?) -> Content {
    switch value {
    case nil: return Content()
    case .string(let s): return Content(text: s)
    case .array(let parts):
      var out = Content()
      for part in parts where part != .null {
        if let text = part.string ?? part["text"]?.string ?? part["refusal"]?.string {
          out.text += text
        } else {
          out.others.append("\(part["type"]?.string ?? "part") \(ContentHash(part.text(sortedKeys: true)).hex)")
        }
      }
      return out
    case .some(let other): return Content(text: other.text())
    }
  }

  /// What an assistant message says, whether it is a reply or part of a later request.
  static func assistant(_ message: JSONValue, _ path: @autoclosure () -> String) throws(RecordError) -> AssistantMessage
  {
    var out = AssistantMessage()
    let content = content(message["content"])
    out.content = content.text
    out.otherParts = content.others
    if content.text.isEmpty, let refusal = message["refusal"]?.string { out.content = refusal }
    out.reasoning = (message["reasoning"] ?? message["reasoning_content"])?.string
    if let calls = message["tool_calls"] {
      guard let calls = calls.array else { throw RecordError(.wrongType, "\(path()).tool_calls is not an array") }
      for (i, call) in calls.enumerated() {
        guard call.members != nil else { throw RecordError(.wrongType, "\(path()).tool_calls[\(i)] is not an object") }
        out.toolCalls.append(toolCall(call))
      }
    }
    if out.toolCalls.isEmpty, let call = message["function_call"], call.members != nil {
      out.toolCalls.append(ToolCall(name: call["name"]?.string, arguments: call["arguments"]?.looseText))
    }
    return out
  }

  private static func toolCall(_ call: JSONValue) -> ToolCall {
    let function = call["function"]
    return ToolCall(
      id: call["id"]?.string,
      name: function?["name"]?.string ?? function?.string ?? call["name"]?.string ?? call["custom"]?["name"]?.string,
      arguments: (function?["arguments"] ?? call["arguments"] ?? call["custom"]?["input"])?.looseText)
  }

  // MARK: Canonical form

  /// A text that is equal for a reply and for the same reply inside a later request.
  ///
  /// It says the role, the visible text, and calls by id, name and parsed arguments. Reasoning is left out because
  /// servers and clients drop it.
  static func canonical(_ message: AssistantMessage) -> String {
    let calls = message.toolCalls.map { call in
      JSONValue.object([
        JSONValue.Member("id", call.id.map(JSONValue.string) ?? .null),
        JSONValue.Member("name", call.name.map(JSONValue.string) ?? .null),
        JSONValue.Member("arguments", call.parsedArguments),
      ]).text(sortedKeys: true)
    }
    let content = Content(text: message.content, others: message.otherParts)
    return canonical(role: "assistant", content, [("tool_calls", calls.isEmpty ? nil : calls.joined(separator: ","))])
  }

  private static func canonical(role: String, _ content: Content, _ others: [(String, String?)]) -> String {
    var fields = [("role", role), ("content", content.text)]
    for part in content.others { fields.append(("part", part)) }
    for (key, value) in others { if let value { fields.append((key, value)) } }
    return "{" + fields.map { "\"\($0)\":\(JSONValue.quoted($1))" }.joined(separator: ",") + "}"
  }
}
