import Rollouts

/// A call of a tool in a message.
struct ToolCall: Sendable, Equatable {
  var id: String?
  var name: String?
  /// As logged; usually JSON text.
  var arguments: String?

  /// The call as the JSON object that templates write.
  ///
  /// Servers log calls apart from the text, so this stands in for it.
  var text: String {
    "{\"name\":\(JSONValue.quoted(name ?? "")),\"arguments\":\(parsedArguments.text())}"
  }

  /// The arguments as a document; text that is no JSON object stays a string.
  var parsedArguments: JSONValue {
    guard let arguments else { return .null }
    if let parsed = try? JSONValue(parsing: arguments), parsed.members != nil { return parsed }
    return .string(arguments)
  }
}

/// What an assistant message says.
struct AssistantMessage: Sendable {
  /// Visible text.
  var content = ""
  var reasoning: String?
  var toolCalls: [ToolCall] = []
  /// Digests of parts that are no text (images), so that messages can be compared.
  var otherParts: [String] = []
}

/// Cuts a reply into segments, with as much as the log gives: token texts, token ids only, or the message alone.
struct ReplySegments {
  let message: AssistantMessage

  init(_ message: AssistantMessage) { self.message = message }

  // MARK: Without tokens

  /// Empty segments at `index` that carry what the message says.
  func textOnly(at index: Int = 0) -> [Segment] {
    var out: [Segment] = []
    if let reasoning = message.reasoning, !reasoning.isEmpty {
      out.append(Segment(kind: .reasoning, start: index, end: index, text: reasoning))
    }
    let bytes = Array(message.content.utf8)
    for piece in kinds(TaggedText.pieces(of: bytes)) {
      out.append(
        Segment(
          kind: piece.kind, start: index, end: index, tool: piece.tool, status: piece.status,
          arguments: piece.arguments,
          text: String(decoding: bytes[piece.range], as: UTF8.self)))
    }
    return nameCalls(out, at: index, isTextOnly: true)
  }

  // MARK: With tokens

  /// Segments that cover `count` tokens, the first of which has the index `first`.
  /// - Parameter texts: of these tokens, where they are known.
  func covering(_ count: Int, from first: Int, texts: TokenTexts?) -> [Segment] {
    guard count > 0 else { return textOnly(at: first) }
    guard let texts, texts.starts.count == count else { return single(count, from: first) }
    var pieces = reasoningFirst(texts.bytes)
    if !message.toolCalls.isEmpty, !pieces.contains(where: { $0.kind == .toolCall }) {
      pieces = callLast(pieces, texts.bytes)
    }
    pieces = kinds(pieces)
    var out: [Segment] = []
    if let reasoning = message.reasoning, !reasoning.isEmpty, !pieces.contains(where: { $0.kind == .reasoning }) {
      out.append(Segment(kind: .reasoning, start: first, end: first, text: reasoning))
    }
    var start = 0
    for (p, piece) in pieces.enumerated() {
      // A token that reaches over a boundary belongs to the piece in which it begins.
      let end = p == pieces.count - 1 ? count : texts.token(at: piece.range.upperBound)
      if end == start, piece.kind != .toolCall { continue }
      out.append(
        Segment(
          kind: piece.kind, start: first + start, end: first + end, tool: piece.tool, status: piece.status,
          arguments: piece.arguments, text: texts.text(start..<end)))
      start = end
    }
    if start < count {
      out.append(Segment(kind: .other, start: first + start, end: first + count, text: texts.text(start..<count)))
    }
    return nameCalls(out, at: first + count)
  }

  /// One segment for tokens whose texts are unknown.
  private func single(_ count: Int, from first: Int) -> [Segment] {
    let text = (message.reasoning ?? "") + message.content
    let pieces = kinds(TaggedText.pieces(of: Array(text.utf8)))
    let calls = pieces.filter { $0.kind == .toolCall }
    var segment = Segment(kind: .answer, start: first, end: first + count, text: text.isEmpty ? nil : text)
    if !message.toolCalls.isEmpty || !calls.isEmpty {
      segment.kind = .toolCall
      segment.tool = calls.first?.tool
      segment.arguments = calls.first?.arguments
    } else if let piece = pieces.first, pieces.count == 1 {
      segment.kind = piece.kind
    }
    let others = calls.dropFirst().map {
      Segment(kind: .toolCall, start: first + count, end: first + count, tool: $0.tool, arguments: $0.arguments)
    }
    return nameCalls([segment] + others, at: first + count)
  }

  /// The pieces of the tokens' text; where no tag shows the reasoning that the server took out of the message, it is
  /// found by its text.
  private func reasoningFirst(_ bytes: [UInt8]) -> [TaggedText.Piece] {
    let pieces = TaggedText.pieces(of: bytes)
    guard let reasoning = message.reasoning, !reasoning.isEmpty, !pieces.contains(where: { $0.kind == .reasoning })
    else {
      return pieces
    }
    let wanted = Array(reasoning.utf8)
    // Markup of the channel may stand before it, more than that may not.
    for offset in 0..<64 where TaggedText.matches(bytes, wanted, at: offset) {
      let end = offset + wanted.count
      let rest = TaggedText.pieces(of: Array(bytes[end...]))
      return [TaggedText.Piece(kind: .reasoning, range: 0..<end)]
        + rest.map { piece in
          var piece = piece
          piece.range = (piece.range.lowerBound + end)..<(piece.range.upperBound + end)
          return piece
        }
    }
    return pieces
  }

  /// For markup of calls that is not read here: what stands behind the visible text is the call.
  private func callLast(_ pieces: [TaggedText.Piece], _ bytes: [UInt8]) -> [TaggedText.Piece] {
    guard let last = pieces.last, last.kind != .reasoning else { return pieces }
    var out = pieces
    let content = Array(message.content.utf8)
    guard !TaggedText.isBlank(content, 0..<content.count) else {
      out[out.count - 1].kind = .toolCall
      return out
    }
    let begin = TaggedText.firstContent(in: bytes, from: last.range.lowerBound)
    let trimmed = Array(content[TaggedText.firstContent(in: content, from: 0)...])
    let end = begin + trimmed.count
    guard TaggedText.matches(bytes, trimmed, at: begin), end < last.range.upperBound,
      !TaggedText.isBlank(bytes, end..<last.range.upperBound)
    else { return pieces }
    out[out.count - 1].range = last.range.lowerBound..<end
    out.append(TaggedText.Piece(kind: .toolCall, range: end..<last.range.upperBound))
    return out
  }

  /// Visible text of a message that goes on to call a tool is not the answer.
  private func kinds(_ pieces: [TaggedText.Piece]) -> [TaggedText.Piece] {
    guard !message.toolCalls.isEmpty else { return pieces }
    return pieces.map { piece in
      var piece = piece
      if piece.kind == .answer { piece.kind = .reasoning }
      return piece
    }
  }

  /// Fills the tool calls in order from those of the message, and adds the ones that no text shows.
  private func nameCalls(_ segments: [Segment], at end: Int, isTextOnly: Bool = false) -> [Segment] {
    var out = segments
    var calls = message.toolCalls[...]
    for i in out.indices where out[i].kind == .toolCall {
      guard let call = calls.popFirst() else { break }
      out[i].tool = call.name ?? out[i].tool
      out[i].toolCallID = call.id
      out[i].arguments = call.arguments ?? out[i].arguments
    }
    for call in calls {
      out.append(
        Segment(
          kind: .toolCall, start: end, end: end, tool: call.name, toolCallID: call.id, arguments: call.arguments,
          text: isTextOnly ? call.text : nil))
    }
    return out
  }
}
