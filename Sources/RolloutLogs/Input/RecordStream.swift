import Foundation

/// Cuts a log into records: JSON Lines, or JSON documents that span lines.
///
/// Only LF separates lines (U+2028 and U+0085 stand raw in some logs' strings). Memory is bounded by the block size and
/// by the longest record that is allowed. One thread calls `next`; blocks may be handed to others.
public final class RecordStream {
  /// How records are told apart.
  public enum Layout: String, Sendable {
    /// One record a line.
    case lines
    /// JSON values behind each other, over any number of lines.
    case documents
    /// The elements of one array.
    case elements
  }

  public let input: LogInput
  public private(set) var layout = Layout.lines
  /// What ended the stream early: the rest of the file is lost.
  public private(set) var failure: InputError?
  /// Reading was given up: what came of the last record is left out, and the log may go on.
  public private(set) var isInterrupted = false

  let blockSize: Int
  let maxRecord: Int
  private let pool = BlockPool()
  /// Bytes read but not handed out.
  private var window: RecordBlock
  /// Bytes at the front of the window that are known to hold no line feed; only for lines.
  private var unbroken = 0
  /// Where the first byte of `window` stands in the log.
  private var position = ResumePoint()
  private var atEnd = false
  private var isFinished = false
  private var isFailureTold = false
  /// The window was not filled because live input paused.
  private var hasPaused = false
  /// Whoever reads live input may hold what was handed on, or a database that is open for it, until a block comes early.
  private var owesEarly: Bool
  private var scanner = DocumentScanner()
  private var isInsideArray = false
  /// Where a document began that is longer than a record may be and is read over.
  private var longDocument: ResumePoint?
  /// Lines that were read over to recognise the log.
  private var passedOver: [RecordBlock] = []
  /// Bytes at the front of the window whose line feeds `countedLines` holds; only for documents.
  private var counted = 0
  private var countedLines = 0

  /// - Parameters:
  ///   - blockSize: bytes handed on at once.
  ///   - maxRecord: longest record in bytes; longer ones become failures, without being kept in memory.
  public init(input: LogInput, blockSize: Int = 1 << 20, maxRecord: Int = 256 << 20) {
    self.input = input
    self.blockSize = blockSize
    self.maxRecord = maxRecord
    window = RecordBlock(capacity: blockSize)
    owesEarly = input.isLive
  }

  // MARK: Recognition

  /// The first records, parsed, without consuming them; decides the layout.
  ///
  /// Lines that are not JSON are passed over. Live input that pauses is waited for, unless what has come tells what it is.
  public func preview(limit: Int = 5) -> [JSONValue] {
    repeat { fill() } while hasPaused && window.used < 3
    if window.used >= 3, window.storage.starts(with: [0xEF, 0xBB, 0xBF]) {
      window.drop(3)
      position.byteOffset += 3
    }
    while true {
      let seen = window.used
      let (lines, isSettled) = previewLines(limit: limit)
      if hasPaused, !isSettled {
        fill()
        continue
      }
      if let first = lines.first, case .array = first, lines.count == 1, atEnd { return previewArray(first, limit) }
      if !lines.isEmpty { return lines }
      if let (document, place) = firstDocument() {
        if case .array = document, place != .line(isLast: false) { return previewArray(document, limit) }
        layout = place == .other ? .documents : .lines
        return [document]
      }
      // A first line that no block holds is told from the others once they are there.
      if window.used > seen { continue }
      // A first line that is longer than allowed does not hide the records behind it.
      guard !atEnd, window.used >= maxRecord, passedOver.count < 20, let block = skipLongLine() else { return [] }
      passedOver.append(block)
      fill()
    }
  }

  /// A list of stream chunks or of samples is one record; any other list is a list of records.
  private func previewArray(_ whole: JSONValue, _ limit: Int) -> [JSONValue] {
    if isListOfRecords(whole), let elements = whole.array {
      layout = .elements
      return Array(elements.prefix(limit))
    }
    layout = .documents
    return [whole]
  }

  private func isListOfRecords(_ value: JSONValue) -> Bool {
    guard LogFormats.recognise(value) == nil, let first = value.array?.first else { return false }
    return LogFormats.recognise(first) != nil
  }

