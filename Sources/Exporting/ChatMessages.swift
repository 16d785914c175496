import Replay
import Rollouts

/// Messages as TRL's conversational format and transformers' chat templates have them: `role`, `content`, for calls of
/// chat logs `tool_calls`, for their reasoning `reasoning_content`.
enum ChatMessages {
  /// Whether a range may start here: at the response's start, or where a tool's turn begins or ends.
  static func isBoundary(_ index: Int, in transcript: PathTranscript) -> Bool {
    if index == 0 { return true }
    if transcript.parts.contains(where: { $0.range.lowerBound < index && index < $0.range.upperBound }) { return false }
    let before = transcript.parts.last { $0.range.upperBound <= index && ($0.range.lowerBound < index || $0.isEmpty) }
    let after = transcript.parts.first { $0.range.lowerBound >= index && !$0.isEmpty }
    return before?.isInserted == true || after?.isInserted == true
  }

  /// The messages of a range that starts at a boundary.
  static func messages(of transcript: PathTranscript, _ range: Range<Int>) throws(ExportGap) -> [DocumentValue] {
    guard isBoundary(range.lowerBound, in: transcript) else { throw .insideMessage }
    var out: [DocumentValue] = []
    var assistant = AssistantMessage()
    let length = transcript.tree.paths[transcript.leaf].length
    for part in transcript.parts where contains(range, part, length: length) {
      let text = try transcript.text(of: part)
      if part.isInserted {
        if let message = assistant.take() { out.append(message) }
        guard let text else { throw .noText }
        var members: [(String, DocumentValue)] = [("role", .string(part.kind == .toolResult ? "tool" : "user"))]
        if let tool = part.tool { members.append(("name", .string(tool))) }
        if let id = part.toolCallID { members.append(("tool_call_id", .string(id))) }
        out.append(.object(members + [("content", .string(text))]))
        continue
      }
      try assistant.add(part, text, asFields: transcript.isChat)
    }
    if let message = assistant.take() { out.append(message) }
    return out
  }

  /// An empty part at the range's start was there before the fork; one at the path's end belongs to it.
  private static func contains(_ range: Range<Int>, _ part: PathTranscript.Part, length: Int) -> Bool {
    if !part.isEmpty { return range.contains(part.range.lowerBound) }
    let at = part.range.lowerBound
    return (at > range.lowerBound || range.lowerBound == 0) && at <= range.upperBound
      && (at < range.upperBound || range.upperBound == length || range.lowerBound == 0)
  }

  private static let roles: Set<Substring> = ["system", "user", "assistant", "tool", "developer"]
  private static let templateMarks = [
    "<|im_start|>", "<|start_header_id|>", "[INST]", "<|start|>", "<start_of_turn>", "<|user|>",
  ]

  /// A logged prompt as messages.
  ///
  /// Chat logs and verl's (which decode the template without its special tokens) hold `role` lines with the text of the
  /// message below; other prompts are what the user said. A prompt with a template's special tokens is refused.
  static func prompt(_ text: String) throws(ExportGap) -> [DocumentValue] {
    if templateMarks.contains(where: { text.contains($0) }) { throw .renderedPrompt }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let first = lines.first, roles.contains(first) else { return [message("user", text)] }
    var out: [DocumentValue] = []
    var role = ""
    var content: [Substring] = []
    for line in lines {
      if roles.contains(line) {
        if !role.isEmpty { out.append(message(role, content.joined(separator: "\n"))) }
        role = String(line)
        content = []
      } else {
        content.append(line)
      }
    }
    let last = content.joined(separator: "\n")
    // The template opens the reply: an assistant message without content is no message.
    if role != "assistant" || !last.isEmpty { out.append(message(role, last)) }
    return out
  }

  private static func message(_ role: String, _ content: String) -> DocumentValue {
    .object([("role", .string(role)), ("content", .string(content))])
  }
}

/// What the policy says between two tool results.
private struct AssistantMessage {
  private var content = ""
  private var reasoning = ""
  private var calls: [DocumentValue] = []
  private var hasParts = false

  mutating func add(_ part: PathTranscript.Part, _ text: String?, asFields: Bool) throws(ExportGap) {
    hasParts = true
    guard asFields else {
      guard let text else { throw .noText }
      content += text
      return
    }
    switch part.kind {
    case .reasoning: reasoning += text ?? ""
    case .toolCall:
      var members: [(String, DocumentValue)] = []
      if let id = part.toolCallID { members.append(("id", .string(id))) }
      guard let arguments = part.arguments ?? text else { throw .noText }
      members.append(("type", .string("function")))
      members.append(
        ("function", .object([("name", .text(part.tool)), ("arguments", .string(arguments))])))
      calls.append(.object(members))
    default:
      guard let text else { throw .noText }
      content += text
    }
  }

  /// The message, if anything was said, and starts the next one.
  mutating func take() -> DocumentValue? {
    defer { self = AssistantMessage() }
    guard hasParts else { return nil }
    var members: [(String, DocumentValue)] = [("role", .string("assistant")), ("content", .string(content))]
    if !reasoning.isEmpty { members.append(("reasoning_content", .string(reasoning))) }
    if !calls.isEmpty { members.append(("tool_calls", .array(calls))) }
    return .object(members)
  }
}
