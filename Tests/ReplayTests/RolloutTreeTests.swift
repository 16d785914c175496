import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct RolloutTreeTests {
  /// root:  think 0..<3, call 3..<5, result 5..<8, think 8..<10; child: from 7...
  ///
  /// on.
  private var root: ReplayTrajectory {
    madeTrajectory(
      "root", [.think([1, 2, 3]), .call([4, 5], "search"), .result([6, 7, 8], "search"), .think([9, 10])])
  }

  @Test func childStandsBeforeItsParent() throws {
    let child = madeTrajectory("a", parent: 1, at: 9, [.think([20, 21]), .call([22], "python")])
    let tree = try RolloutTree(madeGroup([child, root]))
    let path = tree.paths[0]
    #expect(path.length == 12 && path.branch == 9 && path.parent == 1 && path.root == 1)
    #expect(path.pieces == [PathPiece(owner: 1, range: 0..<9), PathPiece(owner: 0, range: 9..<12)])
    // The cut reasoning segment goes on in the child, as kind and tool are the same.
    #expect(path.segments.map { $0.start..<$0.end } == [0..<3, 3..<5, 5..<8, 8..<11, 11..<12])
    #expect(path.generation == [0..<5, 8..<12])
    #expect(path.ownedSegments == [9..<12])
    #expect(path.results.map(\.isOwned) == [false] && tree.paths[1].results.map(\.isOwned) == [true])
    #expect(tree.declaresForks)
  }

  @Test func cutSegmentOfAnotherKindIsNotJoined() throws {
    let child = madeTrajectory("b", parent: 0, at: 9, [.call([22], "python")])
    let path = try RolloutTree(madeGroup([root, child])).paths[1]
    #expect(path.segments.map { $0.start..<$0.end } == [0..<3, 3..<5, 5..<8, 8..<9, 9..<10])
    #expect(path.generation == [0..<5, 8..<10])
  }

  @Test func forkBeforeTheParentsOwnBranch() throws {
    let child = madeTrajectory("b", parent: 0, at: 9, [.think([20, 21, 22])])
    let grandchild = madeTrajectory("c", parent: 1, at: 4, [.call([30], "search"), .result([31], nil)])
    let tree = try RolloutTree(madeGroup([root, child, grandchild]))
    #expect(
      tree.paths[2].pieces == [PathPiece(owner: 0, range: 0..<4), PathPiece(owner: 2, range: 4..<6)])
    #expect(tree.paths[2].results.map(\.tool) == ["unknown"])
    #expect(tree.paths[2].root == 0)
    let budget = ToolBudget(tree)
    #expect(budget.executed == 2 && budget.independent == 3 && budget.saved == 1)
    #expect(budget.totalFlat == 10 + 12 + 6 && budget.totalUnique == 10 + 3 + 2)
  }

  @Test func childWithoutOwnTokens() throws {
    let child = madeTrajectory("b", parent: 0, at: 8, [])
    let path = try RolloutTree(madeGroup([root, child])).paths[1]
    #expect(path.length == 8 && path.pieces == [PathPiece(owner: 0, range: 0..<8)])
    #expect(path.ownedSegments.isEmpty && path.results.map(\.isOwned) == [false])
  }

  @Test func contradictoryForks() {
    let beyond = madeTrajectory("b", parent: 0, at: 11, [.think([1])])
    #expect(throws: RolloutTreeError.branchBeyondParent(group: "g", trajectory: "b", branch: 11, parentLength: 10)) {
      try RolloutTree(madeGroup([root, beyond]))
    }
    let a = madeTrajectory("a", parent: 1, at: 0, [.think([1])])
    let b = madeTrajectory("b", parent: 0, at: 0, [.think([1])])
    #expect(throws: RolloutTreeError.parentCycle(group: "g", trajectory: "a")) { try RolloutTree(madeGroup([a, b])) }
    let lost = madeTrajectory("a", parent: 5, at: 0, [.think([1])])
    #expect(throws: RolloutTreeError.noSuchParent(group: "g", trajectory: "a")) { try RolloutTree(madeGroup([lost])) }
    let text = madeTrajectory("b", parent: 0, at: 1, [.think([1])], textOnly: true)
    #expect(throws: RolloutTreeError.mixedUnits(group: "g", trajectory: "b")) {
      try RolloutTree(madeGroup([root, text]))
    }
  }
}

/// Segments whose text is known and whose tokens are not.
@Suite struct EmptySegmentTests {
  private func chat(_ id: String, result: String, second: [Int32], parent: Int? = nil) -> ReplayTrajectory {
    madeTrajectory(
      id, [.think([1, 2, 3]), .call([4], "search"), .result([], "search", text: result), .think(second)],
      logprobs: { -Double($0) / 10 })
  }

  @Test func emptyResultEndsAGenerationSegment() throws {
    let path = try RolloutTree(madeGroup([chat("a", result: "x", second: [5, 6, 7])])).paths[0]
    #expect(path.generation == [0..<4, 4..<7])
    #expect(path.window(after: 0) == 4..<7 && path.segment(before: 0) == 0..<4)
    #expect(path.results.map(\.isOwned) == [true])
    #expect(path.generatedCount == 7)
  }

  @Test func onlyTheLastOfTwoEmptyResultsHasAWindow() throws {
    let t = madeTrajectory("a", [.think([1]), .result([], "x"), .result([], "y"), .think([2, 3]), .result([], "z")])
    let path = try RolloutTree(madeGroup([t])).paths[0]
    #expect(path.generation == [0..<1, 1..<3])
    #expect([0, 1, 2].map { path.window(after: $0) } == [nil, 1..<3, nil])
  }

