/// A regular expression over module names, matched as a whole in time linear in the name: an adapter's config may come
/// from anywhere, and a backtracking matcher can be made to run for years.
///
/// Known are the parts that such patterns use: characters, `.`, classes (`[a-z]`, `[^.]`, `\d`, `\w`), groups (capturing
/// or `(?:…)`), `|`, `*`, `+`, `?`, `{m}`, `{m,n}`, and `^` and `$` at the ends. Anything else is refused.
struct ModulePattern {
  private indirect enum Node {
    case empty
    case set(@Sendable (UInt8) -> Bool)
    case sequence([Node])
    case choice([Node])
    case repeated(Node, min: Int, max: Int?)
  }

  private struct State {
    var accepts: (@Sendable (UInt8) -> Bool)?
    var next: [Int]
  }

  private static let maxStates = 10_000

  private var states: [State] = []
  private let start: Int
  private let end: Int

  /// - Throws: ``PolicyError``: `malformed` or `unsupported`.
  init(_ text: String) throws(PolicyError) {
    var parser = Parser(text: Array(text.utf8))
    let node = try parser.whole()
    states = [State(accepts: nil, next: [])]
    end = 0
    var built: [State] = states
    start = try Self.build(node, to: 0, &built)
    states = built
  }

  /// True if the pattern matches the whole name.
  func matches(_ name: String) -> Bool {
    var active = closure(of: [start])
    for byte in name.utf8 {
      var next: [Int] = []
      for i in active { if let accepts = states[i].accepts, accepts(byte) { next += states[i].next } }
      active = closure(of: next)
      if active.isEmpty { return false }
    }
    return active.contains(end)
  }

  // The states that are reached without taking a byte.
  private func closure(of begin: [Int]) -> Set<Int> {
    var reached: Set<Int> = []
    var stack = begin
    while let i = stack.popLast() {
      guard reached.insert(i).inserted else { continue }
      if states[i].accepts == nil { stack += states[i].next }
    }
    return reached
  }

  // Adds the states of a node that ends in `target`, and returns where it begins.
  private static func build(_ node: Node, to target: Int, _ states: inout [State]) throws(PolicyError) -> Int {
    func add(_ state: State) throws(PolicyError) -> Int {
      guard states.count < maxStates else {
        throw PolicyError(.unsupported, "not supported: a target_modules pattern with that many repetitions")
      }
      states.append(state)
      return states.count - 1
    }
    switch node {
    case .empty: return target
    case .set(let accepts): return try add(State(accepts: accepts, next: [target]))
    case .sequence(let parts):
      var at = target
      for part in parts.reversed() { at = try build(part, to: at, &states) }
      return at
    case .choice(let parts):
      var starts: [Int] = []
      for part in parts { starts.append(try build(part, to: target, &states)) }
      return try add(State(accepts: nil, next: starts))
    case .repeated(let part, let min, let max):
      var at = target
      if let max {
        for _ in min..<Swift.max(min, max) {
          let inner = try build(part, to: at, &states)
          at = try add(State(accepts: nil, next: [inner, target]))
        }
      } else {
        let loop = try add(State(accepts: nil, next: [target]))
        let inner = try build(part, to: loop, &states)
        states[loop].next.append(inner)
        at = loop
      }
      for _ in 0..<min { at = try build(part, to: at, &states) }
      return at
    }
  }

  private struct Parser {
    let text: [UInt8]
    var at = 0
    var depth = 0

    init(text: [UInt8]) { self.text = text }

    mutating func whole() throws(PolicyError) -> Node {
      guard text.count <= 4096, text.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
        throw refused("longer than 4096 bytes or not printable ASCII")
      }
      if peek == UInt8(ascii: "^") { at += 1 }
      let node = try choice()
      guard at == text.count else { throw refused("an unbalanced ')'") }
      return node
    }

    private var peek: UInt8? { at < text.count ? text[at] : nil }

    private func refused(_ what: String) -> PolicyError {
      PolicyError(.unsupported, "not supported: a target_modules pattern with \(what), at byte \(at)")
    }

