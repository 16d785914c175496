import Replay
import Testing

/// Which groups a simulation's means are over.
@Suite struct SimulationGroupsTests {
  private static func rollout(_ id: String, _ token: Int32, reward: Double) -> ReplayTrajectory {
    madeTrajectory(
      id, [.think([token]), .call([2], "search"), .result([9], "search"), .think([token, 4])], reward: reward)
  }

  /// Two rollouts from the prompt, and a fork behind the first one's result where there is to be one.
  private static func group(_ id: String, rewards: [Double], run: String = "run") -> ReplayGroup {
    var members = [rollout("\(id)/0", 10, reward: rewards[0]), rollout("\(id)/1", 11, reward: rewards[1])]
    if rewards.count > 2 {
      members.append(madeTrajectory("\(id)/2", parent: 0, at: 3, [.think([12, 5])], reward: rewards[2]))
    }
    return madeGroup(members, id: id, run: madeRun(run))
  }

  private static let forked = (0..<3).map { group("f\($0)", rewards: [0, 1, 1]) }
  private static let alike = (0..<3).map { group("a\($0)", rewards: [0.5, 0.501]) }

  private func simulate(_ groups: [ReplayGroup], _ algorithms: [SamplingAlgorithm]) throws -> RunSimulation {
    var options = SimulationOptions()
    options.algorithms = algorithms
    options.rollouts = 6
    options.repetitions = 60
    options.branching.bootstrapReplicates = 100
    var simulation = RolloutSimulation(options: options)
    for group in groups { simulation.add(try RolloutSimulation.simulate(group, options: options)) }
    return try #require(simulation.finish().runs.first)
  }

  /// Groups without a fork have no siblings, so an algorithm that forks has no spread there; then neither has the other.
  @Test func spreadsAreOverTheSameGroups() throws {
    let both = try simulate(Self.forked + Self.alike, [.treeGRPO, .global])
    #expect(both.groups == 6 && both.spreadGroups == 3)
    #expect(both.rows.map(\.groupsWithSpread) == [3, 6])
    let fewer = try simulate(Self.forked, [.treeGRPO, .global])
    #expect(both.rows.map(\.spread) == fewer.rows.map(\.spread))
    #expect(both.rows.map(\.spreadPerCall) == fewer.rows.map(\.spreadPerCall))
    #expect((both.rows[1].spread.value ?? 0) > 0.3)
    // Alone it is held against nothing.
    let alone = try simulate(Self.forked + Self.alike, [.global])
    #expect(alone.spreadGroups == 6 && (alone.rows[0].spread.value ?? 1) < 0.45)
    // The other means are over all groups as before.
    #expect(both.rows[1].calls == alone.rows[0].calls && both.rows[1].signal == alone.rows[0].signal)
  }

  /// An algorithm that has no spread anywhere leaves the others theirs.
  @Test func anAlgorithmWithoutAnySpread() throws {
    let run = try simulate(Self.alike, [.treeGRPO, .global])
    #expect(run.rows[0].spread.value == nil && run.rows[0].groupsWithSpread == 0)
    #expect(run.spreadGroups == 3 && run.rows[1].spread.value != nil)
  }

  /// A padded copy is no draw: it changes no number, and is counted as left out.
  @Test func copiesAreCounted() throws {
    var padded = Self.forked
    padded[0].trajectories[1].multiplicity = 3
    padded[2].trajectories[2].multiplicity = 2
    let (with, without) = (try simulate(padded, [.global]), try simulate(Self.forked, [.global]))
    #expect(with.copies == 3 && without.copies == 0)
    #expect(with.rows[0].tally == without.rows[0].tally)
  }
}
