import Rollouts

/// A model call of a path: GiGPO's step.
public struct AttributionStep: Sendable, Hashable {
  /// The call's generated tokens, in path indices.
  public var range: Range<Int>
  /// A number that two steps of a group share if the same was inserted before them.
  public var anchor: Int
}

/// The model calls of every path of a tree.
///
/// An anchor is what stands between the previous call and this one: token ids (text-only: kind, tool and text), and
/// the empty segments among them, which have text and no tokens. Nothing before the first call: the prompt.
func attributionSteps(_ tree: RolloutTree) -> [[AttributionStep]] {
  var items = PathItems(tree)
  var anchors: [[Int32]: Int] = [:]
  return tree.paths.indices.map { t in
    let empties = emptySegments(tree, t, &items)
    var before = 0
    var e = 0
    return tree.paths[t].generation.map { range in
      let gap = before..<range.lowerBound
      before = range.upperBound
      var anchor = gap.isEmpty ? [] : items.items(of: t, gap)
      while e < empties.count, empties[e].at <= gap.upperBound {
        // Where it stands counts too. Text is a negative number, so that it is no token.
        anchor += [empties[e].text, Int32(clamping: empties[e].at - gap.lowerBound)]
        e += 1
      }
      let number = anchors[anchor] ?? anchors.count
      anchors[anchor] = number
      return AttributionStep(range: range, anchor: number)
    }
  }
}

/// The empty segments of a path in order, with numbers for their texts.
private func emptySegments(
  _ tree: RolloutTree, _ t: Int, _ items: inout PathItems
) -> [(at: Int, text: Int32)] {
  guard tree.paths[t].unit == .token else { return [] }
  var out: [(at: Int, text: Int32)] = []
  // Results of parallel calls can look alike but for their texts: the path has them in the order they are stored in.
  var next: [Int: Int] = [:]
  for s in tree.paths[t].segments where s.start == s.end {
    let stored = tree.group.trajectories[s.storedBy].segments
    let found = stored[next[s.storedBy, default: 0]...].firstIndex {
      $0.start == s.start && $0.end == s.end && $0.kind == s.kind && $0.tool == s.tool && $0.toolCallID == s.toolCallID
    }
    guard let found else { continue }
    next[s.storedBy] = found + 1
    out.append((s.start, items.id(of: stored[found])))
  }
  return out
}
