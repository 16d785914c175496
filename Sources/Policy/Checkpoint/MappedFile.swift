import Foundation

/// A regular file, mapped into memory for reading as long as the value lives.
///
/// Symbolic links are followed, since download caches keep a checkpoint's files as links to blobs; what they lead to must
/// be a regular file. Nothing is ever written through the map.
final class MappedFile: @unchecked Sendable {  // The mapping is read-only and never changes after `init`.
  let path: String
  let bytes: UnsafeRawBufferPointer

  /// Maps a whole file.
  /// - Throws: ``PolicyError`` with the code `unreadable`.
  init(path: String) throws(PolicyError) {
    self.path = path
    // Without O_NONBLOCK a pipe under this name would block until somebody writes to it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw PolicyError(.unreadable, Self.reason(), path: path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw PolicyError(.unreadable, Self.reason(), path: path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw PolicyError(.unreadable, "not a regular file", path: path)
    }
    let size = Int(status.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw PolicyError(.unreadable, "cannot be mapped into memory: \(Self.reason())", path: path)
    }
    bytes = UnsafeRawBufferPointer(start: start, count: size)
  }

  deinit {
    if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
  }

  /// The system's words for the last failed call.
  static func reason() -> String { String(cString: strerror(errno)) }
}
