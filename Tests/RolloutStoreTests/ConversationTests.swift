import Foundation
import Replay
import RolloutLogs
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// Calls whose request repeats an earlier request and its reply are turns of one trajectory, in whatever order and in
/// however many files they come.
@Suite struct ConversationTests {
  static func lines(_ name: String) throws -> [String] {
    let url = TestPaths.fixtures.appending(path: "logs/openai/\(name)")
    return try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  static let logs = ["vllm-chat-ids.jsonl", "openai-chat.jsonl", "openai-batch.jsonl"]

  @Test func aToolCallAndTwoNextTurnsAreATreeOfTwo() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: try Self.lines("vllm-chat-ids.jsonl"), "run.jsonl")
    #expect(report.quarantine.isEmpty && report.counts.records == 4)
    let group = try #require(try trial.groups().first)
    #expect(try trial.groups().count == 1 && group.trajectories.count == 3)
    let child = try #require(group.trajectories.first { $0.declaredParent != nil })
    #expect(child.declaredBranch > 0)
    // The tool's result stands between the calls, and its tokens are known from the later prompt.
    let parent = group.trajectories[child.declaredParent ?? 0]
    #expect(parent.segments.map(\.kind).contains(.toolResult) && parent.columns?.lossMask.contains(0) == true)
    #expect(try trial.value("SELECT count(*) FROM tool_calls WHERE tool IS NOT NULL AND result_tokens > 0") != "0")
    #expect(try trial.value("SELECT count(*) FROM model_call WHERE is_joined = 0") == "0")
  }

  /// Calls that became one trajectory say where in the logs each of them stands.
  @Test func eachCallKeepsItsPlace() throws {
    let trial = try ImportTrial()
    trial.options.runName = "run"
    let lines = try Self.lines("vllm-chat-ids.jsonl")
    try trial.folder.write(Array(lines[..<2]), "a.jsonl")
    try trial.folder.write(Array(lines[2...]), "b.jsonl")
    try trial.run("a.jsonl", "b.jsonl")
    let ids = try lines.map { line in
      let body = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let response = body["response"] as? [String: Any] ?? body
      return try #require((response["body"] as? [String: Any] ?? response)["id"] as? String)
    }
    var expected: [String] = []
    for (i, id) in ids.enumerated() {
      let (file, first) = i < 2 ? ("a.jsonl", 0) : ("b.jsonl", 2)
      let offset = lines[first..<i].reduce(0) { $0 + $1.utf8.count + 1 }
      expected.append("\(id) \(file) \(i - first + 1) \(offset)")
    }
    let places = """
      SELECT response_id || ' ' || replace(path, rtrim(path, replace(path, '/', '')), '') || ' ' || line || ' ' || byte_offset
      FROM model_calls ORDER BY 1
      """
    #expect(try trial.strings(places) == expected.sorted())
    #expect(try trial.count("trajectory") < ids.count)
  }

  @Test(arguments: logs) func theOrderOfCallsChangesNothing(name: String) throws {
    let lines = try Self.lines(name)
    let straight = try ImportTrial()
    try straight.run(lines: lines, "run.jsonl")
    let reading = try straight.reading()
    for seed in 1...6 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let trial = try ImportTrial()
      try trial.run(lines: lines.shuffled(using: &random), "run.jsonl")
      let differences = DatabaseDump.differences(reading, try trial.reading())
      #expect(differences.isEmpty, "\(seed) \(differences)")
    }
  }

  @Test(arguments: logs) func callsOfSeveralFilesAreJoined(name: String) throws {
    let lines = try Self.lines(name)
    let straight = try ImportTrial()
    straight.options.runName = "run"
    try straight.run(lines: lines, "run.jsonl")
    let reading = try straight.reading()
    for seed in 1...4 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let order = lines.shuffled(using: &random)
      // One import of all files, and one import a file.
      for isOneImport in [true, false] {
        let trial = try ImportTrial()
        trial.options.runName = "run"
        for (i, line) in order.enumerated() { try trial.folder.write([line], "calls/\(i).jsonl") }
        if isOneImport {
          try trial.run("calls")
        } else {
          for i in order.indices { try trial.run("calls/\(i).jsonl") }
        }
        let differences = DatabaseDump.differences(reading, try trial.reading())
        #expect(differences.isEmpty, "\(seed) \(isOneImport) \(differences)")
      }
    }
  }

  @Test(arguments: logs) func theSameCallsAgainAddNothing(name: String) throws {
    let lines = try Self.lines(name)
    let trial = try ImportTrial()
    trial.options.runName = "run"
    try trial.run(lines: lines, "a.jsonl")
    let reading = try trial.reading()
    let report = try trial.run(lines: lines.reversed(), "b.jsonl")
    #expect(report.counts.trajectories == 0 && report.counts.duplicates > 0)
    #expect(report.quarantine.map(\.name) == (name.contains("batch") ? ["missing_field"] : []), "\(report.quarantine)")
    #expect(try trial.reading() == reading)
  }
}
