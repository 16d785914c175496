import AdaptiveRollout
import TestSupport
import Testing

@testable import Replay
@testable import RolloutStore

/// Simulated rollouts over logged trees.
@Suite struct SimulationTests {
  let groups: [ReplayGroup]

  init() throws { groups = try LoggedRolloutTests().groups() }

  func tally(_ group: ReplayGroup, _ options: SimulationOptions, _ algorithm: SamplingAlgorithm) throws
    -> SimulationTally
  {
    var options = options
    options.algorithms = [algorithm]
    return try #require(try RolloutSimulation.simulate(group, options: options).tallies.first ?? nil)
  }

  /// Global sampling of as many rollouts as the log has roots plays each root once, whatever the seed: all leaves are
  /// logged, and the cost is that of the roots.
  @Test func globalSamplingOfAllRoots() throws {
    for group in groups {
      let tree = try RolloutTree(group)
      let roots = tree.paths.indices.filter { tree.paths[$0].parent == nil }
      var options = SimulationOptions()
      options.rollouts = roots.count
      options.callLimit = 1000
      options.repetitions = 3
      let tally = try tally(group, options, .global)
      #expect(tally.leaves == 3 * roots.count && tally.unsampledRoots == 0 && tally.forks == 0)
      // At a point with forks a rollout takes any of the continuations, so only groups without forks are known exactly.
      if roots.count == tree.count {
        let budget = ToolBudget(tree)
        #expect(tally.calls.all == 3 * budget.executed && tally.tokens.all == 3 * budget.generatedUnique)
        #expect(tally.loggedLeaves == tally.leaves)
      }
      #expect(tally.calls.standIn == 0 && tally.loggedLeaves == tally.leaves)
    }
  }

