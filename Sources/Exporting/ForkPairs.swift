import Replay

/// A place where trajectories part: the branches that go on behind one prefix.
struct Fork {
  /// Response index of the first token behind the prefix; 0: the trajectories share the prompt alone.
  var index: Int
  /// By branch, the trajectories that pass through it.
  var branches: [[Int]]
}

/// A better and a worse continuation of one prefix.
struct ForkPair {
  var fork: Int
  var chosen: Int
  var rejected: Int
  var margin: Double
}

extension NodeTree {
  /// The forks in pre-order, the one at the prompt first.
  var forks: [Fork] {
    var children: [Int?: [Int]] = [:]
    for n in nodes.indices { children[nodes[n].parent, default: []].append(n) }
    return children.filter { $0.value.count > 1 }.sorted { ($0.key ?? -1) < ($1.key ?? -1) }.map { _, siblings in
      Fork(index: nodes[siblings[0]].range.lowerBound, branches: siblings.map { nodes[$0].leaves })
    }
  }
}

/// Chooses pairs of continuations at a fork.
///
/// Of two branches the best leaf of one and the worst of the other make the pair, in the direction of the larger
/// difference; so a fork of b branches has b (b - 1) / 2 pairs at most, however many leaves hang on them.
struct PairChoice {
  let minimumMargin: Double
  let limit: Int

  /// - Parameter score: of a leaf's continuation behind the fork; `nil`: it takes no part.
  func pairs(at fork: Fork, tally: inout ExportTally, score: (Int) -> Double?) -> [ForkPair] {
    let ranked = fork.branches.compactMap { leaves -> Range? in
      let scored = leaves.compactMap { leaf in score(leaf).map { (leaf: leaf, score: $0) } }
      guard let best = scored.max(by: { $0.score < $1.score }), let worst = scored.min(by: { $0.score < $1.score })
      else { return nil }
      return Range(best: best, worst: worst)
    }
    guard ranked.count > 1 else { return [] }
    tally.forks += 1
    var out: [ForkPair] = []
    for a in ranked.indices {
      for b in ranked.indices.dropFirst(a + 1) {
        let pair = [(ranked[a].best, ranked[b].worst), (ranked[b].best, ranked[a].worst)].max {
          $0.0.score - $0.1.score < $1.0.score - $1.1.score
        }
        guard let (chosen, rejected) = pair, chosen.score - rejected.score > 0,
          chosen.score - rejected.score >= minimumMargin
        else {
          tally.skip(.belowMargin)
          continue
        }
        out.append(
          ForkPair(
            fork: fork.index, chosen: chosen.leaf, rejected: rejected.leaf, margin: chosen.score - rejected.score))
      }
    }
    out.sort { ($1.margin, $0.chosen, $0.rejected) < ($0.margin, $1.chosen, $1.rejected) }
    tally.skip(.manyPairs, out.count - limit)
    return Array(out.prefix(limit))
  }

  private struct Range {
    var best: (leaf: Int, score: Double)
    var worst: (leaf: Int, score: Double)
  }
}
