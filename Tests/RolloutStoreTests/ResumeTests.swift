import Foundation
import RolloutLogs
import Synchronization
import TestSupport
import Testing

@testable import RolloutStore

/// An import that was cut off goes on from its last commit, and the database equals that of an import that was not.
@Suite struct ResumeTests {
  /// A log of several blocks with all that has to be remembered between them: children long before their parents, bad
  /// records, duplicates, a cycle.
  static func lines(seed: UInt64) -> [String] {
    var shape = SyntheticLog.Shape()
    shape.forks = 6
    shape.prefix = .mixed
    var random = SeededGenerator(seed: seed)
    var lines = SyntheticLog(seed: seed, shape).shuffledLines(seed: seed)
    let body = lines[1..<(lines.count - 1)]
    lines = [lines[0], BadRecords.group, BadRecords.root] + body + [lines.last ?? ""]
    for i in BadRecords.all.indices {
      lines.insert(BadRecords.line(i), at: Int.random(in: 3..<lines.count, using: &random))
    }
    for _ in 0..<5 { lines.append(lines[Int.random(in: 3..<lines.count, using: &random)]) }
    return lines
  }

  static func data(_ lines: [String], _ container: String) throws -> Data {
    let data = Data(lines.jsonLines.utf8)
    guard let compression = Compression(rawValue: container) else { return data }
    return try compression.compress([data.prefix(3000), data.dropFirst(3000)])
  }

  /// Runs the same import until it is not cut off any more.
  /// - Returns: how often it was.
  static func finish(_ trial: ImportTrial, _ names: [String], after blocks: () -> Int) throws -> Int {
    var cuts = 0
    while true {
      let left = Mutex(blocks())
      let store = try Store.open(trial.database, for: .writing)
      let importer = Importer(
        store: store, options: trial.options,
        isCancelled: {
          left.withLock { n in
            n -= 1
            return n < 0
          }
        })
      let report = try importer.run(names.map(trial.folder.path))
      if !report.files.contains(where: { $0.status == .interrupted }) { return cuts }
      cuts += 1
      try #require(cuts < 1000)
    }
  }

  static func small(_ trial: ImportTrial) {
    trial.options.blockBytes = 1500
    trial.options.commitBytes = 1
  }

  @Test(arguments: ["plain", "zstd", "gzip"]) func anInterruptedImportGoesOn(container: String) throws {
    for seed in 1...2 as ClosedRange<UInt64> {
      let data = try Self.data(Self.lines(seed: seed), container)
      let whole = try ImportTrial()
      try whole.folder.write(data, "log.jsonl")
      let report = try whole.run("log.jsonl")
      #expect(Set(report.quarantine.map(\.name)).count > 12)
      var random = SeededGenerator(seed: seed)
      let cut = try ImportTrial()
      Self.small(cut)
      try cut.folder.write(data, "log.jsonl")
      let cuts = try Self.finish(cut, ["log.jsonl"]) { Int.random(in: 0...3, using: &random) }
      #expect(cuts >= 5)
      let differences = DatabaseDump.differences(try whole.dump(), try cut.dump())
      #expect(differences.isEmpty, "\(differences)")
    }
  }

  /// What a killed process leaves behind: the files as they stand while the import is running.
  @Test(arguments: ["plain", "zstd"]) func aCrashedImportGoesOn(container: String) throws {
    let data = try Self.data(Self.lines(seed: 9), container)
    let whole = try ImportTrial()
    Self.small(whole)
    try whole.folder.write(data, "log.jsonl")
    var snapshots: [ImportTrial] = []
    let database = whole.database
    try whole.run("log.jsonl") { _ in
      guard let crashed = try? ImportTrial() else { return }
      for suffix in ["", "-wal"] {
        try? FileManager.default.copyItem(atPath: database + suffix, toPath: crashed.database + suffix)
      }
      snapshots.append(crashed)
    }
    let expected = try whole.dump()
    #expect(snapshots.count >= 6)
    for (i, crashed) in snapshots.enumerated() where i % max(1, snapshots.count / 8) == 0 {
      Self.small(crashed)
      try crashed.folder.write(data, "log.jsonl")
      let report = try crashed.run("log.jsonl")
      #expect(i == 0 || report.files[0].status == .resumed)
      let differences = DatabaseDump.differences(expected, try crashed.dump())
      #expect(differences.isEmpty, "after block \(i): \(differences)")
    }
  }

