import Rollouts

/// Cuts the text of a rollout at the tags that say what is reasoning, what a tool call, what its result.
///
/// Read are ARPO's tags (`<think> <search> <python> <result> <answer>`) and those of Qwen and Hermes chat templates
/// (`<tool_call>` with JSON inside, `<tool_response>` in a user message, or a message of the role `tool`), with special
/// tokens or without. The pieces cover the text: put behind each other they are the text again, byte for byte. White
/// space between two pieces belongs to the later one, because the template or the tool wrote it together with that.
///
/// A tag that a model only mentions is told from one that it uses: a tool tag must be closed before the next one of its
/// kind opens, and inside reasoning it counts only if a result follows.
enum TaggedText {
  /// A stretch of a text, as bytes.
  struct Piece {
    var kind: SegmentKind
    var range: Range<Int>
    var tool: String?
    var arguments: String?
    var status: String?
  }

  /// The segments of a text-only trajectory: segment i is `i ..< i + 1`.
  static func segments(of text: String) -> [Segment] {
    let bytes = Array(text.utf8)
    return pieces(of: bytes).enumerated().map { i, piece in
      Segment(
        kind: piece.kind, start: i, end: i + 1, tool: piece.tool, status: piece.status, arguments: piece.arguments,
        text: String(decoding: bytes[piece.range], as: UTF8.self))
    }
  }

  static func pieces(of text: [UInt8]) -> [Piece] {
    var cutter = TagCutter(text)
    return cutter.cut()
  }
}

/// The walk over the marks of one text.
private struct TagCutter {
  private typealias Mark = TaggedText.Mark

  private let text: [UInt8]
  private let marks: [Mark]
  /// For each mark: whether the reasoning that is open there is closed later.
  private let thoughtCloses: [Bool]
  private var pieces: [TaggedText.Piece] = []
  /// Pieces outside of all tags, whose kind depends on what follows.
  private var plain: [Int] = []
  /// First byte that no piece has yet.
  private var start = 0
  /// First byte from `start` on that is neither white space nor part of a special token, once it has been looked for.
  private var content: (of: Int, at: Int)?
  private var isThinking = false
  /// Tools of the calls made together, and how many of them have a result.
  private var calls: [String?] = []
  private var answered = 0

  init(_ text: [UInt8]) {
    self.text = text
    marks = TaggedText.marks(in: text)
    var closes = [Bool](repeating: false, count: marks.count)
    var nextCloses = false
    for m in marks.indices.reversed() {
      closes[m] = nextCloses
      if marks[m].name == .think { nextCloses = marks[m].isClosing }
    }
    thoughtCloses = closes
  }

  mutating func cut() -> [TaggedText.Piece] {
    var m = 0
    while m < marks.count {
      if marks[m].start < start || (marks[m].isClosing && marks[m].name != .think) {
        m += 1
        continue
      }
      switch marks[m].name {
      case .think: m = think(m)
      case .search: m = call(m, tool: "search")
      case .python: m = call(m, tool: "python")
      case .toolCall: m = call(m, tool: nil)
      case .result: m = result(m)
      case .toolResponse: m = toolResponse(m)
      case .toolLine: m = toolMessage(m)
      case .answer: m = answer(m)
      case .userLine, .assistantLine: m += 1
      }
    }
    finish()
    return pieces
  }

  // MARK: Pieces

  private mutating func emit(_ kind: SegmentKind, upTo end: Int, tool: String? = nil, arguments: String? = nil) {
    guard end > start else { return }
    pieces.append(TaggedText.Piece(kind: kind, range: start..<end, tool: tool, arguments: arguments))
    start = end
  }

  private mutating func isBlank(upTo end: Int) -> Bool {
    if content?.of != start { content = (start, TaggedText.firstContent(in: text, from: start)) }
    return (content?.at ?? end) >= end
  }

