import Foundation
import Replay
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

@Suite struct DuplicateTests {
  static let record =
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"a","token_ids":[1,2],"logprobs":[-1,null],"reward":1}"#

  @Test func recordsThatSayTheSameAreOne() throws {
    // Absent and null mean the same, and so do numbers written otherwise.
    let same = [
      Self.record,
      #"{"trajectory_id":"a","group_id":"g","kind":"trajectory","reward":1.0,"logprobs":[-1.0,null],"#
        + #""token_ids":[1,2],"step":null}"#,
      Self.record.replacing("-1,null", with: "-10e-1, null"),
    ]
    let trial = try ImportTrial()
    let report = try trial.run(lines: same)
    #expect(report.counts.trajectories == 1 && report.counts.duplicates == 2 && report.quarantine.isEmpty)
  }

  @Test(arguments: [
    ("[1,2]", "[1,3]"), ("[-1,null]", "[-2,null]"), ("[-1,null]", "[-1,-1]"), (#""reward":1"#, #""reward":2"#),
    (#""reward":1"#, #""reward":null"#), (#""reward":1"#, #""reward":1,"finish_reason":"stop""#),
    (#""reward":1"#, #""reward":1,"loss_mask":[1,0]"#), (#""reward":1"#, #""reward":1,"entropies":[0.5,null]"#),
    (#""reward":1"#, #""reward":1,"rollout_index":3"#), (#""reward":1"#, #""reward":1,"text":"x""#),
    (#""reward":1"#, #""reward":1,"note":"x""#), (#""group_id":"g""#, #""group_id":"h""#),
    (#""reward":1"#, #""reward":1,"top_logprobs":{"counts":[1,0],"token_ids":[1],"logprobs":[-1]}"#),
  ]) func recordsThatDisagreeArePutAside(from: String, to: String) throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: [Self.record, Self.record.replacing(from, with: to), BadRecords.good(1)])
    #expect(report.quarantine.map(\.name) == ["duplicate_disagrees"] && report.counts.trajectories == 2)
    #expect(try trial.quarantine() == ["2 \(Self.record.utf8.count + 1) duplicate_disagrees"])
  }

  @Test func theSameIDAtAnotherStepOrInAnotherRunIsAnotherTrajectory() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: [
      Self.record, Self.record.replacing(#""reward":1"#, with: #""reward":1,"step":3"#),
      Self.record.replacing(#""reward":1"#, with: #""reward":1,"run_id":"x""#),
    ])
    #expect(report.counts.trajectories == 3 && report.quarantine.isEmpty)
    #expect(try trial.count("prompt_group") == 3)
  }

  @Test func runRecordsThatDisagreeArePutAside() throws {
    let run = #"{"kind":"run","run_id":"r","algorithm":"arpo","sampling":{"temperature":1.0}}"#
    let trial = try ImportTrial()
    let report = try trial.run(lines: [run, Self.record, run, run.replacing("1.0", with: "0.5"), BadRecords.good(1)])
    #expect(report.quarantine.map(\.name) == ["duplicate_disagrees"] && report.counts.trajectories == 2)
    #expect(try trial.value("SELECT temperature FROM run") == "1.0")
  }

  /// A run record holds up to the next one, and a `run_id` overrides it.
  @Test func runRecordsHoldForWhatFollowsThem() throws {
    func record(_ id: String, _ run: String? = nil) -> String {
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","token_ids":[1]"#
        + (run.map { #","run_id":"\#($0)"}"# } ?? "}")
    }
    let trial = try ImportTrial()
    try trial.run(
      lines: [
        record("a"), #"{"kind":"run","run_id":"one"}"#, record("b"), record("c", "two"), record("d"),
        #"{"kind":"run","run_id":"two"}"#, record("e"),
      ], "named.jsonl")
    #expect(
      try trial.strings("SELECT trajectory_id || ' ' || run_id FROM trajectories ORDER BY 1") == [
        "a named", "b one", "c two", "d one", "e two",
      ])
  }

  // MARK: Padded copies

  /// ARPO fills a short group up with copies of its last row: one row with a multiplicity, in every container and
  /// however often it is imported.
  @Test(arguments: ["verl-v0/5.jsonl", "arpo/3.jsonl", "arpo/4.jsonl.gz"]) func paddedCopiesAreOneRow(name: String)
    throws
  {
    let trial = try ImportTrial()
    let url = TestPaths.fixtures.appending(path: "logs/\(name)")
    try trial.folder.write(try Data(contentsOf: url), name)
    let report = try trial.run(name)
    #expect(report.counts.copies == 1 && report.counts.trajectories == report.counts.records - 1)
    let leaves = "SELECT sum(multiplicity) || ' ' || max(multiplicity) || ' ' || sum(copies) FROM trajectory"
    #expect(try trial.value(leaves) == "\(report.counts.records) 2 1")
    #expect(try trial.value("SELECT sum(count) FROM finding WHERE check_name = 'duplicate_row'") == "1")
    let reading = try trial.reading()
    // The same rows once more, from another file, are the same rows and no further copies.
    let text = Data(String(decoding: try GoldenLog.read(url), as: UTF8.self).appending(" \n").utf8)
    let folder = String(name.split(separator: "/")[0])
    try trial.folder.write(text, "\(folder)/\(name.contains("v0") ? 55 : 33).jsonl")
    #expect(try trial.run("\(folder)/\(name.contains("v0") ? 55 : 33).jsonl").counts.trajectories == 0)
    #expect(try trial.reading() == reading)
  }

  /// Native rows that say the same under two ids are two trajectories, and that is told.
  @Test func equalRowsUnderOtherIDsAreTold() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: [
      Self.record, Self.record.replacing(#""a""#, with: #""b""#), Self.record.replacing(#""a""#, with: #""c""#),
    ])
    #expect(report.counts.trajectories == 3)
    #expect(report.findings.map { "\($0.name) \($0.count)" } == ["duplicate_row 2"])
  }

  /// The rows of one sample that a log spreads over several lines, in every order.
  @Test func partsOfATrajectoryAreJoinedInEveryOrder() throws {
    let url = TestPaths.fixtures.appending(path: "logs/verl-v1/7.jsonl")
    let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map(String.init)
    let straight = try ImportTrial()
    #expect(try straight.run(lines: lines, "v1/7.jsonl").quarantine.isEmpty)
    let reading = try straight.reading()
    for seed in 1...5 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let trial = try ImportTrial()
      #expect(try trial.run(lines: lines.shuffled(using: &random), "v1/7.jsonl").quarantine.isEmpty)
      #expect(try trial.reading() == reading)
    }
  }
}
