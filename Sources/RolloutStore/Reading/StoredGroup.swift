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
  /// True where an evidence set supplies the tokens: then the trajectory's own indices still count segments.
  var isRetokenized = false
  var segments: [StoredSegment]
}

struct StoredSegment: Sendable {
  var count: Int
  var generated: Int
  /// token_ids, loss_mask, logprobs, top_logprobs, entropies.
  var blobs: [Data?]
  /// What an evidence set took the tokens for, where the log's ids are numbers of texts.
  var vocabularyIDs: Data?
}

/// Turns stored groups into groups for the analyses.
///
/// One thread uses one.
public final class GroupDecoder {
  private let decoder = ColumnDecoder()
  private let withCandidateIDs: Bool

  /// - Parameter withCandidateIDs: see ``GroupSelection``.
  public init(withCandidateIDs: Bool = true) { self.withCandidateIDs = withCandidateIDs }

  /// `nil` if the ids of the candidates cannot be left out.
  private func columns(_ stored: StoredTrajectory, _ withCandidateIDs: Bool) throws -> TokenColumns? {
    var assembler = ColumnAssembler(
      total: stored.segments.reduce(0) { $0 + $1.count }, withCandidateIDs: withCandidateIDs)
    for segment in stored.segments {
      try assembler.append(count: segment.count, generated: segment.generated, segment.blobs, decoder)
      if assembler.lacksPlaces { return nil }
    }
    return assembler.columns
  }

  /// The group with its token columns.
  public func decode(_ group: StoredGroup) throws -> ReplayGroup {
    var position: [Int64: Int] = [:]
    for (i, stored) in group.trajectories.enumerated() { position[stored.row] = i }
    var trajectories = try group.trajectories.map { stored in
      var trajectory = stored.trajectory
      if let parent = stored.parent {
        guard let at = position[parent] else {
          throw ColumnError("trajectory \(trajectory.id) has its parent in another group")
        }
        trajectory.declaredParent = at
      }
      if stored.hasTokens {
        guard var columns = try columns(stored, withCandidateIDs) ?? columns(stored, true) else { return trajectory }
        if stored.segments.contains(where: { $0.vocabularyIDs != nil }) {
          var ids: [Int32] = []
          for segment in stored.segments {
            try segment.vocabularyIDs?.withUnsafeBytes { try decoder.integers($0, into: &ids) }
          }
          Self.translate(&columns, vocabulary: ids)
        }
        trajectory.columns = columns
      }
      return trajectory
    }
    if group.trajectories.contains(where: \.isRetokenized) { Self.countTokens(group.trajectories, &trajectories) }
    return ReplayGroup(run: group.run, id: group.groupID, step: group.step, trajectories: trajectories)
  }
}
