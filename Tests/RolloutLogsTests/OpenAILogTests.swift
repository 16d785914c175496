import Foundation
import RolloutLogs
import Rollouts
import TestSupport
import Testing

@Suite struct OpenAILogTests {
  typealias Checks = LogFormatChecks

  @Test func wholeRepliesBecomeACallForEachChoice() throws {
    let calls = Checks.calls(try Checks.fixture("openai/openai-chat.jsonl"))
    #expect(
      calls.map(\.responseID) == ["chatcmpl-1", "chatcmpl-1", "chatcmpl-2", "chatcmpl-3", "chatcmpl-4", "chatcmpl-5"])
    #expect(calls.map(\.choiceIndex) == [0, 1, 0, 0, 0, 0])
    let first = calls[0]
    #expect(first.messages.map(\.role) == ["system", "user"])
    #expect(first.model == "toy-1" && first.temperature == 1 && first.topP == 1 && first.finishReason == "stop")
    #expect(first.created == 1_760_000_000)
    let columns = try #require(first.columns)
    #expect(
      columns.tokenIDs.map { columns.strings?[Int($0)].text } == [
        "The", " bridge", " is", " 412", " metres", " long", ".",
      ])
    #expect(columns.topLogprobs?.counts == [Int32](repeating: 5, count: columns.count))
    #expect(columns.logprobs?.precision == .float32)
    #expect(columns.lossMask.allSatisfy { $0 == 1 })
    #expect(Checks.drawn(first.segments) == ["answer 0..<\(columns.count)"])
    #expect(first.findings.isEmpty)
    // The third token of the second choice was written without itself among its candidates.
    #expect(calls[1].findings == [Finding(.sampledNotListed, count: 1, firstIndex: 2)])
    #expect(first.extra?.contains("\"system_fingerprint\":\"fp_1\"") == true)
  }

  @Test func aReplyEqualsItselfInTheNextRequest() throws {
    let calls = Checks.calls(try Checks.fixture("openai/openai-chat.jsonl"))
    let (turn1, turn2) = (calls[2], calls[3])
    // The client echoes null content as "" and the arguments with other spaces and order.
    #expect(turn2.messages.count == 4)
    #expect(turn2.messages.prefix(2).map(\.canonical) == turn1.messages.map(\.canonical))
    #expect(turn2.messages[2].canonical == turn1.replyCanonical)
    #expect(turn1.columns == nil)
    #expect(Checks.drawn(turn1.segments) == ["tool_call 0..<0 search"])
    #expect(turn1.segments[0].toolCallID == "call_1")
    #expect(turn1.segments[0].arguments == #"{"query": "Ouse bridge length", "limit": 3}"#)
    let result = turn2.messages[3].segments
    #expect(Checks.drawn(result) == ["tool_result 0..<0 search"])
    #expect(result[0].toolCallID == "call_1" && result[0].text == "Ouse bridge: 412 m")
  }

  @Test func clampedLogprobsAreMissingAndBytesTellTokensApart() throws {
    let call = Checks.calls(try Checks.fixture("openai/openai-chat.jsonl"))[4]
    let columns = try #require(call.columns)
    #expect(columns.logprobs?[2] == nil)
    #expect(columns.topLogprobs?.counts == [2, 2, 1])
    #expect(Set(columns.tokenIDs).count == 3)
    let strings = try #require(columns.strings)
    #expect(strings[Int(columns.tokenIDs[1])] == TokenString("\u{FFFD}", bytes: [0xE2, 0x82]))
    #expect(call.findings.map(\.check) == [.sentinel])
    #expect(call.findings[0].count == 2 && call.findings[0].firstIndex == 2)
    #expect(call.segments.map(\.text) == [" costs€"])
  }

  @Test func aReplyAloneIsItsOwnGroup() throws {
    let call = Checks.calls(try Checks.fixture("openai/openai-chat.jsonl"))[5]
    #expect(call.messages.isEmpty && call.groupID == "chatcmpl-5")
  }

  @Test func streamsAreMergedByChoice() throws {
    let calls = Checks.calls(try Checks.fixture("openai/openai-stream.json"))
    #expect(calls.map(\.choiceIndex) == [0, 1])
    #expect(calls[0].segments.map(\.text) == ["It spans 412 metres."])
    #expect(calls[0].columns?.count == 5 && calls[0].finishReason == "stop")
    #expect(calls[0].created == nil)
    #expect(calls[1].columns == nil && calls[1].finishReason == "tool_calls")
    #expect(calls[1].segments.map(\.toolCallID) == ["call_a", "call_b"])
    #expect(calls[1].segments.map(\.arguments) == [#"{"query": "Ouse"}"#, #"{"query": "bridge"}"#])
    #expect(calls[1].extra?.contains("\"total_tokens\":42") == true)
  }

  @Test func batchesAreGroupedByTheStemOfTheirIDs() throws {
    let log = try Checks.read(TestPaths.fixtures.appending(path: "logs/openai/openai-batch.jsonl"))
    let calls = Checks.calls(log.records)
    #expect(calls.map(\.groupID) == ["p7", "p7", "p7", "p8", "p8"])
    #expect(calls.map { $0.segments.first?.text } == ["Jane Austen", "Emma", "Austen.", "Paris", "Lyon"])
    #expect(log.errors.map(\.reason) == [.missingField])
    #expect(log.errors[0].message.contains("maximum context length"))
  }

  @Test(arguments: [
    ("p7-3", "p7"), ("p7_12", "p7"), ("p7", "p7"), ("a-1-2", "a-1"), ("request-3", nil), ("-3", "-3"), ("17", "17"),
  ]) func customIDStems(id: String, group: String?) throws {
    let body = #"{"object":"chat.completion","id":"x","choices":[{"message":{"role":"assistant","content":"a"}}]}"#
    let calls = try Checks.calls(
      #"{"custom_id":"\#(id)","response":{"status_code":200,"body":\#(body)},"error":null}"#)
    #expect(calls[0].groupID == group ?? "x")
  }

  @Test func vLLMIDsAreReal() throws {
    let calls = Checks.calls(try Checks.fixture("openai/vllm-chat-ids.jsonl"))
    #expect(calls.map(\.responseID) == ["c1", "c2", "c3", "c4"])
    for call in calls {
      let columns = try #require(call.columns)
      #expect(columns.strings == nil && columns.logprobs != nil)
      #expect(columns.topLogprobs?.counts.allSatisfy { $0 == 4 } == true)
      Checks.expectCover(call.segments, 0, columns.count)
      #expect(call.findings.isEmpty)
    }
    // The second turn's prompt repeats the first one and its reply, and goes on with the tool's result.
    let prompt = try #require(calls[0].promptTokenIDs)
    let second = try #require(calls[1].promptTokenIDs)
    let reply = try #require(calls[0].columns?.tokenIDs)
    #expect(second.starts(with: prompt + reply) && second.count > prompt.count + reply.count)
    #expect(calls[2].promptTokenIDs == second && calls[3].promptTokenIDs == prompt)
    #expect(calls[1].messages[1].canonical == calls[0].replyCanonical)
    #expect(calls[1].replyCanonical != calls[2].replyCanonical)
    #expect(Checks.drawn(calls[0].segments) == ["tool_call 0..<\(reply.count) search"])
    #expect(calls[0].segments[0].toolCallID == "t1")
  }

  @Test func textCompletions() throws {
    let calls = Checks.calls(try Checks.fixture("openai/vllm-completions.jsonl"))
    #expect(calls.count == 3)
    #expect(calls[0].messages.map(\.role) == ["user"] && calls[0].messages[0].segments[0].text == "2 + 2 =")
    #expect(calls[0].columns?.strings == nil && calls[0].columns?.topLogprobs?.counts == [3, 3])
    #expect(calls[0].promptTokenIDs?.count == 6)
    #expect(calls[1].segments.map(\.text) == [" four metres"])
    // The echoed prompt was not sampled.
    #expect(calls[2].columns?.count == 2 && calls[2].segments.map(\.text) == [" 4."])
    #expect(calls[2].columns?.logprobs?.widened().contains { $0.isNaN } == false)
    #expect(calls[2].replyCanonical == calls[0].replyCanonical)
  }

  // MARK: Shapes

  static let reply =
    #"{"object":"chat.completion","id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}"#
  static let quoted = reply.replacingOccurrences(of: "\"", with: "\\\"")

  @Test(arguments: [
    reply, #"{"request":{"messages":[]},"response":\#(reply)}"#, #"{"response":{"body":"\#(quoted)"}}"#,
    #"{"messages":[{"role":"user","content":"q"}],"response":\#(reply),"args":[],"timestamp":1.5,"cost":0.1}"#,
    #"{"call":{"request":{},"response":\#(reply)}}"#, #"{"raw_response":"  \#(quoted)"}"#,
    #"{"model_response":{"__data__":\#(reply)}}"#, #"{"choices":[{"message":{"content":"a"}}]}"#,
    #"[{"object":"chat.completion.chunk","id":"x","choices":[{"index":0,"delta":{"content":"a"}}]}]"#,
  ]) func wrappers(text: String) throws {
    let calls = try Checks.calls(text)
    #expect(calls.count == 1 && calls[0].segments.map(\.text) == ["a"])
    #expect(OpenAILog.recognises(try JSONValue(parsing: text)))
  }

  @Test func nothingToImport() throws {
    #expect(try Checks.calls(#"{"object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":3}}"#).isEmpty)
    #expect(try Checks.calls(#"[{"object":"chat.completion.chunk","choices":[],"usage":{}}]"#).isEmpty)
  }

  @Test func groupsNamedInTheRequest() throws {
    func group(_ request: String) throws -> String? {
      try Checks.calls(#"{"request":\#(request),"response":\#(Self.reply)}"#)[0].groupID
    }
    #expect(try group(#"{"messages":[{"role":"user","content":"q"}],"metadata":{"group_id":7}}"#) == "7")
    #expect(try group(#"{"messages":[{"role":"user","content":"q"}],"metadata":{"session_id":"s"},"user":"u"}"#) == "s")
    #expect(try group(#"{"messages":[{"role":"user","content":"q"}],"user":"u"}"#) == "u")
    #expect(try group(#"{"messages":[{"role":"user","content":"q"}]}"#) == nil)
  }

  @Test func rewardsBesideTheExchange() throws {
    let call = try Checks.calls(#"{"response":\#(Self.reply),"reward":0.5,"data_source":"d","note":"n"}"#)[0]
    #expect(call.reward == 0.5 && call.dataSource == "d" && call.extra == #"{"note":"n"}"#)
  }

  /// A chat reply with one `logprobs.content` entry for each of these.
  static func chat(_ entries: [String], message: String = #"{"role":"assistant","content":""}"#, more: String = "")
    -> String
  {
    #"{"object":"chat.completion","id":"x","choices":[{"index":0,"message":\#(message)\#(more),"#
      + #""logprobs":{"content":[\#(entries.joined(separator: ","))]}}]}"#
  }

  static func token(_ text: String, _ logprob: String = "-0.5") -> String {
    #"{"token":"\#(text)","logprob":\#(logprob),"bytes":null,"top_logprobs":[]}"#
  }

  @Test func tokensAreCutAtTags() throws {
    let texts = ["<think>", "so", "</think>", "\\n\\n", "<tool", "_call>", "{}", "</tool_call>", "<|im_end|>"]
    let message =
      #"{"content":null,"reasoning":"so","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}},"#
      + #"{"id":"u","function":{"name":"g","arguments":"{}"}}]}"#
    let call = try Checks.calls(Self.chat(texts.map { Self.token($0) }, message: message))[0]
    #expect(Checks.drawn(call.segments) == ["reasoning 0..<3", "tool_call 3..<9 f", "tool_call 9..<9 g"])
    #expect(call.segments[1].text == "\n\n<tool_call>{}</tool_call><|im_end|>")
  }

  @Test func aTokenOverABoundaryBelongsToThePieceInWhichItBegins() throws {
    let call = try Checks.calls(Self.chat(["Hm", ".<", "answer>", "42", "</answer>.", "x"].map { Self.token($0) }))[0]
    #expect(Checks.drawn(call.segments) == ["reasoning 0..<2", "answer 2..<5", "other 5..<6"])
  }

  @Test func callsThatNoTokenShows() throws {
    let tools = #""tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]"#
    // All tokens are markup of the call.
    var call = try Checks.calls(
      Self.chat([Self.token("[CALL]"), Self.token("f")], message: #"{"content":null,\#(tools)}"#))[0]
    #expect(Checks.drawn(call.segments) == ["tool_call 0..<2 f"])
    // Visible text, then markup.
    call = try Checks.calls(
      Self.chat(["See", ":", "[CALL]", "f"].map { Self.token($0) }, message: #"{"content":"See:",\#(tools)}"#))[0]
    #expect(Checks.drawn(call.segments) == ["reasoning 0..<2", "tool_call 2..<4 f"])
    // Visible text only.
    call = try Checks.calls(
      Self.chat([Self.token("See"), Self.token(":")], message: #"{"content":"See:",\#(tools)}"#))[0]
    #expect(Checks.drawn(call.segments) == ["reasoning 0..<2", "tool_call 2..<2 f"])
  }

  @Test func reasoningThatTheServerTookOut() throws {
    // Among the tokens without a tag, and not among them at all.
    let inside = try Checks.calls(
      Self.chat(["so", " it is", "412"].map { Self.token($0) }, message: #"{"content":"412","reasoning":"so it is"}"#))[
        0]
    #expect(Checks.drawn(inside.segments) == ["reasoning 0..<2", "answer 2..<3"])
    let outside = try Checks.calls(
      Self.chat([Self.token("412")], message: #"{"content":"412","reasoning_content":"so it is"}"#))[0]
    #expect(Checks.drawn(outside.segments) == ["reasoning 0..<0", "answer 0..<1"])
    #expect(inside.replyCanonical == outside.replyCanonical)
  }

  @Test func idsBesideTexts() throws {
    let entries = [
      #"{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":["#
        + #"{"token":"b","logprob":-0.1},{"token":"a","logprob":-0.5}]}"#
    ]
    let call = try Checks.calls(Self.chat(entries, more: #","token_ids":[7],"prompt_token_ids":[1,2]"#))[0]
    #expect(call.columns?.tokenIDs == [7] && call.columns?.strings == nil)
    // The log does not say the id of "b".
    #expect(call.columns?.topLogprobs?.tokenIDs == [-1, 7])
    #expect(call.promptTokenIDs == [1, 2] && call.messages.count == 1 && call.findings.isEmpty)
  }

  @Test func idsWithoutLogprobs() throws {
    let call = try Checks.calls(
      #"{"object":"chat.completion","choices":[{"message":{"content":"a b"},"token_ids":[5,6],"logprobs":null}]}"#
    )[0]
    #expect(call.columns?.tokenIDs == [5, 6] && call.columns?.logprobs == nil && call.columns?.topLogprobs == nil)
    #expect(Checks.drawn(call.segments) == ["answer 0..<2"])
  }

  @Test func equallyLookingTokensStayApart() throws {
    // The same letter composed and decomposed: equal to Swift, two tokens to the model.
    let call = try Checks.calls(Self.chat([Self.token("\u{E9}"), Self.token("e\u{301}")]))[0]
    #expect(call.columns?.tokenIDs == [0, 1])
  }

  @Test func precisionOfLogprobs() throws {
    func precision(_ logprobs: String...) throws -> RealColumn.Precision? {
      try Checks.calls(Self.chat(logprobs.map { Self.token("a", $0) }))[0].columns?.logprobs?.precision
    }
    #expect(try precision("-0.005647186655551195", "0", "null") == .float32)
    #expect(try precision("-0.1234", "-0.123456789") == .float32Decimal)
    #expect(try precision("-0.5", "-0.1234567891") == .float64)
    #expect(try precision("-0.005647186655551", "-1e-300") == .float64)
    #expect(try precision("null") == nil)
  }

  @Test func runsOfZerosAreTold() throws {
    let call = try Checks.calls(Self.chat((0..<9).map { _ in Self.token("a", "0.0") }))[0]
    #expect(call.findings.map(\.check) == [.zeroRun])
  }

  @Test func irregularStreams() throws {
    func chunk(_ choice: String) -> String { #"{"object":"chat.completion.chunk","id":"x","choices":[\#(choice)]}"# }
    // The old way of calling one function, with an empty list of calls beside it.
    let call = try Checks.calls(
      "["
        + [
          chunk(#"{"delta":{"tool_calls":[],"function_call":{"name":"f","arguments":"{"}}}"#),
          chunk(#"{"delta":{"function_call":{"arguments":"}"}}}"#),
          chunk(#"{"delta":{},"finish_reason":"function_call"}"#),
        ].joined(separator: ",") + "]")[0]
    #expect(call.segments.map(\.tool) == ["f"] && call.segments[0].arguments == "{}")
    // Calls without an index: a new id begins a new one.
    let two = try Checks.calls(
      "["
        + [
          chunk(#"{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}}]}}"#),
          chunk(#"{"delta":{"tool_calls":[{"function":{"arguments":"2"}}]}}"#),
          chunk(#"{"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"3"}}]}}"#),
        ].joined(separator: ",") + "]")[0]
    #expect(two.segments.map(\.arguments) == ["12", "3"])
  }

  @Test func choicesThatAllHaveTheSameIndex() throws {
    let calls = try Checks.calls(
      #"{"choices":[{"index":0,"message":{"content":"a"}},{"index":0,"message":{"content":"b"}}]}"#)
    #expect(calls.map(\.choiceIndex) == [0, 1] && calls.map { $0.segments.first?.text } == ["a", "b"])
    #expect(calls[0].responseID == calls[1].responseID && calls[0].responseID.count == 16)
  }

  @Test func aRefusalHasTokensOfItsOwn() throws {
    let call = try Checks.calls(
      #"{"choices":[{"message":{"content":null,"refusal":"No"},"#
        + #""logprobs":{"content":null,"refusal":[\#(Self.token("No"))]}}]}"#
    )[0]
    #expect(call.columns?.count == 1 && call.segments.map(\.text) == ["No"])
  }

  // MARK: Errors

  @Test(arguments: [
    (token("a", "0.25"), QuarantineReason.positiveLogprob), (token("a", "NaN"), .notFinite),
    (token("a", "-Infinity"), .notFinite), (token("a", "\"-1\""), .wrongType), (#"{"logprob":-1}"#, .missingField),
    ("7", .wrongType), (token("token_id:99999999999"), .outOfRange), (token("token_id:-1"), .outOfRange),
    (token("token_id:x"), .outOfRange), (#"{"token":"a","logprob":-1,"bytes":[256]}"#, .outOfRange),
    (#"{"token":"a","logprob":-1,"top_logprobs":[{"token":"a","logprob":1}]}"#, .positiveLogprob),
    (#"{"token":"a","logprob":-1,"top_logprobs":{}}"#, .wrongType),
    (token("token_id:5") + "," + token("a"), .wrongType),
  ]) func badTokens(entry: String, reason: QuarantineReason) {
    let error = Checks.error(OpenAILog.self, Self.chat([entry]))
    #expect(error?.reason == reason)
    #expect(error?.message.contains("choices[0].logprobs.content[") == true)
  }

  @Test(arguments: [
    (#"{"object":"response","id":"r","output":[]}"#, QuarantineReason.unknownRecord),
    (#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#, .unknownRecord),
    (#"{"object":"chat.completion","id":"x"}"#, .missingField),
    (#"{"object":"chat.completion","choices":[],"error":{"message":"no"}}"#, .missingField),
    (#"{"object":"chat.completion","choices":[]}"#, .missingField),
    (#"{"custom_id":"p-1","response":{"body":{"object":"text_completion","choices":[]}},"error":null}"#, .missingField),
    (#"{"response":\#(reply),"reward":"good"}"#, .wrongType), (#"{"response":\#(reply),"score":[0,1]}"#, .wrongType),
    (#"{"group_id":"g","trajectory_id":"t","turns":[\#(reply)],"reward":[1]}"#, .wrongType),
    (#"{"group_id":"g","trajectory_id":"t","turns":[\#(reply)],"step":"1"}"#, .wrongType),
    (#"{"object":"chat.completion","choices":7}"#, .wrongType),
    (#"{"object":"chat.completion","choices":[7]}"#, .wrongType),
    (#"{"object":"chat.completion","choices":[{"index":-1,"message":{}}]}"#, .outOfRange),
    (#"{"object":"chat.completion","choices":[{"index":1e300,"message":{}}]}"#, .outOfRange),
    (#"{"object":"chat.completion","choices":[{"message":{},"token_ids":[4294967296]}]}"#, .outOfRange),
    (#"{"object":"chat.completion","choices":[{"message":{},"token_ids":[-4]}]}"#, .outOfRange),
    (#"{"object":"chat.completion","choices":[{"message":{},"token_ids":["4"]}]}"#, .wrongType),
    (
      chat([token("a", "-1")], message: "{}", more: #","token_ids":[4,5]"#),
      .lengthMismatch
    ),
    (
      chat([token("token_id:5", "-1")], message: "{}", more: #","token_ids":[4]"#),
      .duplicateDisagrees
    ),
    (
      #"{"request":{"messages":[{"content":"q"}]},"response":{"object":"chat.completion","choices":[{"message":{}}]}}"#,
      .missingField
    ),
    (
      #"{"request":{"prompt":["a"],"n":1},"response":{"object":"text_completion","choices":[{"index":3,"text":"a"}]}}"#,
      .outOfRange
    ),
    (
      #"{"object":"text_completion","choices":[{"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[-1]}}]}"#,
      .lengthMismatch
    ),
    (
      #"{"request":{"prompt":"a","echo":true},"response":{"object":"text_completion","choices":"#
        + #"[{"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[null,-1]}}]}}"#,
      .missingField
    ),
    (#"{"response":"just text"}"#, .unknownRecord), ("[]", .unknownRecord), ("3", .unknownRecord),
  ]) func badRecords(text: String, reason: QuarantineReason) {
    #expect(Checks.error(OpenAILog.self, text)?.reason == reason)
  }

  // MARK: Turns

  @Test func recordsOfWholeTrajectories() throws {
    let turn = { (kind: String, text: String) in
      Self.chat([Self.token(text), Self.token(".")], message: #"{"content":"\#(text).","kind":"\#(kind)"}"#)
    }
    let text =
      #"{"group_id":"g","trajectory_id":"t","parent_id":"s","branch_token":4,"reward":0.5,"#
      + #""prompt":{"question":"q","data_source":"d"},"turns":[\#(turn("reasoning", "a")),\#(turn("tool_call", "b")),"#
      + #"{"role":"tool","name":"search","content":"r"},\#(turn("answer", "c"))]}"#
    let trajectory = try #require(Checks.trajectories(try Checks.records(OpenAILog.self, text)).first)
    #expect(trajectory.groupID == "g" && trajectory.trajectoryID == "t" && trajectory.reward == 0.5)
    #expect(trajectory.promptText == "q" && trajectory.dataSource == "d" && trajectory.parentID == nil)
    #expect(
      Checks.drawn(trajectory.segments) == [
        "reasoning 0..<2", "tool_call 2..<4 search", "tool_result 4..<4 search", "answer 4..<6",
      ])
    #expect(trajectory.columns?.tokenIDs == [0, 1, 2, 1, 3, 1])
    #expect(trajectory.findings == [Finding(.unknownTokens, count: 1)])
    #expect(trajectory.extra == #"{"parent_id":"s","branch_token":4}"#)
  }
}
