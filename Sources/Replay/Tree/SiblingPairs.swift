/// A place where trajectories part: the branches that go on behind one prefix.
public struct Fork: Sendable, Hashable {
  /// Response index of the first token behind the prefix; 0: the trajectories share the prompt alone.
  public var index: Int
  /// By branch, the trajectories that pass through it.
  public var branches: [[Int]]

  /// A fork of these branches.
  public init(index: Int, branches: [[Int]]) {
    self.index = index
    self.branches = branches
  }
}

extension NodeTree {
  /// The forks in pre-order, the one at the prompt first.
  public var forks: [Fork] {
    var children: [Int?: [Int]] = [:]
    for n in nodes.indices { children[nodes[n].parent, default: []].append(n) }
    return children.filter { $0.value.count > 1 }.sorted { ($0.key ?? -1) < ($1.key ?? -1) }.map { _, siblings in
      Fork(index: nodes[siblings[0]].range.lowerBound, branches: siblings.map { nodes[$0].leaves })
    }
  }
}

/// A better and a worse continuation of one prefix.
public struct SiblingPair: Sendable, Hashable {
  /// Response index at which the two part.
  public var fork: Int
  /// The trajectory of the better continuation.
  public var chosen: Int
  /// The trajectory of the worse one.
  public var rejected: Int
  /// Difference of their scores, above 0.
  public var margin: Double
}

/// The pairs of a fork, and why there are not more.
public struct SiblingPairs: Sendable, Hashable {
  /// The largest margin first.
  public private(set) var pairs: [SiblingPair] = []
  /// Branches with a scored leaf.
  public private(set) var scoredBranches = 0
  /// Pairs of branches whose scores differ by too little.
  public private(set) var belowMargin = 0
  /// Pairs beyond the limit.
  public private(set) var beyondLimit = 0

  /// Chooses pairs of continuations at a fork.
  ///
  /// Of two branches the best leaf of one and the worst of the other make the pair, in the direction of the larger
  /// difference; so a fork of b branches has b (b - 1) / 2 pairs at most, however many leaves hang on them.
  ///
  /// - Parameters:
  ///   - minimumMargin: 0 or more; equal scores never make a pair.
  ///   - limit: pairs at most.
  ///   - score: of a leaf's continuation behind the fork; `nil`: it takes no part.
  public init(at fork: Fork, minimumMargin: Double = 0, limit: Int = .max, score: (Int) -> Double?) {
    let ranked = fork.branches.compactMap { leaves -> Extremes? in
      let scored = leaves.compactMap { leaf in score(leaf).map { (leaf: leaf, score: $0) } }
      guard let best = scored.max(by: { $0.score < $1.score }), let worst = scored.min(by: { $0.score < $1.score })
      else { return nil }
      return Extremes(best: best, worst: worst)
    }
    scoredBranches = ranked.count
    for a in ranked.indices {
      for b in ranked.indices.dropFirst(a + 1) {
        let forward = ranked[a].best.score - ranked[b].worst.score
        let backward = ranked[b].best.score - ranked[a].worst.score
        let margin = max(forward, backward)
        guard margin > 0, margin >= minimumMargin else {
          belowMargin += 1
          continue
        }
        let (chosen, rejected) =
          forward >= backward ? (ranked[a].best, ranked[b].worst) : (ranked[b].best, ranked[a].worst)
        pairs.append(SiblingPair(fork: fork.index, chosen: chosen.leaf, rejected: rejected.leaf, margin: margin))
      }
    }
    pairs.sort { ($1.margin, $0.chosen, $0.rejected) < ($0.margin, $1.chosen, $1.rejected) }
    beyondLimit = max(0, pairs.count - limit)
    pairs.removeLast(beyondLimit)
  }

  private struct Extremes {
    var best: (leaf: Int, score: Double)
    var worst: (leaf: Int, score: Double)
  }
}