  /// What does not stand on stand-ins is in the log: a simulated group never has more of it than the log.
  @Test(arguments: SamplingAlgorithm.allCases, [1, 2] as [UInt64])
  func loggedPartsAreTakenOnce(algorithm: SamplingAlgorithm, seed: UInt64) throws {
    var options = SimulationOptions()
    options.rollouts = 24
    options.repetitions = 1
    options.branching.seed = seed
    for group in groups {
      let budget = ToolBudget(try RolloutTree(group))
      let tally = try tally(group, options, algorithm)
      #expect(tally.calls.all - tally.calls.standIn <= budget.executed)
      #expect(tally.tokens.all - tally.tokens.standIn <= budget.generatedUnique)
      #expect(tally.loggedLeaves <= group.trajectories.count && tally.scoredLeaves <= tally.loggedLeaves)
      #expect(tally.loggedLeaves + tally.cutLeaves <= tally.leaves)
      if algorithm != .treeGRPO { #expect(tally.leaves == 24) }
    }
  }

  /// More budget never gives fewer leaves.
  @Test(arguments: SamplingAlgorithm.allCases) func moreBudgetNeverFewerLeaves(algorithm: SamplingAlgorithm) throws {
    var last = 0
    for m in [1, 2, 4, 8, 16, 32] {
      var options = SimulationOptions()
      options.rollouts = m
      options.repetitions = 5
      let leaves = try groups.reduce(0) { $0 + (try tally($1, options, algorithm)).leaves }
      #expect(leaves >= last)
      last = leaves
    }
  }

  /// With beta 0 the entropies do not matter: another window, another number of candidates, the same simulation.
  @Test func betaZeroIgnoresEntropy() throws {
    for group in groups.prefix(6) {
      var options = SimulationOptions()
      options.branching.beta = 0
      options.repetitions = 20
      var other = options
      other.branching.windowTokens = 1
      other.branching.topK = 1
      var first = try tally(group, options, .arpoCode)
      var second = try tally(group, other, .arpoCode)
      // How many decisions happen to have dH = 0 is not what beta changes.
      (first.blind, second.blind) = (0, 0)
      #expect(first == second)
      options.branching.beta = 2
      other.branching.beta = 2
      #expect(try tally(group, options, .arpoCode).wanted != tally(group, other, .arpoCode).wanted)
    }
  }

  @Test func theSeedDecides() throws {
    var options = SimulationOptions()
    options.repetitions = 10
    let first = try groups.map { try RolloutSimulation.simulate($0, options: options).tallies }
    #expect(try groups.map { try RolloutSimulation.simulate($0, options: options).tallies } == first)
    options.branching.seed = 1
    #expect(try groups.map { try RolloutSimulation.simulate($0, options: options).tallies } != first)
  }

  /// One decision with a known probability: the share of forks is the probability, and what nobody sampled stays unknown.
  @Test func aForkThatNobodySampled() throws {
    let group = try #require(groups.first)
    let root = try #require(group.trajectories.first { $0.declaredParent == nil && $0.decisions.count >= 1 })
    let alone = ReplayGroup(run: group.run, id: group.id, step: group.step, trajectories: [root])
    var options = SimulationOptions()
    options.rollouts = 2
    options.initialRollouts = 1
    options.callLimit = 1000
    options.branching.alpha = 0.3
    options.branching.beta = 0
    options.repetitions = 4000
    let calls = ToolBudget(try RolloutTree(alone)).executed
    let tally = try tally(alone, options, .arpoCode)
    // A fork at one of the decision points, each with probability 0.3, as there is budget for one.
    var expected = 0.0
    for i in 0..<calls { expected += 0.3 * (0..<i).reduce(1.0) { p, _ in p * 0.7 } }
    #expect(abs(Double(tally.forks) / 4000 - expected) < 0.03)
    #expect(tally.unsampledForks == tally.forks)
    // If no fork came, the group is topped up with a root, which nobody sampled either.
    #expect(tally.unsampledRoots == 4000 - tally.forks)
    #expect(tally.leaves == 8000 && tally.loggedLeaves == 4000)
    #expect(tally.calls.all - tally.calls.standIn == 4000 * calls)
    // One leaf with a reward: no spread, and none is made up.
    #expect(tally.variance == nil && tally.signal.count == 0)
    #expect(tally.pairs == 4000 && tally.siblingPairs == tally.forks)
  }

  /// All leaves logged and none akin: the variance is the rewards' own.
  @Test func theVarianceOfStrangers() throws {
    for group in groups {
      let roots = group.trajectories.filter { $0.declaredParent == nil }
      let alone = ReplayGroup(run: group.run, id: group.id, step: group.step, trajectories: roots)
      var options = SimulationOptions()
      options.rollouts = roots.count
      options.callLimit = 1000
      options.repetitions = 2
      let tally = try tally(alone, options, .global)
      let std = weightedMeanStd(roots.compactMap(\.reward), roots.map { _ in 1 }, divisorLess: 1).std
      if let std { #expect(abs((tally.variance ?? -1) - std * std) < 1e-12) }
      #expect(tally.siblingPairs == 0)
    }
  }

  /// Siblings that are always alike: half of the pairs do not vary, though few of them are logged.
  @Test func siblingsThatAreAlike() throws {
    let group = try #require(groups.first { $0.trajectories.contains { $0.declaredParent != nil } })
    var alike = group
    let tree = try RolloutTree(group)
    for t in alike.trajectories.indices { alike.trajectories[t].reward = Double(tree.paths[t].root) }
    var options = SimulationOptions()
    options.repetitions = 200
    options.callLimit = 1000
    let tally = try tally(alike, options, .arpoCode)
    #expect(tally.siblings.count > 0 && tally.siblings.sum == 0 && tally.strangers.sum > 0)
    let share = Double(tally.siblingPairs) / Double(tally.pairs)
    let mean = tally.strangers.sum / Double(tally.strangers.count)
    #expect(abs((tally.variance ?? -1) - (1 - share) * mean) < 1e-12 && share > 0)
  }

  /// The tool limit ends rollouts where the log went on; then nothing is known of the answer.
  @Test func theToolLimit() throws {
    for limit in [0, 1, 2] {
      var options = SimulationOptions()
      options.callLimit = limit
      options.repetitions = 5
      for group in groups {
        let tally = try tally(group, options, .global)
        #expect(tally.calls.all <= limit * tally.leaves)
        #expect(tally.loggedLeaves + tally.cutLeaves <= tally.leaves)
      }
    }
  }

  /// A sweep at the base setting is the simulation.
  @Test func aSweepIsManySimulations() throws {
    var options = SimulationOptions()
    options.repetitions = 10
    options.branching.rule = .paper
    let points = SweepPoint.alone([(.k, [1, 5, 20]), (.tau, [0.4, 0.5])])
    var sweep = BranchSweep(options: options, points: points)
    for group in groups { sweep.add(try BranchSweep.simulate(group, options: options, points: points)) }
    let reports = sweep.finish()
    #expect(reports.count == 5)
    for (point, report) in zip(points, reports) {
      var own = options
      own.algorithms = [.arpoPaper]
      own.branching = point.applied(to: options.branching)
      var simulation = RolloutSimulation(options: own)
      for group in groups { simulation.add(try RolloutSimulation.simulate(group, options: own)) }
      let expected = simulation.finish()
      #expect(report.runs.map { $0.rows[0].tally } == expected.runs.map { $0.rows[0].tally })
      #expect(report.runs.map { $0.rows[0].calls } == expected.runs.map { $0.rows[0].calls })
    }
    #expect(SweepPoint.grid([(.k, [1, 5]), (.tau, [0.4, 0.5, 0.6])]).count == 6)
  }
}
