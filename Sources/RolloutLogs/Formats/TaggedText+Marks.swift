extension TaggedText {
  /// A tag, or a line that holds only a role, in a text.
  struct Mark {
    enum Name: Int, CaseIterable {
      case think, search, python, toolCall, result, toolResponse, answer
      /// A line of its own: what is left of a chat template when special tokens are dropped from the text.
      case userLine, assistantLine, toolLine

      var isRole: Bool { self == .userLine || self == .assistantLine || self == .toolLine }
    }

    var name: Name
    var isClosing: Bool
    var start: Int
    var end: Int
    /// Position in the list of the next mark of the same name, the next closing one, and the next closing one on a line
    /// of its own.
    var next: Int?
    var close: Int?
    var lineClose: Int?
  }

  private static let tags: [(Mark.Name, [UInt8])] = [
    (.think, Array("think>".utf8)), (.search, Array("search>".utf8)), (.python, Array("python>".utf8)),
    (.toolCall, Array("tool_call>".utf8)), (.result, Array("result>".utf8)),
    (.toolResponse, Array("tool_response>".utf8)), (.answer, Array("answer>".utf8)),
  ]
  private static let roles: [(Mark.Name, [UInt8])] = [
    (.userLine, Array("user".utf8)), (.assistantLine, Array("assistant".utf8)), (.toolLine, Array("tool".utf8)),
  ]
  static let messageStart = Array("<|im_start|>".utf8)

  /// All marks of a text, in order, in one pass.
  static func marks(in text: [UInt8]) -> [Mark] {
    var marks: [Mark] = []
    var i = 0
    while i < text.count {
      if text[i] == UInt8(ascii: "<"), let mark = tag(in: text, at: i) {
        marks.append(mark)
        i = mark.end
      } else {
        if text[i] == 0x0A, let mark = roleLine(in: text, at: i) { marks.append(mark) }
        i += 1
      }
    }
    var next = [Int?](repeating: nil, count: Mark.Name.allCases.count)
    var close = next
    var lineClose = next
    for m in marks.indices.reversed() {
      let name = marks[m].name.rawValue
      marks[m].next = next[name]
      marks[m].close = close[name]
      marks[m].lineClose = lineClose[name]
      next[name] = m
      guard marks[m].isClosing else { continue }
      close[name] = m
      if marks[m].start > 0, text[marks[m].start - 1] == 0x0A { lineClose[name] = m }
    }
    return marks
  }

  private static func tag(in text: [UInt8], at start: Int) -> Mark? {
    let isClosing = start + 1 < text.count && text[start + 1] == UInt8(ascii: "/")
    let nameStart = start + (isClosing ? 2 : 1)
    for (name, bytes) in tags where matches(text, bytes, at: nameStart) {
      return Mark(name: name, isClosing: isClosing, start: start, end: nameStart + bytes.count)
    }
    return nil
  }

  /// A line feed, a role and another line feed, which the mark takes too; the text may also end behind the role.
  private static func roleLine(in text: [UInt8], at start: Int) -> Mark? {
    let nameStart = matches(text, messageStart, at: start + 1) ? start + 1 + messageStart.count : start + 1
    for (name, bytes) in roles where matches(text, bytes, at: nameStart) {
      let end = nameStart + bytes.count
      if end == text.count { return Mark(name: name, isClosing: false, start: start, end: end) }
      if text[end] == 0x0A { return Mark(name: name, isClosing: false, start: start, end: end + 1) }
    }
    return nil
  }

  static func matches(_ text: [UInt8], _ bytes: [UInt8], at start: Int) -> Bool {
    guard start >= 0, start + bytes.count <= text.count else { return false }
    for i in bytes.indices where text[start + i] != bytes[i] { return false }
    return true
  }

  /// Length of the special token (`<|im_end|>`, `</s>`) at a place, 0 if there is none.
  static func specialLength(in text: [UInt8], at start: Int) -> Int {
    if matches(text, Array("</s>".utf8), at: start) { return 4 }
    guard start + 1 < text.count, text[start] == UInt8(ascii: "<"), text[start + 1] == UInt8(ascii: "|") else {
      return 0
    }
    var i = start + 2
    while i < text.count, i < start + 40 {
      if text[i] == UInt8(ascii: ">"), text[i - 1] == UInt8(ascii: "|"), i > start + 3 { return i + 1 - start }
      if text[i] <= 0x20 || text[i] == UInt8(ascii: "<") { return 0 }
      i += 1
    }
    return 0
  }

  /// The first byte from a place on that is neither white space nor part of a special token.
  static func firstContent(in text: [UInt8], from start: Int) -> Int {
    var i = start
    while i < text.count {
      switch text[i] {
      case 0x20, 0x09, 0x0A, 0x0D: i += 1
      case UInt8(ascii: "<"):
        let n = specialLength(in: text, at: i)
        if n == 0 { return i }
        i += n
      default: return i
      }
    }
    return i
  }

  /// True if a stretch holds only white space and special tokens.
  static func isBlank(_ text: [UInt8], _ range: Range<Int>) -> Bool {
    var i = range.lowerBound
    while i < range.upperBound {
      switch text[i] {
      case 0x20, 0x09, 0x0A, 0x0D: i += 1
      case UInt8(ascii: "<"):
        let n = specialLength(in: text, at: i)
        if n == 0 { return false }
        i += n
      default: return false
      }
    }
    return true
  }
}
