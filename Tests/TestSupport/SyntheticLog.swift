public import Rollouts

/// Seeded native logs that use everything the format has, beside what a correct import makes of them.
public struct SyntheticLog {
  /// How many digits the logged numbers have, which decides how they are stored.
  public enum Digits: Sendable, CaseIterable {
    /// Every number is exactly a float32.
    case float32
    /// Nine significant digits, which is what prints a float32.
    case nine
    /// Full doubles.
    case seventeen
  }

  /// What children repeat of their parents.
  public enum Prefix: Sendable, CaseIterable { case delta, full, mixed }

  /// How large a log is and what is in it.
  public struct Shape: Sendable {
    public var groups = 3
    public var roots = 2
    /// Children in each group, of roots and of other children.
    public var forks = 4
    /// Tool calls of a rollout, at most.
    public var turns = 2
    /// Tokens of a segment, at most.
    public var tokens = 10
    /// Candidates of a token, at most.
    public var topK = 4
    public var digits = Digits.float32
    public var prefix = Prefix.mixed
    /// Segments with texts instead of tokens.
    public var isTextOnly = false
    /// With a run record, group records and an end record.
    public var isDescribed = true
    /// The same log once more at this many steps.
    public var steps = 1

    public init() {}
  }

  /// A likely token at a position.
  public struct Candidate: Sendable, Equatable {
    public var id: Int32
    public var logprob: Double

    public init(id: Int32, logprob: Double) {
      self.id = id
      self.logprob = logprob
    }
  }

  /// One position of a response.
  public struct Token: Sendable, Equatable {
    public var id: Int32
    public var isGenerated: Bool
    public var logprob: Double?
    public var entropy: Double?
    public var candidates: [Candidate] = []

    public init(
      id: Int32, isGenerated: Bool, logprob: Double? = nil, entropy: Double? = nil, candidates: [Candidate] = []
    ) {
      self.id = id
      self.isGenerated = isGenerated
      self.logprob = logprob
      self.entropy = entropy
      self.candidates = candidates
    }
  }

  /// One trajectory with its whole path.
  public struct Rollout: Sendable {
    public var group: String
    public var id: String
    public var rolloutIndex: Int?
    /// Position of the parent among the log's rollouts.
    public var parent: Int?
    public var branch: Int
    /// The whole response; empty in a text-only log.
    public var path: [Token]
    /// Cover the whole path, cut at the branch.
    public var segments: [Segment]
    public var isFull: Bool
    public var reward: Double?
    public var multiplicity: Int

    /// Units of the whole path.
    public var length: Int { segments.last?.end ?? 0 }
  }

  public let shape: Shape
  public private(set) var rollouts: [Rollout] = []
  /// The record of each rollout behind its step.
  private var bodies: [String] = []
  private var random: SeededGenerator

  public init(seed: UInt64, _ shape: Shape = Shape()) {
    self.shape = shape
    random = SeededGenerator(seed: seed)
    for group in 0..<shape.groups { addGroup("p\(group)") }
    bodies = rollouts.indices.map { body(of: $0) }
  }

  // MARK: The log

