import Rollouts
import Testing

@testable import RolloutLogs

/// The rules of `arpo-rollout/1`, one by one: what a record says, and under which reason it is refused.
@Suite struct NativeRuleTests {
  typealias Checks = LogFormatChecks

  /// A trajectory record with more members.
  static func text(_ members: String, ids: String? = "[1,2,3]") -> String {
    let tokens = ids.map { #","token_ids":\#($0)"# } ?? ""
    return
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"t"\#(tokens)\#(members.isEmpty ? "" : ",")\#(members)}"#
  }

  static func trajectory(_ members: String, ids: String? = "[1,2,3]") throws -> TrajectoryRecord {
    let records = try Checks.records(NativeLog.self, text(members, ids: ids))
    return try #require(Checks.trajectories(records).first)
  }

  static func reason(_ members: String, ids: String? = "[1,2,3]") -> QuarantineReason? {
    Checks.error(NativeLog.self, text(members, ids: ids))?.reason
  }

  static func segments(_ ranges: [(String, Int, Int)]) -> String {
    #""segments":["# + ranges.map { #"{"kind":"\#($0.0)","start":\#($0.1),"end":\#($0.2)}"# }.joined(separator: ",")
      + "]"
  }

  // MARK: Kinds and schema

  @Test func everyKindOfRecord() throws {
    let run = try Checks.records(
      NativeLog.self,
      #"""
      {"schema":"arpo-rollout/1","kind":"run","run_id":"r1","algorithm":"arpo","model":"m",
       "tokenizer":{"name":"n","vocab_size":151665,"sha256":"s"},"sampling":{"temperature":0.7,"top_p":0.9,"top_k":-1},
       "logprobs_mode":"processed_logprobs","branching":{"beam_size":2},"seed":7}
      """#)
    guard case .run(let record) = run.first else {
      Issue.record("no run")
      return
    }
    #expect(
      record.runID == "r1" && record.algorithm == "arpo" && record.model == "m"
        && record.logprobsMode == "processed_logprobs")
    #expect(record.tokenizerName == "n" && record.vocabSize == 151665 && record.tokenizerSHA256 == "s")
    #expect(record.temperature == 0.7 && record.topP == 0.9 && record.topK == -1)
    #expect(record.branching == #"{"beam_size":2}"# && record.extra == #"{"seed":7}"#)

    let group = try Checks.records(
      NativeLog.self,
      #"{"kind":"group","group_id":"p7","step":12,"prompt_text":"q","prompt_token_ids":[1,2],"#
        + #""ground_truth":42,"data_source":"d","policy_version":3,"x":[1]}"#
    )
    guard case .group(let facts) = group.first else {
      Issue.record("no group")
      return
    }
    #expect(facts.groupID == "p7" && facts.step == 12 && facts.promptText == "q" && facts.promptTokenIDs == [1, 2])
    #expect(
      facts.groundTruth == "42" && facts.dataSource == "d" && facts.policyVersion == 3 && facts.extra == #"{"x":[1]}"#)

    guard case .end(let count) = try Checks.records(NativeLog.self, #"{"kind":"end","trajectories":16}"#).first else {
      Issue.record("no end")
      return
    }
    #expect(count == 16)
  }

  /// The kind is found wherever it stands.
  @Test func theKindMayStandLast() throws {
    let text =
      #"{"text":"\"kind\":\"end\"","extra":{"kind":"run"},"token_ids":[1],"#
      + #""group_id":"g","trajectory_id":"t","kind":"trajectory"}"#
    #expect(Checks.trajectories(try Checks.records(NativeLog.self, text)).first?.columns?.count == 1)
  }

  @Test(arguments: [
    (#"{"kind":"trajectory"}"#, QuarantineReason.missingField), (#"{"kind":"group"}"#, .missingField),
    (#"{"kind":"run"}"#, .missingField),
    (#"{}"#, .missingField), (#"{"kind":7}"#, .missingField), (#"{"kind":"token"}"#, .unknownRecord),
    ("[]", .wrongType), ("7", .wrongType),
    (#""kind""#, .wrongType), ("oops", .invalidJSON), ("", .invalidJSON), (#"{"kind":"run","run_id":7}"#, .wrongType),
    (#"{"kind":"group","group_id":"g","step":1.5}"#, .wrongType),
    (#"{"kind":"group","group_id":"g","prompt_token_ids":[-1]}"#, .outOfRange),
    (#"{"kind":"run","run_id":"r","tokenizer":{"vocab_size":0}}"#, .outOfRange),
    (#"{"kind":"run","run_id":"r","sampling":[]}"#, .wrongType),
    (#"{"kind":"run","run_id":"r","sampling":{"temperature":NaN}}"#, .notFinite),
    (#"{"kind":"end","trajectories":"x"}"#, .wrongType),
    (#"{"kind":"end"} x"#, .invalidJSON),
    (#"{"schema":"arpo-rollout/2","kind":"run","run_id":"r"}"#, .unsupportedSchema),
    (#"{"schema":7,"kind":"end"}"#, .wrongType),
  ]) func otherRecordsAreRefused(text: String, reason: QuarantineReason) {
    #expect(Checks.error(NativeLog.self, text)?.reason == reason)
  }

  @Test func anotherMajorVersionIsRefusedAndAMinorOneIsNot() throws {
    _ = try Self.trajectory(#""schema":"arpo-rollout/1""#)
    _ = try Self.trajectory(#""schema":"arpo-rollout/1.4""#)
    for schema in ["arpo-rollout/2", "arpo-rollout/10", "arpo-rollout/0", "else/1"] {
      #expect(Self.reason(#""schema":"\#(schema)""#) == .unsupportedSchema)
    }
  }

  // MARK: Members

  @Test func aTrajectorySaysEverything() throws {
    let t = try Self.trajectory(
      #"""
      "run_id":"r","step":12,"rollout_index":3,"parent_id":"p","branch_token_index":5,"branch":{"reason":"entropy"},
      "prompt_text":"q","prompt_token_ids":[7],"ground_truth":{"a":1},"loss_mask":[1,0,1],"logprobs":[-1,null,-0.5],
      "top_logprobs":{"counts":[2,0,1],"token_ids":[1,9,4],"logprobs":[-1,-2,-3]},"entropies":[0.5,null,0.25],
      "entropy_kind":"exact","text":"abc",
      "segments":[{"kind":"tool_call","start":5,"end":6,"tool":"search","tool_call_id":"c","arguments":{"q":1},"x":2},
        {"kind":"tool_result","start":6,"end":7,"tool":"search","tool_call_id":"c","status":"ok","latency_s":0.8},
        {"kind":"answer","start":7,"end":8,"text":"c"}],
      "reward":1.1,"rewards":{"answer":{"score":1.0,"weight":2.0},"format":{"score":0.1}},"policy_version":41,
      "data_source":"d","finish_reason":"stop","multiplicity":3,"note":[1]
      """#)
    #expect(t.runID == "r" && t.groupID == "g" && t.trajectoryID == "t" && t.step == 12 && t.rolloutIndex == 3)
    #expect(t.parentID == "p" && t.branchIndex == 5 && t.firstIndex == 5 && t.branch == #"{"reason":"entropy"}"#)
    #expect(t.promptText == "q" && t.promptTokenIDs == [7] && t.groundTruth == #"{"a":1}"# && t.text == "abc")
    let columns = try #require(t.columns)
    #expect(columns.tokenIDs == [1, 2, 3] && columns.lossMask == [1, 0, 1])
    #expect(columns.logprobs?[0] == -1 && columns.logprobs?[1] == nil && columns.entropies?[2] == 0.25)
    #expect(columns.topLogprobs?.counts == [2, 0, 1] && columns.topLogprobs?.tokenIDs == [1, 9, 4])
    #expect(Checks.drawn(t.segments) == ["tool_call 5..<6 search", "tool_result 6..<7 search", "answer 7..<8"])
    #expect(
      t.segments[0].arguments == #"{"q":1}"# && t.segments[0].extra == #"{"x":2}"# && t.segments[1].latency == 0.8)
    #expect(
      t.reward == 1.1
        && t.rewards == [RewardPart(name: "answer", score: 1, weight: 2), RewardPart(name: "format", score: 0.1)])
    #expect(t.policyVersion == 41 && t.dataSource == "d" && t.finishReason == "stop" && t.multiplicity == 3)
    #expect(t.entropyKind == "exact" && t.extra == #"{"note":[1]}"#)
  }

  static let keys = [
    "run_id", "step", "rollout_index", "parent_id", "branch_token_index", "branch", "prefix", "prompt_text",
    "prompt_token_ids",
    "ground_truth", "loss_mask", "logprobs", "top_logprobs", "entropies", "entropy_kind", "text", "segments", "rewards",
    "policy_version", "data_source", "finish_reason", "multiplicity", "schema", "branch_segment", "unknown",
  ]

  /// Equal to null and absent mean the same.
  @Test(arguments: keys) func nullIsAbsent(key: String) throws {
    let (absent, null) = (try Self.trajectory(""), try Self.trajectory(#""\#(key)":null"#))
    #expect("\(absent)".replacing("nan", with: "") == "\(null)".replacing("nan", with: ""))
  }

  @Test(arguments: [
    #""run_id":1"#, #""step":"1""#, #""step":1.5"#, #""rollout_index":[1]"#, #""parent_id":7,"branch_token_index":0"#,
    #""branch":"x""#,
    #""prefix":"half""#, #""prompt_text":7"#, #""prompt_token_ids":"x""#, #""loss_mask":{}"#, #""logprobs":"x""#,
    #""logprobs":[-1,"-2",-3]"#,
    #""top_logprobs":[]"#, #""entropies":5"#, #""entropy_kind":1"#, #""text":[]"#, #""segments":{}"#,
    #""segments":[1]"#, #""reward":"1""#,
    #""reward":true"#, #""rewards":[1]"#, #""rewards":{"a":1}"#, #""rewards":{"a":{"score":"1"}}"#,
    #""policy_version":"a""#,
    #""data_source":1"#, #""finish_reason":1"#, #""multiplicity":1.5"#,
  ]) func aWrongTypeIsRefused(members: String) { #expect(Self.reason(members) == .wrongType) }

  @Test(arguments: ["group_id", "trajectory_id"]) func idsAreNeeded(key: String) {
    let text = Self.text("").replacing(#""\#(key)":"\#(key == "group_id" ? "g" : "t")","#, with: "")
    #expect(Checks.error(NativeLog.self, text)?.reason == .missingField)
  }

  @Test func unknownKeysAreKept() throws {
    let t = try Self.trajectory(#""a":1,"b":{"c":[NaN,"\u00e9"]},"d":null,"e":"x""#)
    #expect(t.extra?.hasPrefix(#"{"a":1,"b":{"c":["#) == true && t.extra?.hasSuffix(#""e":"x"}"#) == true)
  }

  // MARK: Token columns

  @Test(arguments: [
    #""loss_mask":[1,1]"#, #""logprobs":[-1,-1,-1,-1]"#, #""logprobs":[]"#, #""entropies":[0.5]"#,
    #""top_logprobs":{"counts":[1,1],"token_ids":[1,1],"logprobs":[-1,-1]}"#,
    #""top_logprobs":{"counts":[1,1,1],"token_ids":[1,1],"logprobs":[-1,-1,-1]}"#,
    #""top_logprobs":{"counts":[1,1,1],"token_ids":[1,1,1],"logprobs":[-1,-1]}"#,
    #""top_logprobs":{"counts":[2,0,0],"token_ids":[1,1,1],"logprobs":[-1,-1,-1]}"#,
  ]) func arraysCoverTheStoredTokens(members: String) { #expect(Self.reason(members) == .lengthMismatch) }

  @Test func logprobsAreAtMostZeroAndFinite() throws {
    #expect(Self.reason(#""logprobs":[-1,1e-9,-1]"#) == .positiveLogprob)
    #expect(Self.reason(#""logprobs":[-1,0.1234567890123,-1]"#) == .positiveLogprob)
    #expect(Self.reason(#""logprobs":[-1,1e-50,-1]"#) == .positiveLogprob)
    #expect(Self.reason(#""top_logprobs":{"counts":[1,0,0],"token_ids":[1],"logprobs":[0.5]}"#) == .positiveLogprob)
    for bad in ["NaN", "Infinity", "-Infinity", "-1e999"] {
      #expect(Self.reason(#""logprobs":[-1,\#(bad),-1]"#) == .notFinite, "\(bad)")
      #expect(Self.reason(#""entropies":[1,\#(bad),1]"#) == .notFinite, "\(bad)")
      #expect(Self.reason(#""reward":\#(bad)"#) == .notFinite, "\(bad)")
    }
    let zero = try Self.trajectory(#""logprobs":[0,-0.0,null]"#)
    #expect(zero.columns?.logprobs?[0] == 0 && zero.columns?.logprobs?[2] == nil)
  }

  @Test func theSecondArrayMayStandBeforeTheTokens() throws {
    let text =
      #"{"kind":"trajectory","logprobs":[-1,-2],"loss_mask":[1,0],"group_id":"g","trajectory_id":"t","#
      + #""token_ids":[1,2]}"#
    #expect(Checks.trajectories(try Checks.records(NativeLog.self, text)).first?.columns?.logprobs?[1] == -2)
  }

  @Test func candidatesNeedNotHoldTheSampledToken() throws {
    let t = try Self.trajectory(#""top_logprobs":{"counts":[2,1,0],"token_ids":[9,1,2],"logprobs":[-3,-1,-0.5]}"#)
    #expect(t.findings.isEmpty)
    let unlisted = try Self.trajectory(
      #""top_logprobs":{"counts":[1,1,1],"token_ids":[9,2,8],"logprobs":[-3,-1,-0.5]}"#)
    #expect(unlisted.findings == [Finding(.sampledNotListed, count: 2, firstIndex: 0)])
    #expect(Self.reason(#""top_logprobs":{"counts":[1,0,0],"token_ids":[1],"logprobs":[null]}"#) == .wrongType)
    for missing in [
      #""counts":[0,0,0],"token_ids":[]"#, #""counts":[0,0,0],"logprobs":[]"#, #""token_ids":[],"logprobs":[]"#,
    ] {
      #expect(Self.reason(#""top_logprobs":{\#(missing)}"#) == .missingField)
    }
    #expect(Self.reason(#""top_logprobs":{"counts":[-1,1,0],"token_ids":[],"logprobs":[]}"#) == .outOfRange)
    #expect(
      Self.reason(#""top_logprobs":{"counts":[2147483647,2147483647,2147483647],"token_ids":[1],"logprobs":[-1]}"#)
        == .lengthMismatch)
  }

  /// By rounding an entropy may lie a little below 0; others do not come from a distribution.
  @Test(arguments: ["", "00000000000001"]) func negativeEntropiesAreTold(moreDigits: String) throws {
    let t = try Self.trajectory(#""entropies":[-0.00001,-0.5\#(moreDigits),0.25]"#)
    #expect(t.findings == [Finding(.negativeEntropy, count: 1, firstIndex: 1)])
    #expect(t.columns?.entropies?[1] == Double("-0.5" + moreDigits))
    #expect(try Self.trajectory(#""entropies":[-0.00001,null,0.25]"#).findings.isEmpty)
  }

  @Test func aMissingMaskIsZeroInToolResults() throws {
    let t = try Self.trajectory(Self.segments([("tool_call", 0, 1), ("tool_result", 1, 2), ("other", 2, 3)]))
    #expect(t.columns?.lossMask == [1, 0, 1])
    #expect(try Self.trajectory("").columns?.lossMask == [1, 1, 1])
  }

  @Test func missingSegmentsComeFromTheMask() throws {
    let t = try Self.trajectory(#""loss_mask":[1,0,1,1,0,0],"text":"a <result>b</result> c""#, ids: "[1,2,3,4,5,6]")
    #expect(
      Checks.drawn(t.segments) == ["reasoning 0..<1", "tool_result 1..<2", "reasoning 2..<4", "tool_result 4..<6"])
    #expect(Checks.drawn(try Self.trajectory("").segments) == ["reasoning 0..<3"])
  }

  @Test func forensicsTellWhatNumbersShow() throws {
    let ids = "[" + (0..<12).map(String.init).joined(separator: ",") + "]"
    let zeros =
      #""logprobs":["# + ["-1", "-1"].joined(separator: ",") + String(repeating: ",0.0", count: 9) + ",-9999]"
    let t = try Self.trajectory(zeros, ids: ids)
    #expect(t.findings.map(\.check) == [.zeroRun, .sentinel])
    #expect(
      t.findings[0].count == 9 && t.findings[0].firstIndex == 2 && t.findings[1].count == 1
        && t.findings[1].firstIndex == 11)
    // A clamp says nothing about how likely a token was: missing, as in every other format.
    #expect(t.columns?.logprobs?[1] == -1 && t.columns?.logprobs?[11] == nil)
    // Fewer in a row happen, and inserted tokens have no logprob of their own.
    let few = #""logprobs":[0,0,0,0,0,0,0,-1,0,0,0,0]"#
    #expect(try Self.trajectory(few, ids: ids).findings.isEmpty)
    #expect(
      try Self.trajectory(zeros + #","loss_mask":[1,1,0,0,0,0,0,0,0,0,0,0]"#, ids: ids).findings.map(\.check) == [
        .sentinel
      ])
  }

  @Test func sentinelsAreMissing() throws {
    let top = #""top_logprobs":{"counts":[2,1,1],"token_ids":[1,8,9,3],"logprobs":[-0.5,-9999,-1e6,-0.25]}"#
    for logprobs in ["[-0.5,-9999.0,-1]", "[-0.5,-10000,-0.1234567890123]"] {
      let t = try Self.trajectory(#""logprobs":\#(logprobs),\#(top)"#)
      let columns = try #require(t.columns)
      #expect(columns.logprobs?[0] == -0.5 && columns.logprobs?[1] == nil && columns.logprobs?[2] != nil)
      #expect(columns.topLogprobs?.counts == [1, 0, 1] && columns.topLogprobs?.tokenIDs == [1, 3])
      #expect(columns.topLogprobs?.logprobs.widened() == [-0.5, -0.25])
      let finding = t.findings.first { $0.check == .sentinel }
      #expect(finding?.count == 3 && finding?.firstIndex == 0)
    }
    #expect(try Self.trajectory(#""logprobs":[-9998.5,-1,-2]"#).columns?.logprobs?[0] == -9998.5)
  }

  // MARK: What is stored as JSON

  @Test(arguments: [
    #""x":[1,,2]"#, #""x":nulx"#, #""branch":{"a":tru}"#, #""x":"\q""#, #""x":01"#, #""x":[1 2]"#, #""x":{"a" 1}"#,
    #""b\qd":1"#, #""x":1."#, #""x":-"#, #""x":[1,]"#, #""x":{"\u12":1}"#, #""x":NaNs"#, #""x":+1"#, #""x":{,}"#,
    #""step":1,"step":[1,,2]"#,
  ]) func whatIsStoredIsJSON(member: String) { #expect(Self.reason(member) == .invalidJSON) }

  @Test func validMembersAreKeptAsTheyAre() throws {
    let members = #""x": [1, {"a":"\u00e9\n", "b":[true,false,null]},-0.50e+3],"é\t":1e400,"y":{}"#
    let t = try Self.trajectory(members + #","branch":{ "a": [] }"#)
    #expect(t.extra == "{" + members.replacing("\": [1", with: "\":[1") + "}" && t.branch == #"{ "a": [] }"#)
    #expect(t.findings.isEmpty)
  }

  /// Python writes them, JSON does not have them.
  @Test func numbersThatAreNotFiniteBecomeNull() throws {
    let t = try Self.trajectory(#""x":[NaN,-Infinity,1],"branch":{"a":Infinity},"ground_truth":[NaN]"#)
    #expect(t.extra == #"{"x":[null,null,1]}"# && t.branch == #"{"a":null}"# && t.groundTruth == "[null]")
    #expect(t.findings.map { "\($0.check.rawValue) \($0.count)" } == ["not_finite 4"])
  }

  @Test func unknownKeysOfTheCandidatesAreKept() throws {
    let top = #""top_logprobs":{"k":2,"counts":[1,0,0],"token_ids":[1],"logprobs":[-1],"by":"vllm"}"#
    #expect(try Self.trajectory(top).extra == #"{"top_logprobs":{"k":2,"by":"vllm"}}"#)
  }

  /// The first one counts, as in the records that are read as documents.
  @Test func ofAKeyThatComesAgainTheFirstCounts() throws {
    let t = try Self.trajectory(
      #""reward":1,"reward":2,"step":null,"step":3,"rewards":{"a":{"score":1},"a":{"score":5},"b":null,"b":{"score":2}},"#
        + #""logprobs":[-1,-2,-3],"logprobs":[-4,-5,-6],"token_ids":[7],"text":"x","text":"y","#
        + #""top_logprobs":{"counts":[1,0,0],"counts":[0,0,1],"token_ids":[1],"token_ids":[2],"logprobs":[-1],"logprobs":[-2]}"#
    )
    #expect(t.reward == 1 && t.step == nil && t.rewards.map(\.score) == [1] && t.text == "x")
    let columns = try #require(t.columns)
    #expect(columns.tokenIDs == [1, 2, 3] && columns.logprobs?.floats == [-1, -2, -3])
    #expect(columns.topLogprobs?.counts == [1, 0, 0] && columns.topLogprobs?.tokenIDs == [1])
    #expect(columns.topLogprobs?.logprobs.floats == [-1])
    // Without a scalar the parts add up, each once.
    #expect(try Self.trajectory(#""rewards":{"a":{"score":1},"a":{"score":5}}"#).reward == 1)
  }

  @Test(arguments: ["\u{0B}", "\u{0C}", "\u{01}", "\u{1F}"]) func controlCharactersAreNoSpace(character: String) {
    for (array, name) in [
      ("[-1,\(character)-2,-3]", "logprobs"), ("[\(character)-1,-2,-3]", "logprobs"),
      ("[-1\(character),-2,-3]", "entropies"), ("[-0.1234567890123,\(character)-2,-3]", "logprobs"),
      ("[1,0\(character),1]", "loss_mask"), ("[1,\(character)2]", "prompt_token_ids"), ("[1,\(character)2]", "x"),
    ] {
      #expect(Self.reason(#""\#(name)":\#(array)"#) != nil, "\(name) \(array)")
    }
  }

  // MARK: Segments

  @Test(
    arguments: [
      [("answer", 0, 2)], [("answer", 1, 3)], [("answer", 0, 4)], [("answer", 0, 1), ("answer", 2, 3)],
      [("answer", 0, 2), ("answer", 1, 3)],
      [("answer", 0, 3), ("answer", 0, 3)], [("thought", 0, 3)], [("answer", 2, 1), ("answer", 1, 3)], [],
    ] as [[(String, Int, Int)]]) func segmentsCoverTheTokens(ranges: [(String, Int, Int)])
  {
    #expect(Self.reason(Self.segments(ranges)) == .badSegments)
  }

  @Test func segmentsOfAChildCountFromTheRoot() throws {
    let branch = #""parent_id":"p","branch_token_index":10,"#
    let delta = try Self.trajectory(branch + Self.segments([("reasoning", 10, 12), ("answer", 12, 13)]))
    #expect(delta.firstIndex == 10 && delta.branchIndex == 10 && delta.segments.map(\.start) == [10, 12])
    #expect(Self.reason(branch + Self.segments([("answer", 0, 3)])) == .badSegments)
    let full = try Self.trajectory(
      #""parent_id":"p","branch_token_index":2,"prefix":"full","# + Self.segments([("answer", 0, 3)]))
    #expect(full.firstIndex == 0 && full.branchIndex == 2)
  }

  @Test func segmentsNeedKindStartAndEnd() {
    #expect(Self.reason(#""segments":[{"start":0,"end":3}]"#) == .missingField)
    #expect(Self.reason(#""segments":[{"kind":"answer","end":3}]"#) == .missingField)
    #expect(Self.reason(#""segments":[{"kind":"answer","start":0}]"#) == .missingField)
    #expect(Self.reason(#""segments":[{"kind":"answer","start":0.5,"end":3}]"#) == .missingField)
    #expect(Self.reason(#""segments":[{"kind":"answer","start":0,"end":3,"latency_s":"x"}]"#) == .wrongType)
  }

  // MARK: Rewards

  @Test(
    arguments: [
      (#""reward":1.1,"rewards":{"a":{"score":5}}"#, 1.1),
      (#""rewards":{"a":{"score":1,"weight":0.5},"b":{"score":2}}"#, 2.5),
      (#""reward":null,"rewards":{"a":{"score":5}}"#, nil), (#""rewards":{"a":{"score":5},"b":{"score":null}}"#, nil),
      (#""rewards":{}"#, nil),
      (#""rewards":{"a":null,"b":{"score":3}}"#, 3), ("", nil), (#""reward":0"#, 0),
    ] as [(String, Double?)]) func theRewardIsTheScalarOrTheWeightedSum(members: String, reward: Double?) throws
  {
    #expect(try Self.trajectory(members).reward == reward)
  }

  @Test func multiplicityIsAtLeastOne() throws {
    #expect(try Self.trajectory("").multiplicity == 1 && Self.trajectory(#""multiplicity":4"#).multiplicity == 4)
    for bad in ["0", "-1", "4294967296"] { #expect(Self.reason(#""multiplicity":\#(bad)"#) == .outOfRange) }
  }

  // MARK: Forks

  @Test func aChildNamesItsBranch() throws {
    #expect(Self.reason(#""parent_id":"p""#) == .missingField)
    #expect(Self.reason(#""parent_id":"p","branch_token_index":-1"#) == .badBranch)
    #expect(Self.reason(#""parent_id":"p","branch_token_index":9999999999"#) == .badBranch)
    #expect(Self.reason(#""parent_id":"p","branch_token_index":4,"prefix":"full""#) == .badBranch)
    let end = try Self.trajectory(#""parent_id":"p","branch_token_index":3,"prefix":"full""#)
    #expect(end.branchIndex == 3 && end.firstIndex == 0)
    let none = try Self.trajectory(#""parent_id":"p","branch_token_index":7,"segments":[]"#, ids: "[]")
    #expect(none.columns?.count == 0 && none.segments.isEmpty)
    // Without a parent there is no branch.
    let root = try Self.trajectory(#""branch_token_index":7,"prefix":"full""#)
    #expect(root.branchIndex == 0 && root.firstIndex == 0)
  }

  // MARK: Text only

  @Test(arguments: [
    #""logprobs":[-1]"#, #""loss_mask":[1]"#, #""entropies":[1]"#,
    #""top_logprobs":{"counts":[],"token_ids":[],"logprobs":[]}"#,
  ])
  func noArrayWithoutTokens(members: String) {
    #expect(Self.reason(#""text":"a","# + members, ids: nil) == .missingField)
  }

  @Test func textStandsForTokens() throws {
    #expect(Self.reason("", ids: nil) == .missingField)
    #expect(Self.reason(#""segments":[{"kind":"answer"}]"#, ids: nil) == .missingField)
    let t = try Self.trajectory(
      #""text":"<think>a</think><search>q</search><result>r</result><answer>b</answer>""#, ids: nil)
    #expect(
      Checks.drawn(t.segments) == [
        "reasoning 0..<1", "tool_call 1..<2 search", "tool_result 2..<3 search", "answer 3..<4",
      ])
    #expect(t.columns == nil && t.findings == [Finding(.unknownTokens, count: 4)])
    let parts = try Self.trajectory(
      #""segments":[{"kind":"reasoning","text":"a"},{"kind":"answer","text":"b","start":5}]"#, ids: nil)
    #expect(Checks.drawn(parts.segments) == ["reasoning 0..<1", "answer 1..<2"])
  }

  @Test func theUnitOfSharingIsTheSegment() throws {
    let segments = #""segments":[{"kind":"reasoning","text":"a"},{"kind":"answer","text":"b"}]"#
    #expect(Self.reason(#""parent_id":"p","# + segments, ids: nil) == .missingField)
    #expect(Self.reason(#""parent_id":"p","branch_segment":-1,"# + segments, ids: nil) == .badBranch)
    #expect(Self.reason(#""parent_id":"p","branch_segment":3,"prefix":"full","# + segments, ids: nil) == .badBranch)
    let delta = try Self.trajectory(#""parent_id":"p","branch_segment":3,"# + segments, ids: nil)
    #expect(delta.branchIndex == 3 && delta.firstIndex == 3 && delta.segments.map(\.start) == [3, 4])
    let full = try Self.trajectory(#""parent_id":"p","branch_segment":1,"prefix":"full","# + segments, ids: nil)
    #expect(full.branchIndex == 1 && full.firstIndex == 0 && full.segments.map(\.start) == [0, 1])
  }
}
