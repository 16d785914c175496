import Rollouts

/// Where a stretch of a path stands in the columns of the trajectory that stores it.
public struct StoredStretch: Sendable, Hashable {
  /// Position of the trajectory in the group.
  public var owner: Int
  /// Path indices.
  public var range: Range<Int>
  /// Positions in the owner's columns (text-only: in its segments).
  public var stored: Range<Int>
}

extension RolloutTree {
  /// The stored stretches of a range of a path, in path order, none of them empty.
  public func stretches(of t: Int, _ range: Range<Int>) -> [StoredStretch] {
    paths[t].pieces.compactMap { piece in
      let part = piece.range.clamped(to: range)
      if part.isEmpty { return nil }
      let offset = paths[piece.owner].storageBranch
      return StoredStretch(
        owner: piece.owner, range: part, stored: (part.lowerBound - offset)..<(part.upperBound - offset))
    }
  }

  /// The token ids in a range of a path; `nil` in a text-only trajectory.
  ///
  /// Where the log has texts and no ids, the numbers are positions in ``TokenColumns/strings``: ask ``hasIDs(_:)``.
  public func tokenIDs(of t: Int, _ range: Range<Int>) -> [Int32]? {
    guard paths[t].unit == .token else { return nil }
    return stretches(of: t, range).flatMap { group.trajectories[$0.owner].columns?.tokenIDs[$0.stored] ?? [] }
  }

  /// The loss mask in a range of a path, 1 = sampled by the policy; `nil` in a text-only trajectory.
  public func lossMask(of t: Int, _ range: Range<Int>) -> [UInt8]? {
    guard paths[t].unit == .token else { return nil }
    return stretches(of: t, range).flatMap { group.trajectories[$0.owner].columns?.lossMask[$0.stored] ?? [] }
  }

  /// The behaviour policy's logprobs in a range of a path, `NaN` where the log has none; `nil` in a text-only trajectory.
  public func logprobs(of t: Int, _ range: Range<Int>) -> [Double]? {
    guard paths[t].unit == .token else { return nil }
    var out: [Double] = []
    out.reserveCapacity(range.count)
    for stretch in stretches(of: t, range) {
      if let column = group.trajectories[stretch.owner].columns?.logprobs {
        out += column.slice(stretch.stored).widened()
      } else {
        out += [Double](repeating: .nan, count: stretch.stored.count)
      }
    }
    return out
  }

  /// Whether every token of a path has the tokenizer's id: neither text-only, nor known by text alone, nor with stretches
  /// of text between the tokens whose ids are not in the log.
  public func hasIDs(_ t: Int) -> Bool {
    guard paths[t].unit == .token else { return false }
    let isIDs = paths[t].pieces.allSatisfy { group.trajectories[$0.owner].columns?.strings == nil }
    return isIDs && unknownTexts(of: t).isEmpty
  }

  /// Where on a path the log has a text and not its tokens, ascending: segments with a text and without tokens.
  ///
  /// A segment with neither, such as the result of a tool that printed nothing, hides nothing.
  public func unknownTexts(of t: Int) -> [Int] {
    paths[t].segments.compactMap { segment in
      guard segment.start == segment.end else { return nil }
      let hasText = group.trajectories[segment.storedBy].segments.contains {
        $0.start == segment.start && $0.end == segment.end && !($0.text ?? "").isEmpty
      }
      return hasText ? segment.start : nil
    }
  }
}
