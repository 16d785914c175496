@testable import RolloutLogs
import Rollouts
import Testing

@Suite struct VerlLogTests {
  typealias Checks = LogFormatChecks

  // MARK: Rows

  @Test func rowsWithoutIDsAreGroupedByTheirPrompt() throws {
    let rows = Checks.trajectories(try Checks.fixture("verl-v0/5.jsonl"))
    #expect(rows.count == 6)
    let groups = rows.map(\.groupID)
    #expect(groups[0] == groups[2] && groups[0] == groups[3] && groups[1] == groups[4] && groups[1] == groups[5])
    #expect(groups[0] != groups[1])
    // The copy has the same id and says so; all others differ.
    #expect(rows[1].trajectoryID == rows[4].trajectoryID && Set(rows.map(\.trajectoryID)).count == 5)
    #expect(rows.allSatisfy { $0.copiesArePadding && $0.step == 5 && $0.columns == nil && $0.part == 0 })
    #expect(rows.map(\.reward) == [1, 0.9, 0, 1, 0.9, 0])
    #expect(rows[0].groundTruth == "412" && rows[0].promptText?.hasPrefix("system\nAnswer.") == true)
    #expect(rows[0].rewards == [RewardPart(name: "acc", score: 1, weight: 0)])
    #expect(rows[0].extra == #"{"acc":true,"length_penalty":0.0}"#)
    #expect(rows[2].findings.map(\.check) == [.unknownTokens, .notFinite])
    #expect(rows[0].text?.contains("412\u{2028}m") == true)
  }

