import CKernels
import Synchronization

/// The native trajectory records of the blocks read last, found by trajectory id.
///
/// A fork that repeats its parent's prefix says the same bytes again: they need not be read a second time if the parent's
/// record is still here. A few megabytes of blocks are kept; what is not found is read in full.
public final class RecentRecords: Sendable {
  /// A record that is kept, with the places of its arrays.
  struct Found {
    let block: RecordBlock
    let slice: RecordBlock.Slice
    let outline: NativeOutline

    var bytes: UnsafeBufferPointer<UInt8> { block.bytes(of: slice) }
  }

  private struct Entry {
    var block: RecordBlock
    var slice: RecordBlock.Slice
    /// Found when it is asked for first.
    var outline: NativeOutline?
  }

  private struct State {
    var entries: [UInt64: Entry] = [:]
    var blocks: [(block: RecordBlock, keys: [UInt64])] = []
    var bytes = 0
  }

  private let state = Mutex(State())
  private let limit: Int
  private let release: @Sendable (RecordBlock) -> Void

  /// - Parameters:
  ///   - limit: bytes of blocks that are kept.
  ///   - release: gets each block that is kept no longer.
  public init(limit: Int, release: @escaping @Sendable (RecordBlock) -> Void) {
    self.limit = limit
    self.release = release
  }

  /// Keeps a block and notes its trajectory records.
  public func add(_ block: RecordBlock) {
    var keys: [(UInt64, RecordBlock.Slice)] = []
    for slice in block.slices {
      if let key = NativeOutline.key(of: block.bytes(of: slice)) { keys.append((key, slice)) }
    }
    guard !keys.isEmpty, block.capacity <= limit / 2 else { return }
    block.hold()
    let dropped = state.withLock { state in
      for (key, slice) in keys { state.entries[key] = Entry(block: block, slice: slice) }
      state.blocks.append((block, keys.map(\.0)))
      state.bytes += block.capacity
      var dropped: [RecordBlock] = []
      while state.bytes > limit {
        let oldest = state.blocks.removeFirst()
        for key in oldest.keys where state.entries[key]?.block === oldest.block { state.entries[key] = nil }
        state.bytes -= oldest.block.capacity
        dropped.append(oldest.block)
      }
      return dropped
    }
    dropped.forEach(release)
  }

  /// Gives all blocks back.
  public func clear() {
    let blocks = state.withLock { state in
      defer { state = State() }
      return state.blocks.map(\.block)
    }
    blocks.forEach(release)
  }

  /// Calls `body` with the record of a trajectory, if it is kept and can be compared with; the record stays while it runs.
  func with<R>(trajectory id: UnsafeBufferPointer<UInt8>, _ body: (Found) -> R?) -> R? {
    let key = NativeOutline.hash(id)
    guard
      let entry = state.withLock({ state in
        let entry = state.entries[key]
        entry?.block.hold()
        return entry
      })
    else { return nil }
    defer { release(entry.block) }
    if let outline = entry.outline { return body(Found(block: entry.block, slice: entry.slice, outline: outline)) }
    guard let outline = NativeOutline(of: entry.block.bytes(of: entry.slice)) else { return nil }
    state.withLock { state in
      if state.entries[key]?.block === entry.block { state.entries[key]?.outline = outline }
    }
    return body(Found(block: entry.block, slice: entry.slice, outline: outline))
  }
}