  /// Closes what stands before a mark.
  ///
  /// White space alone stays for the next piece, but an end-of-message token belongs to the one before.
  private mutating func flush(upTo end: Int) {
    if isBlank(upTo: end) {
      while let last = pieces.indices.last, pieces[last].kind != .toolResult {
        let n = TaggedText.specialLength(in: text, at: start)
        if n == 0 || start + n > end || TaggedText.matches(text, TaggedText.messageStart, at: start) { break }
        pieces[last].range = pieces[last].range.lowerBound..<(start + n)
        start += n
      }
    } else if isThinking {
      emit(.reasoning, upTo: end)
    } else {
      plain.append(pieces.count)
      emit(.other, upTo: end)
    }
  }

  private mutating func finish() {
    if start < text.count, isBlank(upTo: text.count) {
      if let last = pieces.indices.last, pieces[last].kind != .toolResult {
        pieces[last].range = pieces[last].range.lowerBound..<text.count
      } else {
        emit(.other, upTo: text.count)
      }
    } else {
      flush(upTo: text.count)
    }
    // Text outside of tags: the answer if it comes last and no tag says what the answer is, reasoning before that.
    let firstAnswer = pieces.firstIndex { $0.kind == .answer } ?? pieces.count
    for p in plain where p < firstAnswer {
      pieces[p].kind = p == pieces.count - 1 ? .answer : .reasoning
    }
  }

  // MARK: Marks

  private mutating func think(_ m: Int) -> Int {
    if marks[m].isClosing {
      // Without an opening tag: the prompt ended with it.
      emit(.reasoning, upTo: marks[m].end)
      isThinking = false
    } else if !isThinking {
      flush(upTo: marks[m].start)
      isThinking = true
    }
    return m + 1
  }

  private mutating func call(_ m: Int, tool: String?) -> Int {
    let close = marks[m].next
    // Opened again before it is closed, or never closed in a text that goes on: only mentioned.
    if let close, !marks[close].isClosing { return m + 1 }
    if close == nil, isThinking || m < marks.count - 1 { return m + 1 }
    let end = close.map { marks[$0].end } ?? text.count
    let next = close.map { $0 + 1 } ?? marks.count
    if isThinking, thoughtCloses[m], !isResult(next, after: end) { return m + 1 }
    let inner = trimmed(marks[m].end..<(close.map { marks[$0].start } ?? text.count))
    if close == nil, inner.isEmpty { return m + 1 }
    flush(upTo: marks[m].start)
    if !thoughtCloses[m] { isThinking = false }
    let (name, arguments) = marks[m].name == .toolCall ? Self.functionCall(inner) : (tool, inner)
    if pieces.last?.kind != .toolCall {
      calls = []
      answered = 0
    }
    emit(.toolCall, upTo: end, tool: name, arguments: arguments)
    calls.append(name)
    return next
  }

  /// True if a mark opens a result that follows right behind a place.
  private func isResult(_ m: Int, after end: Int) -> Bool {
    guard m < marks.count, TaggedText.isBlank(text, end..<marks[m].start) else { return false }
    switch marks[m].name {
    case .result, .toolResponse: return !marks[m].isClosing
    case .toolLine: return true
    case .userLine: return m + 1 < marks.count && marks[m + 1].name == .toolResponse && !marks[m + 1].isClosing
    default: return false
    }
  }

  private mutating func result(_ m: Int) -> Int {
    if isThinking, !followsCall(marks[m].start) { return m + 1 }
    // ARPO puts the closing tag on a line of its own, and a page of search results may well hold the tag.
    let isBlock = marks[m].end < text.count && text[marks[m].end] == 0x0A
    return inserted(m, from: marks[m].start, close: isBlock ? marks[m].lineClose ?? marks[m].close : marks[m].close)
  }

