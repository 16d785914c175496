import Foundation
import Replay
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// Each bad record is put aside with its line, byte offset and reason, and everything else is imported.
@Suite struct BadRecordTests {
  /// Bad records between good ones, as bytes.
  struct Log {
    var data = Data()
    var lines = 0
    var expected: [String?] = []
    var good = 0

    init() { for line in [BadRecords.group, BadRecords.root] { add(Data(line.utf8), nil) } }

    mutating func add(_ line: Data, _ reason: QuarantineReason?, end: String = "\n") {
      lines += 1
      if let reason { expected.append("\(lines) \(data.count) \(reason.rawValue)") }
      data += line + Data(end.utf8)
    }

    mutating func addGood() {
      add(Data(BadRecords.good(good).utf8), nil)
      good += 1
    }
  }

  @Test func everyBadRecordIsPutAsideAndTheOthersComeIn() throws {
    var log = Log()
    for i in BadRecords.all.indices {
      log.add(Data(BadRecords.line(i).utf8), BadRecords.all[i].reason)
      log.addGood()
    }
    let trial = try ImportTrial()
    try trial.folder.write(log.data, "log.jsonl")
    let report = try trial.run("log.jsonl")
    let differences = zip(try trial.quarantine(), log.expected).filter { $0 != $1 }
    #expect(try differences.isEmpty && trial.count("quarantine") == log.expected.count, "\(differences)")
    #expect(report.counts.trajectories == log.good + 1 && report.counts.records == log.lines)
    #expect(report.quarantine.reduce(0) { $0 + $1.count } == BadRecords.all.count)
    // The bytes are kept: nothing is lost.
    let kept = try trial.strings("SELECT length || ' ' || excerpt FROM quarantine ORDER BY byte_offset")
    let lengths = BadRecords.all.indices.map { i in
      "\(BadRecords.line(i).utf8.count) \(BadRecords.line(i).prefix(200))"
    }
    #expect(kept == lengths)
    #expect(try trial.value("SELECT count(*) FROM quarantine WHERE raw IS NULL OR message = ''") == "0")
  }

  /// The same, whatever the order: which record is bad does not depend on what stands before it.
  @Test func theOrderOfRecordsDoesNotChangeWhatIsBad() throws {
    var lines = [BadRecords.root] + BadRecords.all.indices.map(BadRecords.line) + (0..<20).map(BadRecords.good)
    // Which of two records that contradict each other came first does depend on it.
    lines.removeAll { $0.contains(#""trajectory_id":"r","token_ids":[9]"#) || $0.contains("another") }
    var expected: [String: String] = [:]
    for i in BadRecords.all.indices {
      expected[String(BadRecords.line(i).prefix(200))] = BadRecords.all[i].reason.rawValue
    }
    for seed in 1...4 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let trial = try ImportTrial()
      // The first lines tell the format.
      let report = try trial.run(lines: [BadRecords.good(99)] + lines.shuffled(using: &random))
      #expect(report.counts.trajectories == 22)
      for row in try trial.strings("SELECT excerpt || '|' || reason FROM quarantine") {
        let parts = try #require(row).split(separator: "|")
        #expect(expected[String(parts[0])] == String(parts[1]))
      }
      #expect(try trial.count("quarantine") == BadRecords.all.count - 2)
    }
  }

  @Test func invalidUTF8IsFoundAtItsByte() throws {
    var log = Log()
    for bytes in [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82]] as [[UInt8]]
    {
      let head = #"{"kind":"trajectory","group_id":"g","trajectory_id":"u","token_ids":[1],"text":""#
      log.add(Data(head.utf8) + Data(bytes) + Data("\"}".utf8), .invalidUTF8)
      log.addGood()
    }
    let trial = try ImportTrial()
    try trial.folder.write(log.data, "log.jsonl")
    let report = try trial.run("log.jsonl")
    let expected = log.expected
    #expect(try trial.quarantine() == expected && report.counts.trajectories == 7)
    // The first bad byte of the first record.
    let head = #"{"kind":"trajectory","group_id":"g","trajectory_id":"u","token_ids":[1],"text":""#
    let offset = BadRecords.group.utf8.count + BadRecords.root.utf8.count + 2 + head.utf8.count
    #expect(try trial.value("SELECT message FROM quarantine")?.hasSuffix("(byte \(offset))") == true)
  }