  /// The records on the first lines, and whether lines that have yet to come could not change what they say of the log.
  private func previewLines(limit: Int) -> (found: [JSONValue], isSettled: Bool) {
    var found: [JSONValue] = []
    var isRecognised = false
    var start = 0
    var tried = 0
    while start < window.used, tried < 20, found.count < limit {
      let newline = firstNewline(from: start)
      if newline == nil, !atEnd { return (found, false) }
      let line = start..<(newline ?? window.used)
      if let value = parsed(line), value.members != nil || value.array != nil {
        found.append(value)
        isRecognised = isRecognised || LogFormats.recognise(value) != nil
        // One that is recognised is enough, and records can be large. What follows an array on the first line tells
        // whether it is a record or a list of them.
        if isRecognised, found.count > 1 || value.members != nil { return (found, true) }
      }
      // A document that spans lines has no record on its first line; its inner lines are not records.
      if found.isEmpty, tried == 0 {
        guard let isOpening = isOpening(line) else { return ([], false) }
        if isOpening { return ([], true) }
      }
      tried += 1
      start = line.upperBound + 1
    }
    return (found, tried == 20 || found.count == limit)
  }

  /// The line begins a value that does not end on it: the first line of a pretty-printed document; `nil` if live input has
  /// yet to tell.
  private func isOpening(_ line: Range<Int>) -> Bool? {
    var scanner = DocumentScanner()
    guard case .more(let from) = scanner.next(in: slice(line), elements: false), from < line.count else { return false }
    // A torn first line of JSON Lines looks the same, unless the next line is a record of its own.
    guard let next = firstNewline(from: line.upperBound + 1) else { return hasPaused ? nil : true }
    return parsed((line.upperBound + 1)..<next)?.members == nil
  }

  private enum Place: Equatable {
    /// A line of its own, which is only longer than a block.
    case line(isLast: Bool)
    case other
  }

  /// The first complete value and where it stands; reads on as long as it is not complete, up to the record limit.
  private func firstDocument() -> (JSONValue, Place)? {
    while true {
      var scanner = DocumentScanner()
      switch scanner.next(in: slice(0..<window.used), elements: false) {
      case .value(let range):
        let newline = firstNewline(from: range.lowerBound)
        let isAlone = isBlank(range.upperBound..<window.used)
        // What follows on the line tells whether it is one, and what follows an array whether it is the whole log.
        let isOpen = newline == nil || window.storage[range.lowerBound] == UInt8(ascii: "[")
        if isOpen, isAlone, !atEnd, window.used < longest {
          fillOn()
          continue
        }
        let lineEnd = newline ?? window.used
        let isLine = lineEnd >= range.upperBound && isBlank(range.upperBound..<lineEnd)
        return parsed(range).map { ($0, isLine ? .line(isLast: atEnd && isAlone) : .other) }
      case .bad, .closed: return nil
      case .more(let from):
        // A list of records need not be read whole to be known; its first element tells.
        if let list = firstElement(of: from), isListOfRecords(list) { return (list, .other) }
        if atEnd || window.used >= longest { return firstElement(of: from).map { ($0, .other) } }
        fillOn()
      }
    }
  }

  /// Reads on, into a larger window if it is full.
  private func fillOn() {
    if window.used == window.capacity { window.grow(to: min(longest, 2 * window.capacity)) }
    fill()
  }

  /// The first element of an array too long to hold, as an array of one.
  private func firstElement(of start: Int) -> JSONValue? {
    guard start < window.used, window.storage[start] == UInt8(ascii: "[") else { return nil }
    var scanner = DocumentScanner(offset: start + 1)
    guard case .value(let range) = scanner.next(in: slice(0..<window.used), elements: true) else { return nil }
    return parsed(range).map { .array([$0]) }
  }

