import Foundation
import Rollouts
import TestSupport
import Testing

@testable import RolloutLogs

/// Whatever stands in a log, reading it ends, and says what is wrong.
@Suite struct FuzzTests {
  /// Lines of every fixture, native ones included.
  static let lines: [[UInt8]] = {
    var out: [[UInt8]] = []
    let folder = TestPaths.fixtures.appending(path: "logs")
    for path in (FileManager.default.subpaths(atPath: folder.path) ?? []).sorted()
    where path.hasSuffix(".jsonl") && !path.hasPrefix("bad/") {
      guard let data = try? Data(contentsOf: folder.appending(path: path)) else { continue }
      out += data.split(separator: 0x0A).filter { $0.count < 6000 }.map { Array($0) }
    }
    var shape = SyntheticLog.Shape()
    shape.tokens = 5
    out += SyntheticLog(seed: 3, shape).lines.map { Array($0.utf8) }
    shape.isTextOnly = true
    return out + SyntheticLog(seed: 4, shape).lines.map { Array($0.utf8) }
  }()

  static let tokens: [[UInt8]] = [
    "null", "-1", "1e400", "\"x\"", "[]", "{}", "[[[]]]", "99999999999999999999", "true", "NaN", "-0.0", "\\ud800",
    "\u{FFFD}", "\"", "\\", "]", "}", ",",
    ":", "2147483648", "0.1234567890123456789", "\u{0}", "<search>", "</think>", "<tool_call>", "\\u0000", "1e-400",
    "token_id:7",
  ].map { Array($0.utf8) }

