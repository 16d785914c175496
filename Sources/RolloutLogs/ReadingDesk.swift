public import Rollouts

/// What a worker keeps while it reads one record after the other: storage that is used again, and the records read
/// lately, whose beginnings others may repeat.
///
/// What it holds never changes what is read, only how fast. One thread uses one; `recent` is shared.
public final class ReadingDesk {
  /// Shared by the workers of a log; `nil` reads every record in full.
  public let recent: RecentRecords?
  private var spare: TokenColumns?

  public init(recent: RecentRecords?) { self.recent = recent }

  /// Takes back the columns of a record that is done with.
  public func reclaim(_ columns: TokenColumns) { spare = columns }

  /// Empty columns that own storage, if some are at hand.
  func blank() -> TokenColumns {
    var columns = spare ?? TokenColumns()
    spare = nil
    columns.tokenIDs.removeAll(keepingCapacity: true)
    columns.lossMask.removeAll(keepingCapacity: true)
    columns.topLogprobs?.counts.removeAll(keepingCapacity: true)
    columns.topLogprobs?.tokenIDs.removeAll(keepingCapacity: true)
    return columns
  }
}
