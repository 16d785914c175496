import Rollouts

/// A part of a strategy's credit.
public struct CreditPart: Sendable, Hashable {
  /// What the tokens are told apart by.
  public enum Dimension: String, Sendable, Hashable, CaseIterable {
    /// Kind of the token's segment.
    case kind
    /// Tool of tool_call segments; other segments are in no part.
    case callTool = "call_tool"
    /// Tool of the last result before the token on its path, "none" before the first.
    case afterTool = "after_tool"
    /// Nodes of the tree above the token: 0 before any fork of its path.
    case depth
  }

  /// The dimension.
  public var dimension: Dimension
  /// The kind, tool or depth; "unknown" where the log names no tool.
  public var key: String

  /// A part of a dimension.
  public init(_ dimension: Dimension, _ key: String) {
    self.dimension = dimension
    self.key = key
  }
}

/// Where the credit of a strategy sits: shares of the sum of |A| over the generated tokens of all paths.
public struct CreditShares: Sendable, Equatable {
  /// Sum of |A|; without any, all shares are undefined.
  public private(set) var total = 0.0
  /// Sum of |A| by part.
  public private(set) var parts: [CreditPart: Double] = [:]

  /// Nothing added.
  public init() {}

  /// Shares by the token's segment kind.
  public var byKind: [String: Double] { shares(.kind) }

  /// Shares of tool_call segments by tool, "unknown" where the log names none; the other segments are left out, so they
  /// do not add up to 1.
  public var byCallTool: [String: Double] { shares(.callTool) }

  /// Shares by the tool of the last result before the token on its path, "none" before the first.
  public var afterTool: [String: Double] { shares(.afterTool) }

  /// Shares by the number of nodes above the token's, under the group's own forks.
  public var byDepth: [String: Double] { shares(.depth) }

  private func shares(_ dimension: CreditPart.Dimension) -> [String: Double] {
    var out: [String: Double] = [:]
    for (part, sum) in parts where part.dimension == dimension { out[part.key] = sum / total }
    return out
  }

  /// Adds the leaves of a group; tokens outside all segments are not counted.
  public mutating func add(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    for t in group.leaves.indices {
      add(group.leaves[t], advantages[t])
      addDepths(group.leaves[t], group.tree.through[t].map { group.tree.nodes[$0].range }, advantages[t])
    }
  }

  /// Adds another's.
  public static func += (a: inout CreditShares, b: CreditShares) {
    a.total += b.total
    a.parts.merge(b.parts, uniquingKeysWith: +)
  }

  private mutating func add(_ leaf: AttributionLeaf, _ row: PathAdvantages) {
    if case .missing = row { return }
    var sums = [(sum: Double, any: Bool)](repeating: (0, false), count: leaf.segments.count)
    var first = 0
    row.forEachRun(leaf.generated) { range, value in
      if value.isNaN { return }
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
        put(.kind, segment.kind.rawValue, part.sum)
        put(.afterTool, last, part.sum)
        if segment.kind == .toolCall { put(.callTool, segment.tool ?? "unknown", part.sum) }
      }
      if segment.kind == .toolResult { last = segment.tool ?? "unknown" }
    }
  }

  private mutating func addDepths(_ leaf: AttributionLeaf, _ nodes: [Range<Int>], _ row: PathAdvantages) {
    var sums = [Double](repeating: 0, count: nodes.count)
    var any = [Bool](repeating: false, count: nodes.count)
    var first = 0
    row.forEachRun(leaf.generated) { range, value in
      if value.isNaN { return }
      while first < nodes.count, nodes[first].upperBound <= range.lowerBound { first += 1 }
      var n = first
      while n < nodes.count, nodes[n].lowerBound < range.upperBound {
        sums[n] += abs(value) * Double(nodes[n].clamped(to: range).count)
        any[n] = true
        n += 1
      }
    }
    for n in nodes.indices where any[n] { put(.depth, String(n), sums[n]) }
  }

  private mutating func put(_ dimension: CreditPart.Dimension, _ key: String, _ sum: Double) {
    parts[CreditPart(dimension, key), default: 0] += sum
  }
}
