import Foundation
import Testing
import TestSupport

/// The real program, ended at random points: what the same command then makes equals an import that was left alone.
@Suite struct KillAndResumeTests {
  /// A log of a few megabytes in several frames, with children before parents and bad lines.
  private func makeLog(seed: UInt64, in folder: TemporaryFolder) throws -> String {
    var shape = SyntheticLog.Shape()
    shape.groups = 24
    shape.roots = 3
    shape.forks = 5
    shape.tokens = 40
    shape.topK = 8
    var lines = SyntheticLog(seed: seed, shape).shuffledLines(seed: seed &+ 1)
    for i in stride(from: 5, to: lines.count, by: 17) { lines.insert("{\"kind\":\"trajectory\",", at: i) }
    let third = lines.count / 3
    let parts = [lines[..<third], lines[third..<(2 * third)], lines[(2 * third)...]]
    return try folder.write(
      Compression.zstd.compress(parts.map { Data(Array($0).jsonLines.utf8) }), "log.jsonl.zst")
  }

  private func arguments(_ database: String, _ log: String) -> [String] {
    ["import", database, log, "--quiet", "--format", "json", "--commit-bytes", "100000", "--block-bytes", "30000"]
  }

  @Test(arguments: [SIGKILL, SIGINT, SIGTERM])
  func anywhere(signal: Int32) throws {
    let folder = try TemporaryFolder()
    let log = try makeLog(seed: UInt64(signal), in: folder)
    let start = Date.now
    let alone = try Tool.run(arguments(folder.path("alone.db"), log))
    let seconds = -start.timeIntervalSinceNow
    #expect(alone.status == 2, "\(alone.errors)")
    let expected = try DatabaseDump.rows(folder.path("alone.db"))
    var random = SeededGenerator(seed: UInt64(signal) &* 77)
    var ended = 0
    for round in 0..<4 {
      let database = folder.path("killed\(round).db")
      // A few blows at each database, each somewhere within the time that is left.
      for _ in 0..<3 {
        let running = try Tool.start(arguments(database, log))
        usleep(UInt32(Double.random(in: 0.05...0.95, using: &random) * seconds * 1e6))
        running.send(signal: signal)
        let status = try running.wait().status
        if status == -SIGKILL || status == 130 { ended += 1 }
      }
      let last = try Tool.run(arguments(database, log))
      #expect(last.status == 2, "\(last.errors)")
      let differences = DatabaseDump.differences(expected, try DatabaseDump.rows(database))
      #expect(differences.isEmpty, "\(differences)")
    }
    // The blows must hit, or the test shows nothing.
    #expect(ended > 0)
  }

  /// Progress is kept: a killed import goes on from its last commit and not from the beginning.
  @Test func whatIsCommittedIsNotDoneAgain() throws {
    let folder = try TemporaryFolder()
    let log = try makeLog(seed: 5, in: folder)
    let database = folder.path("runs.db")
    let running = try Tool.start(arguments(database, log))
    let committed = { (try? DatabaseDump.value(database, "SELECT resume_offset FROM source")) ?? nil }
    let deadline = Date.now + 60
    while (committed().flatMap { Int($0) } ?? 0) == 0, Date.now < deadline { usleep(2000) }
    running.send(signal: SIGKILL)
    _ = try running.wait()
    let before = try #require(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory").flatMap { Int($0) })
    let last = try Tool.run(arguments(database, log))
    let report = try #require(try JSONSerialization.jsonObject(with: last.output) as? [String: Any])
    let all = try #require(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory").flatMap { Int($0) })
    #expect(before > 0)
    #expect(report["trajectories"] as? Int == all - before)
  }

  @Test func twoAtOnceBothEndWell() throws {
    let folder = try TemporaryFolder()
    let first = try makeLog(seed: 8, in: folder)
    let other = try TemporaryFolder()
    let second = try makeLog(seed: 9, in: other)
    let database = folder.path("runs.db")
    let a = try Tool.start(arguments(database, first))
    let b = try Tool.start(["import", database, second, "--quiet", "--format", "json", "--run", "second"])
    let (x, y) = (try a.wait(), try b.wait())
    #expect(x.status == 2 && y.status == 2, "\(x.errors) \(y.errors)")
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM source WHERE state = 'complete'") == "2")
    #expect(!FileManager.default.fileExists(atPath: database + "-import"))
  }

  @Test func aReaderThatGoesAwayIsNoError() throws {
    let folder = try TemporaryFolder()
    let database = folder.path("runs.db")
    _ = try Tool.run(["import", database, makeLog(seed: 11, in: folder), "--quiet"])
    let tool = try #require(Tool.path)
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT i, hex(i) FROM n"
    let run = try Spawned.run(
      "/bin/sh", ["-c", "\"$0\" query \"$1\" \"$2\" --format csv | head -1; echo \"$?\"", tool, database, sql])
    #expect(run.text.hasPrefix("i,hex(i)") && run.errors.isEmpty)
  }
}
