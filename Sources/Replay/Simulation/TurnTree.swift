/// A group's tree cut at the points where a rollout can branch: what a policy did from one point to the next.
///
/// A *point* is the start, or the end of a tool result after which somebody generates. A *turn* leads from a point to the
/// next one or to the end of a trajectory. The continuations of a point are independent draws of the policy: those of the
/// trajectory that was there first and those of the forks made there. Where trajectories part between two points (a fork
/// inside a segment), they are alternatives of one continuation, as only one of them is a draw from the point.
public struct TurnTree: Sendable {
  /// From a point to the next, or to an end.
  public struct Turn: Sendable {
    /// The trajectory that owns its last token.
    public var owner: Int
    /// Path index behind it.
    public var end: Int
    /// Tool results in it.
    public var calls: Int
    /// Generated tokens in it; in text-only trajectories segments.
    public var tokens: Int
    /// Entropies of the first tokens of its first generation segment, as the code's rule reads them; `NaN` = none.
    public var codeFirst: [Double]
    /// The same of its last generation segment, if that is another one.
    public var codeLast: [Double]
    /// As the paper's rule reads them.
    public var paperFirst: [Double]
    /// The same of the last generation segment.
    public var paperLast: [Double]
    /// The trajectory that ends here; `nil`: a point follows.
    public var leaf: Int?
    /// What was done from the point that follows.
    public var continuations: [Continuation] = []
  }

  /// One draw from a point.
  public struct Continuation: Sendable {
    /// Number among all continuations of the tree.
    public var number: Int
    /// Turns that it may be, usually one.
    public var turns: [Int]
    /// Their probabilities.
    public var weights: [Double]
  }

  /// All turns.
  public private(set) var turns: [Turn] = []
  /// What was done from the prompt.
  public private(set) var roots: [Continuation] = []
  /// Continuations in all.
  public private(set) var continuationCount = 0
  /// Reward of each trajectory; `nil` = unscored.
  public let rewards: [Double?]
  /// How many equal leaves each trajectory stands for.
  public let multiplicities: [Int]
  /// Forks between points.
  public private(set) var splits = 0

  /// - Parameters:
  ///   - tree: the group.
  ///   - entropies: what decisions are made by.
  ///   - window: tokens that enter an entropy value.
  init(_ tree: RolloutTree, _ entropies: DecisionEntropies, window: Int) {
    rewards = tree.group.trajectories.map(\.reward)
    multiplicities = tree.group.trajectories.map(\.multiplicity)
    let stretches = Stretches(tree)
    var builder = TurnBuilder(tree, entropies, stretches, window: window)
    roots = builder.continuations(of: nil)
    turns = builder.turns
    continuationCount = builder.count
    splits = builder.splits
  }

  /// The tree with shorter entropy windows.
  public func windowed(_ k: Int) -> TurnTree {
    var out = self
    for i in out.turns.indices {
      out.turns[i].codeFirst = Array(out.turns[i].codeFirst.prefix(k))
      out.turns[i].codeLast = Array(out.turns[i].codeLast.prefix(k))
      out.turns[i].paperFirst = Array(out.turns[i].paperFirst.prefix(k))
      out.turns[i].paperLast = Array(out.turns[i].paperLast.prefix(k))
    }
    return out
  }

  /// Scored leaves below a continuation, each with its multiplicity: their mean reward and number.
  public func value(_ continuation: Continuation) -> (mean: Double, leaves: Int)? {
    var sum = 0.0
    var count = 0
    var waiting = continuation.turns
    while let turn = waiting.popLast() {
      if let leaf = turns[turn].leaf, let reward = rewards[leaf] {
        sum += reward * Double(multiplicities[leaf])
        count += multiplicities[leaf]
      }
      for next in turns[turn].continuations { waiting += next.turns }
    }
    return count > 0 ? (sum / Double(count), count) : nil
  }
}

/// The nodes of a tree cut at its points.
private struct Stretches {
  struct Stretch {
    var node: Int
    var range: Range<Int>
    /// Whether a point follows.
    var isPoint: Bool
    /// A trajectory that passes through.
    var passing: Int
    var owner: Int
    /// Trajectories that end with it.
    var ends: [Int] = []
    var next: [Int] = []
  }

  var all: [Stretch] = []
  var tops: [Int] = []