    private mutating func choice() throws(PolicyError) -> Node {
      depth += 1
      defer { depth -= 1 }
      guard depth <= 64 else { throw refused("groups nested that deep") }
      var parts = [try sequence()]
      while peek == UInt8(ascii: "|") {
        at += 1
        parts.append(try sequence())
      }
      return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(PolicyError) -> Node {
      var parts: [Node] = []
      while let byte = peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
        if byte == UInt8(ascii: "$"), at == text.count - 1 {
          at += 1
          break
        }
        let part = try atom()
        parts.append(try quantified(part))
      }
      return parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func atom() throws(PolicyError) -> Node {
      let byte = text[at]
      at += 1
      switch byte {
      case UInt8(ascii: "."): return .set { _ in true }
      case UInt8(ascii: "("):
        if peek == UInt8(ascii: "?") {
          guard at + 1 < text.count, text[at + 1] == UInt8(ascii: ":") else { throw refused("a group '(?…'") }
          at += 2
        }
        let inside = try choice()
        guard peek == UInt8(ascii: ")") else { throw refused("an unbalanced '('") }
        at += 1
        return inside
      case UInt8(ascii: "["): return .set(try charactersInBrackets())
      case UInt8(ascii: "\\"): return .set(try escaped())
      case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"), UInt8(ascii: "^"),
        UInt8(ascii: "$"):
        throw refused("'\(Character(UnicodeScalar(byte)))' in that place")
      default: return .set { $0 == byte }
      }
    }

    private mutating func escaped() throws(PolicyError) -> @Sendable (UInt8) -> Bool {
      guard let byte = peek else { throw refused("a '\\' at its end") }
      at += 1
      let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
      switch byte {
      case UInt8(ascii: "d"): return { (0x30...0x39).contains($0) }
      case UInt8(ascii: "w"): return { (0x30...0x39).contains($0) || letters.contains($0 | 0x20) || $0 == 0x5F }
      case UInt8(ascii: "D"): return { !(0x30...0x39).contains($0) }
      case UInt8(ascii: "W"): return { !((0x30...0x39).contains($0) || letters.contains($0 | 0x20) || $0 == 0x5F) }
      case _ where letters.contains(byte | 0x20) || (0x30...0x39).contains(byte):
        throw refused("'\\\(Character(UnicodeScalar(byte)))'")
      default: return { $0 == byte }
      }
    }

    private mutating func charactersInBrackets() throws(PolicyError) -> @Sendable (UInt8) -> Bool {
      var negated = false
      if peek == UInt8(ascii: "^") {
        negated = true
        at += 1
      }
      var sets: [@Sendable (UInt8) -> Bool] = []
      while let byte = peek, byte != UInt8(ascii: "]") || sets.isEmpty {
        at += 1
        if byte == UInt8(ascii: "\\") {
          sets.append(try escaped())
        } else if at + 1 < text.count, text[at] == UInt8(ascii: "-"), text[at + 1] != UInt8(ascii: "]") {
          let last = text[at + 1]
          guard last >= byte, last != UInt8(ascii: "\\") else { throw refused("a range like that") }
          at += 2
          sets.append { (byte...last).contains($0) }
        } else {
          sets.append { $0 == byte }
        }
      }
      guard peek == UInt8(ascii: "]") else { throw refused("an unbalanced '['") }
      at += 1
      return { [sets, negated] byte in sets.contains { $0(byte) } != negated }
    }

    private mutating func quantified(_ part: Node) throws(PolicyError) -> Node {
      guard let byte = peek else { return part }
      let result: Node
      switch byte {
      case UInt8(ascii: "*"): result = .repeated(part, min: 0, max: nil)
      case UInt8(ascii: "+"): result = .repeated(part, min: 1, max: nil)
      case UInt8(ascii: "?"): result = .repeated(part, min: 0, max: 1)
      case UInt8(ascii: "{"):
        at += 1
        let low = number() ?? 0
        var high: Int? = low
        if peek == UInt8(ascii: ",") {
          at += 1
          high = number()
        }
        guard peek == UInt8(ascii: "}"), low <= high ?? low, low <= 1000, high ?? 0 <= 1000 else {
          throw refused("a repetition like that")
        }
        result = .repeated(part, min: low, max: high)
      default: return part
      }
      at += 1
      // A lazy quantifier changes which match is found first, not whether the whole name matches.
      if peek == UInt8(ascii: "?") { at += 1 }
      if let next = peek, "*+?{".utf8.contains(next) { throw refused("two quantifiers in a row") }
      return result
    }

    private mutating func number() -> Int? {
      let begin = at
      var value = 0
      while let byte = peek, (0x30...0x39).contains(byte), value <= 1_000_000 {
        value = value * 10 + Int(byte - 0x30)
        at += 1
      }
      return at > begin ? value : nil
    }
  }
}
