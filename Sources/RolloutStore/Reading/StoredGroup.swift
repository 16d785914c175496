import Foundation
public import Replay
import Rollouts

/// A prompt group as it stands in the database: rows and blobs, not decoded yet.
///
/// Reading is done by one thread, decoding (most of the work) by others.
public struct StoredGroup: Sendable {
  var run: ReplayRun
  var groupID: String
  var step: Int?
  var trajectories: [StoredTrajectory]
}

struct StoredTrajectory: Sendable {
  var row: Int64
  var parent: Int64?
  /// Without columns.
  var trajectory: ReplayTrajectory
  var hasTokens: Bool
  var segments: [StoredSegment]
}

struct StoredSegment: Sendable {
  var count: Int
  var generated: Int
  /// token_ids, loss_mask, logprobs, top_logprobs, entropies.
  var blobs: [Data?]
}

/// Turns stored groups into groups for the analyses.
///
/// One thread uses one.
public final class GroupDecoder {
  private let decoder = ColumnDecoder()

  public init() {}

  /// The group with its token columns.
  public func decode(_ group: StoredGroup) throws -> ReplayGroup {
    var position: [Int64: Int] = [:]
    for (i, stored) in group.trajectories.enumerated() { position[stored.row] = i }
    let trajectories = try group.trajectories.map { stored in
      var trajectory = stored.trajectory
      if let parent = stored.parent {
        guard let at = position[parent] else {
          throw ColumnError("trajectory \(trajectory.id) has its parent in another group")
        }
        trajectory.declaredParent = at
      }
      if stored.hasTokens {
        var assembler = ColumnAssembler(total: stored.segments.reduce(0) { $0 + $1.count })
        for segment in stored.segments {
          try assembler.append(count: segment.count, generated: segment.generated, segment.blobs, decoder)
        }
        trajectory.columns = assembler.columns
      }
      return trajectory
    }
    return ReplayGroup(run: group.run, id: group.groupID, step: group.step, trajectories: trajectories)
  }
}