  private func isBlank(_ range: Range<Int>) -> Bool {
    slice(range).allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == 0x0A }
  }

  private func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: window.storage[range])
  }

  private func parsed(_ range: Range<Int>) -> JSONValue? {
    var copy = [UInt8](slice(range))
    let n = copy.count
    copy.append(contentsOf: repeatElement(0, count: JSONCursor.padding + 1))
    return copy.withUnsafeBufferPointer { all in
      let bytes = UnsafeBufferPointer(rebasing: all[..<n])
      guard UTF8Check.firstInvalid(in: bytes) == nil else { return nil }
      do throws(RecordError) { return try JSONValue.parse(bytes) } catch { return nil }
    }
  }

  // MARK: Reading

  /// Goes on behind a place reached earlier, reading over what stands before it.
  public func skip(to resume: ResumePoint) throws(InputError) {
    passedOver.removeAll { $0.failures.allSatisfy { $0.position.byteOffset < resume.byteOffset } }
    var left = resume.byteOffset - position.byteOffset
    // To recognise the log more lines were read over than were done.
    guard left >= 0 else { return }
    while left > 0 {
      fill()
      guard window.used > 0 else {
        throw failure ?? .truncated("the log is shorter than what was imported from it before")
      }
      let n = min(left, window.used)
      window.drop(n)
      left -= n
    }
    position = resume
    isInsideArray = layout == .elements && resume.byteOffset > 0
  }

  /// The next block, `nil` at the end of the log.
  ///
  /// After `nil`, `failure` says whether the log really ended there.
  public func next() -> RecordBlock? {
    if !passedOver.isEmpty { return finished(passedOver.removeFirst()) }
    while !isFinished {
      let block = layout == .lines ? nextLines() : nextDocuments()
      guard let block else { continue }
      return finished(block)
    }
    // A stream that breaks off between records still has to say so.
    if failure != nil, !isFailureTold { return finished(emptyBlock(at: position)) }
    return nil
  }

  private func finished(_ block: RecordBlock) -> RecordBlock {
    owesEarly = input.isLive && !block.isEarly
    block.bytesRead = input.bytesRead
    block.hashMark = input.hashMark
    if isFinished, let failure {
      block.streamFailure = failure
      isFailureTold = true
    }
    return block
  }

  private func emptyBlock(at resume: ResumePoint, isEarly: Bool = false) -> RecordBlock {
    let block = pool.take(capacity: blockSize)
    block.resume = resume
    block.isEarly = isEarly
    return block
  }

  /// Gives a block back for reuse.
  public func recycler() -> @Sendable (RecordBlock) -> Void {
    let pool = pool
    let size = blockSize
    return { pool.give($0, ordinary: size) }
  }

  /// Records of a block that are enough, however short: what is made of one takes memory of its own.
  private static let enough = 1000

  /// Live input may be silent for so long before what has come of it is handed on, and a block may fill for so long.
  var silence = Duration.seconds(1)
  private static let slowness = Duration.seconds(2)

  /// Reads until the window is full, so many bytes have been read, or the log ends; live input may also pause, once some of
  /// it has come.
  /// - Parameter mayPause: live input may pause at once.
  private func fill(upTo count: Int = .max, mayPause: Bool = false) {
    let begin = window.used
    let end = count < window.capacity - begin ? begin + count : window.capacity
    let deadline = input.isLive ? ContinuousClock.now + Self.slowness : nil
    hasPaused = false
    while window.used < end, !atEnd {
      var patience: Duration?
      if let deadline, mayPause || window.used > begin { patience = min(silence, deadline - .now) }
      do throws(InputError) {
        let room = UnsafeMutableRawBufferPointer(rebasing: window.storage[window.used..<end])
        guard let n = try input.read(into: room, within: patience) else {
          hasPaused = true
          return
        }
        window.used += n
        atEnd = n == 0
      } catch {
        if error == .interrupted { isInterrupted = true } else { failure = error }
        atEnd = true
      }
    }
  }

  private func firstNewline(from start: Int) -> Int? {
    guard start < window.used, let base = window.storage.baseAddress,
      let found = memchr(base + start, 0x0A, window.used - start)
    else { return nil }
    return base.distance(to: found)
  }

  // MARK: Lines

  /// Bytes that are read before the lines among them are looked for, while they are still in the cache.
  private static let step = 1 << 16

  /// Ends a block where a line ends in the bytes that were read last, so that little of the next line is read before it
  /// and has to move to the next block.
  ///
  /// A block without a line says that live input pauses.
  private func nextLines() -> RecordBlock? {
    var slices: [RecordBlock.Slice] = []
    var failures: [RecordBlock.Failure] = []
    var start = 0
    var scanned = unbroken
    let deadline = input.isLive ? ContinuousClock.now + Self.slowness : nil
    var isEarly = false
    while true {
      let latest = scanned
      while let newline = firstNewline(from: scanned) {
        addLine(start..<newline, isUnterminated: false, to: &slices, &failures)
        // The zero that stops every scan at the record's end.
        window.storage[newline] = 0
        position.lines += 1
        start = newline + 1
        scanned = start
      }
      scanned = window.used
      let isFull = window.used >= window.capacity / 2 || slices.count >= Self.enough
      if atEnd || (start > latest && isFull) { break }
      if let deadline, start > 0 || owesEarly {
        isEarly = hasPaused || deadline <= .now
        if isEarly { break }
      }
      if window.used == window.capacity {
        if start > 0 { break }
        // Live input may pause anywhere in a line that is read over, where no block can end.
        isEarly = window.capacity >= longest && owesEarly
        if isEarly { break }
        unbroken = scanned
        guard window.capacity < longest else { return skipLongLine() }
        window.grow(to: min(longest, 2 * window.capacity))
      }
      fill(upTo: Self.step, mayPause: start > 0 || owesEarly)
    }
    if isEarly, start == 0 {
      unbroken = scanned
      return emptyBlock(at: position, isEarly: true)
    }
    guard window.used > 0, start > 0 || !isInterrupted else {
      isFinished = true
      return nil
    }
    let origin = position.byteOffset
    var resume = ResumePoint(byteOffset: origin + start, lines: position.lines)
    isFinished = atEnd
    if atEnd, !isInterrupted {
      let count = slices.count + failures.count
      addLine(start..<window.used, isUnterminated: true, to: &slices, &failures)
      window.storage[window.used] = 0
      // White space behind the last line is nobody's record.
      if slices.count + failures.count == count { resume.byteOffset = origin + window.used }
      start = window.used
    }
    for i in slices.indices { slices[i].position.byteOffset += origin }
    for i in failures.indices { failures[i].position.byteOffset += origin }
    let block = window
    window = pool.take(capacity: blockSize)
    window.append(tailOf: block, from: start)
    unbroken = window.used
    position.byteOffset = origin + start
    block.isEarly = isEarly
    block.slices = slices
    block.failures = failures
    block.resume = resume
    return block
  }

  /// The longest line that the window must hold, with its line end.
  private var longest: Int { maxRecord + 2 }

  private func tooLong(_ length: Int) -> RecordError {
    RecordError(.tooLong, "the record has \(length) bytes; at most \(maxRecord) are allowed (--max-record, in MiB)")
  }

  private func addLine(
    _ range: Range<Int>, isUnterminated: Bool, to slices: inout [RecordBlock.Slice],
    _ failures: inout [RecordBlock.Failure]
  ) {
    var end = range.upperBound
    if end > range.lowerBound, window.storage[end - 1] == 0x0D { end -= 1 }
    let isBlank = slice(range.lowerBound..<end).allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    guard !isBlank else { return }
    if end < range.upperBound { window.storage[end] = 0 }
    let place = RecordPosition(
      line: position.lines + 1, byteOffset: range.lowerBound, length: end - range.lowerBound)
    if place.length > maxRecord {
      failures.append(RecordBlock.Failure(position: place, error: tooLong(place.length)))
    } else {
      slices.append(RecordBlock.Slice(position: place, offset: range.lowerBound, isUnterminated: isUnterminated))
    }
  }

  /// Reads over a line that is longer than a record may be.
  private func skipLongLine() -> RecordBlock? {
    let begin = position
    var newline: Int?
    unbroken = 0
    while true {
      newline = firstNewline(from: 0)
      let n = newline.map { $0 + 1 } ?? window.used
      window.drop(n)
      position.byteOffset += n
      if newline != nil { break }
      fill()
      if window.used == 0 { break }
    }
    isFinished = atEnd && window.used == 0
    if newline == nil, isInterrupted {
      position = begin
      return nil
    }
    if newline != nil { position.lines += 1 }
    let length = position.byteOffset - begin.byteOffset - (newline == nil ? 0 : 1)
    let block = pool.take(capacity: blockSize)
    block.failures = [
      RecordBlock.Failure(
        position: RecordPosition(line: begin.lines + 1, byteOffset: begin.byteOffset, length: length),
        error: tooLong(length))
    ]
    // The line may go on when the log has grown.
    block.resume = newline == nil ? begin : position
    return block
  }

  // MARK: Documents

  private func nextDocuments() -> RecordBlock? {
    let block = pool.take(capacity: blockSize)
    let begin = longDocument ?? position
    var tail: ResumePoint?
    while block.used < blockSize, block.slices.count < Self.enough, !isFinished, !block.isEarly {
      let mayPause = !block.slices.isEmpty || !block.failures.isEmpty || owesEarly
      if layout == .elements, !isInsideArray, !scanner.isInsideValue {
        let all = slice(scanner.offset..<window.used)
        let blank = all.firstIndex { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 } ?? all.count
        isInsideArray = blank < all.count && all[blank] == UInt8(ascii: "[")
        // What else stands between arrays is read as documents are.
        if isInsideArray {
          consume(scanner.offset + blank + 1)
          scanner = DocumentScanner()
        }
      }
      switch scanner.next(in: slice(0..<window.used), elements: isInsideArray) {
      case .value(let range): addDocument(range, to: block, isUnterminated: false)
      case .closed(let end):
        consume(end)
        isInsideArray = false
      case .bad(let at):
        consume(at)
        let count = DocumentScanner.strayBytes(in: slice(0..<window.used), elements: isInsideArray)
        addFailure(RecordError(.invalidJSON, "a character that cannot begin a JSON value", at: 0), count, to: block)
      case .more(let from):
        if atEnd {
          isFinished = true
          if isInterrupted {
            consume(from)
            position = longDocument ?? position
          } else {
            tail = scanner.finishAtEnd(window.used).map { addDocument($0, to: block, isUnterminated: true) }
            consume(window.used)
          }
        } else if hasPaused, mayPause {
          block.isEarly = true
        } else if from > 0 || window.used < window.capacity {
          consume(from)
          fill(mayPause: mayPause)
        } else if window.capacity < longest {
          window.grow(to: min(longest, 2 * window.capacity))
          fill(mayPause: mayPause)
        } else {
          longDocument = longDocument ?? position
          consume(window.used)
          fill(mayPause: mayPause)
        }
      }
    }
    consume(counted)
    block.resume = tail ?? longDocument ?? position
    // White space and the closing bracket hold no record, but they are read.
    return block.slices.isEmpty && block.failures.isEmpty && isFinished && position == begin ? nil : block
  }

  /// Line feeds before an offset in the window, counted once.
  private func lines(before offset: Int) -> Int {
    if offset > counted {
      countedLines += slice(counted..<offset).count(where: { $0 == 0x0A })
      counted = offset
    }
    return position.lines + countedLines
  }

  /// Takes bytes off the front of the window.
  private func consume(_ n: Int) {
    position.lines = lines(before: n)
    position.byteOffset += n
    counted = 0
    countedLines = 0
    window.drop(n)
    scanner.drop(n)
  }

  /// - Returns: where it begins.
  @discardableResult
  private func addDocument(_ range: Range<Int>, to block: RecordBlock, isUnterminated: Bool) -> ResumePoint {
    let begin =
      longDocument
      ?? ResumePoint(byteOffset: position.byteOffset + range.lowerBound, lines: lines(before: range.lowerBound))
    if longDocument != nil || range.count > maxRecord {
      let length = position.byteOffset + range.upperBound - begin.byteOffset
      block.failures.append(
        RecordBlock.Failure(
          position: RecordPosition(line: begin.lines + 1, byteOffset: begin.byteOffset, length: length),
          error: tooLong(length)))
      longDocument = nil
      _ = lines(before: range.upperBound)
      return begin
    }
    block.slices.append(
      RecordBlock.Slice(
        position: RecordPosition(line: begin.lines + 1, byteOffset: begin.byteOffset, length: range.count),
        offset: block.used, isUnterminated: isUnterminated))
    block.append(slice(range))
    _ = lines(before: range.upperBound)
    return begin
  }

  /// Passes over bytes at the front of the window.
  private func addFailure(_ error: RecordError, _ count: Int, to block: RecordBlock) {
    let here = RecordPosition(line: position.lines + 1, byteOffset: position.byteOffset, length: count)
    block.failures.append(RecordBlock.Failure(position: here, error: error))
    consume(count)
    scanner = DocumentScanner()
  }
}

extension RecordBlock {
  /// Appends the last bytes of another block, without a zero byte.
  func append(tailOf other: RecordBlock, from start: Int) {
    let tail = UnsafeRawBufferPointer(rebasing: other.storage[start..<other.used])
    grow(to: used + tail.count)
    UnsafeMutableRawBufferPointer(rebasing: storage[used...]).copyMemory(from: tail)
    used += tail.count
  }
}