  @Test func hermesTags() throws {
    let row = Checks.trajectories(try Checks.fixture("verl-v0/5.jsonl"))[0]
    #expect(
      Checks.drawn(row.segments) == [
        "reasoning 0..<1", "tool_call 1..<2 search", "tool_result 2..<3 search", "answer 3..<4",
      ])
    #expect(row.segments[1].arguments == #"{"query":"bridge"}"#)
    #expect(row.segments[2].text == "\nuser\n<tool_response>\n412\u{2028}m\n</tool_response>\nassistant\n")
  }

  @Test func partsOfASample() throws {
    let rows = Checks.trajectories(try Checks.fixture("verl-v1/7.jsonl"))
    #expect(rows.map(\.groupID) == ["a7", "a7", "a7", "b_8", "b_8"])
    #expect(rows.map(\.trajectoryID) == ["a7_1", "a7_0", "a7_0", "b_8_0", "b_8_1"])
    #expect(rows.map(\.part) == [0, 1, 0, 0, 0] && rows.map(\.rolloutIndex) == [1, 0, 0, 0, 1])
    #expect(rows.allSatisfy { !$0.copiesArePadding })
    #expect(rows[0].rewards == [RewardPart(name: "format_reward", score: 0.1, weight: 0)])
    // The context of the second part is no prompt of the group.
    #expect(rows[1].promptText == nil && rows[1].extra?.contains("(summary)") == true)
    #expect(
      Checks.drawn(rows[2].segments) == [
        "reasoning 0..<1", "tool_call 1..<2 search", "tool_result 2..<3 search", "reasoning 3..<4",
      ])
    #expect(rows[2].segments[2].text == "\ntool\n412 m\nassistant\n")
  }

  @Test func aUIDInAnotherShapeIsTheGroup() throws {
    let row = try Self.row(#""uid":"7f3c-22""#)
    #expect(row.groupID == "7f3c-22" && row.copiesArePadding)
  }

  @Test func arpoRows() throws {
    let rows = Checks.trajectories(try Checks.fixture("arpo/3.jsonl"))
    #expect(rows[0].trajectoryID == rows[4].trajectoryID && Set(rows.map(\.groupID)).count == 1)
    #expect(rows.map(\.reward) == [1.1, 0, 0, -1, 1.1])
    #expect(
      Checks.drawn(rows[0].segments) == [
        "reasoning 0..<1", "tool_call 1..<2 search", "tool_result 2..<3 search", "reasoning 3..<4",
        "tool_call 4..<5 python", "tool_result 5..<6 python", "answer 6..<7",
      ])
    // The tag inside of a page does not end the result, and a tag that is only mentioned is no call.
    #expect(rows[0].segments[2].text == " <result>\nPage 1: 412 m </result> said nobody\n</result>")
    #expect(rows[0].segments[1].arguments == "bridge" && rows[0].segments[4].arguments == "print(400 + 12)")
    #expect(rows[2].segments.map(\.status) == [nil, nil, "error", nil])
    #expect(Checks.drawn(rows[3].segments) == ["reasoning 0..<1", "tool_call 1..<2 search"])
    #expect(rows[0].extra == #"{"reason":"correct answer, get f1 score: 1.0","answer":"412","f1_score":1.0}"#)
    #expect(rows[0].rewards == [RewardPart(name: "f1_score", score: 1, weight: 0)])
    let later = Checks.trajectories(try Checks.fixture("arpo/4.jsonl.gz"))
    #expect(later.count == 5 && later[0].groupID != rows[0].groupID && later[0].step == 4)
  }

  @Test func arpoEvaluation() throws {
    let rows = Checks.trajectories(try Checks.fixture("arpo-eval/arpo-eval.json"))
    #expect(rows.count == 2 && rows[0].groupID == rows[1].groupID && rows[0].reward == nil)
    #expect(
      Checks.drawn(rows[0].segments) == [
        "reasoning 0..<1", "tool_call 1..<2 search", "tool_result 2..<3 search", "reasoning 3..<4", "answer 4..<5",
      ])
    #expect(rows[0].groundTruth == "412" && rows[0].promptText == "Think, then answer.\nHow long?")
    #expect(Checks.drawn(rows[1].segments) == ["answer 0..<1"])
  }

  // MARK: Scores

  static func row(_ members: String, output: String = "a") throws -> TrajectoryRecord {
    let text = #"{"input":"q","output":"\#(output)","step":1,\#(members)}"#
    return try #require(Checks.trajectories(try Checks.records(VerlLog.self, text)).first)
  }

  @Test(
    arguments: [
      ("1", 1.0, nil), ("0.25", 0.25, nil), ("true", 1, nil), ("\" -0.5 \"", -0.5, nil),
      ("{\"score\":0.5,\"why\":1}", 0.5, #"{"score":{"score":0.5,"why":1}}"#), ("null", nil, nil),
      ("{\"score\":null,\"why\":1}", nil, #"{"score":{"score":null,"why":1}}"#),
    ] as [(String, Double?, String?)]) func scores(logged: String, reward: Double?, extra: String?) throws
  {
    let row = try Self.row("\"score\":\(logged)")
    #expect(row.reward == reward && row.extra == extra)
  }

  @Test(arguments: [
    (#"{"input":"q","output":"a","score":NaN,"step":1}"#, QuarantineReason.notFinite),
    (#"{"input":"q","output":"a","score":-Infinity,"step":1}"#, .notFinite),
    (#"{"input":"q","output":"a","score":"nan","step":1}"#, .notFinite),
    (#"{"input":"q","output":"a","score":{"score":Infinity},"step":1}"#, .notFinite),
    (#"{"input":"q","output":7,"score":1,"step":1}"#, .wrongType),
    (#"{"input":"q","score":1,"step":1}"#, .missingField),
    (#"{"input":"q","output":"a","score":1,"step":1.5}"#, .wrongType),
    (#"{"input":"q","output":"a","score":1,"step":"1"}"#, .wrongType), ("[3]", .missingField), ("3", .missingField),
  ]) func badRows(text: String, reason: QuarantineReason) {
    #expect(Checks.error(VerlLog.self, text)?.reason == reason)
  }

  /// A score in another shape is no missing one.
  @Test(arguments: [
    #""good""#, #""""#, "[0,0,1]", "[]", #"{"acc":1}"#, #"{"score":[1]}"#, #"{"score":"good"}"#,
    #"{"score":{"score":1}}"#,
  ]) func wrongScores(score: String) {
    for row in [
      #"{"input":"q","output":"a","step":1,"score":\#(score)}"#,
      #"{"instruction":"i","input":"q","output":"a","prediction":"","logs":[],"score":\#(score)}"#,
    ] {
      let error = Checks.error(VerlLog.self, row)
      #expect(error?.reason == .wrongType && error?.message.contains("score") == true, "\(error as Any)")
    }
  }

  @Test func foldersOfTheSameNameInEveryExperiment() {
    func name(_ path: String) -> String { LogFile(path: path, workingDirectory: "/home/me/exp").folderName }
    #expect(name("/a/ARPO-7B/3.jsonl") == "ARPO-7B" && name("/a/ARPO-7B/rollout/3.jsonl") == "ARPO-7B/rollout")
    #expect(name("/a/B/logs/rollout/3.jsonl") == "B/logs/rollout" && name("/data/val/3.jsonl") == "data/val")
    #expect(name("rollout/3.jsonl") == "exp/rollout" && name("3.jsonl") == "exp" && name("../val/3.jsonl") == "me/val")
    #expect(name("/3.jsonl").isEmpty && name("/../3.jsonl").isEmpty && name("-").isEmpty)
  }

  @Test func runsAreNamedAfterTheFolderOfSteps() {
    let file = { LogFile(path: "", runName: "", folderName: "rollout", stem: $0) }
    #expect(VerlLog.isNamedAfterFolder(file("120"), isLineBased: true))
    #expect(!VerlLog.isNamedAfterFolder(file("eval_output_1"), isLineBased: true))
    #expect(!VerlLog.isNamedAfterFolder(file(""), isLineBased: true))
  }

  // MARK: Tags

  static let f = #"<tool_call>{"name":"f","arguments":{}}</tool_call>"#
  static let g = #"<tool_call>{"name":"g"}</tool_call>"#
  static let one = "<tool_response>\n1\n</tool_response>"

  static let tagged: [(String, [String])] = [
    ("", []), ("\n", ["other"]), ("plain", ["answer"]), ("<think>a</think>b", ["reasoning", "answer"]),
    ("a</think>b", ["reasoning", "answer"]), ("<think>never closed", ["reasoning"]),
    ("<think>a</think>\n<answer>b</answer>\n", ["reasoning", "answer"]),
    ("<think>use <search> or <python>x</python></think>b", ["reasoning", "answer"]),
    ("I use <search> tags. <search>q</search>", ["reasoning", "tool_call search"]),
    (
      "<think>a<search>q</search> <result>r</result>b</think>c",
      ["reasoning", "tool_call search", "tool_result search", "reasoning", "answer"]
    ),
    ("<think>a <search>q</search>", ["reasoning", "tool_call search"]),
    ("<search>q</search> <result>\nr", ["tool_call search", "tool_result search"]),
    ("<search>q</search> <result>\nr\n</result>\n", ["tool_call search", "tool_result search", "other"]),
    ("<answer>a</answer> bye", ["answer", "other"]), ("the <answer> cut", ["reasoning", "answer"]),
    (
      f + "\n" + g + "\nuser\n" + one + "\n<tool_response>\n2\n</tool_response>\nassistant\nDone.",
      ["tool_call f", "tool_call g", "tool_result f", "tool_result g", "answer"]
    ),
    (
      f + g + "\ntool\n1\ntool\n2\nassistant\nDone.",
      ["tool_call f", "tool_call g", "tool_result f", "tool_result g", "answer"]
    ),
    ("<tool_call>{\"name\":\"f\"}</tool_call>\ntool\nno assistant line", ["tool_call f", "tool_result f"]),
    ("a\ntool\nb\nassistant\nc", ["answer"]), ("<tool_call>not json</tool_call>", ["tool_call"]),
    (
      f + "<|im_end|>\n<|im_start|>user\n" + one + "<|im_end|>\n<|im_start|>assistant\nok<|im_end|>",
      ["tool_call f", "tool_result f", "answer"]
    ),
    ("<result>without a call</result>x", ["tool_result", "answer"]),
    (
      "text <think>a</think> more <think>b</think> end", ["reasoning", "reasoning", "reasoning", "reasoning", "answer"]
    ),
    ("</search></result></answer></tool_call>", ["answer"]), ("<<<think>>a</think", ["reasoning", "reasoning"]),
  ]

  @Test(arguments: tagged.indices) func tags(index: Int) {
    let (text, kinds) = Self.tagged[index]
    let segments = TaggedText.segments(of: text)
    #expect(segments.map { $0.kind.rawValue + ($0.tool.map { " " + $0 } ?? "") } == kinds, "\(text)")
    #expect(segments.map { $0.text ?? "" }.joined().utf8.elementsEqual(text.utf8), "\(text)")
  }

  @Test func endOfMessageTokensBelongToWhatTheyEnd() {
    let segments = TaggedText.segments(of: Self.tagged[20].0)
    #expect(segments[0].text?.hasSuffix("<|im_end|>") == true)
    #expect(segments[1].text?.hasPrefix("\n<|im_start|>user") == true)
    #expect(segments[1].text?.hasSuffix("<|im_start|>assistant\n") == true)
    #expect(segments[2].text == "ok<|im_end|>")
  }

  /// Whatever is put together from pieces of markup is cut without a loss.
  @Test func segmentsCoverAnyText() {
    let pieces = [
      "<think>", "</think>", "<search>", "</search>", "<python>", "</python>", "<result>", "</result>", "\n</result>",
      "<answer>", "</answer>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "\nuser\n",
      "\nassistant\n", "\ntool\n", "\n", " ", "x", "é", "<|im_end|>", "<|im_start|>", "{\"name\":\"f\"}", "<", "/",
      "\r\n",
      "\nassistant",
    ]
    var state: UInt64 = 7
    for _ in 0..<20_000 {
      var text = ""
      for _ in 0..<12 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += pieces[Int(state >> 33) % pieces.count]
      }
      let segments = TaggedText.segments(of: text)
      #expect(segments.map { $0.text ?? "" }.joined().utf8.elementsEqual(text.utf8), "\(text)")
      #expect(segments.allSatisfy { $0.text?.isEmpty == false }, "\(text)")
    }
  }

  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      "<search>", "<think>", "<result>\n", "</result>", "\ntool\n", "<answer>x</answer>",
      "<tool_call>{}</tool_call>\ntool\n", "<|", "<think><search>a</search>     ",
    ])
  func timeIsLinear(unit: String) {
    let text = String(repeating: unit, count: 200_000 / unit.utf8.count)
    let segments = TaggedText.segments(of: text)
    #expect(segments.reduce(0) { $0 + ($1.text?.utf8.count ?? 0) } == text.utf8.count)
  }
}
