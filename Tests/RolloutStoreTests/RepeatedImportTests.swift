import Foundation
import Replay
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// The same log again adds nothing; a log that has grown adds what is new.
@Suite struct RepeatedImportTests {
  static func log(seed: UInt64 = 1) -> SyntheticLog {
    var shape = SyntheticLog.Shape()
    shape.groups = 2
    return SyntheticLog(seed: seed, shape)
  }

  @Test(arguments: ["plain", "zstd", "gzip"]) func theSameFileAddsNothing(container: String) throws {
    let trial = try ImportTrial()
    try trial.folder.write(try ResumeTests.data(ResumeTests.lines(seed: 2), container), "log.jsonl")
    let first = try trial.run("log.jsonl")
    let dump = try trial.dump()
    let again = try trial.run("log.jsonl")
    #expect(first.files[0].status == .imported && again.files[0].status == .known)
    #expect(again.counts == ImportCounts())
    // The quarantine is still told.
    #expect(again.quarantine.map(\.name) == first.quarantine.map(\.name))
    #expect(DatabaseDump.differences(dump, try trial.dump()).isEmpty)
  }

  @Test func theSameBytesUnderAnotherNameAddNothing() throws {
    let trial = try ImportTrial()
    try trial.run(lines: Self.log().lines)
    let dump = try trial.dump()
    #expect(try trial.run(lines: Self.log().lines, "elsewhere/copy.jsonl").files[0].status == .known)
    #expect(DatabaseDump.differences(dump, try trial.dump()).isEmpty)
  }

  /// The same records in another file add a source and nothing else.
  @Test func theSameRecordsInAnotherContainerAddNoRows() throws {
    let trial = try ImportTrial()
    let lines = Self.log().lines
    try trial.run(lines: lines)
    let reading = try trial.reading()
    try trial.folder.write(try Compression.gzip.compress(Data(lines.jsonLines.utf8)), "log.gz")
    let report = try trial.run("log.gz")
    #expect(report.files[0].status == .imported && report.counts.trajectories == 0)
    #expect(report.counts.duplicates == Self.log().rollouts.count && report.quarantine.isEmpty)
    #expect(try trial.reading() == reading && trial.count("source") == 2)
  }

  @Test func aGrownFileAddsWhatIsNew() throws {
    let lines = Self.log(seed: 5).shuffledLines(seed: 2)
    let whole = try ImportTrial()
    try whole.run(lines: lines)
    let trial = try ImportTrial()
    var report = try trial.run(lines: Array(lines[..<4]))
    for range in [4..<9, 9..<10, 10..<lines.count] {
      try trial.folder.append(Data(Array(lines[range]).jsonLines.utf8), "log.jsonl")
      report = try trial.run("log.jsonl")
      #expect(report.files[0].status == .resumed && report.counts.records == range.count)
    }
    #expect(report.quarantine.isEmpty)
    #expect(try trial.reading() == whole.reading() && trial.count("source") == 1)
    #expect(try trial.value("SELECT records || ' ' || state FROM source") == "\(lines.count) complete")
    let places = "SELECT trajectory_id || ' ' || line || ' ' || byte_offset FROM trajectory ORDER BY 1"
    #expect(try trial.strings(places) == whole.strings(places))
  }

  @Test(arguments: Compression.allCases) func aFileThatGrewByAFrameAddsWhatIsNew(compression: Compression) throws {
    let lines = Self.log(seed: 6).lines
    let trial = try ImportTrial()
    let name = "log.jsonl\(compression.suffix)"
    try trial.folder.write(try compression.compress(Data(Array(lines[..<5]).jsonLines.utf8)), name)
    try trial.run(name)
    try trial.folder.append(try compression.compress(Data(Array(lines[5...]).jsonLines.utf8)), name)
    let report = try trial.run(name)
    #expect(report.files[0].status == .resumed && report.counts.records == lines.count - 5)
    PrefixTrieTests.expectEqual(try trial.groups(), Self.log(seed: 6))
    #expect(try trial.count("source") == 1)
  }

