import Rollouts

/// A trajectory ready to be written: its own part cut out and encoded.
struct PreparedTrajectory: Sendable {
  /// The record; its columns still cover everything it stores, so that a repeated prefix can be checked.
  var record: TrajectoryRecord
  var segments: [PreparedSegment]
  var evidence: Evidence
  /// Of everything the record says.
  var contentHash: UInt64
  /// Of everything but ids and order.
  var rowHash: UInt64

  /// Units that the trajectory owns.
  var owned: Int {
    if let columns = record.columns { return columns.count - (record.branchIndex - record.firstIndex) }
    return segments.count
  }
}

/// One own segment with its token columns as blobs.
struct PreparedSegment: Sendable {
  var segment: Segment
  var generated: Int
  var tokens: EncodedTokens?
}

struct EncodedTokens: Sendable {
  var tokenIDs: [UInt8]
  var lossMask: [UInt8]?
  var logprobs: [UInt8]?
  var topLogprobs: [UInt8]?
  var entropies: [UInt8]?
}

/// Cuts and encodes trajectories.
///
/// One thread uses one.
final class TrajectoryPreparer {
  private let encoder = ColumnEncoder()

  /// The trajectory's own part: segments behind the branch, clipped to it, with their columns encoded.
  /// - Parameter columns: the record's columns with ids that are final.
  func prepare(_ record: TrajectoryRecord) -> PreparedTrajectory {
    var evidence: Evidence = []
    var segments: [PreparedSegment] = []
    var own = ContentHash64()
    var flat = 0
    let branch = record.branchIndex
    if record.text != nil || record.segments.contains(where: { $0.text != nil }) { evidence.insert(.text) }
    if let columns = record.columns {
      if columns.strings == nil { evidence.insert(.tokenIDs) }
      let cut = branch - record.firstIndex
      if let top = columns.topLogprobs { for i in 0..<cut { flat += Int(top.counts[i]) } }
    }
    for var segment in record.segments {
      let isBefore =
        segment.end < branch || (segment.end == branch && (segment.count > 0 || record.firstIndex < branch))
      if isBefore { continue }
      segment.start = max(segment.start, branch)
      own.add(segment)
      guard let columns = record.columns else {
        segments.append(
          PreparedSegment(segment: segment, generated: segment.kind == .toolResult ? 0 : segment.count, tokens: nil))
        continue
      }
      let range = (segment.start - record.firstIndex)..<(segment.end - record.firstIndex)
      let mask = columns.lossMask[range]
      segments.append(
        PreparedSegment(
          segment: segment, generated: mask.count { $0 == 1 },
          tokens: range.isEmpty ? nil : encode(columns, range, mask, &flat, &evidence, &own)))
    }
    return PreparedTrajectory(
      record: record, segments: segments, evidence: evidence, contentHash: contentHash(record, own),
      rowHash: rowHash(record, own))
  }

  private func encode(
    _ columns: TokenColumns, _ range: Range<Int>, _ mask: ArraySlice<UInt8>, _ flat: inout Int,
    _ evidence: inout Evidence, _ own: inout ContentHash64
  ) -> EncodedTokens {
    var out = EncodedTokens(tokenIDs: encoder.integers(columns.tokenIDs[range]))
    columns.tokenIDs[range].withUnsafeBytes { own.add($0) }
    mask.withUnsafeBytes { own.add($0) }
    out.lossMask = encoder.mask(mask)
    if let column = columns.logprobs, hasValue(column, range) {
      out.logprobs = encoder.reals(column, range)
      own.add(column, range)
      evidence.insert(.sampledLogprobs)
    }
    if let column = columns.entropies, hasValue(column, range) {
      out.entropies = encoder.reals(column, range)
      own.add(column, range)
      evidence.insert(.entropies)
    }
    if let top = columns.topLogprobs {
      var n = 0
      for i in range { n += Int(top.counts[i]) }
      out.topLogprobs = encoder.candidates(top, range, flat..<(flat + n))
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
