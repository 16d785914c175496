import Foundation
public import Rollouts

/// Where a record stands in the log, before decompression does not matter: offsets count uncompressed bytes.
public struct RecordPosition: Sendable, Equatable {
  /// 1-based line on which the record begins.
  public var line: Int
  /// Offset of the record's first byte.
  public var byteOffset: Int
  /// Length in bytes, without the line feed.
  public var length: Int

  public init(line: Int, byteOffset: Int, length: Int) {
    self.line = line
    self.byteOffset = byteOffset
    self.length = length
  }
}

/// What a format may know about the file it reads.
public struct LogFile: Sendable {
  /// The path as given, `-` for standard input.
  public var path: String
  /// The name of the run for logs that name none: the file's name without its extensions, or the folder's where the
  /// format writes a file a step.
  public var runName: String
  /// The name that its folder gives to a run, empty if there is none: see ``FolderName``.
  public var folderName: String
  /// The file's name without its extensions.
  public var stem: String

  public init(path: String, runName: String, folderName: String, stem: String) {
    self.path = path
    self.runName = runName
    self.folderName = folderName
    self.stem = stem
  }
}

extension LogFile {
  /// What a path says: `dir/run.jsonl.zst` is stem `run` in folder `dir`.
  /// - Parameter workingDirectory: what a relative path is relative to; `nil`: the process's.
  public init(path: String, workingDirectory: String? = nil) {
    let parts = path.split(separator: "/").map(String.init)
    let name = path == "-" ? "stdin" : parts.last ?? path
    var stem = name
    for suffix in [".zst", ".zstd", ".gz", ".jsonl", ".ndjson", ".json"] where stem.hasSuffix(suffix) && stem != suffix
    {
      stem.removeLast(suffix.count)
    }
    let folder = FolderName.of(
      path: path, workingDirectory: workingDirectory ?? FileManager.default.currentDirectoryPath)
    self.init(path: path, runName: stem, folderName: folder, stem: stem)
  }
}

/// A log format: how its records are recognised, and how one becomes rollout records.
///
/// A format is one file that conforms to this protocol plus its line in `LogFormats.all`. `records(in:at:)` is a pure
/// function of one record, so that a log is read by several threads at once; what several records say together (turns
/// of a conversation, parts of a trajectory, copies) the store joins by the keys in the records.
public protocol LogFormat: Sendable {
  /// The name in `--log-format`, in the database and in messages.
  static var name: String { get }
  /// One line for `--help`: who writes such logs.
  static var summary: String { get }
  /// True if a log whose first record is this is in the format.
  static func recognises(_ record: JSONValue) -> Bool
  /// Whether the run is named after the folder (a file a step, a file a call) instead of the file.
  static func isNamedAfterFolder(_ file: LogFile, isLineBased: Bool) -> Bool
  /// Whether records without ids that are equal are several, so that a record that is read again cannot be told from one more.
  static var countsEqualRecords: Bool { get }

  init(file: LogFile)

  /// The rollout records of one record of the log. An empty result means that the record holds nothing to import.
  /// - Parameters:
  ///   - bytes: one JSON value, valid UTF-8, followed by a zero byte and readable for `JSONCursor.padding` bytes more.
  func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError) -> [RolloutRecord]

  /// The same, with what the worker keeps from one record to the next; only for formats that gain by it.
  func records(
    in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition, with desk: ReadingDesk
  ) throws(RecordError) -> [RolloutRecord]

  /// What a bad record says of the run that holds from there on; `nil` if it is no run record as far as it can be read.
  func lostRun(in bytes: UnsafeBufferPointer<UInt8>) -> LostRun?
}

/// A run record that cannot be imported; the records behind it are not the run's before it.
public enum LostRun: Sendable, Equatable {
  /// It still says which run it is.
  case named(String)
  case unnamed
}

extension LogFormat {
  public func lostRun(in bytes: UnsafeBufferPointer<UInt8>) -> LostRun? { nil }

  public func records(
    in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition, with desk: ReadingDesk
  ) throws(RecordError) -> [RolloutRecord] { try records(in: bytes, at: position) }

  public static func isNamedAfterFolder(_ file: LogFile, isLineBased: Bool) -> Bool { false }

  public static var countsEqualRecords: Bool { false }
}

/// The formats this version reads, in the order in which they are tried.
public enum LogFormats {
  public static let all: [any LogFormat.Type] = [
    NativeLog.self, NeMoGymLog.self, SGLangLog.self, OpenAILog.self, VerlLog.self,
  ]

  /// The format of that name.
  public static func named(_ name: String) -> (any LogFormat.Type)? { all.first { $0.name == name } }

  /// The first format that recognises the record.
  public static func recognise(_ record: JSONValue) -> (any LogFormat.Type)? { all.first { $0.recognises(record) } }
}
