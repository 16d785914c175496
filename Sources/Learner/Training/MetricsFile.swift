import Foundation
public import Replay

/// A file of JSON lines, one an update, that can be cut back to where a checkpoint was.
public final class MetricsFile {
  private let handle: FileHandle
  /// Bytes written.
  public private(set) var byteCount: Int

  /// Opens a file, made if it is not there, and cuts it to its first bytes.
  public init(path: String, keeping bytes: Int) throws {
    if !FileManager.default.fileExists(atPath: path) {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw LearnerError("cannot write \(path)")
      }
    }
    handle = try FileHandle(forUpdating: URL(filePath: path))
    let size = try handle.seekToEnd()
    guard size >= UInt64(bytes) else {
      throw LearnerError("\(path) has \(size) bytes, the checkpoint knows of \(bytes): it was cut from outside")
    }
    try handle.truncate(atOffset: UInt64(bytes))
    try handle.seek(toOffset: UInt64(bytes))
    byteCount = bytes
  }

  deinit { try? handle.close() }

  /// Appends a line.
  public func append(_ value: DocumentValue) throws {
    let data = Data((value.json + "\n").utf8)
    try handle.write(contentsOf: data)
    byteCount += data.count
  }

  /// Returns when everything is on the disk.
  public func flush() throws { try handle.synchronize() }
}
