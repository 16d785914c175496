import Foundation

/// Standard output, or a file that appears under its name only when it is complete.
final class OutputFile {
  let output: BufferedOutput
  private let path: String?
  private let descriptor: Int32

  /// - Parameter path: `nil` or `-`: standard output.
  init(path: String?) throws {
    self.path = path == "-" ? nil : path
    guard let path = self.path else {
      descriptor = STDOUT_FILENO
      output = BufferedOutput()
      return
    }
    descriptor = open(Self.partial(path), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard descriptor >= 0 else { throw OutputError(code: errno, path: path) }
    output = BufferedOutput(descriptor: descriptor, path: path)
  }

  /// Writes what is left and gives the file its name.
  func finish() throws {
    try output.flush()
    guard let path else { return }
    guard fsync(descriptor) == 0, close(descriptor) == 0, rename(Self.partial(path), path) == 0 else {
      throw OutputError(code: errno, path: path)
    }
  }

  /// Removes what was written; the file that had the name stays.
  func abandon() {
    guard let path else { return }
    close(descriptor)
    unlink(Self.partial(path))
  }

  private static func partial(_ path: String) -> String { path + ".partial" }
}
