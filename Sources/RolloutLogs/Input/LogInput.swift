import CZlib
import CZstd
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

  private static let chunk = 1 << 18
  private static let bufferCount = 4
  /// Shorter logs are hashed without a thread.
  private static let hashedInline = 1 << 20
  /// More than this much output, and this many times the input, is no log.
  private static let bombBytes = 256 << 20
  private static let bombRatio = 1000

  /// Opens a file, or standard input for `-`.
  public init(path: String) throws(InputError) {
    self.path = path
    descriptor = path == "-" ? 0 : open(path, O_RDONLY)
    guard descriptor >= 0 else { throw .unreadable("\(path): \(String(cString: strerror(errno)))") }
    var info = stat()
    size = fstat(descriptor, &info) == 0 && info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : nil
    buffers = (0..<Self.bufferCount).map { _ in .allocate(byteCount: Self.chunk, alignment: 64) }
    hashing = [Int](repeating: 0, count: Self.bufferCount)
    decoder = PlainDecoder()
    do throws(InputError) {
      (rawEnd, atEnd) = try Self.fill(descriptor, buffers[0], path, atLeast: 8)
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

  /// Uncompressed bytes into `out`; 0 at the end.
  public func read(into out: UnsafeMutableRawBufferPointer) throws(InputError) -> Int {
    guard out.count > 0 else { return 0 }
    while true {
      if rawStart == rawEnd, !atEnd {
        rawStart = 0
        current = (current + 1) % buffers.count
        sha.release(hashing[current])
        (rawEnd, atEnd) = try Self.fill(descriptor, buffers[current], path, atLeast: 1)
        hashing[current] = sha.add(
          UnsafeRawBufferPointer(rebasing: buffers[current][..<rawEnd]), inThread: bytesRead > Self.hashedInline)
        bytesRead += rawEnd
      }
      let input = UnsafeRawBufferPointer(rebasing: buffers[current][rawStart..<rawEnd])
      let step = try decoder.decode(input, into: out, atEnd: atEnd)
      rawStart += step.consumed
      bytesOut += step.produced
      if step.produced > 0 {
        if bytesOut > Self.bombBytes, bytesOut / max(1, bytesRead) > Self.bombRatio {
          throw .bomb("\(bytesOut) bytes came out of \(bytesRead): over \(Self.bombRatio) times, this is no log")
        }
        return step.produced
      }
      // The decoder has seen that nothing follows, and has had its chance to say that a frame is cut off.
      if input.isEmpty, atEnd { return 0 }
    }
  }

  private static func fill(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, _ path: String, atLeast: Int
  ) throws(InputError) -> (count: Int, atEnd: Bool) {
    var count = 0
    while count < atLeast, let base = buffer.baseAddress {
      let n = Foundation.read(descriptor, base + count, buffer.count - count)
      if n < 0, errno == EINTR { continue }
      guard n >= 0 else { throw .unreadable("\(path): \(String(cString: strerror(errno)))") }
      if n == 0 { return (count, true) }
      count += n
    }
    return (count, false)
  }
}

/// One step of a streaming decoder.
struct DecodeStep {
  var consumed = 0
  var produced = 0
}

/// A streaming decoder: any number of frames or members, one after the other.
protocol StreamDecoder {
  mutating func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
}

struct PlainDecoder: StreamDecoder {
  mutating func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    let n = min(input.count, out.count)
    if n > 0 { out.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<n])) }
    return DecodeStep(consumed: n, produced: n)
  }
}

/// zstd frames and skippable frames, until the input ends.
final class ZstdDecoder: StreamDecoder {
  private let context: OpaquePointer
  private var insideFrame = false
  /// Frames with larger windows than this (zstd's own default limit) would break the bound on memory.
  private static let windowLog: Int32 = 27

  init() throws(InputError) {
    guard let context = ZSTD_createDCtx() else { throw .unreadable("no memory for the zstd decoder") }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLog)
  }

  deinit { ZSTD_freeDCtx(context) }

  func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var target = ZSTD_outBuffer(dst: out.baseAddress, size: out.count, pos: 0)
    while target.pos == 0, source.pos < source.size || insideFrame {
      let before = source.pos
      let hint = ZSTD_decompressStream(context, &target, &source)
      if ZSTD_isError(hint) != 0 {
        if ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge {
          throw .refused(
            "a zstd frame with a window above 128 MiB (--long); recompress it: zstd -dc --long=31 F | zstd")
        }
        throw .corrupt("the zstd stream is damaged: \(String(cString: ZSTD_getErrorName(hint)))")
      }
      insideFrame = hint != 0
      if target.pos == 0, source.pos == before { break }
    }
    if atEnd, source.pos == source.size, target.pos == 0, insideFrame {
      throw .truncated("the zstd stream is cut off inside a frame")
    }
    return DecodeStep(consumed: source.pos, produced: target.pos)
  }
}

/// gzip members, until the input ends.
final class GzipDecoder: StreamDecoder {
  private var stream = z_stream()
  private var insideMember = false

  init() throws(InputError) {
    guard arpo_inflate_init_gzip(&stream) == Z_OK else { throw .unreadable("no memory for the gzip decoder") }
  }

  deinit { inflateEnd(&stream) }

  func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    stream.avail_in = UInt32(input.count)
    stream.next_out = out.bindMemory(to: UInt8.self).baseAddress
    let room = min(out.count, Int(UInt32.max))
    stream.avail_out = UInt32(room)
    while stream.avail_out == room, stream.avail_in > 0 || insideMember {
      if !insideMember {
        if isPadding(UnsafeRawBufferPointer(rebasing: input[(input.count - Int(stream.avail_in))...])) {
          stream.avail_in = 0
          break
        }
        inflateReset(&stream)
        insideMember = true
      }
      switch inflate(&stream, Z_NO_FLUSH) {
      case Z_STREAM_END: insideMember = false
      case Z_OK: break
      case Z_BUF_ERROR:
        if atEnd { throw .truncated("the gzip stream is cut off inside a member") }
        return DecodeStep(consumed: input.count - Int(stream.avail_in), produced: 0)
      default:
        throw .corrupt("the gzip stream is damaged: \(stream.msg.map { String(cString: $0) } ?? "bad data")")
      }
    }
    return DecodeStep(consumed: input.count - Int(stream.avail_in), produced: room - Int(stream.avail_out))
  }

  /// Zero bytes behind the last member, as tape and block devices leave them.
  private func isPadding(_ rest: UnsafeRawBufferPointer) -> Bool { rest.allSatisfy { $0 == 0 } }
}
