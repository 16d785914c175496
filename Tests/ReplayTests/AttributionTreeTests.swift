import Replay
import Testing
import TestSupport

@Suite struct AttributionTreeTests {
  /// The quadratic definition of the tree of all common prefixes.
  private static func definition(_ tree: RolloutTree) -> GroupForks {
    let tokens = tree.paths.indices.map { pathTokens(tree, $0) }
    var out = GroupForks(parents: [], branches: [])
    for i in tokens.indices {
      var best = (parent: Int?.none, branch: 0)
      for j in 0..<i {
        let common = zip(tokens[i], tokens[j]).prefix { $0 == $1 }.count
        if common > best.branch { best = (j, common) }
      }
      out.parents.append(best.parent)
      out.branches.append(best.branch)
    }
    return out
  }

  @Test(arguments: [true, false])
  func anyForksAgreeWithTheDefinition(declared: Bool) throws {
    var random = SeededGenerator(seed: 21)
    var forks = 0
    for _ in 0..<800 {
      let tree = try RolloutTree(RandomGroups.group(&random, declared: declared))
      let found = tree.anyForks()
      #expect(found == Self.definition(tree))
      forks += found.parents.count { $0 != nil }
    }
    #expect(forks > 1200)
  }

  /// Each path's nodes are its pieces in order, parents link them, and every trajectory through a node is named.
  @Test(arguments: [true, false])
  func nodesTileEveryPath(declared: Bool) throws {
    var random = SeededGenerator(seed: 22)
    for _ in 0..<150 {
      let tree = try RolloutTree(RandomGroups.group(&random, declared: declared))
      for forks in [tree.forks, tree.anyForks()] {
        let found = tree.nodes(forks)
        let pieces = tree.ownedPieces(forks)
        var unique = 0
        for (n, node) in found.nodes.enumerated() {
          unique += node.range.count
          #expect(!node.range.isEmpty && node.leaves == node.leaves.sorted() && !node.leaves.isEmpty)
          #expect(node.parent.map { $0 < n && Set(found.nodes[$0].leaves).isSuperset(of: node.leaves) } ?? true)
          #expect(node.leaves == found.through.indices.filter { found.through[$0].contains(n) })
        }
        #expect(unique == tree.paths.indices.reduce(0) { $0 + tree.paths[$1].length - forks.branches[$1] })
        for t in tree.paths.indices {
          var at = 0
          var before: Int?
          for n in found.through[t] {
            #expect(found.nodes[n].range.lowerBound == at && found.nodes[n].parent == before)
            #expect(pieces[t].contains { $0.owner == found.nodes[n].owner && $0.range.contains(at) })
            (at, before) = (found.nodes[n].range.upperBound, n)
          }
          #expect(at == tree.paths[t].length)
          #expect(found.nodes.indices.filter { found.nodes[$0].ends.contains(t) } == (before.map { [$0] } ?? []))
        }
      }
    }
  }

  @Test func textWithoutTokensSharesWholeSegments() throws {
    let group = madeGroup([
      madeTrajectory("a", [.think([1]), .result([2], "search"), .think([3])], textOnly: true),
      madeTrajectory("b", [.think([1]), .result([2], "search"), .think([4])], textOnly: true),
      madeTrajectory("c", [.think([1]), .result([2], "python"), .think([4])], textOnly: true),
    ])
    #expect(try RolloutTree(group).anyForks() == GroupForks(parents: [nil, 0, 0], branches: [0, 2, 1]))
  }

  /// Steps before which an empty result stands are told apart by its text.
  @Test func anchorsSeeTextWithoutTokens() throws {
    let group = madeGroup(
      ["x", "x", "y"].enumerated().map { i, text in
        madeTrajectory("\(i)", [.think([1]), .result([], "search", text: text), .think([2])], reward: Double(i))
      })
    let steps = try AttributionGroup(group).steps
    #expect(steps.map { $0.map(\.range) } == [[0..<1, 1..<2], [0..<1, 1..<2], [0..<1, 1..<2]])
    #expect(steps[0].map(\.anchor) == steps[1].map(\.anchor))
    #expect(steps[0][0].anchor == steps[2][0].anchor && steps[0][1].anchor != steps[2][1].anchor)
  }

  @Test func anchorsSeeEveryOneOfParallelResults() throws {
    let group = madeGroup(
      [["x", "y"], ["x", "z"], ["x", "y"]].enumerated().map { i, texts in
        madeTrajectory(
          "\(i)", [.think([1])] + texts.map { .result([], "search", text: $0) } + [.think([2])], reward: Double(i))
      })
    let steps = try AttributionGroup(group).steps
    #expect(steps[0][1].anchor == steps[2][1].anchor && steps[0][1].anchor != steps[1][1].anchor)
  }

  @Test func whatAGroupLacks() throws {
    let text = madeGroup([madeTrajectory("a", [.think([1])], textOnly: true, reward: 1)])
    let needs = AttributionGroup.needs(of: AttributionStrategies.all)
    let textGroup = try AttributionGroup(text)
    #expect(textGroup.unmet(needs) == [.tokens, .anyTree, .topkEntropy, .exactEntropy])
    #expect(textGroup.unmet(.anchors) == [] && ARPOHard(.any).advantages(of: textGroup) == [.missing])
    let tokens = try RolloutTree(madeGroup([madeTrajectory("a", [.think([1])], reward: 1)]))
    let bare = AttributionGroup(tokens, needs: [])
    #expect(bare.unmet([.tokens, .anchors, .anyTree]) == [.anchors, .anyTree])
    #expect(GiGPO(.mean).advantages(of: bare) == [.missing] && ARPOHard(.any).advantages(of: bare) == [.missing])
    #expect(ARPOHard(.own).advantages(of: bare) == [.runs([AdvantageRun(range: 0..<1, value: 1 / (1 + 1e-6))])])
  }
}