  private mutating func toolResponse(_ m: Int) -> Int {
    // The message that the template wraps around it.
    var begin = marks[m].start
    if m > 0, marks[m - 1].name == .userLine, marks[m - 1].start >= start, marks[m - 1].end <= begin,
      TaggedText.isBlank(text, marks[m - 1].end..<begin)
    {
      begin = marks[m - 1].start
    }
    if isThinking, !followsCall(begin) { return m + 1 }
    let next = inserted(m, from: begin, close: marks[m].close)
    guard next < marks.count, marks[next].name == .assistantLine, marks[next].start >= start,
      isBlank(upTo: marks[next].start), let last = pieces.indices.last
    else { return next }
    start = marks[next].end
    pieces[last].range = pieces[last].range.lowerBound..<start
    isThinking = false
    return next + 1
  }

  private mutating func inserted(_ m: Int, from begin: Int, close: Int?) -> Int {
    flush(upTo: begin)
    emitResult(
      upTo: close.map { marks[$0].end } ?? text.count,
      inner: marks[m].end..<(close.map { marks[$0].start } ?? text.count))
    return close.map { $0 + 1 } ?? marks.count
  }

  /// A message of the role `tool`, or several: told from a line that says "tool" by the call before it.
  private mutating func toolMessage(_ m: Int) -> Int {
    guard answered < calls.count, followsCall(marks[m].start) else { return m + 1 }
    flush(upTo: marks[m].start)
    var k = m
    while true {
      let isLast = calls.count - answered < 2
      var next = k + 1
      while next < marks.count, marks[next].name != .assistantLine, isLast || marks[next].name != .toolLine {
        next += 1
      }
      let isOver = next >= marks.count || marks[next].name == .assistantLine
      let innerEnd = next < marks.count ? marks[next].start : text.count
      let end = next >= marks.count ? text.count : isOver ? marks[next].end : innerEnd
      emitResult(upTo: end, inner: min(marks[k].end, innerEnd)..<innerEnd)
      if isOver {
        isThinking = false
        return min(next + 1, marks.count)
      }
      k = next
    }
  }

  private mutating func answer(_ m: Int) -> Int {
    let close = marks[m].next
    let isMention = close.map { !marks[$0].isClosing } ?? (m < marks.count - 1)
    if isMention || (isThinking && thoughtCloses[m]) { return m + 1 }
    flush(upTo: marks[m].start)
    isThinking = false
    emit(.answer, upTo: close.map { marks[$0].end } ?? text.count)
    return close.map { $0 + 1 } ?? marks.count
  }

  // MARK: Calls and results

  /// True if nothing but white space stands between the last call or result and a place.
  private mutating func followsCall(_ begin: Int) -> Bool {
    guard let last = pieces.last, last.kind == .toolCall || last.kind == .toolResult else { return false }
    return isBlank(upTo: begin)
  }

  private mutating func emitResult(upTo end: Int, inner: Range<Int>) {
    let tool = answered < calls.count ? calls[answered] : nil
    answered += 1
    emit(.toolResult, upTo: end, tool: tool)
    // ARPO's own words for a tool that failed; other results do not say how it went.
    if trimmed(inner).hasPrefix("Error: Tool("), let last = pieces.indices.last { pieces[last].status = "error" }
  }

  private func trimmed(_ range: Range<Int>) -> String {
    var range = range
    func isSpace(_ b: UInt8) -> Bool { b == 0x20 || (b >= 0x09 && b <= 0x0D) }
    while !range.isEmpty, isSpace(text[range.lowerBound]) { range = (range.lowerBound + 1)..<range.upperBound }
    while !range.isEmpty, isSpace(text[range.upperBound - 1]) { range = range.lowerBound..<(range.upperBound - 1) }
    return String(decoding: text[range], as: UTF8.self)
  }

  /// Name and arguments out of `{"name": …, "arguments": …}`; text that is no such object is all arguments.
  private static func functionCall(_ inner: String) -> (String?, String?) {
    guard inner.hasPrefix("{"), let call = try? JSONValue(parsing: inner), let name = call["name"]?.string else {
      return (nil, inner)
    }
    return (name, (call["arguments"] ?? call["parameters"])?.looseText)
  }
}
