import AdaptiveRollout
import Foundation
import TestSupport
import Testing

@testable import Replay
@testable import RolloutStore

/// A log that records every draw of ARPO's loop, played back: the machine takes every decision that the log records.
@Suite struct LoggedRolloutTests {
  static let log = TestPaths.fixtures.appending(path: "branching/draws.jsonl")

  func groups() throws -> [ReplayGroup] {
    let trial = try ImportTrial()
    try FileManager.default.copyItem(atPath: Self.log.path, toPath: trial.folder.path("draws.jsonl"))
    try trial.run("draws.jsonl")
    var selection = GroupSelection()
    selection.withBranches = true
    var out: [ReplayGroup] = []
    try Store.open(trial.database, for: .reading)
      .forEachGroup(selection, transform: { $0 }, consume: { out.append($0) })
    return out
  }

  func turns(_ tree: RolloutTree) -> TurnTree {
    let settings = tree.group.run.branching
    return TurnTree(
      tree, DecisionEntropies(tree, estimator: nil, topK: settings.topK), window: settings.windowTokens)
  }

  @Test func whatIsRecordedIsRead() throws {
    let groups = try groups()
    #expect(groups.count == 16)
    let trajectories = groups.flatMap(\.trajectories)
    let forks = trajectories.filter { $0.declaredParent != nil }
    #expect(forks.count == 77 && forks.allSatisfy { $0.branch?.reason == "entropy" && $0.branch?.draw != nil })
    #expect(trajectories.filter { $0.declaredParent == nil }.allSatisfy { $0.branch == nil })
    let decisions = trajectories.flatMap(\.decisions)
    #expect(decisions.count == 213 && decisions.count { $0.branched == true } == forks.count)
    for group in groups {
      #expect(group.run.branching.rollouts == (group.run.id == "draws-a" ? 8 : 12))
      #expect(group.run.branching.callLimit == (group.run.id == "draws-a" ? nil : 3))
    }
  }

