import RolloutLogs
import Rollouts
import Testing

@Suite struct SGLangLogTests {
  typealias Checks = LogFormatChecks

  @Test func repliesBecomeCalls() throws {
    let calls = Checks.calls(try Checks.fixture("sglang/sglang-generate.jsonl"))
    #expect(calls.map(\.responseID) == ["r1-0", "r1-1", "r1-2", "r2", "r3"])
    #expect(calls.map(\.choiceIndex) == [0, 1, 2, 0, 0])
    for call in calls {
      let columns = try #require(call.columns)
      #expect(columns.strings == nil && columns.logprobs != nil)
      Checks.expectCover(call.segments, 0, columns.count)
      #expect(call.promptTokenIDs == [11, 12, 13, 14] && call.finishReason == "stop" && call.findings.isEmpty)
    }
    #expect(calls[0].columns?.topLogprobs?.counts == [3, 3])
    #expect(calls[0].messages.map(\.canonical) == calls[1].messages.map(\.canonical))
    #expect(calls[0].messages[0].segments.isEmpty && calls[0].groupID == nil)
  }

  @Test func theRequestGivesPromptAndSampling() throws {
    let call = Checks.calls(try Checks.fixture("sglang/sglang-generate.jsonl"))[3]
    #expect(call.messages.first?.segments.first?.text == "How long?")
    #expect(call.temperature == 0.8 && call.topP == 0.9)
    // Texts in the tuples show where the reasoning ends.
    #expect(Checks.drawn(call.segments) == ["reasoning 0..<3", "answer 3..<5"])
  }

  @Test func oldNamesAndPairs() throws {
    let call = Checks.calls(try Checks.fixture("sglang/sglang-generate.jsonl"))[4]
    #expect(call.columns?.count == 2 && call.columns?.topLogprobs?.counts == [2, 2])
  }

  @Test func idsAloneAreEvidence() throws {
    let calls = Checks.calls(
      try Checks.records(SGLangLog.self, #"{"text":"a","output_ids":[4,5],"meta_info":{"id":"r","prompt_tokens":3}}"#))
    #expect(calls[0].columns == TokenColumns(tokenIDs: [4, 5], lossMask: [1, 1]))
    #expect(calls[0].messages.isEmpty && calls[0].groupID != nil)
  }

  @Test func aPartOfThePromptIsNotThePrompt() throws {
    let calls = Checks.calls(
      try Checks.records(
        SGLangLog.self,
        #"{"meta_info":{"prompt_tokens":3,"input_token_logprobs":[[-1,7]],"output_token_logprobs":[[-1,4]]}}"#
      ))
    #expect(calls[0].promptTokenIDs == nil)
  }

  @Test func clampedAndUnlistedTokens() throws {
    let calls = Checks.calls(
      try Checks.records(
        SGLangLog.self,
        #"{"text":"a","meta_info":{"output_token_logprobs":[[-9999.0,4],[-1,5]],"#
          + #""output_top_logprobs":[[[-0.1,9],[-9999,4]],[[-0.1,9]]]}}"#
      ))
    #expect(calls[0].columns?.logprobs?[0] == nil && calls[0].columns?.topLogprobs?.counts == [1, 1])
    #expect(calls[0].findings.map(\.check) == [.sentinel, .sampledNotListed])
    #expect(calls[0].findings.map(\.count) == [2, 1] && calls[0].findings[1].firstIndex == 1)
  }

  @Test func batchesOfPrompts() throws {
    let reply = #"{"text":"a","meta_info":{"output_token_logprobs":[[-1,4]]}}"#
    let calls = Checks.calls(
      try Checks.records(
        SGLangLog.self, #"{"request":{"text":["p","q"]},"response":[\#(reply),\#(reply),\#(reply),\#(reply)]}"#))
    #expect(calls.map { $0.messages.first?.segments.first?.text } == ["p", "p", "q", "q"])
  }

  @Test(arguments: [
    (#"{"meta_info":{"output_token_logprobs":[[0.5,4]]}}"#, QuarantineReason.positiveLogprob),
    (#"{"meta_info":{"output_token_logprobs":[[-Infinity,4]]}}"#, .notFinite),
    (#"{"meta_info":{"output_token_logprobs":[[-1]]}}"#, .wrongType),
    (#"{"meta_info":{"output_token_logprobs":[[-1,-4]]}}"#, .outOfRange),
    (#"{"meta_info":{"output_token_logprobs":[[-1,4294967296]]}}"#, .outOfRange),
    (#"{"meta_info":{"output_token_logprobs":[[-1,1.5]]}}"#, .outOfRange),
    (#"{"meta_info":{"output_token_logprobs":{}}}"#, .wrongType),
    (#"{"output_ids":[4,5],"meta_info":{"output_token_logprobs":[[-1,4]]}}"#, .lengthMismatch),
    (#"{"output_ids":[5],"meta_info":{"output_token_logprobs":[[-1,4]]}}"#, .duplicateDisagrees),
    (#"{"meta_info":{"output_token_logprobs":[[-1,4]],"output_top_logprobs":[null,null]}}"#, .lengthMismatch),
    (#"{"meta_info":{"output_token_logprobs":[[-1,4]],"output_top_logprobs":[7]}}"#, .wrongType),
    (#"[{"meta_info":{"output_token_logprobs":[[-1,4]]}},7]"#, .missingField), (#"{"text":"a"}"#, .unknownRecord),
  ]) func badRecords(text: String, reason: QuarantineReason) {
    #expect(Checks.error(SGLangLog.self, text)?.reason == reason)
  }
}
