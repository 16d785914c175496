import Replay
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// What a record says about its parent is held against the parent, whenever the parent comes.
@Suite struct ParentTests {
  static func record(
    _ id: String, parent: String? = nil, branch: Int? = nil, ids: [Int], group: String = "g", _ more: String = ""
  ) -> String {
    var out = #"{"kind":"trajectory","group_id":"\#(group)","trajectory_id":"\#(id)","token_ids":\#(ids)"#
    if let parent { out += #","parent_id":"\#(parent)""# }
    if let branch { out += #","branch_token_index":\#(branch)"# }
    return out + (more.isEmpty ? "" : "," + more) + "}"
  }

  static let root = record(
    "r", ids: [10, 11, 12, 13, 14, 15],
    #""logprobs":[-0.1234567891,-0.5,null,null,-1.25,-0.0625],"loss_mask":[1,1,0,0,1,1],"#
      + #""segments":[{"kind":"tool_call","start":0,"end":2},{"kind":"tool_result","start":2,"end":4},"#
      + #"{"kind":"answer","start":4,"end":6}]"#
  )

  /// The reason why a child of the root is put aside, the parent before and after it; `nil` if it is not.
  static func reason(_ child: String) throws -> String? {
    var reasons: [String?] = []
    for lines in [[root, child], [child, root]] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: lines)
      reasons.append(report.quarantine.first?.name)
      #expect(report.counts.trajectories == (report.quarantine.isEmpty ? 2 : 1))
    }
    #expect(reasons[0] == reasons[1], "\(child)")
    return reasons[0]
  }

  @Test(arguments: [(0, nil), (1, nil), (2, nil), (3, "bad_branch"), (4, nil), (5, nil), (6, nil), (7, "bad_branch")])
  func aBranchLiesOnTheParentAndNotInsideOfAToolResult(branch: Int, reason: String?) throws {
    #expect(try Self.reason(Self.record("c", parent: "r", branch: branch, ids: [1])) == reason)
    #expect(try Self.reason(Self.record("c", parent: "r", branch: branch, ids: [])) == reason)
  }

  @Test func aRepeatedPrefixIsTheParents() throws {
    func full(_ ids: [Int], _ more: String = #""loss_mask":[1,1,0,0,1]"#, branch: Int = 4) -> String {
      Self.record("c", parent: "r", branch: branch, ids: ids, more + #","prefix":"full""#)
    }
    #expect(try Self.reason(full([10, 11, 12, 13, 99])) == nil)
    #expect(try Self.reason(full([10, 11, 12, 99, 99])) == "prefix_disagrees")
    #expect(try Self.reason(full([10, 11, 12, 13, 99], #""loss_mask":[1,1,1,0,1]"#)) == "prefix_disagrees")
    let mask = #""loss_mask":[1,1,0,0,1],"logprobs":"#
    #expect(try Self.reason(full([10, 11, 12, 13, 99], mask + "[-0.1234567891,-0.5,null,null,-3]")) == nil)
    #expect(
      try Self.reason(full([10, 11, 12, 13, 99], mask + "[-0.1234567891,-0.25,null,null,-3]")) == "prefix_disagrees")
    // What is not repeated contradicts nothing; what only the repetition has would be lost.
    #expect(try Self.reason(full([10, 11, 12, 13, 99], mask + "[null,-0.5,null,null,-3]")) == nil)
    #expect(try Self.reason(full([10, 11, 12, 13, 99], mask + "[null,-0.5,-1,null,-3]")) == "prefix_disagrees")
  }

