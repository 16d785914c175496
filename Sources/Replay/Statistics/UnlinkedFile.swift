#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A temporary file without a name: it disappears with its owner, also after a crash.
public final class UnlinkedFile: SpillStorage {
  private let descriptor: Int32
  private var length = 0

  /// Makes the file in a folder that must exist.
  public init(directory: String) throws {
    var template = Array((directory + "/arpo-replay.XXXXXX").utf8CString)
    descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw SpillError.system(call: "mkstemp", code: errno) }
    unlink(template)
  }

  deinit { close(descriptor) }

  /// Appends bytes at the end, all of them or throws.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    var done = 0
    while done < bytes.count {
      let n = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(length))
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { throw SpillError.system(call: "pwrite", code: errno) }
      done += n
      length += n
    }
  }

  /// Reads from an offset; fewer bytes than asked for only at the end.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      let n = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
      if n < 0, errno == EINTR { continue }
      guard n >= 0 else { throw SpillError.system(call: "pread", code: errno) }
      return n
    }
  }
}
