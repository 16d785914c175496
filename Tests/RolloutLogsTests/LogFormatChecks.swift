import Foundation
import RolloutLogs
import Rollouts
import TestSupport
import Testing

/// Reads records the way an import does, for the tests of the formats.
enum LogFormatChecks {
  static func records(
    _ format: any LogFormat.Type, _ text: String, line: Int = 1
  ) throws(RecordError) -> [RolloutRecord] {
    let file = LogFile(path: "test.jsonl", runName: "test", folderName: "", stem: "test")
    var bytes = Array(text.utf8)
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding + 1))
    let position = RecordPosition(line: line, byteOffset: 0, length: count)
    let result: Result<[RolloutRecord], RecordError> = bytes.withUnsafeBufferPointer { all in
      Result { () throws(RecordError) in
        try format.init(file: file).records(in: UnsafeBufferPointer(rebasing: all[..<count]), at: position)
      }
    }
    return try result.get()
  }

  static func calls(_ text: String) throws -> [CallRecord] { calls(try records(OpenAILog.self, text)) }

  static func calls(_ records: [RolloutRecord]) -> [CallRecord] {
    records.compactMap { if case .call(let call) = $0 { call } else { nil } }
  }

  static func trajectories(_ records: [RolloutRecord]) -> [TrajectoryRecord] {
    records.compactMap { if case .trajectory(let trajectory) = $0 { trajectory } else { nil } }
  }

  static func error(_ format: any LogFormat.Type, _ text: String) -> RecordError? {
    do throws(RecordError) {
      _ = try records(format, text)
      return nil
    } catch { return error }
  }

  /// What a log file holds, in the order of its records, and the format that recognised it.
  static func read(_ url: URL) throws -> (
    format: (any LogFormat.Type)?, records: [RolloutRecord], errors: [RecordError]
  ) {
    let stream = RecordStream(input: try LogInput(path: url.path))
    guard let first = stream.preview().first, let format = LogFormats.recognise(first) else { return (nil, [], []) }
    let file = LogFile(
      path: url.path, runName: "test", folderName: url.deletingLastPathComponent().lastPathComponent,
      stem: url.deletingPathExtension().lastPathComponent)
    let reader = format.init(file: file)
    var records: [RolloutRecord] = []
    var errors: [RecordError] = []
    while let block = stream.next() {
      for slice in block.slices {
        do throws(RecordError) {
          records += try reader.records(in: block.bytes(of: slice), at: slice.position)
        } catch { errors.append(error) }
      }
    }
    return (format, records, errors)
  }

  static func fixture(_ name: String) throws -> [RolloutRecord] {
    let log = try read(TestPaths.fixtures.appending(path: "logs/\(name)"))
    #expect(log.errors.isEmpty, "\(name): \(log.errors)")
    return log.records
  }

  /// `kind start..<end tool` for each segment.
  static func drawn(_ segments: [Segment]) -> [String] {
    segments.map { "\($0.kind.rawValue) \($0.start)..<\($0.end)\($0.tool.map { " " + $0 } ?? "")" }
  }

  /// Segments follow each other without gaps from `first` to `end`.
  static func expectCover(
    _ segments: [Segment], _ first: Int, _ end: Int, location: SourceLocation = #_sourceLocation
  ) {
    var at = first
    for segment in segments {
      #expect(segment.start == at && segment.end >= at, "\(drawn(segments))", sourceLocation: location)
      at = segment.end
    }
    #expect(at == end, "\(drawn(segments))", sourceLocation: location)
  }

  /// Adds up the logprobs of the tokens that were sampled.
  static func sum(_ columns: TokenColumns?) -> Double {
    guard let columns, let logprobs = columns.logprobs else { return .nan }
    return (0..<columns.count).reduce(0) { $0 + (logprobs[$1] ?? 0) }
  }
}
