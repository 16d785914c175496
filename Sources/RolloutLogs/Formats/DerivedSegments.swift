import Rollouts

/// Segments for token logs that have none: runs of the loss mask.
enum DerivedSegments {
  /// A run of 0 is a tool result, a run of 1 is what the policy said.
  ///
  /// Where the text has as many tool results as the mask has inserted runs, the results take their tools from the text,
  /// in order.
  static func fromMask(_ mask: [UInt8], first: Int, text: String?) -> [Segment] {
    var out: [Segment] = []
    var start = 0
    for i in 0...mask.count where i == mask.count || (i > start && mask[i] != mask[start]) {
      if i > start {
        out.append(
          Segment(kind: mask[start] == 0 ? .toolResult : .reasoning, start: first + start, end: first + i))
      }
      start = i
    }
    guard let text else { return out }
    let named = TaggedText.segments(of: text).filter { $0.kind == .toolResult }
    let results = out.indices.filter { out[$0].kind == .toolResult }
    if named.count == results.count {
      for (i, s) in zip(results, named) { out[i].tool = s.tool }
    }
    return out
  }
}
