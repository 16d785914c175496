import RolloutLogs
import Rollouts
import Testing

@Suite struct NeMoGymLogTests {
  typealias Checks = LogFormatChecks

  @Test func linesBecomeTrajectories() throws {
    let rows = Checks.trajectories(try Checks.fixture("nemo-gym/nemo-gym_rollouts.jsonl"))
    #expect(rows.map(\.groupID) == ["0", "0", "0", "1"] && rows.map(\.trajectoryID) == ["0/2", "0/0", "0/1", "1/0"])
    #expect(rows.map(\.rolloutIndex) == [2, 0, 1, 0] && rows.map(\.reward) == [1, 0, 0, 1])
    #expect(rows[0].promptText == "system\nUse the tools.\nuser\nTask 0" && rows[0].dataSource == "toy-tasks")
    #expect(rows[0].rewards == [RewardPart(name: "format_reward", score: 0.5, weight: 0)])
    #expect(rows[1].rewards.isEmpty)
    #expect(
      rows[1].extra == #"{"correct":false,"agent_ref":{"name":"toy_agent"},"model":"toy-q","temperature":1.0}"#)
  }

  @Test func resultsAreWhatThePromptAddsBetweenTwoGenerations() throws {
    let row = Checks.trajectories(try Checks.fixture("nemo-gym/nemo-gym_rollouts.jsonl"))[0]
    let columns = try #require(row.columns)
    Checks.expectCover(row.segments, 0, columns.count)
    let generated = row.segments[0].end
    let answer = row.segments[4].start
    #expect(
      Checks.drawn(row.segments) == [
        "tool_call 0..<\(generated) run", "tool_call \(generated)..<\(generated) run",
        "tool_result \(generated)..<\(answer) run", "tool_result \(answer)..<\(answer) run",
        "answer \(answer)..<\(columns.count)",
      ])
    #expect(row.segments.map(\.toolCallID) == ["c1", "c2", "c1", "c2", nil])
    #expect(row.segments[0].arguments == #"{"cmd": "ls"}"# && row.segments[0].text == "I list the files.")
    #expect(row.segments[3].text == "/home")
    for i in 0..<columns.count {
      let inserted = (generated..<answer).contains(i)
      #expect(columns.lossMask[i] == (inserted ? 0 : 1))
      #expect((columns.logprobs?[i] == nil) == inserted)
    }
    #expect(row.findings.isEmpty && columns.strings == nil && columns.topLogprobs == nil)
  }

  @Test func aRewrittenContextIsTold() throws {
    let row = Checks.trajectories(try Checks.fixture("nemo-gym/nemo-gym_rollouts.jsonl"))[1]
    let columns = try #require(row.columns)
    Checks.expectCover(row.segments, 0, columns.count)
    #expect(row.segments.map(\.kind) == [.toolCall, .toolResult, .answer] && row.segments[1].count == 0)
    #expect(row.segments[1].text == "5 files" && columns.lossMask.allSatisfy { $0 == 1 })
    #expect(row.findings.map(\.check) == [.contextRewritten, .unknownTokens])
    #expect(row.findings[0].firstIndex == row.segments[2].start && row.findings[0].count == 1)
    #expect(row.findings[0].note == "the prompt of call 2 has 10 of 20 tokens in common with what was before it")
  }

  @Test func emptyArraysAreNotCompletions() throws {
    let row = Checks.trajectories(try Checks.fixture("nemo-gym/nemo-gym_rollouts.jsonl"))[3]
    #expect(row.columns == nil && row.promptTokenIDs == nil)
    #expect(
      Checks.drawn(row.segments) == ["reasoning 0..<1", "tool_call 1..<2 run", "tool_result 2..<3 run", "answer 3..<4"])
    #expect(row.segments.map(\.text) == ["I look.", #"{"name":"run","arguments":{"cmd":"ls"}}"#, "", "Empty."])
    #expect(row.findings == [Finding(.unknownTokens, count: 4)])
  }

  static func line(_ output: String, _ more: String = #""_ng_task_index":0,"_ng_rollout_index":0"#) -> String {
    #"{"responses_create_params":{"input":"q"},"response":{"output":[\#(output)]},"reward":1,\#(more)}"#
  }

  static func item(_ prompt: String, _ ids: String, _ logprobs: String) -> String {
    #"{"type":"message","role":"assistant","content":"a","prompt_token_ids":\#(prompt),"#
      + #""generation_token_ids":\#(ids),"generation_log_probs":\#(logprobs)}"#
  }

  @Test func withoutIndices() throws {
    let one = Checks.trajectories(try Checks.records(NeMoGymLog.self, Self.line("", #""x":1"#), line: 3))[0]
    let two = Checks.trajectories(try Checks.records(NeMoGymLog.self, Self.line("", #""x":2"#), line: 4))[0]
    #expect(one.groupID == two.groupID && one.groupID.count == 16)
    #expect(one.trajectoryID == "\(one.groupID)/line3" && two.trajectoryID == "\(one.groupID)/line4")
    #expect(one.segments.isEmpty && one.rolloutIndex == nil)
  }

  @Test func messagesBetweenCalls() throws {
    let user = #"{"type":"message","role":"user","content":"more"}"#
    let text = Self.line(
      [Self.item("[1]", "[2]", "[-1]"), user, Self.item("[1,2,3,4]", "[5]", "[-1]")].joined(separator: ","))
    let row = Checks.trajectories(try Checks.records(NeMoGymLog.self, text))[0]
    #expect(
      row.promptTokenIDs == [1] && row.columns?.tokenIDs == [2, 3, 4, 5] && row.columns?.lossMask == [1, 0, 0, 1])
    #expect(Checks.drawn(row.segments) == ["reasoning 0..<1", "other 1..<3", "answer 3..<4"])
    // Tokens between two calls of which no item tells.
    let bare = Self.line([Self.item("[1]", "[2]", "[-1]"), Self.item("[1,2,3]", "[5]", "[-1]")].joined(separator: ","))
    let other = Checks.trajectories(try Checks.records(NeMoGymLog.self, bare))[0]
    #expect(Checks.drawn(other.segments) == ["reasoning 0..<1", "other 1..<2", "answer 2..<3"])
  }

  @Test func missingAndClampedLogprobs() throws {
    let text = Self.line(Self.item("[1]", "[2,3,4]", "[null,-9999.0,-0.5]"))
    let row = Checks.trajectories(try Checks.records(NeMoGymLog.self, text))[0]
    #expect(row.columns?.logprobs?.widened().map(\.isNaN) == [true, true, false])
    #expect(row.findings.map(\.check) == [.sentinel])
    let none = Checks.trajectories(try Checks.records(NeMoGymLog.self, Self.line(Self.item("[1]", "[2]", "[]"))))[0]
    #expect(none.columns?.logprobs == nil && none.columns?.count == 1)
  }

  @Test(arguments: [
    (line(item("[1]", "[2,3]", "[-1]")), QuarantineReason.lengthMismatch),
    (line(item("[1]", "[2]", "[1]")), .positiveLogprob), (line(item("[1]", "[2]", "[NaN]")), .notFinite),
    (line(item("[1]", "[-2]", "[-1]")), .outOfRange), (line(item("[1]", "[2147483648]", "[-1]")), .outOfRange),
    (line(item("[1]", "[2]", "-1")), .wrongType), (line(item("7", "[2]", "[-1]")), .wrongType), (line("7"), .wrongType),
    (line("", #""_ng_task_index":"a""#), .wrongType), (#"{"responses_create_params":{},"response":{}}"#, .wrongType),
    (#"{"response":{"output":[]}}"#, .missingField), (#"{"responses_create_params":{}}"#, .missingField),
    (#"{"responses_create_params":{},"response":{"output":[]},"reward":NaN}"#, .notFinite),
    (#"{"responses_create_params":{},"response":{"output":[]},"reward":"good"}"#, .wrongType),
    (#"{"responses_create_params":{},"response":{"output":[]},"reward":[0,1]}"#, .wrongType),
  ]) func badRecords(text: String, reason: QuarantineReason) {
    #expect(Checks.error(NeMoGymLog.self, text)?.reason == reason)
  }
}
