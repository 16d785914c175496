import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// What the numbers of a log show stays in the database, with the place where it was seen.
@Suite struct ForensicsTests {
  @Test func findingsAreKeptWithTheirTrajectory() throws {
    let zeros = String(repeating: ",0.0", count: 9)
    let lines = [
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"z","token_ids":[0,1,2,3,4,5,6,7,8,9],"#
        + #""logprobs":[-1\#(zeros)]}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"s","token_ids":[1,2],"logprobs":[-9999,-1]}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"k","token_ids":[1,2],"logprobs":[-1,-1],"#
        + #""top_logprobs":{"counts":[1,1],"token_ids":[1,7],"logprobs":[-1,-0.5]}}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","text":"only text"}"#, BadRecords.good(1),
    ]
    let trial = try ImportTrial()
    let report = try trial.run(lines: lines)
    #expect(report.quarantine.isEmpty)
    let rows = try trial.strings(
      """
      SELECT trajectory_id || ' ' || check_name || ' ' || count || ' ' || coalesce(first_index, '-')
      FROM finding JOIN trajectory ON trajectory.id = finding.trajectory ORDER BY 1
      """)
    #expect(
      rows == [
        "k sampled_not_in_top_k 1 1", "s sentinel_logprob 1 0", "t tokens_unknown 1 -", "z zero_logprob_run 9 1",
      ])
    let log = trial.folder.path("log.jsonl")
    #expect(
      report.findings.map { "\($0.name) \($0.count) \($0.first)" } == [
        "zero_logprob_run 9 \(log):1", "sampled_not_in_top_k 1 \(log):3", "sentinel_logprob 1 \(log):2",
        "tokens_unknown 1 \(log):4",
      ])
  }

  /// The first one by its place, not by its digits.
  @Test func theFirstOfEachReasonIsNamed() throws {
    let bad = #"{"kind":"comment"}"#
    let trial = try ImportTrial()
    let report = try trial.run(
      lines: (0..<7).map(BadRecords.good) + [bad] + (7..<12).map(BadRecords.good) + [bad, bad])
    #expect(
      report.quarantine.map { "\($0.name) \($0.count) \($0.first)" } == [
        "unknown_record 3 \(trial.folder.path("log.jsonl")):8"
      ])
  }

  /// A full record's text is stored without what it repeats, cut between characters.
  @Test func aRepeatedTextIsStoredOnce() throws {
    let lines = [
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"r","token_ids":[1,2],"text":"aé one"}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","token_ids":[1,3],"text":"aè two","parent_id":"r","#
        + #""branch_token_index":1,"prefix":"full"}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"d","token_ids":[4],"text":" three","parent_id":"r","#
        + #""branch_token_index":1}"#,
    ]
    for order in [lines, lines.reversed()] {
      let trial = try ImportTrial()
      #expect(try trial.run(lines: order).quarantine.isEmpty)
      let texts = try trial.strings(
        "SELECT trajectory_id || text_shared || text FROM trajectory ORDER BY trajectory_id")
      #expect(texts == ["c1è two", "d0 three", "r0aé one"])
    }
  }

  /// The same trajectory, once with and once without its parent's prefix, is one trajectory.
  @Test func deltaAndFullSayTheSame() throws {
    let parent = ParentTests.record("r", ids: [1, 2, 3], #""logprobs":[-1,-2,-3]"#)
    let delta = ParentTests.record("c", parent: "r", branch: 2, ids: [9], #""logprobs":[-0.5]"#)
    let full = ParentTests.record(
      "c", parent: "r", branch: 2, ids: [1, 2, 9], #""logprobs":[-1,-2,-0.5],"prefix":"full""#)
    for order in [[parent, delta, full], [full, delta, parent], [delta, parent, full]] {
      let trial = try ImportTrial()
      let report = try trial.run(lines: order)
      #expect(report.quarantine.isEmpty && report.counts.trajectories == 2)
    }
  }
}