  /// Conversations, padded copies, parts and text logs are joined at the end, however often the import was cut off.
  @Test(arguments: [
    "openai/openai-chat.jsonl", "openai/openai-chat.jsonl.gz", "openai/openai-stream.json", "openai/openai-batch.jsonl",
    "openai/vllm-chat-ids.jsonl", "openai/vllm-chat-ids.jsonl.zst", "openai/vllm-completions.jsonl",
    "sglang/sglang-generate.jsonl", "verl-v0/5.jsonl", "verl-v1/7.jsonl", "arpo/3.jsonl", "arpo-eval/arpo-eval.json",
    "nemo-gym/nemo-gym_rollouts.jsonl",
  ]) func otherFormatsGoOn(name: String) throws {
    let data = try Data(contentsOf: TestPaths.fixtures.appending(path: "logs/\(name)"))
    // Some formats name the run after the folder.
    let file = "run/" + URL(filePath: name).lastPathComponent
    let whole = try ImportTrial()
    try whole.folder.write(data, file)
    try whole.run(file)
    let cut = try ImportTrial()
    Self.small(cut)
    cut.options.blockBytes = 600
    try cut.folder.write(data, file)
    _ = try Self.finish(cut, [file]) { 0 }
    let differences = DatabaseDump.differences(try whole.dump(), try cut.dump())
    #expect(differences.isEmpty, "\(differences)")
    #expect(try whole.count("trajectory") > 0)
  }

  @Test func severalFilesGoOn() throws {
    let whole = try ImportTrial()
    let cut = try ImportTrial()
    Self.small(cut)
    let names = ["a.jsonl", "b.jsonl", "c.jsonl"]
    for (i, name) in names.enumerated() {
      for trial in [whole, cut] {
        try trial.folder.write(try Self.data(Self.lines(seed: UInt64(30 + i)), "plain"), name)
      }
    }
    let store = try Store.open(whole.database, for: .writing)
    _ = try Importer(store: store, options: whole.options).run(names.map(whole.folder.path))
    var random = SeededGenerator(seed: 3)
    let cuts = try Self.finish(cut, names) { Int.random(in: 0...5, using: &random) }
    #expect(cuts >= 4)
    let differences = DatabaseDump.differences(try whole.dump(), try cut.dump())
    #expect(differences.isEmpty, "\(differences)")
  }

  /// To recognise a log, more lines that are too long may be read over than the import before had done.
  @Test(arguments: 1...3) func aStoppedImportGoesOnBehindLongFirstLines(done: Int) throws {
    let long = BadRecords.root.replacing("[1,2,3]", with: "[" + String(repeating: "1,", count: 600) + "1]")
    let lines = [long, long, long, BadRecords.root, BadRecords.good(1)]
    let (whole, stopped) = (try ImportTrial(), try ImportTrial())
    for trial in [whole, stopped] {
      trial.options.maxRecordBytes = 500
      trial.options.blockBytes = 400
    }
    try whole.run(lines: lines)
    #expect(try whole.count("quarantine") == 3 && whole.count("trajectory") == 2)
    stopped.options.maxBad = done - 1
    #expect(try stopped.run(lines: lines).files[0].status == .stopped)
    #expect(try stopped.count("quarantine") == done)
    stopped.options.maxBad = nil
    #expect(try stopped.run("log.jsonl").files[0].status == .resumed)
    let differences = DatabaseDump.differences(try whole.dump(), try stopped.dump())
    #expect(differences.isEmpty, "\(differences)")
  }

  /// What --max-bad stopped goes on without it.
  @Test func aStoppedImportGoesOn() throws {
    let lines = Self.lines(seed: 4)
    let whole = try ImportTrial()
    try whole.run(lines: lines)
    let stopped = try ImportTrial()
    stopped.options.maxBad = 0
    #expect(try stopped.run(lines: lines).files[0].status == .stopped)
    stopped.options.maxBad = 5
    #expect(try stopped.run("log.jsonl").files[0].status == .stopped)
    stopped.options.maxBad = nil
    #expect(try stopped.run("log.jsonl").files[0].status == .resumed)
    let differences = DatabaseDump.differences(try whole.dump(), try stopped.dump())
    #expect(differences.isEmpty, "\(differences)")
  }
}
