import RolloutLogs
import Rollouts

/// A trajectory ready to be written: its own part cut out and encoded.
struct PreparedTrajectory: Sendable {
  /// The record without its columns: those are in the segments.
  var record: TrajectoryRecord
  /// Whether the record has tokens, and how many it owns.
  var hasTokens: Bool
  /// Units that the trajectory owns.
  var owned: Int
  var segments: [PreparedSegment]
  /// The token columns of the segments.
  var block: TokenBlock
  var evidence: Evidence
  /// Of everything the record says.
  var contentHash: UInt64
  /// Of everything but ids and order.
  var rowHash: UInt64
}

/// One own segment, and where its token columns stand in the record's block.
struct PreparedSegment: Sendable {
  var segment: Segment
  var generated: Int
  var place: TokenPlace?
}

/// Cuts and encodes trajectories.
///
/// One thread uses one.
final class TrajectoryPreparer {
  private let encoder = ColumnEncoder()

  /// The trajectory's own part: segments behind the branch, clipped to it, with their columns encoded.
  /// - Parameters:
  ///   - record: with token ids that are final.
  ///   - desk: gets the record's columns back.
  func prepare(_ record: TrajectoryRecord, with desk: ReadingDesk? = nil) -> PreparedTrajectory {
    var record = record
    let columns = record.columns
    record.columns = nil
    var evidence: Evidence = []
    var segments: [PreparedSegment] = []
    var block = TokenBlock()
    var own = ContentHash64()
    var flat = 0
    let branch = record.branchIndex
    if record.text != nil || record.segments.contains(where: { $0.text != nil }) { evidence.insert(.text) }
    if let columns, columns.strings == nil { evidence.insert(.tokenIDs) }
    for var segment in record.segments {
      let isBefore =
        segment.end < branch || (segment.end == branch && (segment.count > 0 || record.firstIndex < branch))
      if isBefore { continue }
      segment.start = max(segment.start, branch)
      own.add(segment)
      guard let columns else {
        segments.append(
          PreparedSegment(segment: segment, generated: segment.isInserted ? 0 : segment.count, place: nil))
        continue
      }
      let range = (segment.start - branch)..<(segment.end - branch)
      let mask = columns.lossMask[range]
      segments.append(
        PreparedSegment(
          segment: segment, generated: mask.count { $0 == 1 },
          place: range.isEmpty ? nil : encode(columns, range, mask, into: &block, &flat, &evidence, &own)))
    }
    if let columns { desk?.reclaim(columns) }
    return PreparedTrajectory(
      record: record, hasTokens: columns != nil, owned: columns?.count ?? segments.count, segments: segments,
      block: block, evidence: evidence, contentHash: contentHash(record, own),
      rowHash: rowHash(record, own))
  }

  private func encode(
    _ columns: TokenColumns, _ range: Range<Int>, _ mask: ArraySlice<UInt8>, into block: inout TokenBlock,
    _ flat: inout Int, _ evidence: inout Evidence, _ own: inout ContentHash64
  ) -> TokenPlace {
    var out = block.begin(tokenIDs: encoder.integers(columns.tokenIDs[range]))
    columns.tokenIDs[range].withUnsafeBytes { own.add($0) }
    mask.withUnsafeBytes { own.add($0) }
    out.lossMask = block.add(encoder.mask(mask))
    if let column = columns.logprobs, hasValue(column, range) {
      out.logprobs = block.add(encoder.reals(column, range))
      own.add(column, range)
      evidence.insert(.sampledLogprobs)
    }
    if let column = columns.entropies, hasValue(column, range) {
      out.entropies = block.add(encoder.reals(column, range))
      own.add(column, range)
      evidence.insert(.entropies)
    }
    if let top = columns.topLogprobs {
      var n = 0
      for i in range { n += Int(top.counts[i]) }
      out.topLogprobs = block.add(
        encoder.candidates(top, range, flat..<(flat + n), sampled: columns.tokenIDs[range], withIDs: false))
      if n > 0 { out.candidateIDs = block.add(candidateIDs: encoder.integers(top.tokenIDs[flat..<(flat + n)])) }
      if n > 0 {
        evidence.insert(.topLogprobs)
        top.counts[range].withUnsafeBytes { own.add($0) }
        top.tokenIDs[flat..<(flat + n)].withUnsafeBytes { own.add($0) }
        own.add(top.logprobs, flat..<(flat + n))
      }
      flat += n
    }
    return out
  }

  private func hasValue(_ column: RealColumn, _ range: Range<Int>) -> Bool {
    column.precision == .float64
      ? column.doubles[range].contains { !$0.isNaN } : column.floats[range].contains { !$0.isNaN }
  }

  private func rowHash(_ record: TrajectoryRecord, _ own: ContentHash64) -> UInt64 {
    var hash = own
    hash.add(record.parentID)
    hash.add(record.branchIndex)
    hash.add(record.text)
    hash.add(record.reward)
    hash.add(record.part)
    return hash.value
  }

  private func contentHash(_ record: TrajectoryRecord, _ own: ContentHash64) -> UInt64 {
    var hash = own
    for text in [
      record.groupID, record.trajectoryID, record.parentID, record.branch, record.text, record.dataSource,
      record.finishReason, record.extra, record.entropyKind, record.promptText, record.groundTruth,
    ] { hash.add(text) }
    for number in [
      record.step, record.rolloutIndex, record.branchIndex, record.policyVersion, record.multiplicity, record.part,
    ] { hash.add(number) }
    hash.add(record.reward)
    for part in record.rewards {
      hash.add(part.name)
      hash.add(part.score)
      hash.add(part.weight)
    }
    return hash.value
  }
}
