import Foundation
import Replay
import Rollouts
import TestSupport

/// The logs of the golden folder, as the analyses take them.
enum Goldens {
  static let names = ["mini", "branched", "entropy", "rewards", "undeclared", "textonly"]

  static func expected(_ name: String) throws -> [String: Any] {
    try GoldenJSON.object(TestPaths.ownGoldens.appending(path: "analysis/\(name).expected.json"))
  }

  /// Prompt groups in canonical order.
  static func groups(_ name: String) throws -> [ReplayGroup] {
    try GoldenLog(TestPaths.ownGoldens.appending(path: "analysis/\(name).jsonl.zst")).replayGroups
  }
}

extension GoldenLog {
  var replayGroups: [ReplayGroup] {
    var settings = BranchingSettings()
    settings.branchProbability = branching["branch_probability"] as? Double ?? settings.branchProbability
    settings.entropyWeight = branching["entropy_weight"] as? Double ?? settings.entropyWeight
    settings.windowTokens = branching["window_tokens"] as? Int ?? settings.windowTokens
    settings.topK = branching["top_k"] as? Int ?? settings.topK
    settings.alpha = branching["alpha"] as? Double ?? settings.alpha
    settings.tau = branching["tau"] as? Double ?? settings.tau
    let replayRun = ReplayRun(
      id: run.runID, algorithm: run.algorithm, vocabSize: run.vocabSize, logprobTemperature: 1, branching: settings)
    let members = Dictionary(grouping: trajectories, by: \.groupID)
    return members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      .map { id, members in
        let sorted = members.sorted { a, b in
          let x = a.rolloutIndex ?? Int.max
          let y = b.rolloutIndex ?? Int.max
          return x == y ? a.trajectoryID.utf8.lexicographicallyPrecedes(b.trajectoryID.utf8) : x < y
        }
        let record = groups[id]
        return ReplayGroup(
          run: replayRun, id: id, step: record?.step ?? sorted.first?.step,
          trajectories: sorted.map { t in
            replayTrajectory(t, record, parent: sorted.firstIndex { $0.trajectoryID == t.parentID })
          })
      }
  }

  private func replayTrajectory(_ t: TrajectoryRecord, _ group: GroupRecord?, parent: Int?) -> ReplayTrajectory {
    var evidence: Evidence = []
    if let columns = t.columns {
      evidence.insert(.tokenIDs)
      if columns.logprobs != nil { evidence.insert(.sampledLogprobs) }
      if columns.topLogprobs != nil { evidence.insert(.topLogprobs) }
      if columns.entropies != nil { evidence.insert(.entropies) }
    } else {
      evidence.insert(.text)
    }
    return ReplayTrajectory(
      id: t.trajectoryID, declaredParent: parent, declaredBranch: t.branchIndex, rolloutIndex: t.rolloutIndex,
      reward: t.reward, multiplicity: t.multiplicity, step: t.step ?? group?.step,
      dataSource: t.dataSource ?? group?.dataSource, policyVersion: t.policyVersion ?? group?.policyVersion,
      finishReason: t.finishReason, evidence: evidence, entropyKind: t.entropyKind, segments: t.segments,
      columns: t.columns)
  }
}
