import Foundation
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// What several records say of one group: where they disagree nothing is put together, and it is told.
@Suite struct GroupFactTests {
  private static func group(step: Int? = nil, _ members: String) -> String {
    #"{"kind":"group","group_id":"g","# + (step.map { #""step":\#($0),"# } ?? "") + members + "}"
  }

  private static func trajectory(_ id: String, step: Int? = nil, _ members: String = #""reward":1"#) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","token_ids":[1],"#
      + (step.map { #""step":\#($0),"# } ?? "") + members + "}"
  }

  /// Token ids as they are stored.
  private static func ids(_ ids: Int32...) -> String {
    ColumnEncoder().integers(ids[...]).map { String(format: "%02X", $0) }.joined()
  }

  /// Trajectories with their group's step and prompt.
  private static let prompts = """
    SELECT trajectory_id || ' ' || coalesce(g.step, '-') || ' ' || coalesce(prompt_text, '-') || ' '
      || iif(prompt_token_ids IS NULL, '-', hex(prompt_token_ids))
    FROM trajectory t JOIN prompt_group g ON g.id = t.prompt_group ORDER BY 1
    """

  private static func check(
    _ lines: [String], _ expected: [String], finding: Bool, _ location: SourceLocation = #_sourceLocation
  ) throws {
    for order in [lines, lines.reversed()] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: order)
      #expect(report.quarantine.isEmpty, sourceLocation: location)
      #expect(try trial.strings(prompts) == expected, sourceLocation: location)
      #expect(report.findings.map(\.name).contains("prompt_disagrees") == finding, sourceLocation: location)
      // Another import of the run says the same once.
      try trial.run(lines: order.map { $0 + " " } + [trajectory("z", step: 99)], "log.json")
      let told = "SELECT count(*) FROM finding WHERE check_name = 'prompt_disagrees'"
      #expect(try trial.value(told) == (finding ? "1" : "0"), sourceLocation: location)
    }
  }

  @Test func trajectoriesWithoutStepGoToTheGroupWithTheirPromptOnly() throws {
    let record = Self.trajectory("t", #""prompt_text":"X""#)
    try Self.check([record, Self.group(step: 5, #""prompt_text":"X""#)], ["t 5 X -"], finding: false)
    try Self.check([record, Self.group(step: 5, #""prompt_token_ids":[3]"#)], ["t 5 X \(Self.ids(3))"], finding: false)
    try Self.check([record, Self.group(step: 5, #""prompt_text":"Y""#)], ["t - X -"], finding: true)
    let ids = Self.trajectory("t", #""prompt_text":"X","prompt_token_ids":[4]"#)
    try Self.check(
      [ids, Self.group(step: 5, #""prompt_text":"X","prompt_token_ids":[3]"#)], ["t - X \(Self.ids(4))"], finding: true)
    let truth = Self.trajectory("t", #""prompt_text":"X","ground_truth":"1""#)
    try Self.check(
      [truth, Self.group(step: 5, #""prompt_text":"X","ground_truth":"2""#)], ["t - X -"], finding: true)
  }

  @Test func aGroupWithoutStepSpeaksOfItsOwnPromptOnly() throws {
    let record = Self.group(#""prompt_text":"P","prompt_token_ids":[1,2],"data_source":"s""#)
    try Self.check([record, Self.trajectory("t", step: 5)], ["t 5 P \(Self.ids(1, 2))"], finding: false)
    try Self.check(
      [record, Self.trajectory("t", step: 5, #""prompt_text":"P""#)], ["t 5 P \(Self.ids(1, 2))"], finding: false)
    try Self.check(
      [record, Self.trajectory("t", step: 5, #""prompt_text":"OTHER""#), Self.trajectory("u", step: 6)],
      ["t 5 OTHER -", "u 6 P \(Self.ids(1, 2))"], finding: true)
    try Self.check(
      [record, Self.trajectory("t", step: 5, #""prompt_token_ids":[1,3]"#)], ["t 5 - \(Self.ids(1, 3))"], finding: true)
  }

  @Test(arguments: [#""data_source":"A""#, #""policy_version":1"#, #""note":"x""#])
  func groupRecordsThatDisagreeArePutAside(member: String) throws {
    let other = member.replacing("A", with: "B").replacing(":1", with: ":2").replacing("x", with: "y")
    for lines in [[member, other], [other, member]] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: [Self.trajectory("t")] + lines.map { Self.group($0) } + [Self.group(lines[0])])
      #expect(report.quarantine.map { "\($0.name) \($0.count)" } == ["duplicate_disagrees 1"])
    }
    // What only one of them says contradicts nothing.
    let trial = try ImportTrial()
    #expect(try trial.run(lines: [Self.group(member), Self.group(#""prompt_text":"q""#)]).quarantine.isEmpty)
  }

  /// The step's own record counts, also where it comes after the one without a step was spread.
  @Test func aStepsOwnRecordCountsInALaterImportToo() throws {
    let trial = try ImportTrial()
    trial.options.runName = "run"
    try trial.run(lines: [Self.group(#""data_source":"all""#), Self.trajectory("t", step: 1)])
    #expect(try trial.run(lines: [Self.group(step: 1, #""data_source":"own""#)], "b.jsonl").quarantine.isEmpty)
    #expect(try trial.value("SELECT data_source FROM prompt_group WHERE step = 1") == "own")
  }

  @Test func theSameTrajectoryWithOtherPromptIDsIsNoDuplicate() throws {
    let bare = Self.trajectory("t")
    let first = Self.trajectory("t", #""reward":1,"prompt_token_ids":[1,2]"#)
    let other = Self.trajectory("t", #""reward":1,"prompt_token_ids":[1,3]"#)
    for lines in [[first, other], [other, first]] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: lines)
      #expect(report.quarantine.map(\.name) == ["prompt_disagrees"] && report.counts.duplicates == 0)
    }
    // Left out in one of the records, they are known all the same.
    for lines in [[first, bare], [bare, first]] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: lines)
      #expect(report.quarantine.isEmpty && report.counts.duplicates == 1)
      #expect(try trial.value("SELECT hex(prompt_token_ids) FROM prompt_group") == Self.ids(1, 2))
    }
  }
}
