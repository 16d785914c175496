public import Rollouts

/// A prompt group's tree with what stands on its nodes: lengths, tools, rewards below, entropy at forks, advantages.
public struct TreeReport: Sendable {
  /// The group with its tokens.
  public let tree: RolloutTree
  /// In pre-order.
  public let nodes: [NodeReport]
  /// Names of the strategies whose advantages the nodes have.
  public let strategies: [String]
  /// Which entropy ``NodeReport/entropyRise`` is of; `nil` where the log has none.
  public let estimator: Estimator?
  /// Generated tokens that make an entropy window.
  public let windowTokens: Int
  /// Rewards of the group's leaves.
  public let rewards: RewardSpread

  /// - Parameters:
  ///   - attribution: the group under some strategies.
  ///   - names: of these strategies.
  ///   - sharing: which tree; ``ARPOHard/Tree/any`` must have been asked for when the attribution was made.
  ///   - windowTokens: generated tokens after a fork whose mean entropy is held against that of the trajectory's first ones.
  public init(
    _ attribution: GroupAttribution, names: [String], sharing: ARPOHard.Tree = .own, windowTokens: Int = 20
  ) {
    tree = attribution.tree
    strategies = names
    self.windowTokens = windowTokens
    let group = attribution.group
    let nodeTree = sharing == .any ? group.anyTree ?? group.tree : group.tree
    let entropy = BestEntropy(attribution.tree, window: windowTokens)
    estimator = entropy.estimator
    rewards = RewardSpread(group, Array(group.leaves.indices))
    var depths: [Int] = []
    nodes = nodeTree.nodes.enumerated().map { n, node in
      let depth = node.parent.map { depths[$0] + 1 } ?? 0
      depths.append(depth)
      return NodeReport(
        node, depth: depth, fork: NodeFork(node, tree: attribution.tree, nodes: nodeTree), attribution,
        entropyRise: node.parent == nil ? nil : entropy.rise(node.owner, from: node.range.lowerBound))
    }
  }

  /// Forks: nodes that leave another trajectory's path.
  public var forks: Int { nodes.count { $0.fork != nil } }
}

/// A node of a tree and what is known of it.
public struct NodeReport: Sendable {
  /// Its tokens, its parent, and the trajectories through it.
  public let node: TreeNode
  /// Nodes above it.
  public let depth: Int
  /// How it leaves its parent; `nil` at the top and where it only goes on.
  public let fork: NodeFork?
  /// Generated tokens of the node.
  public let generated: Int
  /// The stretches of the node, in path order.
  public let segments: [PathSegment]
  /// Rewards of the leaves that pass through.
  public let rewards: RewardSpread
  /// Mean entropy of the first generated tokens from the node's start, less that of its trajectory's first ones, in nats;
  /// `nil` at the top and where there are no entropies.
  public let entropyRise: Double?
  /// By strategy, the mean advantage over the node's generated tokens and the leaves through it, by multiplicity.
  public let advantages: [Double?]

  init(
    _ node: TreeNode, depth: Int, fork: NodeFork?, _ attribution: GroupAttribution, entropyRise: Double?
  ) {
    self.node = node
    self.depth = depth
    self.fork = fork
    self.entropyRise = entropyRise
    let group = attribution.group
    let owner = group.leaves[node.owner]
    generated = owner.generated.reduce(0) { $0 + $1.clamped(to: node.range).count }
    segments = owner.segments.compactMap { segment in
      var part = segment
      (part.start, part.end) = (max(segment.start, node.range.lowerBound), min(segment.end, node.range.upperBound))
      let isInside =
        segment.start == segment.end ? node.range.contains(segment.start) : part.start < part.end
      return isInside ? part : nil
    }
    rewards = RewardSpread(group, node.leaves)
    advantages = attribution.advantages.map { rows in
      var sum = 0.0
      var weight = 0.0
      for t in node.leaves {
        let multiplicity = Double(group.leaves[t].multiplicity)
        rows[t].forEachRun(group.leaves[t].generated) { range, value in
          let n = Double(range.clamped(to: node.range).count) * multiplicity
          sum += value * n
          weight += n
        }
      }
      return weight > 0 ? sum / weight : nil
    }
  }
}

/// Where a node leaves the path of its parent.
public struct NodeFork: Sendable, Hashable {
  /// What precedes the fork.
  public enum Place: Sendable, Hashable {
    /// Nothing: the fork is at the start of the response.
    case start
    /// A tool's result ends there.
    case afterResult(tool: String)
    /// Another segment ends there.
    case after(SegmentKind)
    /// It is inside a segment.
    case inside(SegmentKind)
  }

  /// Where it is.
  public let place: Place

  /// `nil` unless the node belongs to another trajectory than its parent.
  init?(_ node: TreeNode, tree: RolloutTree, nodes: NodeTree) {
    guard let parent = node.parent, nodes.nodes[parent].owner != node.owner else { return nil }
    let at = node.range.lowerBound
    let segments = tree.paths[node.owner].segments
    let before = segments.last { $0.end <= at && ($0.start < at || $0.start == $0.end) }
    if at == 0 {
      place = .start
    } else if let cut = segments.first(where: { $0.start < at && at < $0.end }) {
      place = .inside(cut.kind)
    } else if let before {
      place = before.kind == .toolResult ? .afterResult(tool: before.tool ?? "unknown") : .after(before.kind)
    } else {
      place = .after(.other)
    }
  }
}

/// Rewards of some leaves, by multiplicity.
public struct RewardSpread: Sendable, Equatable {
  /// Leaves.
  public let leaves: Int
  /// Leaves with a reward.
  public let scored: Int
  /// `nil` without any reward.
  public let mean: Double?
  /// With divisor N - 1; `nil` for fewer than two.
  public let std: Double?

  init(_ group: AttributionGroup, _ members: [Int]) {
    leaves = members.reduce(0) { $0 + group.leaves[$1].multiplicity }
    let (rewards, weights, _) = group.scoredRewards(members, leaf: -1)
    scored = weights.reduce(0, +)
    if rewards.isEmpty {
      (mean, std) = (nil, nil)
    } else {
      (mean, std) = weightedMeanStd(rewards, weights, divisorLess: 1)
    }
  }
}

/// The best entropies that a group's log has, in windows.
private struct BestEntropy {
  let estimator: Estimator?
  private let values: PathValues?
  private let tree: RolloutTree
  private let window: Int

  init(_ tree: RolloutTree, window: Int) {
    self.tree = tree
    self.window = window
    let all: [Estimator] = [.exact, .topk, .sampledNLL]
    let entropy = GroupEntropy(tree.group, estimators: Set(all))
    let found = all.lazy.map { ($0, entropy.values($0, in: tree)) }.first { _, values in
      tree.paths.indices.contains { values.hasValue($0) }
    }
    (estimator, values) = (found?.0, found?.1)
  }

  func rise(_ t: Int, from start: Int) -> Double? {
    guard let values, let first = tree.paths[t].firstGeneration,
      let here = tree.paths[t].generation.first(where: { $0.upperBound > start })
    else { return nil }
    let from = max(start, here.lowerBound)
    let now = values.statistics(t, from..<min(here.upperBound, from + window)).mean
    let initial = values.statistics(t, first.lowerBound..<min(first.upperBound, first.lowerBound + window)).mean
    guard let now, let initial else { return nil }
    return now - initial
  }
}
