import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct AttributionPropertyTests {
  /// On every token, hard is the mean of the advantages of all scored leaves that have the same token there: same
  /// owner and same index, found by following forks one token at a time.
  @Test(arguments: [true, false])
  func hardIsTheMeanOverTheLeavesOfEachSharedToken(declared: Bool) throws {
    var random = SeededGenerator(seed: 11)
    var shared = 0
    for _ in 0..<120 {
      let tree = try RolloutTree(RandomGroups.group(&random, declared: declared))
      let group = AttributionGroup(tree, needs: .anyTree)
      for (strategy, forks) in [(ARPOHard(.own), tree.forks), (ARPOHard(.any), tree.anyForks())] {
        let leaf = GRPO(.verl).advantages(of: group).map(\.constant)
        let hard = group.tokens(strategy)
        func owner(_ t: Int, _ i: Int) -> Int {
          var u = t
          while i < forks.branches[u], let parent = forks.parents[u] { u = parent }
          return u
        }
        for t in group.leaves.indices {
          #expect((hard[t] == nil) == (leaf[t] == nil))
          guard let row = hard[t] else { continue }
          var isMean = true
          for i in group.leaves[t].generated.joined() {
            let same = group.leaves.indices.filter {
              leaf[$0] != nil && i < group.leaves[$0].length && owner($0, i) == owner(t, i)
            }
            let weight = same.reduce(0) { $0 + group.leaves[$1].multiplicity }
            let sum = same.reduce(0.0) { $0 + (leaf[$1] ?? 0) * Double(group.leaves[$1].multiplicity) }
            isMean = isMean && abs(row[i] - sum / Double(weight)) < 1e-12
            shared += same.count > 1 ? 1 : 0
          }
          #expect(isMean)
        }
      }
    }
    #expect(shared > 800)
  }

  /// The total credit of all copies of all tokens is the same under hard and soft attribution.
  @Test func hardAndSoftGiveTheSameCreditInAll() throws {
    var random = SeededGenerator(seed: 12)
    for _ in 0..<200 {
      let group = try AttributionGroup(RandomGroups.group(&random, declared: true))
      func credit(_ strategy: any AttributionStrategy) -> Double {
        zip(group.leaves, group.tokens(strategy)).reduce(0) { sum, row in
          sum + (row.1 ?? []).reduce(0, +) * Double(row.0.multiplicity)
        }
      }
      #expect(abs(credit(ARPOHard(.own)) - credit(ARPOSoft())) < 1e-9)
    }
  }

  /// Declared forks and the same paths written out in full give the same tree of common prefixes, and advantages on it.
  @Test func trieAndFlatPathsAgree() throws {
    var random = SeededGenerator(seed: 13)
    for _ in 0..<150 {
      let tree = try RolloutTree(RandomGroups.group(&random, declared: true))
      var flat = tree.group
      for t in flat.trajectories.indices {
        flat.trajectories[t].declaredParent = nil
        flat.trajectories[t].declaredBranch = 0
        flat.trajectories[t].columns = TokenColumns(
          tokenIDs: pathTokens(tree, t),
          lossMask: (0..<tree.paths[t].length).map { i in tree.paths[t].generation.contains { $0.contains(i) } ? 1 : 0 }
        )
        flat.trajectories[t].segments = tree.paths[t].segments.map {
          Segment(kind: $0.kind, start: $0.start, end: $0.end, tool: $0.tool)
        }
      }
      let flatTree = try RolloutTree(flat)
      #expect(tree.anyForks() == flatTree.anyForks())
      let needs: AttributionNeeds = [.anyTree, .anchors]
      let (a, b) = (AttributionGroup(tree, needs: needs), AttributionGroup(flatTree, needs: needs))
      #expect(a.anyTree?.nodes == b.anyTree?.nodes)
      let indifferent: [any AttributionStrategy] = [
        GRPO(.verl), ARPOHard(.any), GiGPO(.mean), ReinforcePlusPlus(), ReinforcePlusPlus(.reset),
      ]
      for strategy in indifferent { #expect(a.tokens(strategy) == b.tokens(strategy), "\(strategy.name)") }
    }
  }

  @Test func permutingLeavesPermutesResults() throws {
    var random = SeededGenerator(seed: 14)
    var declared = 0
    for _ in 0..<60 {
      let group = RandomGroups.group(&random, declared: true)
      // A group without declared forks infers them in order, and order is what changes here.
      guard group.trajectories.contains(where: { $0.declaredParent != nil }) else { continue }
      declared += 1
      let order = group.trajectories.indices.shuffled(using: &random)
      let plain = try AttributionGroup(group)
      let permuted = try AttributionGroup(RandomGroups.permuted(group, order))
      for strategy in AttributionStrategies.all {
        let (a, b) = (plain.tokens(strategy), permuted.tokens(strategy))
        for (new, old) in order.enumerated() {
          #expect(isClose(b[new], a[old]), "\(strategy.name)")
        }
      }
    }
    #expect(declared > 20)
  }

  @Test func constantGroupsAreZero() throws {
    var random = SeededGenerator(seed: 15)
    var checked = 0
    for _ in 0..<60 {
      let group = try AttributionGroup(RandomGroups.group(&random, declared: true, constant: true))
      if group.scored.reduce(0, { $0 + group.leaves[$1].multiplicity }) < 2 { continue }
      checked += 1
      for strategy in AttributionStrategies.all {
        // Whitening shifts by the batch; a tree of one leaf, and a return discounted by steps, are not centred.
        if ["tree-grpo", "reinforce++", "gigpo"].contains(where: strategy.name.hasPrefix) { continue }
        for row in group.tokens(strategy) { #expect((row ?? []).allSatisfy { $0 == 0 }, "\(strategy.name)") }
      }
    }
    #expect(checked > 30)
  }

  /// Unscored leaves have no advantage anywhere, and inserted tokens none on the others.
  @Test func unscoredLeavesAndInsertedTokens() throws {
    var random = SeededGenerator(seed: 16)
    for _ in 0..<60 {
      let group = try AttributionGroup(RandomGroups.group(&random, declared: true))
      for strategy in AttributionStrategies.all {
        for (leaf, a) in zip(group.leaves, strategy.advantages(of: group)) {
          if leaf.reward == nil { #expect(a == .missing) }
          if case .missing = a { continue }
          var covered: [Range<Int>] = []
          a.forEachRun(leaf.generated) { range, _ in covered.append(range) }
          #expect(Array(covered.joined()) == Array(leaf.generated.joined()), "\(strategy.name)")
        }
      }
    }
  }

  /// Copies of a record and its multiplicity are the same, as far as no formula counts records.
  @Test func multiplicityCountsAsCopies() throws {
    var random = SeededGenerator(seed: 17)
    for _ in 0..<60 {
      var group = RandomGroups.group(&random, declared: true)
      for t in group.trajectories.indices { group.trajectories[t].multiplicity = 1 }
      var doubled = group
      let t = Int.random(in: group.trajectories.indices, using: &random)
      doubled.trajectories[t].multiplicity = 2
      var copy = group.trajectories[t]
      copy.id = "copy"
      if copy.declaredParent == nil, !group.trajectories.contains(where: { $0.declaredParent != nil }) { continue }
      group.trajectories.append(copy)
      let (a, b) = try (AttributionGroup(doubled), AttributionGroup(group))
      // Strategies that look at the tree see a copy as a leaf of its own.
      for strategy in AttributionStrategies.all
      where strategy.kind == .leaf && strategy.name != "tree-grpo" || strategy.scope == .batch {
        for (x, y) in zip(a.tokens(strategy), b.tokens(strategy)) { #expect(isClose(x, y), "\(strategy.name)") }
      }
    }
  }

  /// On policy, and anywhere inside the clip range, d copies with their own advantages push as hard as d with the mean.
  @Test func softAndHardGradientsAgreeInsideTheClipRange() {
    var random = SeededGenerator(seed: 18)
    for _ in 0..<500 {
      let advantages = (0..<Int.random(in: 1...8, using: &random)).map { _ in Double.random(in: -2...2, using: &random)
      }
      for ratio in [1, Double.random(in: 0.81...1.19, using: &random)] {
        let loss = SharedTokenLoss(advantages: advantages, ratio: ratio)
        #expect(abs(loss.soft - loss.hard) < 1e-12 && abs(loss.softGradient - loss.hardGradient) < 1e-12)
      }
    }
    let outside = SharedTokenLoss(advantages: [1, -0.4], ratio: 1.25)
    #expect(abs(outside.softGradient - 0.4) < 1e-12 && outside.hardGradient == 0)
  }

  /// Rewards at the ends of what a number can hold have no mean and no deviation: a leaf without a finite advantage has
  /// none, and nothing ends the program.
  @Test func rewardsWithoutAMeanHaveNoAdvantages() throws {
    let rewards = [1.7e308, -1.7e308, 1.7e308, -1.7e308]
    let group = madeGroup(
      rewards.enumerated().map { i, reward in
        madeTrajectory(
          "g/\(i)", parent: i == 3 ? 0 : nil, at: i == 3 ? 2 : 0,
          [.think([Int32(i)]), .call([7], "search"), .result([8], "search"), .think([Int32(i), 3])], reward: reward)
      })
    let strategies = AttributionStrategies.all
    let tree = try RolloutTree(group)
    let found = GroupAttribution(tree, strategies, AttributionBatches(strategies, of: tree))
    var missing = 0
    for (s, strategy) in strategies.enumerated() {
      for (leaf, advantages) in zip(found.group.leaves, found.advantages[s]) {
        if case .missing = advantages { missing += 1 }
        let values = advantages.aligned(leaf.generated, length: leaf.length) ?? []
        #expect(values.allSatisfy { $0.isFinite }, "\(strategy.name)")
        #expect(PathCredit(leaf, advantages).segments.allSatisfy { $0.generated > 0 })
      }
    }
    #expect(missing > strategies.count)
  }

  /// Tokens without a value are in no segment's numbers.
  @Test func creditLeavesOutTokensWithoutAValue() throws {
    let tree = try RolloutTree(madeGroup([madeTrajectory("a", [.think([1, 2]), .call([3], "search")], reward: 1)]))
    let leaf = AttributionGroup(tree, needs: []).leaves[0]
    let credit = PathCredit(leaf, .tokens([.nan, 2, .nan]))
    #expect(credit.segments.map(\.ordinal) == [0] && credit.segments.first?.range == 2...2)
    #expect(credit.mean == 2 && credit.totalAbs == 2)
    #expect(PathCredit(leaf, .tokens([.nan, .nan, .nan])).segments.isEmpty)
  }
}

/// Whether two rows agree, but for the rounding of sums in another order.
private func isClose(_ a: [Double]?, _ b: [Double]?) -> Bool {
  guard let a, let b else { return a == nil && b == nil }
  return a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-9 * max(1, abs($1)) }
}