  @Test func recordsThatAreTooLongAreReadOver() throws {
    for limit in [3000, 4096] {
      var log = Log()
      for length in [limit + 5000, limit - 400, 20 * limit, limit, limit + 1] {
        let head = #"{"kind":"trajectory","group_id":"g","trajectory_id":"long\#(length)","token_ids":[1],"text":""#
        let line = head + String(repeating: "x", count: length - head.utf8.count - 2) + #""}"#
        log.add(Data(line.utf8), length > limit ? .tooLong : nil)
        log.addGood()
      }
      let trial = try ImportTrial()
      trial.options.maxRecordBytes = limit
      trial.options.blockBytes = 1024
      try trial.folder.write(log.data, "log.jsonl")
      let report = try trial.run("log.jsonl")
      let expected = log.expected
      #expect(try trial.quarantine() == expected)
      #expect(report.counts.trajectories == 8)
    }
  }

  @Test func linesOfOtherKindsAreNoRecords() throws {
    let text =
      "\u{FEFF}\n  \r\n" + BadRecords.root + "\r\n\r\n\t" + BadRecords.good(1) + "  \n\n" + BadRecords.good(2) + "\n \n"
    let trial = try ImportTrial()
    try trial.folder.write(Data(text.utf8), "log.jsonl")
    let report = try trial.run("log.jsonl")
    #expect(report.quarantine.isEmpty && report.counts.records == 3)
    let root = BadRecords.root.utf8.count
    #expect(
      try trial.strings("SELECT line || ' ' || byte_offset FROM trajectory ORDER BY line")
        // The offset of an indented record is that of its line.
        == ["3 8", "5 \(8 + root + 4)", "7 \(8 + root + 4 + 1 + BadRecords.good(1).utf8.count + 2 + 2)"])
  }

  // MARK: Streams

  @Test(arguments: Compression.allCases) func aDamagedStreamLosesOnlyWhatIsBehindTheDamage(compression: Compression)
    throws
  {
    let lines = [BadRecords.root] + (0..<30).map(BadRecords.good)
    let frames = try lines.map { try compression.compress(Data([$0].jsonLines.utf8)) }
    var data = frames[..<20].reduce(Data(), +)
    let damaged = data.count
    data += frames[20...].reduce(Data(), +)
    for i in 0..<12 where damaged + 10 + i < data.count { data[damaged + 10 + i] ^= 0x5A }
    let trial = try ImportTrial()
    try trial.folder.write(data, "log")
    let report = try trial.run("log")
    #expect(report.counts.trajectories >= 20 && report.counts.trajectories < 31)
    #expect(
      report.quarantine.count >= 1
        && report.quarantine.allSatisfy { ["corrupt_stream", "truncated_stream"].contains($0.name) })
    let offset = lines[..<20].reduce(0) { $0 + $1.utf8.count + 1 }
    #expect(try trial.quarantine().first??.hasPrefix("21 \(offset) ") == true)
    #expect(try trial.value("SELECT state FROM source") == "cut_off")
  }

  @Test func aZstdBombEndsItsFileAndNotTheImport() throws {
    let trial = try ImportTrial()
    trial.options.maxRecordBytes = 1 << 20
    let spaces = Data(repeating: UInt8(ascii: "x"), count: 8 << 20)
    let frame = try Compression.zstd.compress(spaces)
    var bomb = try Compression.zstd.compress(Data([BadRecords.root].jsonLines.utf8))
    for _ in 0..<40 { bomb += frame }
    #expect(bomb.count < 100_000)
    try trial.folder.write(bomb, "bomb.zst")
    try trial.folder.write([BadRecords.good(1)], "good.jsonl")
    let report = try trial.run("bomb.zst", "good.jsonl")
    #expect(report.counts.trajectories == 2 && report.files[1].status == .imported)
    #expect(report.files[0].uncompressedBytes < 300 << 20)
    #expect(try trial.quarantine().contains { $0?.hasSuffix("decompression_bomb") == true })
    #expect(try trial.value("SELECT state FROM source WHERE id = 1") == "cut_off")
  }

  @Test func filesThatAreNoLogsAreRefusedWithAReason() throws {
    let trial = try ImportTrial()
    let magic: [(name: String, bytes: [UInt8], word: String)] = [
      ("zip", Array("PK\u{3}\u{4}rest".utf8), "zip"), ("parquet", Array("PAR1....".utf8), "Parquet"),
      ("sqlite", Array("SQLite format 3\u{0}".utf8), "SQLite"), ("bz2", Array("BZh9....".utf8), "bzip2"),
      ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "xz"), ("pickle", [0x80, 0x04, 0x95, 0], "pickle"),
      ("empty", [], "no JSON"),
      ("text", Array("hello\nworld\n".utf8), "no JSON"),
      ("json", Array(#"{"steps":[],"agent":{}}"#.utf8), "steps, agent"),
    ]
    for file in magic { try trial.folder.write(Data(file.bytes), file.name) }
    try trial.folder.write([BadRecords.root], "good.jsonl")
    let store = try Store.open(trial.database, for: .writing)
    let report = try Importer(store: store, options: trial.options).run(
      (magic.map(\.name) + ["good.jsonl", "absent"]).map(trial.folder.path))
    for (file, result) in zip(magic, report.files) {
      #expect(result.status == .refused && result.message?.contains(file.word) == true, "\(file.name): \(result)")
    }
    #expect(report.files[magic.count].status == .imported)
    #expect(report.files[magic.count + 1].status == .unreadable)
    #expect(try trial.count("source") == 1)
  }

  @Test func aFolderIsWalkedInTheOrderOfNames() throws {
    let trial = try ImportTrial()
    for (i, name) in ["logs/b/2.jsonl", "logs/a.jsonl", "logs/b/10.jsonl", "logs/c.jsonl"].enumerated() {
      try trial.folder.write([BadRecords.good(i)], name)
    }
    try trial.folder.write([BadRecords.good(9)], "logs/.hidden.jsonl")
    try trial.folder.write(Data("notes".utf8), "logs/README")
    let report = try trial.run("logs")
    #expect(
      report.files.map { String($0.path.split(separator: "/").last ?? "") } == [
        "README", "a.jsonl", "10.jsonl", "2.jsonl", "c.jsonl",
      ])
    #expect(report.files.map(\.status) == [.refused, .imported, .imported, .imported, .imported])
    #expect(
      try trial.strings("SELECT trajectory_id FROM trajectory ORDER BY id") == ["good1", "good2", "good0", "good3"])
  }

  /// Pipes, loops of links and links to files in a folder.
  @Test func aFolderWithPipesAndLinks() throws {
    let trial = try ImportTrial()
    try trial.folder.write([BadRecords.good(0)], "elsewhere/linked.jsonl")
    try trial.folder.write([BadRecords.good(1)], "logs/b/1.jsonl")
    let logs = trial.folder.url.appending(path: "logs").path
    #expect(mkfifo(logs + "/pipe", 0o644) == 0)
    for (link, target) in [
      ("loop", "."), ("b/up", ".."), ("a.jsonl", "../elsewhere/linked.jsonl"), ("gone", "nowhere"),
    ] {
      try FileManager.default.createSymbolicLink(atPath: "\(logs)/\(link)", withDestinationPath: target)
    }
    let report = try trial.run("logs")
    #expect(report.files.map { String($0.path.dropFirst(logs.count)) } == ["/a.jsonl", "/b/1.jsonl"])
    #expect(report.counts.trajectories == 2)
  }

  // MARK: Limits

  @Test func strictStopsAtTheFirstBadRecord() throws {
    for i in BadRecords.all.indices {
      let trial = try ImportTrial()
      trial.options.maxBad = 0
      let report = try trial.run(
        lines: [BadRecords.group, BadRecords.root, BadRecords.good(0), BadRecords.line(i), BadRecords.good(1)])
      #expect(report.files[0].status == .stopped, "\(BadRecords.line(i))")
      #expect(try trial.value("SELECT count(*) FROM trajectory WHERE trajectory_id = 'good0'") == "1")
      // A parent can come until the end.
      let isWaiting = [.missingParent, .parentCycle].contains(BadRecords.all[i].reason)
      #expect(try trial.count("trajectory") == (isWaiting ? 3 : 2))
    }
  }

  @Test func strictStopsAtTooLongRecordsAndCutOffStreams() throws {
    let trial = try ImportTrial()
    trial.options.maxBad = 0
    trial.options.maxRecordBytes = 500
    trial.options.blockBytes = 400
    let long = BadRecords.root.replacing("[1,2,3]", with: "[" + String(repeating: "1,", count: 600) + "1]")
    #expect(try trial.run(lines: [BadRecords.root, long, BadRecords.good(1)]).files[0].status == .stopped)
    #expect(try trial.count("trajectory") == 1)
    let cut = try ImportTrial()
    cut.options.maxBad = 0
    let data = try Compression.zstd.compress((0..<9).map { Data([BadRecords.good($0)].jsonLines.utf8) })
    try cut.folder.write(data.dropLast(20), "log.zst")
    #expect(try cut.run("log.zst").files[0].status == .stopped)
    #expect(try cut.count("trajectory") == 8)
  }

  @Test func maxBadCountsTheBadRecordsOfAllFiles() throws {
    for (limit, status) in [(0, FileReport.Status.stopped), (3, .stopped), (4, .imported)] {
      let trial = try ImportTrial()
      trial.options.maxBad = limit
      let bad = #"{"kind":"comment"}"#
      try trial.folder.write([BadRecords.good(0), bad, bad, BadRecords.good(1)], "a.jsonl")
      try trial.folder.write([BadRecords.good(2), bad, BadRecords.good(3), bad, BadRecords.good(4)], "b.jsonl")
      let report = try trial.run("a.jsonl", "b.jsonl")
      #expect(report.files.last?.status == status)
      #expect(try trial.count("quarantine") == min(4, limit + 1))
    }
  }

  /// A record that is put aside leaves nothing behind, not even what it said about its group.
  @Test func aBadRecordLeavesNothingBehind() throws {
    let lines = [
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"a","token_ids":[1],"prompt_token_ids":[1,2]}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"b","token_ids":[1],"prompt_text":"x","#
        + #""prompt_token_ids":[3]}"#,
    ]
    let trial = try ImportTrial()
    let report = try trial.run(lines: lines)
    #expect(report.quarantine.map(\.name) == ["prompt_disagrees"])
    #expect(try trial.value("SELECT prompt_text FROM prompt_group") == nil)
  }

  @Test func anEndRecordThatCountsOtherwiseIsTold() throws {
    let trial = try ImportTrial()
    let report = try trial.run(lines: [BadRecords.root, BadRecords.good(1), #"{"kind":"end","trajectories":3}"#])
    #expect(report.files[0].announced?.trajectories == 3 && report.quarantine.isEmpty)
    #expect(
      try trial.run(lines: [BadRecords.good(2), #"{"kind":"end","trajectories":1}"#], "b").files[0]
        .announced == nil)
  }

  /// A response with several choices of which a later one is bad is put aside whole: none of them is stored.
  @Test func aRecordIsImportedWholeOrNotAtAll() throws {
    func response(_ id: String, _ choices: [(Int, String)]) -> String {
      let list = choices.map {
        #"{"index":\#($0.0),"message":{"role":"assistant","content":"\#($0.1)"},"finish_reason":"stop"}"#
      }
      return #"{"id":"\#(id)","object":"chat.completion","created":1,"model":"m","choices":["#
        + list.joined(separator: ",") + "]}"
    }
    let good = [response("a", [(0, "x"), (1, "y")]), response("b", [(0, "z"), (1, "w")])]
    let trial = try ImportTrial()
    let report = try trial.run(
      lines: [good[0], response("a", [(2, "new"), (1, "other")]), good[1]], "run.jsonl")
    #expect(report.quarantine.map(\.name) == ["duplicate_disagrees"])
    #expect(report.counts.trajectories == 4 && report.counts.quarantined == 1)
    #expect(
      try trial.strings("SELECT response_id FROM model_call ORDER BY id") == ["a", "a/1", "b", "b/1"])
    // The rows are the ones that the good records alone make.
    let straight = try ImportTrial()
    try straight.run(lines: good, "run.jsonl")
    let sql = "SELECT id || ' ' || trajectory_id || ' ' || prompt_group FROM trajectory ORDER BY id"
    #expect(try trial.strings(sql) == straight.strings(sql))
  }
}
