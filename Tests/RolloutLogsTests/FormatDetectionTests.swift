import Foundation
import RolloutLogs
import Rollouts
import TestSupport
import Testing

@Suite struct FormatDetectionTests {
  typealias Checks = LogFormatChecks

  static let examples: [(String, String?)] = [
    (#"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[]}"#, "arpo-rollout"),
    (#"{"responses_create_params":{"input":[]},"response":{"id":"r","output":[]},"reward":1.0}"#, "nemo-gym"),
    (#"{"text":" 4","output_ids":[220],"meta_info":{"output_token_logprobs":[[-0.1,220,null]]}}"#, "sglang"),
    (#"[{"text":" 4","meta_info":{"output_token_logprobs":[[-0.1,220]]}}]"#, "sglang"),
    (#"{"object":"chat.completion","choices":[]}"#, "openai"),
    (#"{"request":{"model":"m"},"response":{"object":"chat.completion","choices":[]}}"#, "openai"),
    (#"{"object":"text_completion","choices":[{"text":" 4"}]}"#, "openai"),
    (#"{"id":"b","custom_id":"p7-3","response":null,"error":{"code":"x"}}"#, "openai"),
    (#"{"choices":[{"delta":{"content":"a"}}]}"#, "openai"),
    (#"{"input":"q","output":"a","gts":null,"score":1.1,"step":5,"uid":"7f3c_2_0"}"#, "verl"),
    (#"{"input":"q","output":"a","score":NaN,"step":5}"#, "verl"),
    (#"{"instruction":"s","input":"q","output":"a","prediction":"x","logs":["a"]}"#, "verl"),
    // Formats that are not read, and rows that look alike.
    (#"{"schema_version":"ATIF-v1.7","steps":[],"agent":{}}"#, nil),
    (#"{"prompt":"q","response":"{not json","reward":1}"#, nil), (#"{"prompt":"q","response":"a","reward":1}"#, nil),
    (#"{"input":"q","output":"a"}"#, nil), (#"{"input":["q"],"output":"a","score":1,"step":1}"#, nil),
    (#"{"input_prompt":"q","output_response":"a","score":1.0}"#, nil), ("[]", nil), ("7", nil), ("null", nil),
    (#"{"response":{"response":{"response":{"response":{}}}}}"#, nil),
  ]

  @Test(arguments: examples.indices) func records(index: Int) throws {
    let (text, name) = Self.examples[index]
    #expect(LogFormats.recognise(try JSONValue(parsing: text))?.name == name, "\(text)")
  }

  @Test(arguments: [
    ("openai/openai-chat.jsonl", "openai", 6), ("openai/openai-chat.jsonl.gz", "openai", 6),
    ("openai/openai-stream.json", "openai", 2), ("openai/openai-batch.jsonl", "openai", 5),
    ("openai/vllm-chat-ids.jsonl", "openai", 4), ("openai/vllm-chat-ids.jsonl.zst", "openai", 4),
    ("openai/vllm-completions.jsonl", "openai", 3), ("sglang/sglang-generate.jsonl", "sglang", 5),
    ("verl-v0/5.jsonl", "verl", 6), ("verl-v1/7.jsonl", "verl", 5), ("arpo/3.jsonl", "verl", 5),
    ("arpo/4.jsonl.gz", "verl", 5), ("arpo-eval/arpo-eval.json", "verl", 2),
    ("nemo-gym/nemo-gym_rollouts.jsonl", "nemo-gym", 4), ("nemo-gym/nemo-gym_rollouts.jsonl.zst", "nemo-gym", 4),
  ]) func fixtures(name: String, format: String, count: Int) throws {
    let log = try Checks.read(TestPaths.fixtures.appending(path: "logs/\(name)"))
    #expect(log.format?.name == format)
    #expect(log.records.count == count)
  }

  /// Every index of every record is inside of its columns, whatever the log.
  @Test func columnsAndSegmentsAgree() throws {
    let folder = TestPaths.fixtures.appending(path: "logs")
    let paths = try #require(FileManager.default.subpaths(atPath: folder.path))
    for path in paths where ["openai/", "sglang/", "verl", "arpo", "nemo-gym/"].contains(where: path.hasPrefix) {
      let url = folder.appending(path: path)
      guard !url.hasDirectoryPath, path.contains(".json") else { continue }
      for record in try Checks.read(url).records {
        switch record {
        case .call(let call): Self.expectConsistent(call.columns, call.segments, path)
        case .trajectory(let t): Self.expectConsistent(t.columns, t.segments, path)
        default: Issue.record("\(path): a record of another kind")
        }
      }
    }
  }

  static func expectConsistent(_ columns: TokenColumns?, _ segments: [Segment]?, _ path: String) {
    guard let columns else { return }
    if let segments { Checks.expectCover(segments, 0, columns.count) }
    #expect(columns.lossMask.count == columns.count, "\(path)")
    #expect(columns.logprobs == nil || columns.logprobs?.count == columns.count, "\(path)")
    let limit = columns.strings?.count ?? Int(Int32.max)
    #expect(columns.tokenIDs.allSatisfy { $0 >= 0 && $0 < limit }, "\(path)")
    guard let top = columns.topLogprobs else { return }
    let total = top.counts.reduce(0) { $0 + Int($1) }
    #expect(top.counts.count == columns.count && total == top.tokenIDs.count && total == top.logprobs.count, "\(path)")
    #expect(top.tokenIDs.allSatisfy { $0 >= -1 && $0 < limit }, "\(path)")
  }

  /// Records cut off, with values of other types, or with other keys are errors or read; none of them ends the program.
  @Test func brokenRecordsAreErrors() throws {
    let names = [
      "openai/vllm-chat-ids.jsonl", "openai/vllm-completions.jsonl", "sglang/sglang-generate.jsonl",
      "verl-v1/7.jsonl", "arpo/3.jsonl", "nemo-gym/nemo-gym_rollouts.jsonl",
    ]
    let junk = ["null", "-1", "1e400", "\"x\"", "[]", "{}", "[[[]]]", "99999999999999999999", "true", "NaN", "-0.0"]
    var state: UInt64 = 3
    func next(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for name in names {
      let url = TestPaths.fixtures.appending(path: "logs/\(name)")
      let format = try #require(try Checks.read(url).format)
      for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
        let value = try JSONValue(parsing: String(line))
        for _ in 0..<60 {
          let broken = Self.replaced(value, with: try JSONValue(parsing: junk[next(junk.count)]), next)
          do throws(RecordError) {
            for record in try Checks.records(format, broken.text()) {
              switch record {
              case .call(let call): Self.expectConsistent(call.columns, call.segments, name)
              case .trajectory(let t): Self.expectConsistent(t.columns, t.segments, name)
              default: break
              }
            }
          } catch { #expect(!error.message.isEmpty) }
        }
      }
    }
  }

  /// The value with one of its inner values replaced.
  static func replaced(_ value: JSONValue, with junk: JSONValue, _ next: (Int) -> Int) -> JSONValue {
    switch value {
    case .array(var elements) where !elements.isEmpty && next(6) > 0:
      let i = next(elements.count)
      elements[i] = replaced(elements[i], with: junk, next)
      return .array(elements)
    case .object(var members) where !members.isEmpty && next(6) > 0:
      let i = next(members.count)
      members[i].value = replaced(members[i].value, with: junk, next)
      return .object(members)
    default: return junk
    }
  }
}
