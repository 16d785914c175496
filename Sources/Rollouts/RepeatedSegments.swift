/// What a record says of the segments of its parent's path that it repeats.
public struct RepeatedSegments: Sendable {
  /// Those before the branch, also the one that the branch cuts.
  public var segments: [Segment]
  /// Whether the record states them; else only their texts are its own and the kinds are guessed from them.
  public var areStated: Bool

  public init(_ segments: [Segment] = [], areStated: Bool = true) {
    self.segments = segments
    self.areStated = areStated
  }

  /// A segment of the parent's path up to the branch.
  public struct Inherited: Sendable {
    public var segment: Segment
    /// It goes on behind the branch of a trajectory on the path: its text says more than the path has of it.
    public var isCut: Bool

    public init(_ segment: Segment, isCut: Bool) {
      self.segment = segment
      self.isCut = isCut
    }
  }

  /// Where the repetition contradicts the parent's path, in words; `nil` if it does not.
  ///
  /// Segments may be cut in other places. What the repetition does not say contradicts nothing; a tool or a text that only
  /// the repetition has would be lost.
  public func difference(from path: [Inherited], branch: Int) -> String? {
    for mine in segments {
      if mine.count == 0 {
        let isThere = path.contains { other in
          other.segment.start == mine.start && other.segment.count == 0 && difference(of: mine, from: other) == nil
        }
        if !isThere { return "a segment without tokens at \(mine.start) is not the parent's" }
        continue
      }
      let end = min(mine.end, branch)
      for other in path where other.segment.count > 0 && other.segment.start < end && other.segment.end > mine.start {
        if let what = difference(of: mine, from: other) {
          return "the \(what) of the segment \(mine.start)..<\(mine.end) differs from the parent's"
        }
      }
    }
    return nil
  }

  private func difference(of mine: Segment, from other: Inherited) -> String? {
    let theirs = other.segment
    if areStated {
      if mine.kind != theirs.kind { return "kind" }
      if let tool = mine.tool, !tool.hasSameBytes(as: theirs.tool) { return "tool" }
    }
    guard let text = mine.text, !other.isCut, mine.start == theirs.start, mine.end == theirs.end else { return nil }
    return text.hasSameBytes(as: theirs.text) ? nil : "text"
  }
}

extension String {
  /// Texts that only look alike are different.
  fileprivate func hasSameBytes(as other: String?) -> Bool { other.map { utf8.elementsEqual($0.utf8) } ?? false }
}
