import Rollouts

/// The segments of native trajectory records.
enum NativeSegments {
  private static let keys: Set<String> = [
    "kind", "start", "end", "tool", "tool_call_id", "status", "latency_s", "arguments", "text",
  ]

  static func fields(_ value: JSONValue, _ i: Int) throws(RecordError) -> Segment {
    let fields = NativeFields(value)
    guard value.members != nil else { throw RecordError(.wrongType, "segments[\(i)] is not an object") }
    guard let name = try fields.string("kind") else { throw RecordError(.missingField, "segments[\(i)] has no kind") }
    guard let kind = SegmentKind(rawValue: name) else {
      throw RecordError(.badSegments, "segments[\(i)].kind is \"\(name)\"")
    }
    return Segment(
      kind: kind, start: 0, end: 0, tool: try fields.string("tool"), toolCallID: try fields.string("tool_call_id"),
      status: try fields.string("status"), latency: try fields.real("latency_s"),
      arguments: fields.looseText("arguments"), text: try fields.string("text"),
      extra: fields.others(keys))
  }

  /// The mask that segments tell where a record has none: 0 in tool results, 1 elsewhere.
  /// - Parameters:
  ///   - results: response indices of the tool results.
  ///   - range: response indices of the mask.
  static func mask(_ results: [Range<Int>], _ range: Range<Int>) -> [UInt8] {
    var mask = [UInt8](repeating: 1, count: range.count)
    for result in results {
      for i in result.clamped(to: range) { mask[i - range.lowerBound] = 0 }
    }
    return mask
  }

  /// An array of segments with token indices; `nil` if it is not of the right shape.
  static func inRange(_ array: JSONValue) -> [Segment]? {
    guard let values = array.array else { return nil }
    var out: [Segment] = []
    for (i, value) in values.enumerated() {
      guard let start = value["start"]?.int, let end = value["end"]?.int, start <= end else { return nil }
      do throws(RecordError) {
        var segment = try fields(value, i)
        segment.start = start
        segment.end = end
        out.append(segment)
      } catch { return nil }
    }
    return out
  }
}
