import Replay
import Testing
import TestSupport

@Suite struct AttributionConservationTests {
  private func findings(_ strategy: any AttributionStrategy, _ groups: [AttributionGroup]) -> [ConservationFinding] {
    var batches = BatchStatistics()
    for group in groups { strategy.collect(group, into: &batches) }
    var checks = ConservationChecks(strategy)
    for group in groups { checks.add(group, strategy.advantages(of: group, in: batches)) }
    return checks.finish()
  }

  /// What a formula promises holds on random groups, and the promises that hold are declared.
  @Test func invariantsHold() throws {
    var random = SeededGenerator(seed: 41)
    let groups = try (0..<60).map {
      try AttributionGroup(RandomGroups.group(&random, declared: true, id: "g\($0)", step: $0 % 3))
    }
    for strategy in AttributionStrategies.all {
      let found = findings(strategy, groups)
      for finding in found {
        #expect(!finding.isViolation, "\(finding)")
        let isPromise = finding.check == .groupSum || finding.check == .sharedTokens
        if isPromise { #expect(finding.isRequired == (finding.violations == 0), "\(finding)") }
      }
      #expect(found.contains { $0.check == .sharedTokens && $0.count > 100 })
      #expect(found.contains { $0.check == .tokenBalance } && found.contains { $0.check == .lengthCorrelation })
    }
  }

  @Test func numbersOfASmallGroup() throws {
    let group = try AttributionGroup(
      madeGroup([
        madeTrajectory("a", [.think([1, 2, 3, 4])], reward: 1),
        madeTrajectory("b", parent: 0, at: 2, [.result([5], "search"), .think([6, 7, 8, 9])], reward: 0),
      ]))
    let soft = findings(DrGRPO(), [group])
    #expect(soft.map(\.check) == [.groupSum, .sharedTokens, .tokenBalance, .lengthCorrelation])
    #expect(soft[0].value == 0 && soft[0].isRequired)
    // Two shared tokens with 0.5 and -0.5.
    #expect(soft[1].value == 1 && soft[1].count == 2 && soft[1].violations == 2 && !soft[1].isViolation)
    // 4 tokens of 0.5 against 6 of -0.5; the longer leaf has the lower value.
    #expect(soft[2].value == -0.2 && soft[2].count == 10)
    #expect(abs(soft[3].value + 1) < 1e-12 && soft[3].count == 2)
    let hard = findings(ARPOHard(.own), [group])
    #expect(hard.map(\.check) == [.sharedTokens, .tokenBalance, .lengthCorrelation])
    #expect(hard[0].value == 0 && hard[0].isRequired)
  }

  @Test func aBrokenStrategyIsFound() throws {
    var random = SeededGenerator(seed: 42)
    let group = try AttributionGroup(RandomGroups.group(&random, declared: true))
    var checks = ConservationChecks(DrGRPO())
    checks.add(group, group.leaves.map { _ in .constant(1) })
    let sum = try #require(checks.finish().first { $0.check == .groupSum })
    #expect(sum.isViolation && sum.value == 1 && sum.group == "g")
  }
}