  init(_ tree: RolloutTree) {
    let nodes = tree.nodes().nodes
    var lastOf = [Int](repeating: 0, count: nodes.count)
    for (n, node) in nodes.enumerated() {
      let parent = node.parent.map { lastOf[$0] }
      var before = parent
      let cuts = points(tree, node)
      var start = node.range.lowerBound
      for end in cuts + (cuts.last == node.range.upperBound ? [] : [node.range.upperBound]) {
        let number = all.count
        all.append(
          Stretch(
            node: n, range: start..<end, isPoint: cuts.contains(end), passing: node.leaves.first ?? node.owner,
            owner: node.owner))
        if let before { all[before].next.append(number) } else { tops.append(number) }
        before = number
        start = end
      }
      lastOf[n] = all.count - 1
      all[all.count - 1].ends = node.ends
    }
  }
}

/// Ends of tool results in a node behind which somebody generates.
private func points(_ tree: RolloutTree, _ node: TreeNode) -> [Int] {
  var out: Set<Int> = []
  for t in node.leaves {
    let path = tree.paths[t]
    for r in path.results.indices {
      let end = path.results[r].end
      if end > node.range.upperBound { break }
      if end > node.range.lowerBound, path.window(after: r) != nil { out.insert(end) }
    }
  }
  return out.sorted()
}

/// Joins stretches into turns.
private struct TurnBuilder {
  let tree: RolloutTree
  let entropies: DecisionEntropies
  let stretches: Stretches
  let window: Int
  var turns: [TurnTree.Turn] = []
  var count = 0
  var splits = 0

  init(_ tree: RolloutTree, _ entropies: DecisionEntropies, _ stretches: Stretches, window: Int) {
    self.tree = tree
    self.entropies = entropies
    self.stretches = stretches
    self.window = window
  }

  /// The continuations of the point behind a stretch, or of the prompt.
  ///
  /// Iterative work would be harder to read; the depth is that of tool calls, not of tokens.
  mutating func continuations(of stretch: Int?) -> [TurnTree.Continuation] {
    let next = stretch.map { stretches.all[$0].next } ?? stretches.tops
    var out = next.map { first -> TurnTree.Continuation in
      count += 1
      var continuation = TurnTree.Continuation(number: count - 1, turns: [], weights: [])
      collect(first, from: stretches.all[first].range.lowerBound, weight: 1, into: &continuation)
      return continuation
    }
    // A trajectory that ends at the point did something too: it stopped.
    for leaf in stretch.map({ stretches.all[$0].ends }) ?? [] {
      let end = stretches.all[stretch ?? 0].range.upperBound
      let turn = add(passing: leaf, owner: leaf, from: end, to: end, leaf: leaf)
      out.append(TurnTree.Continuation(number: count, turns: [turn], weights: [1]))
      count += 1
    }
    return out
  }

  /// The turns that begin with some stretch, each with its probability.
  private mutating func collect(
    _ stretch: Int, from start: Int, weight: Double, into out: inout TurnTree.Continuation
  ) {
    let s = stretches.all[stretch]
    if s.isPoint {
      let turn = add(passing: s.passing, owner: s.owner, from: start, to: s.range.upperBound, leaf: nil)
      turns[turn].continuations = continuations(of: stretch)
      out.turns.append(turn)
      out.weights.append(weight)
      return
    }
    let share = weight / Double(max(1, s.ends.count + s.next.count))
    splits += max(0, s.ends.count + s.next.count - 1)
    for leaf in s.ends {
      out.turns.append(add(passing: leaf, owner: leaf, from: start, to: s.range.upperBound, leaf: leaf))
      out.weights.append(share)
    }
    for next in s.next { collect(next, from: start, weight: share, into: &out) }
  }

  private mutating func add(passing t: Int, owner: Int, from start: Int, to end: Int, leaf: Int?) -> Int {
    let path = tree.paths[t]
    let segments = path.generation.filter { $0.lowerBound >= start && $0.upperBound <= end && !$0.isEmpty }
    let calls = path.results.filter { $0.end <= end && ($0.end > start || ($0.end == 0 && start == 0)) }
    let first = segments.first.map { $0.prefix(window) } ?? 0..<0
    let last = segments.last.map { $0.prefix(window) } ?? 0..<0
    let codeFirst = entropies.codeValues(t, first, paths: tree.paths)
    let paperFirst = entropies.paper.values(t, first)
    turns.append(
      TurnTree.Turn(
        owner: owner, end: end, calls: calls.count, tokens: segments.reduce(0) { $0 + $1.count }, codeFirst: codeFirst,
        codeLast: first == last ? codeFirst : entropies.codeValues(t, last, paths: tree.paths), paperFirst: paperFirst,
        paperLast: first == last ? paperFirst : entropies.paper.values(t, last), leaf: leaf))
    return turns.count - 1
  }
}