  /// Only the draws are given: decisions, forks and rollouts come out as they are in the log.
  @Test func theDrawsReproduceTheLog() throws {
    var decisions = 0
    for group in try groups() {
      let tree = try RolloutTree(group)
      let replayed = try #require(LoggedRollout(tree, turns(tree), useDraws: true))
      #expect(replayed.trajectories == Array(group.trajectories.indices))
      for (place, decision) in replayed.decisions where decision.outcome != .noBudget {
        decisions += 1
        let recorded = group.trajectories[place.owner].decisions.filter { $0.at == place.end }
        let logged = try #require(recorded.first { $0.branch.draw == decision.draw })
        #expect(logged.branched == (decision.outcome == .branched))
        #expect(abs((logged.branch.probability ?? 9) - (decision.probability ?? -9)) < 1e-12)
        let dh = (logged.branch.entropyNow ?? 9) - (logged.branch.entropyInitial ?? -9)
        #expect(abs(dh - (decision.deltaH ?? 99)) < 1e-12)
        if let fork = decision.fork { #expect(group.trajectories[fork].branch?.draw == decision.draw) }
      }
      // Where the budget was spent nothing is recorded.
      for (place, decision) in replayed.decisions where decision.outcome == .noBudget {
        #expect(!group.trajectories[place.owner].decisions.contains { $0.at == place.end } || decision.fork == nil)
      }
    }
    #expect(decisions == 213)
  }

  /// Done as logged or decided by the draws: the same.
  @Test func doneOrDecidedIsTheSame() throws {
    for group in try groups() {
      let tree = try RolloutTree(group)
      let turns = turns(tree)
      let decided = try #require(LoggedRollout(tree, turns, useDraws: true))
      let done = try #require(LoggedRollout(tree, turns))
      #expect(decided.budgets == done.budgets && decided.trajectories == done.trajectories)
    }
  }

  @Test func everyRecordedDecisionIsReproduced() throws {
    var recorded = RecordedBranches()
    for group in try groups() { recorded += try GroupBranches(group, options: BranchingOptions()).recorded }
    #expect(recorded.forks == 77 && recorded.drawn == 213)
    #expect(recorded.consistent == 213 && recorded.replayed == 213 && recorded.reproduced == 213)
    #expect((recorded.largestDifference ?? 1) < 1e-12)
    #expect(recorded.groupsInOrder == 16 && recorded.groupsInOtherOrder == 0)
  }

  /// A draw that is changed to the other side of its probability is noticed.
  @Test func aChangedDrawIsNoticed() throws {
    var changed = 0
    for var group in try groups() {
      guard let t = group.trajectories.firstIndex(where: { $0.branch?.draw != nil }) else { continue }
      let p = group.trajectories[t].branch?.probability ?? 0
      if p >= 0.99 { continue }
      group.trajectories[t].branch?.draw = (1 + p) / 2
      changed += 1
      let recorded = try GroupBranches(group, options: BranchingOptions()).recorded
      #expect(recorded.reproduced == recorded.replayed - 1 && recorded.consistent == recorded.drawn - 1)
      let tree = try RolloutTree(group)
      let replayed = LoggedRollout(tree, turns(tree), useDraws: true)
      #expect(replayed?.trajectories != Array(group.trajectories.indices))
    }
    #expect(changed > 10)
  }

  /// Without forks inside turns each turn of the tree is played once: calls and tokens are those of the budget.
  @Test func turnsAddUpToTheBudget() throws {
    for group in try groups() {
      let tree = try RolloutTree(group)
      let turns = turns(tree)
      let budget = ToolBudget(tree)
      #expect(turns.splits == 0)
      #expect(turns.turns.reduce(0) { $0 + $1.calls } == budget.executed)
      #expect(turns.turns.reduce(0) { $0 + $1.tokens } == budget.generatedUnique)
      #expect(Set(turns.turns.compactMap(\.leaf)) == Set(group.trajectories.indices))
      #expect(turns.ways(count: tree.count).allSatisfy { !$0.isEmpty })
    }
  }

  /// The same decisions as another algorithm would have drawn them.
  private func recorded(as algorithm: String?, trainer: String? = "arpo", mirrored: Bool = false) throws
    -> RecordedBranches
  {
    var recorded = RecordedBranches()
    for var group in try groups() {
      #expect(group.run.branching.algorithm == "arpo")
      group.run.branching.algorithm = algorithm
      group.run.algorithm = trainer
      for t in group.trajectories.indices where mirrored {
        var trajectory = group.trajectories[t]
        if let draw = trajectory.branch?.draw { trajectory.branch?.draw = 1 - draw }
        for d in trajectory.decisions.indices {
          if let draw = trajectory.decisions[d].branch.draw { trajectory.decisions[d].branch.draw = 1 - draw }
        }
        group.trajectories[t] = trajectory
      }
      recorded += try GroupBranches(group, options: BranchingOptions()).recorded
    }
    return recorded
  }

  /// AEPO's code branches on a high draw, ARPO's on a low one; of others nothing is said.
  @Test func drawsAreJudgedByTheirOwnAlgorithm() throws {
    let aepo = try recorded(as: "AEPO", mirrored: true)
    #expect(aepo.drawn == 213 && aepo.consistent == 213 && aepo.unchecked == 0)
    // Its penalty is not in the log, so there is nothing to replay.
    #expect(aepo.replayed == 0 && aepo.largestDifference == nil)
    #expect(try recorded(as: "aepo").consistent < 213)
    #expect(try recorded(as: nil, trainer: "aepo", mirrored: true).consistent == 213)
    let other = try recorded(as: "tree-grpo")
    #expect(other.unchecked == 213 && other.drawn == 0 && other.replayed == 0 && other.forks == 77)
    #expect(try recorded(as: nil, trainer: "grpo").unchecked == 213)
    // ARPO is trained as GRPO.
    for (algorithm, trainer) in [("arpo", "grpo"), (nil, "arpo"), (nil, nil)] {
      #expect(try recorded(as: algorithm, trainer: trainer).reproduced == 213)
    }
  }
}
