import Replay
import Rollouts

/// A path as text: its segments with what the log says of each.
struct PathTranscript {
  /// A segment of the path.
  struct Part {
    var kind: SegmentKind
    var range: Range<Int>
    var tool: String?
    var toolCallID: String?
    var arguments: String?
    /// As logged; `nil` also where a fork cuts the segment.
    var text: String?
    /// Not sampled by the policy.
    var isInserted: Bool

    /// Whether the part's tokens are not in the log.
    var isEmpty: Bool { range.isEmpty }
  }

  let tree: RolloutTree
  let leaf: Int
  let origin: TrajectoryOrigin
  let decode: (@Sendable ([Int32]) throws -> String)?
  let parts: [Part]

  init(
    _ tree: RolloutTree, leaf: Int, origin: TrajectoryOrigin, decode: (@Sendable ([Int32]) throws -> String)?
  ) {
    self.tree = tree
    self.leaf = leaf
    self.origin = origin
    self.decode = decode
    let path = tree.paths[leaf]
    // Results of parallel calls can look alike but for their texts: a path has them in the order they are stored in.
    var next: [Int: Int] = [:]
    var parts: [Part] = []
    for segment in path.segments {
      let range = segment.start..<segment.end
      let isInserted =
        range.isEmpty
        ? segment.kind == .toolResult || segment.kind == .other : !path.generation.contains { $0.overlaps(range) }
      var part = Part(
        kind: segment.kind, range: range, tool: segment.tool, toolCallID: segment.toolCallID, arguments: nil, text: nil,
        isInserted: isInserted)
      let stored = tree.group.trajectories[segment.storedBy].segments
      if let found = stored[next[segment.storedBy, default: 0]...].firstIndex(where: { Self.isSame($0, segment) }) {
        next[segment.storedBy] = found + 1
        if stored[found].start == segment.start, stored[found].end == segment.end {
          part.text = stored[found].text
          part.arguments = stored[found].arguments
        }
      }
      parts.append(part)
    }
    self.parts = parts
  }

  /// Whether a path's segment is (the end or the front of) a stored one.
  private static func isSame(_ stored: Segment, _ segment: PathSegment) -> Bool {
    guard stored.kind == segment.kind, stored.tool == segment.tool, stored.toolCallID == segment.toolCallID else {
      return false
    }
    return stored.start <= segment.end && stored.end >= segment.end
      && (stored.start == stored.end) == (segment.start == segment.end)
  }

  /// Formats whose logs hold messages; what a chat template writes between them is not there.
  private static let chatFormats: Set<String> = ["openai", "nemo-gym"]

  /// Whether the log holds messages and not one running text.
  var isChat: Bool { Self.chatFormats.contains(origin.format) }

  /// The running text of a range of the path, byte for byte what the policy saw and wrote.
  func text(_ range: Range<Int>) throws(ExportGap) -> String {
    if range.isEmpty { return "" }
    if tree.paths[leaf].unit == .segment {
      if isChat { throw .messagesOnly }
      return try joined(range)
    }
    if parts.contains(where: { $0.isEmpty && $0.text != nil && range.contains($0.range.lowerBound) }) {
      throw .textWithoutTokens
    }
    if let exact = try exactText(range) { return exact }
    if range == 0..<tree.paths[leaf].length, let text = origin.text { return text }
    if isChat { throw .messagesOnly }
    return try joined(range)
  }

  /// The text of tokens from the tokens themselves: known by their texts, or decoded; `nil` where neither is possible.
  private func exactText(_ range: Range<Int>) throws(ExportGap) -> String? {
    let stretches = tree.stretches(of: leaf, range)
    let columns = stretches.compactMap { tree.group.trajectories[$0.owner].columns }
    if columns.allSatisfy({ $0.strings != nil }) {
      var bytes: [UInt8] = []
      for (stretch, column) in zip(stretches, columns) {
        guard let strings = column.strings else { return nil }
        for id in column.tokenIDs[stretch.stored] {
          let string = strings[Int(id)]
          bytes += string.bytes ?? Array(string.text.utf8)
        }
      }
      guard let text = String(validating: bytes, as: UTF8.self) else { throw .splitCharacter }
      return text
    }
    guard let decode, columns.allSatisfy({ $0.strings == nil }), let ids = tree.tokenIDs(of: leaf, range) else {
      return nil
    }
    do { return try decode(ids) } catch { throw .splitCharacter }
  }

  /// The logged texts of the segments that make up a range.
  private func joined(_ range: Range<Int>) throws(ExportGap) -> String {
    var at = range.lowerBound
    var out = ""
    for part in parts where !part.isEmpty && part.range.overlaps(range) {
      guard part.range.lowerBound == at, part.range.upperBound <= range.upperBound, let text = part.text else {
        throw .noText
      }
      out += text
      at = part.range.upperBound
    }
    if at != range.upperBound { throw .noText }
    return out
  }

  /// The text of one part.
  func text(of part: Part) throws(ExportGap) -> String? {
    if part.isEmpty { return part.text }
    if tree.paths[leaf].unit == .token, let exact = try exactText(part.range) { return exact }
    return part.text
  }
}
