/// What a stretch of a trajectory is.
public enum SegmentKind: String, Sendable, Hashable, CaseIterable {
  case reasoning
  case toolCall = "tool_call"
  case toolResult = "tool_result"
  case answer
  case other
}

/// A half-open stretch of a trajectory's response.
///
/// `start` and `end` count response tokens of the whole trajectory from 0 (the prompt is not counted, tool results
/// are). In a text-only trajectory the unit is the segment itself: segment i is `i ..< i + 1`.
///
/// A segment may be empty (`start == end`) and still carry text: that is a stretch whose text is known and whose
/// tokens are not, such as a tool message between two logged model calls.
public struct Segment: Sendable, Hashable {
  public var kind: SegmentKind
  public var start: Int
  public var end: Int
  public var tool: String?
  public var toolCallID: String?
  /// The tool's own outcome as logged, usually `ok` or `error`.
  public var status: String?
  /// Seconds the tool took.
  public var latency: Double?
  /// Arguments of a tool call, as logged (usually JSON text).
  public var arguments: String?
  public var text: String?
  /// JSON object with the keys of the log that have no column of their own.
  public var extra: String?
  /// Said by somebody other than the policy although no tool's result, such as a user's message between two turns; only
  /// where the segment is the unit.
  public var isContext = false

  public init(
    kind: SegmentKind, start: Int, end: Int, tool: String? = nil, toolCallID: String? = nil, status: String? = nil,
    latency: Double? = nil, arguments: String? = nil, text: String? = nil, extra: String? = nil
  ) {
    self.kind = kind
    self.start = start
    self.end = end
    self.tool = tool
    self.toolCallID = toolCallID
    self.status = status
    self.latency = latency
    self.arguments = arguments
    self.text = text
    self.extra = extra
  }

  public var count: Int { end - start }
  /// Not sampled by the policy; where there are tokens their loss mask says it.
  public var isInserted: Bool { kind == .toolResult || isContext }
}
