import Foundation

/// The uncompressed bytes of a log, from a file or standard input, hashed as they are read.
///
/// Not thread-safe: one thread reads.
public final class LogInput {
  public let path: String
  public let container: Container
  /// Size of the file; `nil` for standard input and other streams.
  public let size: Int?
  /// Compressed (as stored) bytes read so far.
  public private(set) var bytesRead = 0
  /// Uncompressed bytes handed out so far.
  public private(set) var bytesOut = 0

  private let descriptor: Int32
  private let isCancelled: (@Sendable () -> Bool)?
  private let sha = RunningHash()
  /// Stored bytes are read into one buffer after the other, so that the one before may still be hashed.
  private let buffers: [UnsafeMutableRawBufferPointer]
  /// By buffer: the number under which its bytes were last given to be hashed.
  private var hashing: [Int]
  private var current = 0
  private var rawStart = 0
  private var rawEnd = 0
  private var atEnd = false
  private var decoder: any StreamDecoder

  private static let chunk = 1 << 17
  private static let bufferCount = 4
  /// Shorter logs are hashed without a thread.
  private static let hashedInline = 1 << 20
  /// More than this much output, and this many times the input, is no log.
  private static let bombBytes = 256 << 20
  private static let bombRatio = 1000

  /// Opens a file, or standard input for `-`.
  /// - Parameter isCancelled: asked while input is waited for that is no file, and at its end; then `interrupted` is thrown.
  public init(path: String, isCancelled: (@Sendable () -> Bool)? = nil) throws(InputError) {
    self.path = path
    self.isCancelled = isCancelled
    // A named pipe would be opened only once somebody writes to it.
    descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable("\(path): \(String(cString: strerror(errno)))") }
    var info = stat()
    size = fstat(descriptor, &info) == 0 && info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : nil
    buffers = (0..<Self.bufferCount).map { _ in .allocate(byteCount: Self.chunk, alignment: 64) }
    hashing = [Int](repeating: 0, count: Self.bufferCount)
    decoder = PlainDecoder()
    do throws(InputError) {
      while rawEnd < 8, !atEnd {
        if size == nil { _ = try Self.wait(descriptor, isCancelled, until: nil) }
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffers[0][rawEnd...])
        let n = try Self.read(descriptor, rest, path, isCancelled)
        rawEnd += n
        atEnd = n == 0
        if atEnd, size == nil, Self.isCutOff(isCancelled) { throw .interrupted }
      }
      container = try Container.detect(Array(buffers[0][..<min(rawEnd, 16)]))
    } catch {
      for buffer in buffers { buffer.deallocate() }
      if descriptor != 0 { close(descriptor) }
      throw error
    }
    hashing[0] = sha.add(UnsafeRawBufferPointer(rebasing: buffers[0][..<rawEnd]), inThread: false)
    bytesRead = rawEnd
    switch container {
    case .plain: break
    case .zstd: decoder = try ZstdDecoder()
    case .gzip: decoder = try GzipDecoder()
    }
  }

  deinit {
    for (buffer, number) in zip(buffers, hashing) {
      sha.release(number)
      buffer.deallocate()
    }
    if descriptor != 0 { close(descriptor) }
  }

  /// SHA-256 of the stored bytes read so far: of the whole file once everything has been read.
  public var hash: String { sha.mark().hex }

  /// The same, told when it is asked for.
  var hashMark: RunningHash.Mark { sha.mark() }

  /// SHA-256 of the first `count` stored bytes of a file; `nil` if it is shorter.
  public static func hash(path: String, first count: Int) throws(InputError) -> String? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw .unreadable("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    defer { buffer.deallocate() }
    var sha = SHA256()
    var left = count
    while left > 0 {
      let n = Foundation.read(descriptor, buffer.baseAddress, min(left, buffer.count))
      if n < 0, errno == EINTR { continue }
      guard n >= 0 else { throw .unreadable("\(path): \(String(cString: strerror(errno)))") }
      if n == 0 { return nil }
      sha.add(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
      left -= n
    }
    return sha.hex
  }

  /// Not a file but a pipe, say, whose bytes come when they come.
  public var isLive: Bool { size == nil }

  /// Uncompressed bytes into `out`; 0 at the end.
  public func read(into out: UnsafeMutableRawBufferPointer) throws(InputError) -> Int {
    try read(into: out, within: nil) ?? 0
  }

  /// Uncompressed bytes into `out`; 0 at the end.
  /// - Parameter patience: how long live input may be waited for; `nil`: until it comes.
  /// - Returns: `nil` if nothing came for so long.
  func read(into out: UnsafeMutableRawBufferPointer, within patience: Duration?) throws(InputError) -> Int? {
    guard out.count > 0 else { return 0 }
    // Bytes that no output comes of yet renew nobody's patience.
    let deadline = patience.map { ContinuousClock.now + $0 }
    while true {
      let input = UnsafeRawBufferPointer(rebasing: buffers[current][rawStart..<rawEnd])
      // Without input too: the decoder may hold bytes back that have come, or say that a frame is cut off.
      let step = try decoder.decode(input, into: out, atEnd: atEnd)
      rawStart += step.consumed
      bytesOut += step.produced
      if step.produced > 0 {
        if bytesOut > Self.bombBytes, bytesOut / max(1, bytesRead) > Self.bombRatio {
          throw .bomb("\(bytesOut) bytes came out of \(bytesRead): over \(Self.bombRatio) times, this is no log")
        }
        return step.produced
      }
      guard rawStart == rawEnd else { continue }
      if atEnd {
        if input.isEmpty { return 0 }
        continue
      }
      if isLive, try !Self.wait(descriptor, isCancelled, until: deadline) { return nil }
      try fill()
    }
  }

  /// The next stored bytes.
  private func fill() throws(InputError) {
    rawStart = 0
    rawEnd = 0
    current = (current + 1) % buffers.count
    sha.release(hashing[current])
    rawEnd = try Self.read(descriptor, buffers[current], path, isCancelled)
    atEnd = rawEnd == 0
    if atEnd, isLive, Self.isCutOff(isCancelled) { throw .interrupted }
    hashing[current] = sha.add(
      UnsafeRawBufferPointer(rebasing: buffers[current][..<rawEnd]), inThread: bytesRead > Self.hashedInline)
    bytesRead += rawEnd
  }

  /// At least one byte, unless the end has come.
  private static func read(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, _ path: String, _ isCancelled: (() -> Bool)?
  ) throws(InputError) -> Int {
    while true {
      let n = Foundation.read(descriptor, buffer.baseAddress, buffer.count)
      if n >= 0 { return n }
      switch errno {
      case EINTR: continue
      // Somebody else who reads the same pipe was faster.
      case EAGAIN: _ = try wait(descriptor, isCancelled, until: nil)
      default: throw .unreadable("\(path): \(String(cString: strerror(errno)))")
      }
    }
  }

  /// Waits until there is something to read; false if there is nothing until then.
  private static func wait(
    _ descriptor: Int32, _ isCancelled: (() -> Bool)?, until deadline: ContinuousClock.Instant?
  ) throws(InputError) -> Bool {
    while true {
      if isCancelled?() == true { throw .interrupted }
      let left = deadline.map { max(.zero, $0 - .now) } ?? askedEvery
      let milliseconds = min(left, askedEvery) / .milliseconds(1)
      var asked = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // What is wrong with the descriptor, reading it will tell.
      if poll(&asked, 1, Int32(milliseconds.rounded(.up))) != 0, errno != EINTR || asked.revents != 0 { return true }
      if let deadline, deadline <= .now { return false }
    }
  }

  /// Live input has ended because its reading is cancelled: a signal goes to all programs of a pipe, and that the one
  /// before this has ended may be known a little sooner than that the signal has come.
  private static func isCutOff(_ isCancelled: (() -> Bool)?) -> Bool {
    guard let isCancelled else { return false }
    let deadline = ContinuousClock.now + askedEvery / 2
    while !isCancelled() {
      guard deadline > .now else { return false }
      usleep(2000)
    }
    return true
  }

  /// How often somebody who waits asks whether that is still wanted.
  private static let askedEvery = Duration.milliseconds(100)
}
