import Foundation
import Replay
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// Groups of chat logs, and what stands between two calls of a conversation.
@Suite struct ChatTests {
  typealias Message = (role: String, content: String)

  static func messages(_ messages: [Message]) -> String {
    messages.map { #"{"role":"\#($0.role)","content":"\#($0.content)"}"# }.joined(separator: ",")
  }

  /// A call as JSON Lines have it.
  static func call(
    _ id: String, _ request: [Message], _ reply: String, _ more: String = "", ids: (prompt: [Int], reply: [Int])? = nil
  ) -> String {
    let tokens = ids.map { #","token_ids":\#($0.reply)"# } ?? ""
    let logprobs = ids.map { ids in
      let list = ids.reply.map { #"{"token":"token_id:\#($0)","logprob":-0.5,"top_logprobs":[]}"# }
      return #","logprobs":{"content":[\#(list.joined(separator: ","))]}"#
    }
    let prompt = ids.map { #","prompt_token_ids":\#($0.prompt)"# } ?? ""
    return
      #"{"request":{"model":"m","messages":[\#(messages(request))]\#(more)},"response":{"id":"\#(id)","#
      + #""object":"chat.completion","created":1,"model":"m"\#(prompt),"choices":[{"index":0\#(tokens)\#(logprobs ?? ""),"#
      + #""message":{"role":"assistant","content":"\#(reply)"},"finish_reason":"stop"}]}}"#
  }

  private static let groupsOfCalls = """
    SELECT group_id || ' ' || group_concat(trajectory_id, ',') FROM (
      SELECT g.id, group_id, trajectory_id FROM trajectory t JOIN prompt_group g ON g.id = prompt_group
      ORDER BY trajectory_id) GROUP BY id ORDER BY 1
    """

  // MARK: Groups

  @Test(arguments: [#","user":"alice""#, #","session_id":"alice""#, #","metadata":{"session_id":"alice"}"#])
  func aNameThatIsNoPromptsHoldsForOnePromptOnly(name: String) throws {
    let calls = [
      Self.call("a", [("user", "q1")], "x", name), Self.call("b", [("user", "q2")], "y", name),
      Self.call("c", [("system", "sub-agent"), ("user", "q1")], "z", name), Self.call("d", [("user", "q1")], "w", name),
    ]
    var readings: Set<[String?]> = []
    for seed in 1...6 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let trial = try ImportTrial()
      #expect(try trial.run(lines: calls.shuffled(using: &random)).quarantine.isEmpty)
      readings.insert(try trial.strings(Self.groupsOfCalls))
    }
    let reading = try #require(readings.first)
    #expect(readings.count == 1 && reading.count == 3 && reading.allSatisfy { $0?.hasPrefix("alice/") == true })
    #expect(Set(reading.map { $0?.split(separator: " ").last }) == ["a,d", "b", "c"])
    // One prompt: the name as it is, until another import brings a second one.
    let trial = try ImportTrial()
    trial.options.runName = "run"
    try trial.run(lines: [calls[0], calls[3]])
    #expect(try trial.strings(Self.groupsOfCalls) == ["alice a,d"])
    #expect(try trial.run(lines: [calls[1]], "b.jsonl").quarantine.isEmpty)
    #expect(try trial.run(lines: [calls[2]], "c.jsonl").quarantine.isEmpty)
    #expect(try trial.strings(Self.groupsOfCalls) == reading)
  }

  @Test func numberedRequestsAreNoGroup() throws {
    func batch(_ i: Int, _ prompt: String) -> String {
      let call = Self.call("r\(i)", [("user", prompt)], "x")
      return #"{"custom_id":"gpt4-\#(i)","# + call.dropFirst()
    }
    let trial = try ImportTrial()
    let report = try trial.run(lines: [batch(0, "q0"), batch(1, "q1"), batch(2, "q2"), batch(3, "q2")])
    #expect(report.quarantine.isEmpty)
    #expect(try trial.strings(Self.groupsOfCalls).map { $0?.split(separator: " ").last }.count == 3)
    // A name that is the prompt's is believed.
    let named = [#","metadata":{"group_id":"g"}"#, #","metadata":{"group_id":"g"}"#].enumerated().map { i, m in
      Self.call("n\(i)", [("user", "q\(i)")], "x", m)
    }
    #expect(try ImportTrial().run(lines: named).quarantine.map(\.name) == ["prompt_disagrees"])
  }

  @Test func whatStandsAroundAnExchangeIsKept() throws {
    let text = String(repeating: "t", count: 2000)
    let call = Self.call("a", [("user", "q")], "x")
    let line =
      #"{"tags":["x",{"y":1}],"metadata":{"k":{"v":2}},"note":"\#(text)","call":"by hand","prompt":"p","costs":[NaN],"#
      + call.dropFirst()
    let trial = try ImportTrial()
    let report = try trial.run(lines: [line])
    // A key that may hold the exchange and does not, a prompt that is not the request, and what JSON does not have.
    #expect(
      try trial.value("SELECT (extra->>'call') || (extra->>'prompt') || (extra->'costs') FROM trajectory")
        == "by handp[null]")
    #expect(report.findings.map { "\($0.name) \($0.count)" }.contains("not_finite 1"))
    for (path, value) in [("tags", #"["x",{"y":1}]"#), ("metadata", #"{"k":{"v":2}}"#), ("note", text)] {
      #expect(try trial.value("SELECT json_extract(extra, '$.\(path)') FROM trajectory") == value)
    }
    // What is stored elsewhere is not stored twice.
    #expect(
      try trial.value("SELECT count(*) FROM trajectory, json_each(extra) WHERE key IN ('request', 'response')") == "0")
  }

  // MARK: Between two calls

  @Test func tokensThatNoMessageExplainsAreInserted() throws {
    let first = Self.call("a", [("user", "q")], "r", ids: ([1, 2], [3, 4]))
    let second = Self.call("b", [("user", "q"), ("assistant", "r")], "s", ids: ([1, 2, 3, 4, 90, 91, 92], [5]))
    for lines in [[first, second], [second, first]] {
      let trial = try ImportTrial()
      #expect(try trial.run(lines: lines).quarantine.isEmpty)
      let t = try #require(try trial.groups().first?.trajectories.first)
      #expect(t.columns?.tokenIDs == [3, 4, 90, 91, 92, 5] && t.columns?.lossMask == [1, 1, 0, 0, 0, 1])
      #expect(t.segments.map { "\($0.kind.rawValue) \($0.start) \($0.end)" }.contains("other 2 5"))
      #expect(try trial.value("SELECT generated || ' ' || length FROM trajectory") == "3 6")
    }
    // Two that go on behind the same reply: each has them.
    let third = second.replacing(#""id":"b""#, with: #""id":"c""#).replacing(#""created":1"#, with: #""created":2"#)
      .replacing("\"s\"", with: "\"t\"").replacing("[5]", with: "[6]").replacing("token_id:5", with: "token_id:6")
    let trial = try ImportTrial()
    #expect(try trial.run(lines: [first, second, third]).quarantine.isEmpty)
    let group = try #require(try trial.groups().first)
    #expect(group.trajectories.map { $0.columns?.tokenIDs } == [[3, 4, 90, 91, 92, 5], [90, 91, 92, 6]])
    #expect(group.trajectories[1].declaredBranch == 2)
  }

  @Test func whatTheUserSaysIsNotGenerated() throws {
    let first = Self.call("a", [("user", "q")], "r")
    let second = Self.call("b", [("user", "q"), ("assistant", "r"), ("user", "more")], "s")
    let trial = try ImportTrial()
    #expect(try trial.run(lines: [second, first]).quarantine.isEmpty)
    #expect(
      try trial.strings("SELECT text || ' ' || generated FROM segment ORDER BY ordinal") == ["r 1", "more 0", "s 1"])
    #expect(try trial.value("SELECT generated FROM trajectory") == "2")
    let group = try #require(try trial.groups().first)
    #expect(group.trajectories[0].segments.map(\.isInserted) == [false, true, false])
    let tree = try RolloutTree(group)
    #expect(tree.paths[0].generation == [0..<1, 2..<3])
  }
}
