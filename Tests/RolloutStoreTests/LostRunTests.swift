import Foundation
import TestSupport
import Testing

@testable import RolloutStore

/// What stands behind a bad run record is not in the run before it.
@Suite struct LostRunTests {
  private static func record(_ id: String, run: String? = nil) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","token_ids":[1]"#
      + (run.map { #","run_id":"\#($0)"}"# } ?? "}")
  }

  private static func run(_ name: String, _ more: String = "") -> String {
    #"{"kind":"run","run_id":"\#(name)"\#(more)}"#
  }

  private static let inRuns = "SELECT run_id || ' ' || trajectory_id FROM trajectories ORDER BY 1"

  @Test(arguments: [
    run("B", #","tokenizer":{"vocab_size":0}"#), run("B", #","algorithm":7"#),
    String(run("B", #","model":"m"#).dropLast()),
    #"{"run_id":"B","kind":"run","sampling":{"temperature":NaN}}"#, #"{"kind":"run","run_id":"B","model":"#,
    #"{"schema":"arpo-rollout/2","kind":"run","run_id":"B"}"#,
  ]) func theRunThatABadRecordNamesHolds(bad: String) throws {
    let trial = try ImportTrial()
    try trial.run(lines: [Self.run("A"), Self.record("a"), bad, Self.record("b"), Self.run("C"), Self.record("c")])
    #expect(try trial.count("quarantine") == 1)
    #expect(try trial.strings(Self.inRuns) == ["A a", "B b", "C c"])
  }

  /// Bad lines that are no run records change nothing.
  @Test func otherBadRecordsChangeNoRun() throws {
    let bad = ["no json", #"{"kind":"trajectory","run_id":"B","group_id":"#, #"{"kind":"group","run_id":"B"}"#]
    let trial = try ImportTrial()
    try trial.run(lines: [Self.run("A")] + bad + [Self.record("a")])
    #expect(try trial.count("quarantine") == 3)
    #expect(try trial.strings(Self.inRuns) == ["A a"])
  }

  private static let lost = [
    run("A"), record("a"), #"{"kind":"run","run_id":7}"#, record("b"), record("x", run: "X"), record("d"), run("C"),
    record("c"),
  ]

  @Test func withoutARunNothingIsPutAnywhere() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: Self.lost)
    #expect(report.quarantine.map { "\($0.name) \($0.count)" } == ["missing_run 2", "wrong_type 1"])
    #expect(try trial.strings(Self.inRuns) == ["A a", "C c", "X x"])
  }

  @Test func anImportThatGoesOnKnowsThatTheRunIsLost() throws {
    let whole = try ImportTrial()
    try whole.run(lines: Self.lost)
    let cut = try ImportTrial()
    cut.options.blockBytes = 64
    cut.options.commitBytes = 1
    try cut.folder.write(Self.lost, "log.jsonl")
    #expect(try ResumeTests.finish(cut, ["log.jsonl"]) { 0 } >= 4)
    #expect(DatabaseDump.differences(try whole.dump(), try cut.dump()) == [])
    // A log that grows behind the bad record.
    let grown = try ImportTrial()
    try grown.run(lines: Array(Self.lost[..<4]))
    try grown.run(lines: Self.lost)
    #expect(try grown.strings(Self.inRuns) == ["A a", "C c", "X x"])
  }
}
