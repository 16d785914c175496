/// A token that is cut out of the text before anything else, such as `<|im_end|>`.
struct AddedToken: Sendable, Equatable {
  var id: Int32
  var content: [UInt8]
  /// Left out when text is decoded for people.
  var isSpecial: Bool
  /// Looked for in the normalised text.
  var isNormalized: Bool
  /// Takes the white space before it.
  var stripsLeft: Bool
  /// Takes the white space behind it.
  var stripsRight: Bool
  /// Only taken where no word character touches it.
  var isSingleWord: Bool
}

/// Finds added tokens in text: leftmost first, of several at one place the longest.
struct AddedTokenFinder: Sendable {
  /// A part of the text: an added token, or text between two.
  enum Part {
    case token(Int32)
    case text(Range<Int>)
  }

  private struct Node {
    var children: [UInt8: Int32] = [:]
    var token: Int32 = -1
  }

  private let tokens: [AddedToken]
  private var nodes = [Node()]
  private var begins = [Bool](repeating: false, count: 256)

  init(_ tokens: [AddedToken]) {
    self.tokens = tokens
    for (number, token) in tokens.enumerated() {
      guard let first = token.content.first else { continue }
      begins[Int(first)] = true
      var at = 0
      for byte in token.content {
        if let child = nodes[at].children[byte] {
          at = Int(child)
        } else {
          nodes.append(Node())
          nodes[at].children[byte] = Int32(nodes.count - 1)
          at = nodes.count - 1
        }
      }
      nodes[at].token = Int32(number)
    }
  }

  var isEmpty: Bool { tokens.isEmpty }

  /// The parts of a text that is valid UTF-8, in order.
  func parts(of text: ValidUTF8, _ classes: ScalarClasses) -> [Part] {
    if isEmpty { return text.count > 0 ? [.text(0..<text.count)] : [] }
    var parts: [Part] = []
    var done = 0
    var at = 0
    while at < text.count {
      guard begins[Int(text.base[at])], let (token, matchEnd) = longest(at: at, in: text) else {
        at &+= 1
        continue
      }
      var start = at
      var end = matchEnd
      at = matchEnd
      if token.isSingleWord, touchesWord(start, end, text, classes) { continue }
      if token.stripsLeft {
        while start > done {
          let before = text.start(before: start)
          guard before >= done, classes(text.scalar(at: before).value).contains(.space) else { break }
          start = before
        }
      }
      if token.stripsRight {
        while end < text.count {
          let (next, size) = text.scalar(at: end)
          guard classes(next).contains(.space) else { break }
          end &+= size
        }
      }
      if done < start { parts.append(.text(done..<start)) }
      parts.append(.token(token.id))
      done = end
    }
    if done < text.count { parts.append(.text(done..<text.count)) }
    return parts
  }

  private func longest(at start: Int, in text: ValidUTF8) -> (AddedToken, end: Int)? {
    var found: (AddedToken, end: Int)?
    var node = 0
    var at = start
    while at < text.count, let child = nodes[node].children[text.base[at]] {
      node = Int(child)
      at &+= 1
      if nodes[node].token >= 0 { found = (tokens[Int(nodes[node].token)], at) }
    }
    return found
  }

  private func touchesWord(_ start: Int, _ end: Int, _ text: ValidUTF8, _ classes: ScalarClasses) -> Bool {
    if start > 0, classes(text.scalar(at: text.start(before: start)).value).contains(.word) { return true }
    return end < text.count && classes(text.scalar(at: end).value).contains(.word)
  }
}
