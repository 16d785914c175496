import Rollouts

/// A response under way: tokens that were generated and tool results that were inserted.
struct TaskRollout: Sendable {
  /// What is known of one token.
  struct Token: Sendable {
    var id: Int32
    var isGenerated: Bool
    /// Under the policy that sampled it; `nil` for inserted tokens and where nobody sampled.
    var logprob: Float?
    /// Of the distribution it was drawn from, nats.
    var entropy: Float?
  }

  let question: TaskQuestion
  private(set) var tokens: [Token] = []
  private(set) var segments: [Segment] = []
  /// Index behind each segment that was generated and closed by a call, its result included.
  private(set) var turnEnds: [Int] = []

  init(question: TaskQuestion) { self.question = question }

  var ids: [Int32] { tokens.map(\.id) }

  /// Adds generated tokens: reasoning, a call, or an answer.
  mutating func generate(_ generated: [Token]) {
    let start = tokens.count
    tokens += generated
    let ids = generated.map(\.id)
    if let end = ids.last, end == TaskVocabulary.endSearch || end == TaskVocabulary.endPython {
      let isSearch = end == TaskVocabulary.endSearch
      let opening = ids.lastIndex(of: isSearch ? TaskVocabulary.search : TaskVocabulary.python) ?? (ids.count - 1)
      add(.reasoning, start..<(start + opening))
      let argument = ids[min(opening + 1, ids.count - 1)..<(ids.count - 1)]
      add(
        .toolCall, (start + opening)..<tokens.count, tool: isSearch ? "search" : "python",
        arguments: TaskVocabulary.text(argument))
    } else {
      add(.answer, start..<tokens.count)
    }
  }

  /// Adds tokens that nobody sampled.
  mutating func generate(_ ids: [Int32]) {
    generate(ids.map { Token(id: $0, isGenerated: true, logprob: nil, entropy: nil) })
  }

  /// Adds a tool's result.
  mutating func insert(_ call: ToolCall) {
    let start = tokens.count
    tokens += call.resultTokens.map { Token(id: $0, isGenerated: false, logprob: nil, entropy: nil) }
    add(.toolResult, start..<tokens.count, tool: call.tool, status: call.result == nil ? "error" : "ok")
    turnEnds.append(tokens.count)
  }

  private mutating func add(
    _ kind: SegmentKind, _ range: Range<Int>, tool: String? = nil, status: String? = nil, arguments: String? = nil
  ) {
    if range.isEmpty { return }
    segments.append(
      Segment(
        kind: kind, start: range.lowerBound, end: range.upperBound, tool: tool, status: status, arguments: arguments,
        text: TaskVocabulary.text(tokens[range].map(\.id))))
  }

  /// The first `turns` turns of the response, results included.
  func prefix(turns: Int) -> TaskRollout {
    var copy = self
    let end = turns == 0 ? 0 : turnEnds[turns - 1]
    copy.tokens = Array(tokens[..<end])
    copy.segments = segments.filter { $0.end <= end }
    copy.turnEnds = Array(turnEnds.prefix(turns))
    return copy
  }

  // MARK: Records

  func group(id: String, step: Int? = nil) -> GroupRecord {
    var group = GroupRecord(groupID: id)
    group.step = step
    group.dataSource = question.kind.rawValue
    group.promptText = question.prompt
    group.promptTokenIDs = TaskVocabulary.ids(question.prompt)
    group.groundTruth = question.answer
    return group
  }

  /// The record of the tokens from `branch` on.
  func record(
    group: String, id: String, index: Int, reward: Double?, parent: String? = nil, branch: Int = 0,
    why: String? = nil, step: Int? = nil, finish: String = "stop"
  ) -> TrajectoryRecord {
    var record = TrajectoryRecord(groupID: group, trajectoryID: id)
    record.step = step
    record.rolloutIndex = index
    record.parentID = parent
    record.branchIndex = branch
    record.firstIndex = branch
    record.branch = why
    record.reward = reward
    record.finishReason = finish
    let own = tokens[branch...]
    var columns = TokenColumns(tokenIDs: own.map(\.id), lossMask: own.map { $0.isGenerated ? 1 : 0 })
    if own.contains(where: { $0.logprob != nil }) {
      columns.logprobs = RealColumn(floats: own.map { $0.logprob ?? .nan })
      columns.entropies = RealColumn(floats: own.map { $0.entropy ?? .nan })
      record.entropyKind = "exact"
    }
    record.columns = columns
    record.segments = segments.filter { $0.start >= branch }
    return record
  }
}