  private static func texts(_ id: String, fork: String = "", _ segments: String) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)"\#(fork),"segments":[\#(segments)]}"#
  }

  /// Records without tokens repeat segments.
  @Test func repeatedTextIsTheParents() throws {
    let call = #"{"kind":"tool_call","tool":"s","text":"call"},"#
    let result = #"{"kind":"tool_result","tool":"s","text":"res"},"#
    let parent = Self.texts(
      "p", #"{"kind":"reasoning","text":"AAA"},"# + call + result + #"{"kind":"answer","text":"1"}"#)
    let fork = #","parent_id":"p","branch_segment":3,"prefix":"full""#
    let own = #"{"kind":"answer","text":"2"}"#
    let first = #"{"kind":"reasoning","text":"AAA"},"#
    let cases: [(String, Bool)] = [
      (first + call + result, true), (first + call.replacing(#""tool":"s","#, with: "") + result, true),
      (#"{"kind":"reasoning","text":"OTHER"},"# + call + result, false),
      (#"{"kind":"other","text":"AAA"},"# + call + result, false),
      (first + call.replacing("\"s\"", with: "\"python\"") + result, false),
      (first + call + result.replacing("\"res\"", with: "\"rës\""), false),
    ]
    for (prefix, isGood) in cases {
      let child = Self.texts("c", fork: fork, prefix + own)
      for lines in [[parent, child], [child, parent]] {
        let trial = try ImportTrial()
        let report = try trial.run(lines: lines)
        #expect(report.quarantine.map(\.name) == (isGood ? [] : ["prefix_disagrees"]), "\(prefix)")
      }
    }
    // Running text: the kinds are guessed from it, so only the text counts.
    let text =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c"\#(fork),"text":"AAA<search>q</search><result>r</result>new"}"#
    for (body, isGood) in [("AAA", true), ("BBB", false)] {
      let root = Self.texts(
        "p",
        #"{"kind":"other","text":"\#(body)"},{"kind":"tool_call","text":"<search>q</search>"},"#
          + #"{"kind":"tool_result","text":"<result>r</result>"}"#)
      #expect(try ImportTrial().run(lines: [root, text]).quarantine.isEmpty == isGood)
    }
  }

  /// Records with tokens too, whether the repetition is read or only compared as bytes.
  @Test func repeatedSegmentsAreTheParents() throws {
    func segments(_ id: String, fork: String = "", _ list: String) -> String {
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)"\#(fork),"token_ids":[1,2,3,4],"segments":[\#(list)]}"#
    }
    let call = #"{"kind":"tool_call","start":0,"end":2,"tool":"s","text":"call"},"#
    let parent = segments("p", call + #"{"kind":"answer","start":2,"end":4}"#)
    let fork = #","parent_id":"p","branch_token_index":3,"prefix":"full""#
    let rest = #"{"kind":"answer","start":2,"end":4}"#
    let cases: [(String, Bool)] = [
      (call + rest, true),
      // Cut elsewhere, and said less of.
      (#"{"kind":"tool_call","start":0,"end":1},{"kind":"tool_call","start":1,"end":2},"# + rest, true),
      (call + #"{"kind":"answer","start":2,"end":3},{"kind":"reasoning","start":3,"end":4}"#, true),
      (call.replacing("tool_call", with: "reasoning") + rest, false),
      (call.replacing("\"s\"", with: "\"python\"") + rest, false),
      (call.replacing("\"call\"", with: "\"cal\"") + rest, false),
      (call + #"{"kind":"reasoning","start":2,"end":4}"#, false),
      (call + #"{"kind":"other","start":2,"end":2,"text":"x"},"# + rest, false),
    ]
    for (list, isGood) in cases {
      for bytes in [0, 16 << 20] {
        let trial = try ImportTrial()
        trial.options.recentBytes = bytes
        let report = try trial.run(lines: [parent, segments("c", fork: fork, list)])
        #expect(report.quarantine.map(\.name) == (isGood ? [] : ["prefix_disagrees"]), "\(list) \(bytes)")
      }
    }
    // Along the path: the front is the grandparent's.
    let middle = segments(
      "m", fork: fork, call + #"{"kind":"answer","start":2,"end":3},{"kind":"other","start":3,"end":4}"#)
    let deep = #","parent_id":"m","branch_token_index":4,"prefix":"full""#
    for (list, isGood) in [(call, true), (call.replacing("tool_call", with: "other"), false)] {
      let trial = try ImportTrial()
      trial.options.recentBytes = 0
      let leaf = segments(
        "l", fork: deep, list + #"{"kind":"answer","start":2,"end":3},{"kind":"other","start":3,"end":4}"#)
      #expect(try trial.run(lines: [parent, middle, leaf]).quarantine.isEmpty == isGood)
    }
  }

  /// The parent needs doubles and the child does not, or the other way round: the same decimals are the same numbers.
  @Test func theSameDecimalsAgreeWhateverTheirColumnsNeed() throws {
    let wide = Self.record("r", ids: [1, 2], #""logprobs":[-0.123456789,-0.12345678912345]"#)
    let narrow = Self.record("r", ids: [1, 2], #""logprobs":[-0.123456789,-0.5]"#)
    let ofWide = Self.record(
      "c", parent: "r", branch: 1, ids: [1, 3], #""logprobs":[-0.123456789,-0.5],"prefix":"full""#)
    let ofNarrow = Self.record(
      "c", parent: "r", branch: 1, ids: [1, 3], #""logprobs":[-0.123456789,-0.12345678912345],"prefix":"full""#)
    let other = Self.record("c", parent: "r", branch: 1, ids: [1, 3], #""logprobs":[-0.123456,-0.5],"prefix":"full""#)
    for (lines, count) in [([wide, ofWide], 0), ([narrow, ofNarrow], 0), ([wide, other], 1), ([narrow, other], 1)] {
      for order in [lines, lines.reversed()] {
        let trial = try ImportTrial()
        #expect(try trial.run(lines: order).quarantine.count == count, "\(order)")
      }
    }
  }

  /// The prefix is compared along the whole path: with the grandparent's tokens too, and with what is stored already.
  @Test func aRepeatedPrefixIsComparedAlongThePath() throws {
    let child = Self.record("c", parent: "r", branch: 4, ids: [20, 21, 22])
    let good = Self.record(
      "d", parent: "c", branch: 6, ids: [10, 11, 12, 13, 20, 21, 30], #""loss_mask":[1,1,0,0,1,1,1],"prefix":"full""#)
    let bad = Self.record(
      "e", parent: "c", branch: 6, ids: [10, 99, 12, 13, 20, 21, 30], #""loss_mask":[1,1,0,0,1,1,1],"prefix":"full""#)
    let trial = try ImportTrial()
    try trial.run(lines: [Self.root, child], "a.jsonl")
    let report = try trial.run(
      lines: [good, bad].map { $0.replacing("{\"kind\"", with: #"{"run_id":"a","kind""#) }, "b.jsonl")
    #expect(report.counts.trajectories == 1 && report.quarantine.map(\.name) == ["prefix_disagrees"])
    #expect(try trial.value("SELECT message FROM quarantine")?.contains("response index 1") == true)
    #expect(try trial.value("SELECT owned || ' ' || length FROM trajectory WHERE trajectory_id = 'd'") == "1 7")
  }

  @Test func aParentInAnotherGroupOrOfAnotherKindIsAnError() throws {
    #expect(try Self.reason(Self.record("c", parent: "r", branch: 1, ids: [1], group: "h")) == "bad_branch")
    let text =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","parent_id":"r","branch_segment":0,"text":"a"}"#
    #expect(try Self.reason(text) == "bad_branch")
  }

  // MARK: Missing parents

  @Test func aParentThatComesInALaterImportBringsItsChildrenIn() throws {
    let lines = [
      Self.record("c", parent: "b", branch: 1, ids: [3]), Self.record("d", parent: "c", branch: 2, ids: [4]),
      Self.record("b", parent: "a", branch: 1, ids: [2]),
    ].map { $0.replacing("{\"kind\"", with: #"{"run_id":"x","kind""#) }
    let trial = try ImportTrial()
    let first = try trial.run(lines: lines, "children.jsonl")
    #expect(first.quarantine.map(\.name) == ["missing_parent"] && first.quarantine[0].count == 3)
    #expect(try trial.count("trajectory") == 0)
    let second = try trial.run(
      lines: [Self.record("a", ids: [1]).replacing("{\"kind\"", with: #"{"run_id":"x","kind""#)], "parent.jsonl")
    #expect(try trial.count("quarantine") == 0 && second.counts.trajectories == 4)
    // Provenance stays that of the record's own file and line.
    #expect(
      try trial.strings("SELECT trajectory_id || line || source FROM trajectory ORDER BY 1") == [
        "a12", "b31", "c11", "d21",
      ])
    #expect(try trial.groups()[0].trajectories.map(\.length) == [1, 2, 2, 3])
  }

  @Test func cyclesAreToldFromMissingParents() throws {
    let lines = [
      Self.record("self", parent: "self", branch: 0, ids: [1]), Self.record("x", parent: "y", branch: 0, ids: [1]),
      Self.record("y", parent: "z", branch: 0, ids: [1]), Self.record("z", parent: "x", branch: 0, ids: [1]),
      Self.record("tail", parent: "x", branch: 0, ids: [1]), Self.record("lost", parent: "nobody", branch: 0, ids: [1]),
    ]
    for order in [lines, lines.reversed()] {
      let trial = try ImportTrial()
      try trial.run(lines: [BadRecords.root] + order)
      let rows = try trial.strings(
        "SELECT json_extract(excerpt, '$.trajectory_id') || ' ' || reason FROM quarantine ORDER BY 1")
      #expect(
        rows == [
          "lost missing_parent", "self parent_cycle", "tail missing_parent", "x parent_cycle", "y parent_cycle",
          "z parent_cycle",
        ])
      #expect(try trial.count("trajectory") == 1)
    }
  }

  /// Ids are those of a run and a step: the same name elsewhere is another trajectory.
  @Test func aParentIsLookedForInItsOwnRunAndStep() throws {
    let lines = [
      Self.record("a", ids: [1], #""step":1"#), Self.record("c", parent: "a", branch: 1, ids: [2], #""step":2"#),
      Self.record("d", parent: "a", branch: 1, ids: [2], #""step":1,"run_id":"other""#),
      Self.record("e", parent: "a", branch: 1, ids: [2], #""step":1"#),
    ]
    let trial = try ImportTrial()
    let report = try trial.run(lines: lines)
    #expect(report.counts.trajectories == 2 && report.quarantine.map(\.count) == [2])
  }
}
