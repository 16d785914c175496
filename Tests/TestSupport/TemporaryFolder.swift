public import Foundation

/// A folder that disappears with the value.
public final class TemporaryFolder: Sendable {
  public let url: URL

  public init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "arpo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// The path of a file in the folder.
  public func path(_ name: String) -> String { url.appending(path: name).path }

  /// Writes a file, with the folders it stands in, and returns its path.
  @discardableResult
  public func write(_ data: Data, _ name: String) throws -> String {
    let file = url.appending(path: name)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: file)
    return file.path
  }

  /// Writes lines, each with a line feed, and returns the file's path.
  @discardableResult
  public func write(_ lines: [String], _ name: String) throws -> String { try write(Data(lines.jsonLines.utf8), name) }

  /// Adds bytes at the end of a file.
  public func append(_ data: Data, _ name: String) throws {
    let handle = try FileHandle(forWritingTo: url.appending(path: name))
    defer { try? handle.close() }
    try handle.seekToEnd()
    try handle.write(contentsOf: data)
  }
}

extension [String] {
  /// The strings with a line feed behind each.
  public var jsonLines: String { isEmpty ? "" : joined(separator: "\n") + "\n" }
}