  static func mutated(_ line: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = line
    // Half of the lines stay JSON and say something else.
    if Bool.random(using: &random) {
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let digits = bytes.indices.filter { bytes[$0] &- 0x30 < 10 }
        if let at = digits.randomElement(using: &random) { bytes[at] = UInt8.random(in: 0x31...0x39, using: &random) }
      }
      return bytes
    }
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(bytes.count, at + Int.random(in: 1...40, using: &random))
      switch Int.random(in: 0..<8, using: &random) {
      case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 2: bytes.removeSubrange(at..<end)
      case 3: bytes.insert(contentsOf: bytes[at..<end], at: at)
      case 4: bytes = Array(bytes[..<at])
      case 5: bytes.insert(contentsOf: tokens.randomElement(using: &random) ?? [], at: at)
      default: swapValue(in: &bytes, from: at, &random)
      }
    }
    return bytes
  }

  /// Puts a token in the place of the value behind the next colon or comma.
  private static func swapValue(in bytes: inout [UInt8], from: Int, _ random: inout SeededGenerator) {
    let marks: [UInt8] = [0x3A, 0x2C, 0x5B]
    guard let mark = bytes[from...].firstIndex(where: marks.contains) else { return }
    let end = bytes[(mark + 1)...].firstIndex { [0x2C, 0x5D, 0x7D].contains($0) } ?? bytes.count
    bytes.replaceSubrange((mark + 1)..<end, with: tokens.randomElement(using: &random) ?? [])
  }

  static func records(_ format: any LogFormat, _ line: [UInt8]) throws(RecordError) -> [RolloutRecord] {
    var bytes = line
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding + 1))
    let result: Result<[RolloutRecord], RecordError> = bytes.withUnsafeBufferPointer { all in
      let record = UnsafeBufferPointer(rebasing: all[..<line.count])
      return Result { () throws(RecordError) in
        if let at = LogText.firstInvalidUTF8(in: record) { throw RecordError(.invalidUTF8, "", at: at) }
        return try format.records(in: record, at: RecordPosition(line: 1, byteOffset: 0, length: line.count))
      }
    }
    return try result.get()
  }

  /// Mutated lines of all fixtures through every format, their own and the others.
  @Test func everyFormatReadsOrRefusesWhatItIsGiven() {
    var random = SeededGenerator(seed: 17)
    let formats = LogFormats.all.map { $0.init(file: LogFile(path: "folder/log.jsonl")) }
    var read = 0
    var reasons: Set<QuarantineReason> = []
    for line in Self.lines {
      for _ in 0..<20 {
        let bytes = Self.mutated(line, &random)
        for format in formats {
          do throws(RecordError) {
            for record in try Self.records(format, bytes) {
              read += 1
              Self.expectConsistent(record, String(decoding: bytes.prefix(300), as: UTF8.self))
            }
          } catch {
            reasons.insert(error.reason)
            #expect(error.offset.map { $0 >= 0 && $0 <= bytes.count } ?? true)
          }
        }
      }
    }
    // Both ways were gone, and many errors were met.
    #expect(read > 200 && reasons.count >= 10, "\(read) \(reasons)")
  }

  /// What a record says is safe to store: no index leads out of its columns.
  static func expectConsistent(_ record: RolloutRecord, _ text: String) {
    switch record {
    case .trajectory(let t):
      #expect(t.multiplicity >= 1 && t.branchIndex >= 0 && t.firstIndex <= t.branchIndex, "\(text)")
      if let columns = t.columns {
        let repeated = t.branchIndex - t.firstIndex
        LogFormatChecks.expectCover(t.segments.map { $0.shifted(by: -t.firstIndex) }, 0, repeated + columns.count)
        FormatDetectionTests.expectConsistent(columns, nil, text)
        if case .columns(let prefix) = t.repeated {
          #expect(prefix.count == repeated, "\(text)")
          FormatDetectionTests.expectConsistent(prefix, nil, text)
        } else {
          #expect(repeated == 0, "\(text)")
        }
      } else {
        #expect(
          t.segments.enumerated().allSatisfy { $1.start == t.firstIndex + $0 && $1.end == $1.start + 1 }, "\(text)")
      }
      #expect(t.reward?.isFinite ?? true && t.columns.map(Self.isLegal) ?? true, "\(text)")
    case .call(let call):
      FormatDetectionTests.expectConsistent(call.columns, call.segments, text)
      #expect(call.columns.map(Self.isLegal) ?? true, "\(text)")
    default: break
    }
  }

  /// No log-probability is above zero or infinite.
  private static func isLegal(_ columns: TokenColumns) -> Bool {
    [columns.logprobs, columns.topLogprobs?.logprobs].allSatisfy { column in
      (0..<(column?.count ?? 0)).allSatisfy { column?[$0].map { $0 <= 0 && $0.isFinite } ?? true }
    }
  }

  /// Whole logs, damaged anywhere, cut into blocks of every size, in every layout.
  @Test func damagedLogsEnd() throws {
    var random = SeededGenerator(seed: 23)
    let folder = try TemporaryFolder()
    var logs: [[UInt8]] = [
      Array(Self.lines.prefix(12).joined(separator: [0x0A])),
      [0x5B] + Array(Self.lines.prefix(6).joined(separator: [0x2C])) + [0x5D],
      Array(#"{"a":\#n[1,\#n{"b":"c"}]}\#n{"d":\#n1}"#.utf8), Array("\u{FEFF}[\n]\n[".utf8),
    ]
    logs += try Compression.allCases.map { Array(try $0.compress(Self.lines.prefix(6).map { Data($0 + [0x0A]) })) }
    for log in logs {
      for _ in 0..<60 {
        let bytes = Self.mutated(log, &random)
        let path = try folder.write(Data(bytes), "log")
        let input: LogInput
        do throws(InputError) { input = try LogInput(path: path) } catch { continue }
        let limit = [100, 1000, 1 << 20].randomElement(using: &random) ?? 0
        let stream = RecordStream(input: input, blockSize: Int.random(in: 16...2000, using: &random), maxRecord: limit)
        _ = stream.preview()
        var end = 0
        var blocks = 0
        while let block = stream.next() {
          blocks += 1
          for slice in block.slices {
            #expect(slice.position.byteOffset >= end && slice.position.length >= 0 && slice.position.length <= limit)
            end = slice.position.byteOffset + slice.position.length
            #expect(block.bytes(of: slice).count == slice.position.length)
          }
          try #require(blocks < 100_000)
        }
        #expect(end <= input.bytesOut)
      }
    }
  }

  @Test func deepAndLongRecordsAreErrors() {
    let formats = LogFormats.all.map { $0.init(file: LogFile(path: "log.jsonl")) }
    for record in [
      String(repeating: "[", count: 200_000), String(repeating: #"{"a":"#, count: 100_000),
      "[" + String(repeating: "[],", count: 50_000),
      #"{"kind":"trajectory","token_ids":"# + String(repeating: "[", count: 100_000),
      String(repeating: "9", count: 100_000),
      #"{"kind":"trajectory","logprobs":[0."# + String(repeating: "0", count: 100_000) + "1]}",
      "\"" + String(repeating: "\\", count: 99_999),
      #"{"kind":"# + String(repeating: " ", count: 100_000),
    ] {
      for format in formats { #expect(throws: RecordError.self) { try Self.records(format, Array(record.utf8)) } }
    }
  }
}

extension Segment {
  fileprivate func shifted(by n: Int) -> Segment {
    var out = self
    out.start += n
    out.end += n
    return out
  }
}
