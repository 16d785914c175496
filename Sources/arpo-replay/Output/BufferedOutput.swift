import ArgumentParser

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why output could not be written.
struct OutputError: Error, Equatable, CustomStringConvertible {
  /// The system's error number.
  var code: Int32
  /// The file; `nil`: standard output.
  var path: String?

  var description: String { "cannot write \(path ?? "output"): \(String(cString: strerror(code)))" }
}

/// Text on its way to a file descriptor, written in large pieces.
///
/// A reader that has seen enough and closes its end of a pipe is no error: the output then throws `ExitCode.success`,
/// which ends the command quietly.
final class BufferedOutput: TextOutputStream {
  private let descriptor: Int32
  private let path: String?
  private let capacity: Int
  private var buffer: [UInt8] = []

  /// Writes to a descriptor that stays open.
  ///
  /// - Parameter path: the file's name for errors; `nil`: standard output.
  init(descriptor: Int32 = STDOUT_FILENO, path: String? = nil, capacity: Int = 1 << 16) {
    self.descriptor = descriptor
    self.path = path
    self.capacity = capacity
    buffer.reserveCapacity(capacity + 4096)
    // A closed pipe is told by EPIPE instead of by a signal that ends the process before it has cleaned up.
    signal(SIGPIPE, SIG_IGN)
  }

  /// Takes text into the buffer; nothing is written before ``drain()`` or ``flush()``.
  func write(_ string: String) { buffer.append(contentsOf: string.utf8) }

  /// Writes the buffer out if it is full.
  func drain() throws {
    if buffer.count >= capacity { try flush() }
  }

  /// Writes the buffer out.
  func flush() throws {
    // Emptied even if sending fails: nothing is sent twice.
    defer { buffer.removeAll(keepingCapacity: true) }
    try buffer.withUnsafeBytes { try send($0) }
  }

  private func send(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest)
      #if canImport(Darwin)
        let n = Darwin.write(descriptor, piece.baseAddress, piece.count)
      #elseif canImport(Glibc)
        let n = Glibc.write(descriptor, piece.baseAddress, piece.count)
      #elseif canImport(Musl)
        let n = Musl.write(descriptor, piece.baseAddress, piece.count)
      #endif
      if n >= 0 {
        rest = rest.dropFirst(n)
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: waitUntilWritable()
      case EPIPE: throw ExitCode.success
      default: throw OutputError(code: errno, path: path)
      }
    }
  }

  /// Another process may have made the descriptor non-blocking, as terminals are shared.
  private func waitUntilWritable() {
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    _ = poll(&request, 1, -1)
  }
}