  /// All records in the order in which a writer would log them: parents before children.
  public var lines: [String] {
    var out: [String] = []
    if shape.isDescribed { out.append(Self.run) }
    out += records
    if shape.isDescribed { out.append(#"{"kind":"end","trajectories":\#(rollouts.count * shape.steps)}"#) }
    return out
  }

  /// The run record, which holds for what follows it.
  public static let run = #"""
    {"schema":"arpo-rollout/1","kind":"run","run_id":"synthetic","algorithm":"arpo","model":"tiny",\#
    "tokenizer":{"name":"tiny","vocab_size":1000},"sampling":{"temperature":1.0,"top_p":1.0,"top_k":-1},\#
    "logprobs_mode":"processed_logprobs","branching":{"branch_probability":0.4,"entropy_weight":0.3}}
    """#

  /// Group and trajectory records, parents before children.
  public var records: [String] {
    (0..<shape.steps).flatMap { step in
      var out: [String] = []
      if shape.isDescribed {
        for group in 0..<shape.groups {
          out.append(
            #"{"kind":"group","group_id":"p\#(group)","step":\#(step),"prompt_text":"prompt \#(group)","#
              + #""prompt_token_ids":[1,2,\#(group)],"ground_truth":"\#(group)","data_source":"made","#
              + #""policy_version":7}"#
          )
        }
      }
      return out + bodies.map { #"{"kind":"trajectory","step":\#(step),"# + $0 }
    }
  }

  /// All records in another order: children before parents, trajectories before their groups.
  public func shuffledLines(seed: UInt64) -> [String] {
    var generator = SeededGenerator(seed: seed)
    return (shape.isDescribed ? [Self.run] : []) + records.shuffled(using: &generator)
      + (shape.isDescribed ? [#"{"kind":"end","trajectories":\#(rollouts.count * shape.steps)}"#] : [])
  }

  /// The rollouts' positions by id.
  public var positions: [String: Int] {
    Dictionary(uniqueKeysWithValues: rollouts.enumerated().map { ($1.id, $0) })
  }

  // MARK: Making rollouts

  private mutating func addGroup(_ group: String) {
    let hasEntropies = chance(0.5)
    let first = rollouts.count
    for number in 0..<(shape.roots + shape.forks) {
      let parent = number < shape.roots ? nil : Int.random(in: first..<rollouts.count, using: &random)
      let branch = parent.map { branchPoint(on: rollouts[$0]) } ?? 0
      var rollout = Rollout(
        group: group, id: "\(group)/\(number)", rolloutIndex: chance(0.9) ? number : nil, parent: parent,
        branch: branch, path: [], segments: [], isFull: false,
        reward: [0, 1, 0.5, 1.1, nil].randomElement(using: &random)!,
        multiplicity: chance(0.1) ? 2 : 1)
      if let parent {
        rollout.path = shape.isTextOnly ? [] : Array(rollouts[parent].path[..<branch])
        rollout.segments = rollouts[parent].segments.compactMap { segment in
          guard segment.start < branch else { return nil }
          var part = segment
          part.end = min(segment.end, branch)
          return part
        }
        rollout.isFull =
          switch shape.prefix {
          case .delta: false
          case .full: true
          case .mixed: chance(0.5)
          }
      }
      let startsInResult = parent.map { p in
        rollouts[p].segments.contains { $0.kind == .toolResult && $0.start == branch }
      }
      // Some children end where they branch off.
      if parent == nil || chance(0.9) { extend(&rollout, startsInResult: startsInResult == true, hasEntropies) }
      rollouts.append(rollout)
    }
  }

  /// Anywhere from the start to the end, but not inside a tool result.
  private mutating func branchPoint(on parent: Rollout) -> Int {
    while true {
      let index = Int.random(in: 0...parent.length, using: &random)
      let isInside = parent.segments.contains { $0.kind == .toolResult && $0.start < index && index < $0.end }
      if !isInside { return index }
    }
  }

  private mutating func extend(_ rollout: inout Rollout, startsInResult: Bool, _ hasEntropies: Bool) {
    if startsInResult, chance(0.5) { add(.toolResult, to: &rollout, hasEntropies, call: 0) }
    for turn in 0..<Int.random(in: 0...shape.turns, using: &random) {
      add(.reasoning, to: &rollout, hasEntropies)
      add(.toolCall, to: &rollout, hasEntropies, call: turn)
      add(.toolResult, to: &rollout, hasEntropies, call: turn)
    }
    add(.answer, to: &rollout, hasEntropies)
  }

  private mutating func add(_ kind: SegmentKind, to rollout: inout Rollout, _ hasEntropies: Bool, call: Int? = nil) {
    let count = shape.isTextOnly ? 1 : Int.random(in: 1...shape.tokens, using: &random)
    var segment = Segment(kind: kind, start: rollout.length, end: rollout.length + count)
    if let call {
      segment.tool = ["search", "python", "visit"].randomElement(using: &random)
      segment.toolCallID = chance(0.7) ? "c\(call)" : nil
    }
    if kind == .toolResult {
      segment.status = ["ok", "error", nil].randomElement(using: &random)!
      segment.latency = chance(0.5) ? Double(Int.random(in: 1...4000, using: &random)) / 1000 : nil
    }
    if kind == .toolCall { segment.arguments = #"{"q":"\#(word())"}"# }
    if shape.isTextOnly || chance(0.3) { segment.text = word() }
    rollout.segments.append(segment)
    if shape.isTextOnly { return }
    for _ in 0..<count { rollout.path.append(token(isGenerated: kind != .toolResult, hasEntropies)) }
  }

  private mutating func token(isGenerated: Bool, _ hasEntropies: Bool) -> Token {
    var token = Token(id: Int32.random(in: 0..<1000, using: &random), isGenerated: isGenerated)
    guard isGenerated else { return token }
    if chance(0.9) { token.logprob = -number(upTo: 6) }
    if hasEntropies, chance(0.9) { token.entropy = number(upTo: 4) }
    let best = Float(number(upTo: 2))
    for k in 0..<Int.random(in: 0...max(0, shape.topK), using: &random) {
      // Mostly a few steps of 1/64 below the best one, as logits of bfloat16 come out.
      let step = -Double(best - Float(Int.random(in: -200...0, using: &random)) / 64)
      let logprob = shape.digits == .float32 && chance(0.95) ? min(0, step) : -number(upTo: 6)
      token.candidates.append(Candidate(id: Int32((Int(token.id) + 7 * k) % 1000), logprob: logprob))
    }
    return token
  }

  private mutating func number(upTo limit: Int) -> Double {
    switch shape.digits {
    case .float32: Double(Int.random(in: 0..<(limit * 4096), using: &random)) / 4096
    case .nine: Double(Int.random(in: 0..<(limit * 100_000_000), using: &random)) / 100_000_000
    case .seventeen: Double.random(in: 0..<Double(limit), using: &random)
    }
  }

  private mutating func chance(_ p: Double) -> Bool { Double.random(in: 0..<1, using: &random) < p }

  private mutating func word() -> String {
    ["a", "wörter", "\u{2028}line", "tab\there", "\"quoted\"", "emoji 🦉", "\\back", "<search>q</search>"]
      .randomElement(using: &random)! + String(UInt8.random(in: 0...255, using: &random))
  }

  // MARK: Writing records

  private func body(of position: Int) -> String {
    let rollout = rollouts[position]
    var out = #""group_id":"\#(rollout.group)","trajectory_id":"\#(rollout.id)""#
    if let index = rollout.rolloutIndex { out += #","rollout_index":\#(index)"# }
    let first = rollout.parent == nil || rollout.isFull ? 0 : rollout.branch
    if let parent = rollout.parent {
      out +=
        #","parent_id":"\#(rollouts[parent].id)","#
        + #""branch_\#(shape.isTextOnly ? "segment" : "token_index")":\#(rollout.branch)"#
      if rollout.isFull { out += #","prefix":"full""# } else if position % 2 == 0 { out += #","prefix":"delta""# }
      out += #","branch":{"reason":"entropy","draw":0.25}"#
    }
    if !shape.isTextOnly { out += columns(Array(rollout.path[first...])) }
    let own = rollout.segments.filter { $0.start >= first }
    out += #","segments":["# + own.map { json($0) }.joined(separator: ",") + "]"
    out += #","reward":\#(rollout.reward.map { "\($0)" } ?? "null")"#
    if position % 3 == 0 { out += #","rewards":{"answer":{"score":0.5,"weight":2.0},"format":{"score":null}}"# }
    if rollout.multiplicity > 1 { out += #","multiplicity":\#(rollout.multiplicity)"# }
    if position % 4 == 1 { out += #","finish_reason":"stop","policy_version":7,"unknown":{"kept":[1,2]}"# }
    return out + "}"
  }

  private func columns(_ tokens: [Token]) -> String {
    func list(_ values: [String]) -> String { "[" + values.joined(separator: ",") + "]" }
    func real(_ value: Double?) -> String { value.map { "\($0)" } ?? "null" }
    var out = #","token_ids":"# + list(tokens.map { "\($0.id)" })
    out += #","loss_mask":"# + list(tokens.map { $0.isGenerated ? "1" : "0" })
    out += #","logprobs":"# + list(tokens.map { real($0.logprob) })
    let candidates = tokens.flatMap(\.candidates)
    if !candidates.isEmpty {
      out += #","top_logprobs":{"counts":"# + list(tokens.map { "\($0.candidates.count)" })
      out += #","token_ids":"# + list(candidates.map { "\($0.id)" })
      out += #","logprobs":"# + list(candidates.map { real($0.logprob) }) + "}"
    }
    if tokens.contains(where: { $0.entropy != nil }) {
      out += #","entropies":"# + list(tokens.map { real($0.entropy) }) + #","entropy_kind":"exact""#
    }
    return out
  }

  private func json(_ segment: Segment) -> String {
    var out = #"{"kind":"\#(segment.kind.rawValue)""#
    if !shape.isTextOnly { out += #","start":\#(segment.start),"end":\#(segment.end)"# }
    for (key, value) in [
      ("tool", segment.tool), ("tool_call_id", segment.toolCallID), ("status", segment.status),
      ("arguments", segment.arguments), ("text", segment.text),
    ] {
      if let value { out += #","\#(key)":\#(Self.quoted(value))"# }
    }
    if let latency = segment.latency { out += #","latency_s":\#(latency)"# }
    return out + "}"
  }

  /// A text as a JSON string.
  public static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": out += "\\\(Character(scalar))"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case let control where control.value < 0x20:
        out += "\\u00" + (control.value < 16 ? "0" : "") + String(control.value, radix: 16)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
