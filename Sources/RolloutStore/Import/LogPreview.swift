import Foundation
public import RolloutLogs
public import Rollouts

/// What an import would make of a log, as far as its first records tell.
public struct LogPreview: Sendable {
  /// A record of the log.
  public struct Record: Sendable {
    public var position: RecordPosition
    public var result: Result<[RolloutRecord], RolloutLogs.RecordError>
  }

  /// `imported`, `refused` or `unreadable`; nothing is counted.
  public var file: FileReport
  /// `nil` where the log cannot be read, or is in no known format.
  public var recognition: LogRecognition?
  public var records: [Record] = []
}

extension Importer {
  /// Looks at the logs that ``run(_:)`` would import; nothing is written, and no log is read further than it must be.
  ///
  /// - Parameters:
  ///   - paths: files, folders, and `-` for standard input, which is used up by it.
  ///   - database: where they would go.
  ///   - limit: records of each log.
  public static func previews(
    of paths: [String], database: String, options: ImportOptions, limit: Int, body: (LogPreview) throws -> Void
  ) throws {
    for entry in try LogPaths.expand(paths, database: database) {
      if entry.isEmptyFolder {
        try body(LogPreview(file: FileReport(emptyFolder: entry.path)))
        continue
      }
      try body(preview(entry, options: options, limit: limit))
    }
  }

  /// Whether there may be anything to import among the paths of an import: a log that can be read and is in a known
  /// format, or a pipe.
  /// - Parameter reading: of the first of the paths, begun with the same options.
  public static func mayHaveLog(
    among paths: [String], database: String, options: ImportOptions, reading: LogReading?
  ) throws -> Bool {
    try LogPaths.expand(paths, database: database).contains { entry in
      if entry.isEmptyFolder { return false }
      do throws(InputError) {
        var info = stat()
        let isThere = (entry.path == "-" ? fstat(0, &info) : stat(entry.path, &info)) == 0
        // What is read from a pipe is gone, and it may be silent for long, while others want to see the database.
        if isThere, info.st_mode & S_IFMT != S_IFREG { return true }
        if let reading, reading.path == entry.path {
          _ = try reading.opened()
        } else if entry.path != "-" {
          _ = try OpenedLog(path: entry.path, options: options)
        }
        return true
      } catch {
        return error == .interrupted
      }
    }
  }

  private static func preview(_ entry: LogPaths.Entry, options: ImportOptions, limit: Int) -> LogPreview {
    var out = LogPreview(file: FileReport(path: entry.path, status: .imported, isExplicit: entry.isExplicit))
    do throws(InputError) {
      let log = try OpenedLog(path: entry.path, options: options)
      out.recognition = log.recognition
      out.file.format = log.recognition.format
      out.file.container = log.recognition.container.rawValue
      while out.records.count < limit, let block = log.stream.next() {
        for slice in block.slices.prefix(limit - out.records.count) {
          let result: Result<[RolloutRecord], RecordError> = Result { () throws(RecordError) in
            try log.format.records(in: block.bytes(of: slice), at: slice.position)
          }.mapError { block.torn(slice, $0) ?? $0 }
          out.records.append(LogPreview.Record(position: slice.position, result: result))
        }
        // Records that cannot be cut out of the log, and where the log itself breaks off.
        for failure in block.failures {
          out.records.append(LogPreview.Record(position: failure.position, result: .failure(failure.error)))
        }
        if let failure = block.streamFailure {
          let place = RecordPosition(
            line: block.resume.lines + 1, byteOffset: block.resume.byteOffset, length: 0)
          let error = RecordError(failure.reason, failure.description)
          out.records.append(LogPreview.Record(position: place, result: .failure(error)))
        }
      }
    } catch {
      out.file.status = FileReport.Status(error)
      out.file.message = error.description
    }
    return out
  }
}

extension FileReport {
  /// A folder without anything to read.
  init(emptyFolder path: String) {
    self.init(path: path, status: .refused, message: "no log in this folder", isExplicit: false)
  }
}

extension FileReport.Status {
  /// What a log is that cannot be opened.
  init(_ error: InputError) {
    self =
      switch error {
      case .unreadable: .unreadable
      case .interrupted: .interrupted
      default: .refused
      }
  }
}
