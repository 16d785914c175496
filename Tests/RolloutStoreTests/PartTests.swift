import Foundation
import TestSupport
import Testing

@testable import RolloutStore

/// A sample that verl's trainer logs as several rows is one trajectory, whose later rows say as much as the first.
@Suite struct PartTests {
  static func row(_ part: Int, _ output: String, input: String = "q", score: Double = 1, _ more: String = "") -> String
  {
    #"{"input":"\#(input)","output":"\#(output)","gts":"1","score":\#(score),"step":2,"uid":"a_0_\#(part)"\#(more)}"#
  }

  static let rows = [
    row(0, "<search>one</search><result>r1</result>", #","acc":1"#),
    row(1, "<search>two</search><result>r2</result><python>three</python>", input: "q2", #","acc":1,"note":{"x":[1]}"#),
    row(2, "<result>r3</result>done", input: "q3", #","later_score":0.5"#),
  ]

  @Test func laterPartsKeepTheirToolCallsAndExtras() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: Self.rows, "v/2.jsonl")
    #expect(report.quarantine.isEmpty && report.counts.trajectories == 1)
    let calls = """
      SELECT number || ' ' || c.tool || ' ' || coalesce(a.text, '-') || ' ' || coalesce(b.text, '-') FROM tool_call c
      LEFT JOIN segment a ON a.id = call_segment LEFT JOIN segment b ON b.id = result_segment ORDER BY number
      """
    #expect(
      try trial.strings(calls) == [
        "0 search <search>one</search> <result>r1</result>", "1 search <search>two</search> <result>r2</result>",
        "2 python <python>three</python> <result>r3</result>",
      ])
    let extra = try #require(try trial.value("SELECT json_extract(extra, '$.later_parts') FROM trajectory"))
    #expect(
      extra == #"[{"part":1,"acc":1,"note":{"x":[1]},"input":"q2"},{"part":2,"later_score":0.5,"input":"q3"}]"#)
    #expect(try trial.value("SELECT json_extract(extra, '$.acc') FROM trajectory") == "1")
    #expect(try trial.strings("SELECT name || ' ' || score FROM reward ORDER BY 1") == ["acc 1.0", "later_score 0.5"])
    #expect(try trial.strings("SELECT line FROM model_calls ORDER BY end_index") == ["1", "2", "3"])
    // As many segments of unknown tokens as there are segments.
    let unknown = "SELECT sum(count) FROM finding WHERE check_name = 'tokens_unknown'"
    #expect(try trial.value(unknown) == "\(trial.count("segment"))")
  }

  @Test func theSameRowsAgainAddNothing() throws {
    let trial = try ImportTrial()
    trial.options.runName = "r"
    try trial.run(lines: Self.rows, "v/2.jsonl")
    let reading = try trial.reading()
    let more = Self.row(0, "new").replacing("a_0_0", with: "b_0_0")
    for (i, lines) in [Self.rows + [more], (Self.rows + [more]).reversed()].enumerated() {
      try trial.folder.write(try Compression.gzip.compress([Data(lines.jsonLines.utf8)]), "v\(i)/2.jsonl.gz")
      let report = try trial.run("v\(i)/2.jsonl.gz")
      #expect(report.quarantine.isEmpty && report.counts.duplicates == 3 + i && report.counts.trajectories == 1 - i)
    }
    #expect(try trial.reading().filter { reading.contains($0) } == reading)
  }

  @Test(arguments: 0..<3) func rowsThatDisagreeArePutAside(part: Int) throws {
    let trial = try ImportTrial()
    trial.options.runName = "r"
    try trial.run(lines: Self.rows, "v/2.jsonl")
    // Not only the first segment counts.
    let other = Self.rows[part].replacing("</result>", with: "!</result>")
    let report = try trial.run(lines: [other], "w/2.jsonl")
    #expect(report.quarantine.map(\.name) == ["duplicate_disagrees"])
  }

  @Test func partsOfOneTrajectoryHaveOneReward() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: [Self.rows[0], Self.row(1, "x", score: 0)], "v/2.jsonl")
    #expect(report.quarantine.map(\.name) == ["duplicate_disagrees"])
    let late = try ImportTrial()
    let unscored = Self.rows[0].replacing(#""score":1.0"#, with: #""score":null"#)
    #expect(try late.run(lines: [unscored, Self.rows[1]], "v/2.jsonl").quarantine.isEmpty)
    #expect(try late.value("SELECT reward FROM trajectory") == "1.0")
  }
}
