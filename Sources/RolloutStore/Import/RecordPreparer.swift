import RolloutLogs
import Rollouts

/// What a worker makes of one record of the log.
enum PreparedRecord: Sendable {
  case run(RunRecord)
  case group(GroupRecord)
  case trajectory(PreparedTrajectory)
  /// Its tokens are texts, which get their numbers when it is written.
  case unnumbered(TrajectoryRecord)
  case call(CallRecord)
  case end(Int?)
}

/// A block of the log, parsed and encoded, in the order of its records.
struct PreparedBlock: Sendable {
  enum Item: Sendable {
    case records([PreparedRecord], slice: Int)
    case bad(RecordError, slice: Int)
  }

  var block: RecordBlock
  var items: [Item]
}

/// The pure part of an import: bytes of a block to prepared records.
///
/// One thread uses one.
struct RecordPreparer {
  let format: any LogFormat
  let desk: ReadingDesk
  let trajectories = TrajectoryPreparer()

  init(format: any LogFormat, recent: RecentRecords? = nil) {
    self.format = format
    desk = ReadingDesk(recent: recent)
  }

  func prepare(_ block: RecordBlock) -> PreparedBlock {
    desk.recent?.add(block)
    var items: [PreparedBlock.Item] = []
    items.reserveCapacity(block.slices.count)
    for (i, slice) in block.slices.enumerated() {
      let bytes = block.bytes(of: slice)
      do throws(RecordError) {
        if let at = LogText.firstInvalidUTF8(in: bytes) {
          throw RecordError(.invalidUTF8, "not valid UTF-8 at byte \(at) of the record", at: at)
        }
        let records = try format.records(in: bytes, at: slice.position, with: desk)
        items.append(.records(records.map(prepare), slice: i))
      } catch {
        items.append(.bad(error, slice: i))
      }
    }
    return PreparedBlock(block: block, items: items)
  }

  private func prepare(_ record: RolloutRecord) -> PreparedRecord {
    switch record {
    case .run(let run): .run(run)
    case .group(let group): .group(group)
    case .trajectory(let t):
      t.columns?.strings == nil ? .trajectory(trajectories.prepare(t, with: desk)) : .unnumbered(t)
    case .call(let call): .call(call)
    case .end(let count): .end(count)
    }
  }
}