  @Test func inferredForkSharesAnEmptyResultOfEqualText() throws {
    let tree = try RolloutTree(
      madeGroup([
        chat("a", result: "x", second: [5, 6]), chat("b", result: "x", second: [7]),
        chat("c", result: "other", second: [5, 6]),
      ]))
    #expect(tree.paths.map(\.parent) == [nil, 0, nil])
    #expect(tree.paths.map(\.branch) == [0, 4, 0])
    #expect(tree.paths.map { $0.results[0].isOwned } == [true, false, true])
  }

  @Test func declaredForkInheritsTheEmptyResultAtItsBranch() throws {
    let parent = chat("a", result: "x", second: [5, 6])
    let after = madeTrajectory("b", parent: 0, at: 4, [.think([7])])
    let again = madeTrajectory("c", parent: 0, at: 4, [.result([], "search", text: "y"), .think([8])])
    let tree = try RolloutTree(madeGroup([parent, after, again]))
    #expect(tree.paths[1].results.map(\.storedBy) == [0] && tree.paths[2].results.map(\.storedBy) == [2])
    #expect(tree.paths.map { $0.results.map(\.isOwned) } == [[true], [false], [true]])
    #expect(tree.paths[1].generation == [0..<4, 4..<5])
    #expect(ToolBudget(tree).executed == 2)
  }

  @Test func windowsFollowAnEmptyResult() throws {
    var options = AuditOptions()
    options.estimator = .sampledNLL
    let group = madeGroup([chat("a", result: "x", second: [5, 6, 7])])
    var audit = EntropyAudit(options: options)
    try audit.add(EntropyAudit.analyse(group, options: options))
    var calls: [AuditCall] = []
    _ = try audit.finish { calls.append($0) }
    #expect(calls.count == 1 && calls[0].start == 4 && calls[0].windows[0].count == 3)
    #expect(abs(try #require(calls[0].windows[0].mean) - 0.5) < 1e-12)
    #expect(abs(try #require(calls[0].baseline) - 0.15) < 1e-12)
  }
}

/// The linear inference against its quadratic definition.
@Suite struct ForkInferenceTests {
  private static func definition(_ group: ReplayGroup) -> [(parent: Int?, branch: Int)] {
    let tokens = group.trajectories.map { t in
      t.columns?.tokenIDs.map { "\($0)" } ?? t.segments.map { "\($0.kind) \($0.tool ?? "-") \($0.text ?? "")" }
    }
    let ends = group.trajectories.map { Set($0.segments.filter { $0.kind == .toolResult }.map(\.end)) }
    return tokens.indices.map { i in
      var best = (parent: Int?.none, branch: 0)
      for j in 0..<i {
        let common = zip(tokens[i], tokens[j]).prefix { $0 == $1 }.count
        let shared = ends[i].intersection(ends[j]).filter { $0 <= common }.max() ?? 0
        if shared > best.branch { best = (j, shared) }
      }
      return best
    }
  }

  private static func randomGroup(_ random: inout SeededGenerator, textOnly: Bool) -> ReplayGroup {
    // Few different stretches, so that prefixes are often equal; the same tokens may be cut differently.
    func stretch(_ random: inout SeededGenerator) -> [Stretch] {
      let flavour = Int32.random(in: 0..<2, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: return [.think([flavour, 1])]
      case 1: return [.result([flavour], "search")]
      case 2: return [.result([3], "search"), .result([4], "python")]
      case 3: return [.result([3, 4], "search")]
      default: return [.call([3], "search"), .result([flavour, 2], nil)]
      }
    }
    let members = (0..<Int.random(in: 1...9, using: &random)).map { i in
      madeTrajectory(
        "t\(i)", (0..<Int.random(in: 0...6, using: &random)).flatMap { _ in stretch(&random) }, textOnly: textOnly)
    }
    return madeGroup(members)
  }

  @Test(arguments: [true, false])
  func agreesWithTheDefinition(textOnly: Bool) throws {
    var random = SeededGenerator(seed: 5)
    var forks = 0
    for _ in 0..<2000 {
      let group = Self.randomGroup(&random, textOnly: textOnly)
      let tree = try RolloutTree(group)
      let expected = Self.definition(group)
      #expect(tree.paths.map(\.parent) == expected.map(\.parent))
      #expect(tree.paths.map(\.branch) == expected.map(\.branch))
      for path in tree.paths {
        forks += path.parent == nil ? 0 : 1
        #expect(path.results.allSatisfy { $0.isOwned == ($0.end > path.branch) })
      }
    }
    #expect(forks > 1000)
  }

  /// An empty result hides nothing; a text without tokens does, on every path through it.
  @Test func emptySegmentsOnlyHideTexts() throws {
    func group(_ text: String?) -> ReplayGroup {
      madeGroup([
        madeTrajectory("a", [.call([1], "search"), .result([], "search", text: text), .think([2, 3])]),
        madeTrajectory("b", parent: 0, at: 2, [.think([4])]),
        madeTrajectory("c", parent: 0, at: 0, [.think([5])]),
      ])
    }
    for text in [nil, ""] {
      let tree = try RolloutTree(group(text))
      #expect((0..<3).allSatisfy { tree.hasIDs($0) && tree.unknownTexts(of: $0).isEmpty })
    }
    let tree = try RolloutTree(group("no results"))
    #expect((0..<3).map { tree.hasIDs($0) } == [false, false, true])
    #expect((0..<3).map { tree.unknownTexts(of: $0) } == [[1], [1], []])
  }
}
