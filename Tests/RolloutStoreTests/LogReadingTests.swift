import Foundation
import RolloutLogs
import TestSupport
import Testing

@testable import RolloutStore

/// The first log is read while the database is being opened; nothing else is different for it.
@Suite struct LogReadingTests {
  /// An import whose first log has begun to be read before there is a database.
  @discardableResult
  private static func run(_ trial: ImportTrial, _ paths: [String]) throws -> ImportReport {
    let reading = try #require(LogReading.first(of: paths, options: trial.options))
    // As far as it comes by itself.
    _ = try? reading.opened()
    usleep(20_000)
    let store = try Store.open(trial.database, for: .writing)
    return try Importer(store: store, options: trial.options).run(paths, reading: reading)
  }

  private static func trial() throws -> ImportTrial {
    let trial = try ImportTrial()
    ResumeTests.small(trial)
    return trial
  }

  private static func expectEqual(_ a: ImportTrial, _ b: ImportTrial) throws {
    let differences = DatabaseDump.differences(try a.dump(), try b.dump())
    #expect(differences.isEmpty, "\(differences)")
  }

  @Test(arguments: ["plain", "zstd", "gzip"]) func itIsTheSameImport(container: String) throws {
    let (usual, begun) = (try Self.trial(), try Self.trial())
    let names = ["a.jsonl", "b.jsonl"]
    for (i, name) in names.enumerated() {
      let data = try ResumeTests.data(ResumeTests.lines(seed: UInt64(40 + i)), container)
      for trial in [usual, begun] { try trial.folder.write(data, name) }
    }
    let store = try Store.open(usual.database, for: .writing)
    let expected = try Importer(store: store, options: usual.options).run(names.map(usual.folder.path))
    let report = try Self.run(begun, names.map(begun.folder.path))
    #expect(report.counts == expected.counts && report.counts.trajectories > 0)
    #expect(report.files.map(\.bytes) == expected.files.map(\.bytes))
    #expect(report.files.map(\.uncompressedBytes) == expected.files.map(\.uncompressedBytes))
    try Self.expectEqual(usual, begun)
  }

  /// A log that is in the database is not read again, however far its reading had come.
  @Test func aKnownLogStaysKnown() throws {
    let trial = try Self.trial()
    let path = try trial.folder.write(ResumeTests.lines(seed: 44), "log.jsonl")
    try Self.run(trial, [path])
    let dump = try trial.dump()
    let again = try Self.run(trial, [path])
    #expect(again.files[0].status == .known && again.counts == ImportCounts())
    #expect(DatabaseDump.differences(dump, try trial.dump()).isEmpty)
  }

  /// A log that has grown is read from where it was left, not from where its reading began.
  @Test func aGrownLogGoesOn() throws {
    let lines = ResumeTests.lines(seed: 45)
    let (usual, begun) = (try Self.trial(), try Self.trial())
    for trial in [usual, begun] { try trial.run(lines: Array(lines[..<20])) }
    for trial in [usual, begun] { try trial.folder.append(Data(Array(lines[20...]).jsonLines.utf8), "log.jsonl") }
    try usual.run("log.jsonl")
    let report = try Self.run(begun, [begun.folder.path("log.jsonl")])
    #expect(report.files[0].status == .resumed && report.counts.records == lines.count - 20)
    try Self.expectEqual(usual, begun)
  }

  /// What is wrong with the first log is told in its place, and the others are imported.
  @Test func aRefusedLogIsToldInItsTurn() throws {
    let (usual, begun) = (try Self.trial(), try Self.trial())
    for trial in [usual, begun] {
      try trial.folder.write(Data("no log at all\n".utf8), "notes.txt")
      try trial.folder.write(ResumeTests.lines(seed: 46), "log.jsonl")
    }
    let expected = try usual.run("notes.txt", "log.jsonl")
    let report = try Self.run(begun, ["notes.txt", "log.jsonl"].map(begun.folder.path))
    #expect(
      report.files.map(\.status) == [.refused, .imported] && expected.files.map(\.status) == [.refused, .imported])
    #expect(report.files[0].message == expected.files[0].message)
    try Self.expectEqual(usual, begun)
  }

  /// What would be looked at first anyway, or is not a log yet, is not begun.
  @Test func whatDoesNotBegin() throws {
    let folder = try TemporaryFolder()
    #expect(LogReading.first(of: [folder.url.path], options: ImportOptions()) == nil)
    #expect(LogReading.first(of: [folder.path("absent.jsonl")], options: ImportOptions()) == nil)
    #expect(LogReading.first(of: [], options: ImportOptions()) == nil)
    #expect(mkfifo(folder.path("pipe"), 0o644) == 0)
    #expect(LogReading.first(of: [folder.path("pipe")], options: ImportOptions()) == nil)
  }

  /// The reading is only of the path that it was begun for.
  @Test func anotherFirstLogIsReadItself() throws {
    let trial = try Self.trial()
    let log = try trial.folder.write(ResumeTests.lines(seed: 47), "log.jsonl")
    let other = try trial.folder.write([BadRecords.root], "other.jsonl")
    let reading = try #require(LogReading.first(of: [other], options: trial.options))
    let store = try Store.open(trial.database, for: .writing)
    let report = try Importer(store: store, options: trial.options).run([log], reading: reading)
    #expect(report.counts.records == ResumeTests.lines(seed: 47).count)
  }

  /// The next logs need the memory: whoever still has the reading of the first holds nothing of it.
  @Test func whatWasConsumedIsLetGo() throws {
    let trial = try Self.trial()
    let path = try trial.folder.write(ResumeTests.lines(seed: 49), "log.jsonl")
    let reading = try #require(LogReading.first(of: [path], options: trial.options))
    weak let stream = try reading.opened().stream
    #expect(stream != nil)
    let store = try Store.open(trial.database, for: .writing)
    _ = try Importer(store: store, options: trial.options).run([path], reading: reading)
    let deadline = Date.now + 10
    while stream != nil, Date.now < deadline { usleep(1000) }
    #expect(stream == nil)
    withExtendedLifetime(reading) {}
  }

  /// A reading that nobody consumes holds the log no longer when it is let go, be it before the log was opened or after.
  @Test(arguments: [false, true]) func oneThatIsLetGoEnds(afterwards: Bool) throws {
    let trial = try Self.trial()
    trial.options.blockBytes = 200
    let path = try trial.folder.write(ResumeTests.lines(seed: 48), "log.jsonl")
    let isOpen = {
      let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/fd")) ?? []
      return descriptors.contains { name in
        var (mine, its) = (stat(), stat())
        guard let descriptor = Int32(name), fstat(descriptor, &mine) == 0, stat(path, &its) == 0 else { return false }
        return mine.st_ino == its.st_ino && mine.st_dev == its.st_dev
      }
    }
    // Whoever may still ask whether the reading is wanted holds this: a thread that has yet to open the log, too.
    final class Asked: Sendable {}
    weak var asked: Asked?
    var reading: LogReading?
    do {
      let mark = Asked()
      asked = mark
      reading = LogReading.first(
        of: [path], options: trial.options, isCancelled: { withExtendedLifetime(mark) { false } })
    }
    if afterwards {
      _ = try #require(reading).opened()
      usleep(5000)
      #expect(isOpen())
    }
    #expect(reading != nil && asked != nil)
    reading = nil
    let deadline = Date.now + 10
    while asked != nil, Date.now < deadline { usleep(1000) }
    #expect(asked == nil)
    #expect(!isOpen())
  }
}
