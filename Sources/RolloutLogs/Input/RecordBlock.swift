import Foundation
import Synchronization

/// A stretch of a log cut into whole records, with the bytes they stand in.
///
/// Filled by one thread, then handed on and only read until it is recycled: that is why it may cross threads.
public final class RecordBlock: @unchecked Sendable {
  /// One record: where it stands in the log, and where in the block's bytes.
  public struct Slice: Sendable {
    public var position: RecordPosition
    var offset: Int
    /// The file ends without a line feed behind this record: it may be torn.
    public var isUnterminated: Bool
  }

  /// A record that could not even be cut out.
  public struct Failure: Sendable {
    public var position: RecordPosition
    public var error: RecordError
  }

  public internal(set) var slices: [Slice] = []
  public internal(set) var failures: [Failure] = []
  /// Where a later import goes on if every record of the block is done, an unterminated one excepted.
  public internal(set) var resume = ResumePoint()
  /// Stored (compressed) bytes read when the block was complete, and their SHA-256.
  public internal(set) var bytesRead = 0
  public var hash: () -> String {
    let mark = hashMark
    return { mark?.hex ?? "" }
  }
  var hashMark: RunningHash.Mark?
  /// The block is handed on before it is full, because the log comes slowly: what it holds, which may be nothing, and what
  /// was handed on before it should be committed now.
  public internal(set) var isEarly = false
  /// The stream broke off behind this block.
  public internal(set) var streamFailure: InputError?

  private(set) var storage: UnsafeMutableRawBufferPointer
  var used = 0
  /// Who still reads the block: whoever it was handed to, and those who keep it.
  private let holders = Atomic(1)

  init(capacity: Int) {
    storage = Self.allocate(capacity + JSONCursor.padding)
  }

  private static func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
    let storage = UnsafeMutableRawBufferPointer.allocate(
      byteCount: count, alignment: count >= hugePage ? hugePage : 64)
    #if os(Linux)
      // One fault for 2 MiB instead of 512.
      if count >= hugePage { madvise(storage.baseAddress, count / hugePage * hugePage, MADV_HUGEPAGE) }
    #endif
    return storage
  }

  private static let hugePage = 2 << 20

  deinit { storage.deallocate() }

  /// Bytes that may be written, without the padding.
  var capacity: Int { storage.count - JSONCursor.padding }

  func grow(to capacity: Int) {
    guard capacity > self.capacity else { return }
    let larger = Self.allocate(capacity + JSONCursor.padding)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<used]))
    storage.deallocate()
    storage = larger
  }

  /// One more who gives the block back to the pool when done.
  func hold() { holders.add(1, ordering: .relaxed) }

  /// One less; true for the last one.
  fileprivate func letGo() -> Bool {
    guard holders.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return false }
    holders.store(1, ordering: .relaxed)
    return true
  }

  func clear() {
    slices.removeAll(keepingCapacity: true)
    failures.removeAll()
    streamFailure = nil
    isEarly = false
    used = 0
  }

  /// Appends bytes and a zero byte.
  func append(_ bytes: UnsafeRawBufferPointer) {
    if used + bytes.count + 1 > capacity { grow(to: max(2 * capacity, used + bytes.count + 1)) }
    UnsafeMutableRawBufferPointer(rebasing: storage[used...]).copyMemory(from: bytes)
    storage[used + bytes.count] = 0
    used += bytes.count + 1
  }

  /// Removes bytes at the front.
  func drop(_ n: Int) {
    if n > 0, n < used, let base = storage.baseAddress { memmove(base, base + n, used - n) }
    used -= n
  }

  /// The bytes of a record, followed by a zero byte.
  public func bytes(of slice: Slice) -> UnsafeBufferPointer<UInt8> {
    let all = UnsafeRawBufferPointer(storage).bindMemory(to: UInt8.self)
    return UnsafeBufferPointer(rebasing: all[slice.offset..<(slice.offset + slice.position.length)])
  }

  /// What is wrong with a bad record inside which the log ends, whatever its format had against it: `tornLine`, or that the
  /// stream broke off; `nil` for any other.
  public func torn(_ slice: Slice, _ error: RecordError) -> RecordError? {
    guard slice.isUnterminated else { return nil }
    let isReadable = error.reason != .invalidJSON && error.reason != .invalidUTF8
    var scanner = DocumentScanner()
    // A format may stop at what it does not expect, without a look at whether the value ends.
    if isReadable, case .value = scanner.next(in: UnsafeRawBufferPointer(bytes(of: slice)), elements: false) {
      return nil
    }
    if let streamFailure { return RecordError(streamFailure.reason, "\(streamFailure); the record is torn") }
    return RecordError(.tornLine, "the log ends inside a record" + (isReadable ? "" : ": \(error.message)"))
  }
}

/// A place between two records of a log, in uncompressed bytes.
public struct ResumePoint: Sendable, Equatable {
  /// Bytes before the place.
  public var byteOffset = 0
  /// Line feeds before the place.
  public var lines = 0

  public init(byteOffset: Int = 0, lines: Int = 0) {
    self.byteOffset = byteOffset
    self.lines = lines
  }
}

/// Blocks that were given back, so that an import does not touch new memory for every two megabytes.
final class BlockPool: Sendable {
  private let free = Mutex<[RecordBlock]>([])

  func take(capacity: Int) -> RecordBlock { free.withLock { $0.popLast() } ?? RecordBlock(capacity: capacity) }

  /// Takes a block back; keeps some of ordinary size when nobody reads them any more.
  func give(_ block: RecordBlock, ordinary: Int) {
    guard block.letGo(), block.capacity <= 2 * ordinary else { return }
    block.clear()
    free.withLock { if $0.count < 8 { $0.append(block) } }
  }
}
