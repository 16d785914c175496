import Foundation
import Learner
import Policy
import Replay
import TestSupport
import Testing

@Suite struct TreePackingTests {
  /// Every leaf's tokens and trained tokens can be read off the tree as they stand in the log.
  @Test func treesHoldTheirPaths() throws {
    for seed in 0..<60 {
      var maker = TreeMaker(seed: UInt64(seed))
      let rollout = try RolloutTree(maker.group("g", leaves: 6))
      let kept = rollout.paths.indices.filter { $0 % 5 != 4 }
      let advantages = rollout.paths.indices.map { t in
        PathAdvantages.tokens((0..<rollout.paths[t].generatedCount).map { Double(100 * t + $0) })
      }
      let tree = TrainingTree(label: "g", prompt: [5, 3], tree: rollout, leaves: kept, advantages: advantages)
      #expect(tree.leaves.map(\.id) == kept.map { "g/\($0)" })
      // A trie: no node has two children with one token, and nothing is there that no leaf needs.
      var edges = Set<[Int32]>()
      for n in tree.tokens.indices { #expect(edges.insert([tree.parents[n], tree.tokens[n]]).inserted) }
      var used = Set<Int32>()
      for (leaf, t) in zip(tree.leaves, kept) {
        var path: [Int32] = []
        var n = leaf.end
        while n >= 0 {
          used.insert(n)
          path.append(n)
          n = tree.parents[Int(n)]
        }
        path.reverse()
        let length = rollout.paths[t].length
        let tokens = rollout.tokenIDs(of: t, 0..<length) ?? []
        #expect(path.map { tree.tokens[Int($0)] } == [5, 3] + tokens)
        #expect(leaf.length == length)
        let generated = rollout.paths[t].generation.flatMap { Array($0) }
        #expect(leaf.nodes == generated.map { path[$0 + 2] })
        #expect(leaf.advantages == generated.indices.map { Double(100 * t + $0) })
        #expect(leaf.behaviour == rollout.logprobs(of: t, 0..<length)?.filter { !$0.isNaN })
      }
      #expect(used.count == tree.tokens.count)
    }
  }

  /// Forests hold every trained node once, each on its own path, and keep to the budget where a path allows it.
  @Test func anyBudgetScoresEveryNodeOnce() throws {
    for seed in 0..<40 {
      var maker = TreeMaker(seed: UInt64(1000 + seed))
      let trees = try maker.trees(5)
      let places = trees.flatMap { tree in tree.trainedNodes.map { (tree, $0) } }
      for budget in [1, 9, 17, 40, 200, 10_000] {
        let bundles = try TreePacking(budget: budget).bundles(trees)
        #expect(bundles.flatMap(\.trees).sorted() == Array(trees.indices))
        var seen = [Int](repeating: 0, count: places.count)
        for bundle in bundles {
          for packed in bundle.forests {
            let longest = bundle.trees.map { t in trees[t].leaves.map { $0.length + trees[t].promptCount }.max() ?? 0 }
            #expect(packed.forest.tokens.count <= max(budget, longest.max() ?? 0))
            for (node, place) in zip(packed.scored, packed.places) {
              seen[place] += 1
              #expect(ancestors(node, packed.forest) == ancestors(places[place].1, places[place].0))
            }
          }
        }
        #expect(seen.allSatisfy { $0 == 1 })
      }
    }
  }

  private func ancestors(_ node: Int32, _ forest: TokenForest) -> [Int32] {
    var out: [Int32] = []
    var n = node
    while n >= 0 {
      out.append(forest.tokens[Int(n)])
      n = forest.parents[Int(n)]
    }
    return out
  }

  private func ancestors(_ node: Int32, _ tree: TrainingTree) -> [Int32] {
    var out: [Int32] = []
    var n = node
    while n >= 0 {
      out.append(tree.tokens[Int(n)])
      n = tree.parents[Int(n)]
    }
    return out
  }

  private static let objectives: [Objective] = PolicyLosses.names.flatMap { name in
    [SharedTokens.soft, .hardOnce].map { shared in
      var objective = Objective(loss: PolicyLosses.named(name) ?? SupervisedLoss())
      objective.shared = shared
      objective.kl = .k3
      objective.entropyCoefficient = 0.01
      objective.weights = BehaviourWeights(.sequence, .truncate(5), veto: 1e-4, isNormalised: shared == .hardOnce)
      objective.aggregation = shared == .soft ? .sequenceMeanTokenMean : .tokenMean
      return objective
    }
  }

  /// Whatever the packing, the loss and its gradient are those of the trajectories one by one.
  @Test(arguments: objectives.indices)
  func anyPackingHasTheSameGradient(index: Int) throws {
    let objective = Self.objectives[index]
    for seed in 0..<4 {
      var maker = TreeMaker(seed: UInt64(77 + seed))
      let policy = BigramPolicy(vocabularySize: 7)
      let trees = try maker.trees(4)
      let batch = UpdateBatch(
        trees, objective: objective, proximal: maker.shifted(trees, policy, by: 0.3),
        reference: maker.shifted(trees, policy, by: 0.3))
      let computation = UpdateComputation(objective: objective, klCoefficient: 0.05)
      var first: UpdateStatistics?
      for budget in [1, 25, 10_000] {
        let packing = TreePacking(budget: budget)
        let bundles = try packing.bundles(trees)
        let check = try PackingCheck(policy, batch, bundles, packing: packing, computation: computation)
        #expect(check.gradientError < 1e-5 && check.lossError < 1e-6, "\(objective.loss.name) \(budget) \(check)")
        #expect(check.flatTokens == trees.reduce(0) { $0 + $1.flatCount })
        let statistics = try computation.run(policy, batch, bundles, gradient: nil)
        let loss = statistics.loss(objective, klCoefficient: 0.05)
        if let first { #expect(abs(loss - first.loss(objective, klCoefficient: 0.05)) < 1e-9) }
        first = statistics
      }
    }
  }

  /// The gradient of the whole update is the derivative of its loss: central differences on the table.
  @Test(arguments: ["sft", "ppo-clip", "decoupled", "topr", "reinforce-is", "cispo", "decoupled:aepo"])
  func gradientIsTheDerivative(name: String) throws {
    var objective = Objective(loss: try #require(PolicyLosses.named(name, clip: ClipRange(low: 30, high: 30))))
    objective.kl = .k3
    objective.entropyCoefficient = 0.02
    var maker = TreeMaker(seed: 5)
    let policy = BigramPolicy(vocabularySize: 7)
    let trees = try maker.trees(3)
    let batch = UpdateBatch(
      trees, objective: objective, proximal: maker.shifted(trees, policy, by: 0.3),
      reference: maker.shifted(trees, policy, by: 0.3))
    let bundles = try TreePacking(budget: 60).bundles(trees)
    let computation = UpdateComputation(objective: objective, klCoefficient: 0.1)
    let gradient = ParameterBuffer(count: policy.parameterCount)
    _ = try computation.run(policy, batch, bundles, gradient: gradient)
    // Losses with stopped gradients are linear in log pi with weights held where they are, so their derivative is only
    // that of the loss if the weight is constant: take the weights out.
    let isStopped = ["topr", "cispo"].contains(name)
    if isStopped { return try stoppedWeights(name, trees, policy) }
    for i in stride(from: 0, to: policy.parameterCount, by: 3) {
      let at = policy.table.elements[i]
      func loss(_ x: Float) throws -> Double {
        policy.table.elements[i] = x
        defer { policy.table.elements[i] = at }
        return try computation.run(policy, batch, bundles, gradient: nil).loss(objective, klCoefficient: 0.1)
      }
      let h: Float = 0.01
      let slope = try (loss(at + h) - loss(at - h)) / Double((at + h) - (at - h))
      #expect(abs(slope - Double(gradient.elements[i])) < 2e-3 * max(0.1, abs(slope)), "\(name) \(i)")
    }
  }

  private func stoppedWeights(_ name: String, _ trees: [TrainingTree], _ policy: BigramPolicy) throws {
    // With the policy's own logprobs as behaviour every weight is 1, and both are REINFORCE.
    var own = trees
    for t in own.indices {
      for l in own[t].leaves.indices {
        own[t].leaves[l].behaviour = own[t].leaves[l].nodes.map { n in
          let parent = own[t].tokens[Int(own[t].parents[Int(n)])]
          return Double(Float(policy.distribution(after: parent, temperature: 1)[Int(own[t].tokens[Int(n)])]))
        }
      }
    }
    var gradients: [[Float]] = []
    for loss in [try #require(PolicyLosses.named(name)), ReinforceIS()] {
      let objective = Objective(loss: loss)
      let gradient = ParameterBuffer(count: policy.parameterCount)
      _ = try UpdateComputation(objective: objective).run(
        policy, UpdateBatch(own, objective: objective), TreePacking(budget: 60).bundles(own), gradient: gradient)
      gradients.append(Array(gradient.elements))
    }
    #expect(gradients[0].contains { $0 != 0 })
    for (a, b) in zip(gradients[0], gradients[1]) { #expect(abs(a - b) < 1e-6) }
  }

  /// Whole trees share forests first-fit-decreasing: no two forests could be one.
  @Test func forestsAreFilled() throws {
    var maker = TreeMaker(seed: 3)
    let trees = try maker.trees(30)
    let budget = 120
    let bundles = try TreePacking(budget: budget).bundles(trees)
    let sizes = bundles.filter { $0.forests.count == 1 }.map { $0.forests[0].forest.tokens.count }.sorted()
    if sizes.count > 1 { #expect(sizes[0] + sizes[1] > budget) }
    #expect(sizes.allSatisfy { $0 <= budget })
  }

  /// Hard sharing is the attribution of that name: means over the group's own forks, not over tokens that rollouts sampled
  /// apart happen to have in common.
  @Test func hardSharingIsHardAttribution() throws {
    var differsFromAny = false
    for seed in 0..<40 {
      var maker = TreeMaker(seed: UInt64(500 + seed))
      maker.vocabulary = 2
      let tree = try RolloutTree(maker.group("g", leaves: 6))
      func advantages(_ strategy: any AttributionStrategy) -> [PathAdvantages] {
        GroupAttribution(tree, [strategy], AttributionBatches([strategy])).advantages[0]
      }
      func batch(_ strategy: any AttributionStrategy, _ shared: SharedTokens) throws -> UpdateBatch {
        var objective = Objective(loss: try #require(PolicyLosses.named("ppo-clip")))
        objective.shared = shared
        let training = TrainingTree(
          label: "g", prompt: [0], tree: tree, leaves: Array(tree.paths.indices), advantages: advantages(strategy))
        return UpdateBatch([training, training], objective: objective)
      }
      let hard = try batch(GRPO(.verl), .hard)
      let expected = try batch(ARPOHard(.own), .soft)
      #expect(zip(hard.advantages, expected.advantages).allSatisfy { abs($0 - $1) < 1e-12 })
      let any = try batch(ARPOHard(.any), .soft)
      if !zip(hard.advantages, any.advantages).allSatisfy({ abs($0 - $1) < 1e-12 }) { differsFromAny = true }
      // Once: the shares of a token that d trajectories share are 1/d, so they add up to the distinct tokens.
      let once = try batch(GRPO(.verl), .hardOnce)
      #expect(zip(once.advantages, hard.advantages).allSatisfy { $0 == $1 })
    }
    #expect(differsFromAny)
  }

  /// A part of a large tree that adds only tokens of a tool has nothing to score and is left out.
  @Test func partsWithoutTrainedTokensAreLeftOut() throws {
    // A prompt, two sampled tokens, and two results of a tool behind them.
    let leaf = { (id: String, end: Int32) in
      TrainingLeaf(
        id: id, multiplicity: 1, reward: 1, length: 4, end: end, nodes: [1, 2], advantages: [1, 1], behaviour: [-1, -1])
    }
    let tree = TrainingTree(
      label: "g", tokens: [0, 1, 2, 3, 4, 5, 6], parents: [-1, 0, 1, 2, 3, 2, 5], promptCount: 1,
      leaves: [leaf("a", 4), leaf("b", 6)])
    let bundles = try TreePacking(budget: 5).bundles([tree])
    #expect(bundles.count == 1 && bundles[0].forests.map(\.places) == [[0, 1]])
  }
}