  /// A writer is caught in the middle of a line: the torn record is put aside, and comes in when the line is complete.
  @Test func aTornLastLineIsReadAgainWhenItIsComplete() throws {
    let lines = Self.log(seed: 7).lines
    let text = Data(lines.jsonLines.utf8)
    let whole = try ImportTrial()
    try whole.run(lines: lines)
    let colon = try #require(text.lastIndex(of: UInt8(ascii: ":")))
    for cut in [text.count - 3, colon, colon + 1, text.count - lines[lines.count - 1].utf8.count - 20, 1500] {
      let trial = try ImportTrial()
      try trial.folder.write(text.prefix(cut), "log.jsonl")
      let report = try trial.run("log.jsonl")
      let done = text.prefix(cut).count { $0 == 0x0A }
      let offset = (text.prefix(cut).lastIndex(of: 0x0A) ?? -1) + 1
      #expect(report.quarantine.map(\.name) == ["torn_line"])
      #expect(try trial.quarantine() == ["\(done + 1) \(offset) torn_line"])
      try trial.folder.append(text.suffix(from: cut), "log.jsonl")
      #expect(try trial.run("log.jsonl").quarantine.isEmpty)
      #expect(try trial.reading() == whole.reading() && trial.count("quarantine") == 0)
      #expect(try trial.value("SELECT records FROM source") == "\(lines.count)")
    }
  }

