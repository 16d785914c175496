import Rollouts

/// Where the credit of a strategy sits: shares of the sum of |A| over the generated tokens of all paths.
public struct CreditShares: Sendable, Equatable {
  /// Sum of |A|; without any, all shares are undefined and the dictionaries empty.
  public private(set) var total = 0.0
  private var kinds: [String: Double] = [:]
  private var calls: [String: Double] = [:]
  private var after: [String: Double] = [:]

  /// Nothing added.
  public init() {}

  /// Shares by the token's segment kind.
  public var byKind: [String: Double] { kinds.mapValues { $0 / total } }

  /// Shares of tool_call segments by tool, "unknown" where the log names none; the other segments are left out, so they
  /// do not add up to 1.
  public var byCallTool: [String: Double] { calls.mapValues { $0 / total } }

  /// Shares by the tool of the last result before the token on its path, "none" before the first.
  public var afterTool: [String: Double] { after.mapValues { $0 / total } }

  /// Adds the leaves of a group; tokens outside all segments are not counted.
  public mutating func add(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    for (leaf, row) in zip(group.leaves, advantages) { add(leaf, row) }
  }

  private mutating func add(_ leaf: AttributionLeaf, _ row: PathAdvantages) {
    if case .missing = row { return }
    var sums = [(sum: Double, any: Bool)](repeating: (0, false), count: leaf.segments.count)
    var first = 0
    row.forEachRun(leaf.generated) { range, value in
      while first < leaf.segments.count, leaf.segments[first].end <= range.lowerBound { first += 1 }
      var s = first
      while s < leaf.segments.count, leaf.segments[s].start < range.upperBound {
        let count = (leaf.segments[s].start..<leaf.segments[s].end).clamped(to: range).count
        sums[s].sum += abs(value) * Double(count)
        sums[s].any = sums[s].any || count > 0
        s += 1
      }
    }
    var last = "none"
    for (segment, part) in zip(leaf.segments, sums) {
      if part.any {
        total += part.sum
        kinds[segment.kind.rawValue, default: 0] += part.sum
        after[last, default: 0] += part.sum
        if segment.kind == .toolCall { calls[segment.tool ?? "unknown", default: 0] += part.sum }
      }
      if segment.kind == .toolResult { last = segment.tool ?? "unknown" }
    }
  }
}
