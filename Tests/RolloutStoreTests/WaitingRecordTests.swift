import Foundation
import TestSupport
import Testing

@testable import RolloutStore

/// Records that wait for another one in the quarantine, and what becomes of those that cannot be read again.
@Suite struct WaitingRecordTests {
  static let parent = ParentTests.record("p", ids: [1, 2])
  static let child = ParentTests.record("c", parent: "p", branch: 2, ids: [3])
  static let long = ParentTests.record(
    "l", parent: "p", branch: 1, ids: [4], #""text":"\#(String(repeating: "x", count: 600))""#)

  @Test func aRecordTooLongToBeKeptIsBadWhenItsParentComes() throws {
    let trial = try ImportTrial()
    trial.options.keptRecordBytes = 500
    let report = try trial.run(lines: [Self.long, Self.child, Self.parent])
    #expect(try trial.quarantine() == ["1 0 too_long"])
    #expect(report.counts.trajectories == 2 && report.counts.quarantined == 1)
    #expect(
      try trial.strings("SELECT length || ' ' || (raw IS NULL) || ' ' || (waits_for IS NULL) FROM quarantine")
        == ["\(Self.long.utf8.count) 1 1"])
    // Behind its parent it is a record like any other, and one that is not too long waits.
    trial.options.runName = "again"
    let again = try trial.run(lines: [Self.child, Self.parent, Self.long], "again.jsonl")
    #expect(again.counts.trajectories == 3 && again.quarantine.isEmpty)
  }

  @Test func whatCannotBeReadAgainCountsAsBad() throws {
    let trial = try ImportTrial()
    trial.options.keptRecordBytes = 500
    trial.options.maxBad = 0
    #expect(try trial.run(lines: [Self.long, Self.parent, Self.child]).files[0].status == .stopped)
  }

  /// Rows of one array are one record: the one that waited is written, not the first of them.
  @Test func theRowThatWaitedIsTheOneThatIsWritten() throws {
    func row(_ uid: String, _ output: String) -> String {
      #"{"input":"q","output":"\#(output)","score":1.0,"step":1,"uid":"\#(uid)"}"#
    }
    let trial = try ImportTrial()
    let report = try trial.run(
      lines: [row("a_0_0", "one"), "[\(row("b_0_0", "two")),\(row("c_0_1", "four"))]", row("c_0_0", "three")],
      "v/1.jsonl")
    #expect(report.quarantine.isEmpty && report.counts.trajectories == 3)
    #expect(
      try trial.strings("SELECT group_concat(text, ' ') FROM segment GROUP BY trajectory ORDER BY 1")
        == ["one", "three four", "two"])
  }
}