  /// A torn record whose beginning is already wrong is still one record, once its end is written.
  @Test func aTornBadLineStaysOneRecord() throws {
    let bad =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"b","token_ids":[1,2],"logprobs":[0.5,-1],"reward":1}"#
    let lines = [BadRecords.root, bad, BadRecords.good(1)]
    let text = Data(lines.jsonLines.utf8)
    let trial = try ImportTrial()
    try trial.folder.write(text.prefix(BadRecords.root.utf8.count + bad.utf8.count - 5), "log.jsonl")
    try trial.run("log.jsonl")
    try trial.folder.append(text.suffix(from: BadRecords.root.utf8.count + bad.utf8.count - 5), "log.jsonl")
    try trial.run("log.jsonl")
    #expect(try trial.quarantine() == ["2 \(BadRecords.root.utf8.count + 1) positive_logprob"])
    #expect(try trial.value("SELECT records FROM source") == "3")
    #expect(try trial.count("trajectory") == 2)
  }

  /// The same for one that is longer than allowed already: what is written of it later is no record of its own.
  @Test(arguments: [400, 5000]) func aTornLongLineStaysOneRecord(block: Int) throws {
    let long = BadRecords.root.replacing("[1,2,3]", with: "[" + String(repeating: "1,", count: 600) + "1]")
    let text = Data([BadRecords.root, long, BadRecords.good(1)].jsonLines.utf8)
    let (whole, trial) = (try ImportTrial(), try ImportTrial())
    for trial in [whole, trial] {
      trial.options.maxRecordBytes = 500
      trial.options.blockBytes = block
    }
    try whole.folder.write(text, "log.jsonl")
    try whole.run("log.jsonl")
    let cut = BadRecords.root.utf8.count + 1 + 800
    try trial.folder.write(text.prefix(cut), "log.jsonl")
    #expect(try trial.run("log.jsonl").quarantine.map(\.name) == ["too_long"])
    try trial.folder.append(text.dropFirst(cut), "log.jsonl")
    #expect(try trial.run("log.jsonl").counts.records == 2)
    #expect(try trial.quarantine() == whole.quarantine() && trial.reading() == whole.reading())
    let state = "SELECT records || ' ' || state || ' ' || resume_offset || ' ' || bytes FROM source"
    #expect(try trial.strings(state) == whole.strings(state))
  }

  /// What was too long comes in with a larger limit, and what waited for it; nothing else changes.
  @Test(arguments: [false, true]) func whatWasTooLongComesInWithALargerLimit(hasGrown: Bool) throws {
    let long = BadRecords.root.replacing("[1,2,3]", with: "[" + String(repeating: "1,", count: 600) + "1]")
      .replacing(#""trajectory_id":"r""#, with: #""trajectory_id":"long""#)
    let child =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","token_ids":[7],"parent_id":"long","#
      + #""branch_token_index":2}"#
    let lines = [BadRecords.group, BadRecords.root, long, child, BadRecords.good(1)]
    let whole = try ImportTrial()
    #expect(try whole.run(lines: lines).quarantine.isEmpty && whole.count("trajectory") == 4)
    let trial = try ImportTrial()
    trial.options.maxRecordBytes = 500
    try trial.run(lines: hasGrown ? lines.dropLast() : lines)
    #expect(try trial.strings("SELECT reason FROM quarantine") == ["too_long", "missing_parent"])
    #expect(try trial.value("SELECT message FROM quarantine")?.contains("--max-record") == true)
    if !hasGrown { #expect(try trial.run("log.jsonl").files[0].status == .known) }
    if hasGrown { try trial.folder.append(Data([BadRecords.good(1)].jsonLines.utf8), "log.jsonl") }
    trial.options.maxRecordBytes = 5000
    let report = try trial.run("log.jsonl")
    #expect(report.files[0].status == .resumed && report.quarantine.isEmpty)
    #expect(try trial.reading() == whole.reading())
    let state = "SELECT records || ' ' || state || ' ' || resume_offset || ' ' || bytes FROM source"
    #expect(try trial.strings(state) == whole.strings(state))
    #expect(try trial.run("log.jsonl").files[0].status == .known)
  }

  /// Rows that would count once more are not read again.
  @Test func equalRowsAreNotCountedAgain() throws {
    let url = TestPaths.fixtures.appending(path: "logs/verl-v0/5.jsonl")
    let long = Data((#"{"input":""# + String(repeating: "x", count: 20_000) + "\"}\n").utf8)
    let trial = try ImportTrial()
    trial.options.maxRecordBytes = 10_000
    try trial.folder.write(try Data(contentsOf: url) + long, "run/5.jsonl")
    #expect(try trial.run("run/5.jsonl").quarantine.map(\.name) == ["too_long"])
    let reading = try trial.reading()
    trial.options.maxRecordBytes = 100_000
    #expect(try trial.run("run/5.jsonl").files[0].status == .known)
    #expect(try trial.reading() == reading && trial.value("SELECT max(copies) FROM trajectory") == "1")
  }

  @Test func aLastLineWithoutALineFeedIsARecord() throws {
    let lines = Self.log(seed: 8).lines
    let trial = try ImportTrial()
    try trial.folder.write(Data(lines.joined(separator: "\n").utf8), "log.jsonl")
    #expect(try trial.run("log.jsonl").quarantine.isEmpty)
    PrefixTrieTests.expectEqual(try trial.groups(), Self.log(seed: 8))
    // The line feed and more come later.
    try trial.folder.append(Data(("\n" + [BadRecords.root].jsonLines).utf8), "log.jsonl")
    let report = try trial.run("log.jsonl")
    #expect(report.counts.records == 1 && report.counts.trajectories == 1 && report.quarantine.isEmpty)
    #expect(try trial.value("SELECT line FROM trajectory WHERE trajectory_id = 'r'") == "\(lines.count + 1)")
  }

  /// A compressed file that was cut off is put aside behind its last whole record; complete, it is read on.
  @Test(arguments: Compression.allCases) func aCutOffStreamIsReadAgainWhenItIsComplete(compression: Compression) throws
  {
    let lines = Self.log(seed: 9).lines
    let data = try compression.compress(lines.map { Data([$0].jsonLines.utf8) })
    let whole = try ImportTrial()
    try whole.folder.write(data, "log")
    try whole.run("log")
    for cut in [data.count / 3, data.count / 2, data.count - 1] {
      let trial = try ImportTrial()
      try trial.folder.write(data.prefix(cut), "log")
      let report = try trial.run("log")
      #expect(report.quarantine.map(\.name) == ["truncated_stream"] && report.quarantine[0].count == 1)
      #expect(try trial.value("SELECT state FROM source") == "cut_off")
      let before = try trial.count("trajectory")
      let all = try whole.count("trajectory")
      #expect(before < all || cut == data.count - 1)
      try trial.folder.append(data.suffix(from: cut), "log")
      #expect(try trial.run("log").quarantine.isEmpty)
      #expect(try trial.reading() == whole.reading())
      #expect(try trial.value("SELECT state || records FROM source") == "complete\(lines.count)")
    }
  }

  /// Calls that a grown log adds are joined to the conversations that are there.
  @Test func conversationsGrow() throws {
    let url = TestPaths.fixtures.appending(path: "logs/openai/vllm-chat-ids.jsonl")
    let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map(String.init)
    let whole = try ImportTrial()
    try whole.run(lines: lines)
    for split in 1..<lines.count {
      let trial = try ImportTrial()
      try trial.run(lines: Array(lines[..<split]))
      try trial.folder.append(Data(Array(lines[split...]).jsonLines.utf8), "log.jsonl")
      #expect(try trial.run("log.jsonl").files[0].status == .resumed)
      #expect(try trial.reading() == whole.reading(), "after \(split) lines")
    }
  }

  /// A group record that a grown log adds gives its step to the trajectories that came before it.
  @Test func groupsGrow() throws {
    let lines = [
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"a","token_ids":[1]}"#,
      #"{"kind":"group","group_id":"g","step":4,"prompt_text":"p"}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"b","token_ids":[1]}"#,
    ]
    let whole = try ImportTrial()
    try whole.run(lines: lines)
    #expect(try whole.groups().map(\.step) == [4] && whole.groups()[0].trajectories.count == 2)
    for split in 1...2 {
      let trial = try ImportTrial()
      try trial.run(lines: Array(lines[..<split]))
      try trial.folder.append(Data(Array(lines[split...]).jsonLines.utf8), "log.jsonl")
      try trial.run("log.jsonl")
      #expect(try trial.reading() == whole.reading(), "after \(split) lines")
    }
  }
}
