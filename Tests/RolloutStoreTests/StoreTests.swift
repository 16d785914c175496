import Foundation
import GRDB
import Replay
import RolloutLogs
import Synchronization
import TestSupport
import Testing

@testable import RolloutStore

@Suite struct StoreTests {
  // MARK: Opening

  @Test func aDatabaseThatIsNotThereIsNotMadeForReading() throws {
    let folder = try TemporaryFolder()
    #expect { try Store.open(folder.path("no.db"), for: .reading) } throws: { ($0 as? StoreError)?.kind == .missing }
    #expect(!FileManager.default.fileExists(atPath: folder.path("no.db")))
  }

  @Test func otherFilesAreLeftAlone() throws {
    let folder = try TemporaryFolder()
    try folder.write(
      Data("a text file, long enough to be no database header at all. ".utf8) + Data(count: 4096), "text")
    let other = try DatabaseQueue(path: folder.path("other.db"))
    try other.write { try $0.execute(sql: "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)") }
    try other.close()
    for name in ["text", "other.db"] {
      let before = try Data(contentsOf: folder.url.appending(path: name))
      for access in [Store.Access.reading, .writing] {
        #expect { try Store.open(folder.path(name), for: access) } throws: {
          ($0 as? StoreError)?.kind == .notADatabase
        }
      }
      // A change of the journal mode would show in the header.
      #expect(try Data(contentsOf: folder.url.appending(path: name)) == before, "\(name)")
    }
  }

  @Test func aNewerSchemaIsRefused() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [BadRecords.root])
    let queue = try DatabaseQueue(path: trial.database)
    try queue.write { try $0.execute(sql: "PRAGMA user_version = \(Store.schemaVersion + 1)") }
    try queue.close()
    for access in [Store.Access.reading, .writing] {
      #expect { try Store.open(trial.database, for: access) } throws: { ($0 as? StoreError)?.kind == .otherVersion }
    }
  }

  /// Programs that make the same new database at the same moment all get it.
  @Test func aNewDatabaseMayBeMadeBySeveralAtOnce() throws {
    for _ in 0..<10 {
      let folder = try TemporaryFolder()
      let path = folder.path("runs.db")
      let errors = Mutex<[String]>([])
      DispatchQueue.concurrentPerform(iterations: 4) { _ in
        do { _ = try Store.open(path, for: .writing) } catch { errors.withLock { $0.append("\(error)") } }
      }
      let messages = errors.withLock { $0 }
      #expect(messages.isEmpty, "\(messages)")
    }
  }

  // MARK: Two imports

  @Test func twoImportsAtOnceWaitForEachOther() throws {
    for seed in 1...3 as ClosedRange<UInt64> {
      let trial = try ImportTrial()
      let database = trial.database
      var paths: [String] = []
      for i in 0..<4 {
        let lines = ResumeTests.lines(seed: 10 * seed + UInt64(i % 2)).map {
          $0.replacing("synthetic", with: "run\(i % 2)")
        }
        paths.append(try trial.folder.write(lines, "\(i % 2).jsonl"))
      }
      let logs = Array(Set(paths)).sorted()
      let statuses = Mutex<[String]>([])
      let options = trial.options
      // The same file twice and two files at once.
      DispatchQueue.concurrentPerform(iterations: 4) { i in
        do {
          let store = try Store.open(database, for: .writing)
          let report = try Importer(store: store, options: options).run([logs[i % 2]])
          statuses.withLock { $0 += report.files.map(\.status.rawValue) }
        } catch {
          statuses.withLock { $0.append("\(error)") }
        }
      }
      #expect(statuses.withLock { $0.sorted() } == ["imported", "imported", "known", "known"])
      let alone = try ImportTrial()
      for log in logs {
        _ = try Importer(store: Store.open(alone.database, for: .writing), options: options).run([log])
      }
      // Runs are listed in the order in which they came.
      #expect(try trial.reading().sorted() == alone.reading().sorted())
    }
  }

  @Test func theSecondImportWaitsForTheFirst() throws {
    let trial = try ImportTrial()
    try trial.folder.write([BadRecords.root], "log.jsonl")
    let log = trial.folder.path("log.jsonl")
    let database = trial.database
    var lock: ImportLock? = try ImportLock(database: database, isCancelled: { false }, waiting: { _ in })
    let isWaiting = DispatchSemaphore(value: 0)
    let isDone = DispatchSemaphore(value: 0)
    let counts = Mutex<[Int]>([])
    let second = Thread {
      let importer = (try? Store.open(database, for: .writing)).map {
        Importer(store: $0, options: ImportOptions(), onWait: { _ in isWaiting.signal() })
      }
      let report = try? importer?.run([log])
      counts.withLock { $0.append(report?.counts.trajectories ?? -1) }
      isDone.signal()
    }
    second.start()
    #expect(isWaiting.wait(timeout: .now() + 20) == .success)
    #expect(counts.withLock { $0.isEmpty })
    lock = nil
    #expect(isDone.wait(timeout: .now() + 20) == .success)
    #expect(counts.withLock { $0 } == [1])
    withExtendedLifetime(lock) {}
  }

  @Test func whoWaitsCanGiveUp() throws {
    let trial = try ImportTrial()
    try trial.folder.write([BadRecords.root], "log.jsonl")
    let store = try Store.open(trial.database, for: .writing)
    let lock = try ImportLock(database: trial.database, isCancelled: { false }, waiting: { _ in })
    var holder: String?
    let importer = Importer(store: store, options: trial.options, onWait: { holder = $0 }, isCancelled: { true })
    #expect { try importer.run([trial.folder.path("log.jsonl")]) } throws: { ($0 as? StoreError)?.kind == .busy }
    #expect(holder == "\(ProcessInfo.processInfo.processIdentifier)")
    withExtendedLifetime(lock) {}
  }

  @Test func theLockGoesAway() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [BadRecords.root])
    #expect(!FileManager.default.fileExists(atPath: trial.database + "-import"))
    // One that a killed process left is no obstacle.
    try Data("1\n".utf8).write(to: URL(filePath: trial.database + "-import"))
    #expect(try trial.run(lines: [BadRecords.good(1)], "b.jsonl").counts.trajectories == 1)
  }

  /// Who reads goes on reading what was committed.
  @Test func readersAreNotDisturbed() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [BadRecords.root])
    trial.options.blockBytes = 400
    trial.options.commitBytes = 1 << 30
    try trial.folder.write((0..<40).map(BadRecords.good), "more.jsonl")
    let database = trial.database
    var seen: Set<Int> = []
    try trial.run("more.jsonl") { _ in
      var count = 0
      #expect(throws: Never.self) {
        try Store.open(database, for: .reading).forEachGroup(
          transform: { $0.trajectories.count }, consume: { count += $0 })
      }
      seen.insert(count)
    }
    #expect(seen == [1])
    #expect(try trial.groups().reduce(0) { $0 + $1.trajectories.count } == 41)
  }

  // MARK: Queries

  @Test func aQueryOnlyReads() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [BadRecords.root])
    let store = try Store.open(trial.database, for: .reading)
    let attached = trial.folder.path("attached.db")
    for sql in [
      "DELETE FROM trajectory", "DROP TABLE trajectory", "INSERT INTO finding DEFAULT VALUES", "CREATE TABLE x (y)",
      "PRAGMA user_version = 9", "ATTACH '\(attached)' AS x", "VACUUM INTO '\(attached)'",
      "SELECT 1; DELETE FROM trajectory",
      "BEGIN IMMEDIATE", "nonsense", "SELECT * FROM nothing", "",
    ] {
      do {
        try store.query(sql, header: { _ in }, body: { _ in true })
        // A statement that changes nothing may pass.
        #expect(sql.hasPrefix("ATTACH") || sql.hasPrefix("PRAGMA"), "\(sql)")
      } catch is StoreError {}
    }
    #expect(try trial.count("trajectory") == 1 && trial.value("PRAGMA user_version") == String(Store.schemaVersion))
    #expect(!FileManager.default.fileExists(atPath: attached))
  }

  @Test func aQueryThatTakesTooLongIsStopped() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [BadRecords.root])
    let store = try Store.open(trial.database, for: .reading)
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT "
    for columns in ["x FROM n", "count(*) FROM n"] {
      let start = ContinuousClock.now
      #expect(throws: StoreError.self) {
        try store.query(endless + columns, timeout: 0.2, header: { _ in }, body: { _ in true })
      }
      #expect(ContinuousClock.now - start < .seconds(20))
    }
  }

  /// Groups of the log that no trajectory belongs to are not counted: nothing is read of them.
  @Test func groupsWithoutTrajectoriesAreNotCounted() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"r"}"#, #"{"kind":"group","group_id":"empty","step":1}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"a","step":1,"token_ids":[5],"reward":1}"#,
    ])
    let store = try Store.open(trial.database, for: .reading)
    var read = 0
    try store.forEachGroup(transform: { $0.id }, consume: { _ in read += 1 })
    #expect(try trial.count("prompt_group") == 2)
    #expect(try read == 1 && store.groupCount() == 1)
  }

  @Test func parametersAndTokenColumns() throws {
    let trial = try ImportTrial()
    try trial.run(lines: [
      #"{"kind":"trajectory","group_id":"7","trajectory_id":"a","token_ids":[5,6,7],"#
        + #""logprobs":[-0.1,null,-2],"loss_mask":[1,0,1],"#
        + #""top_logprobs":{"counts":[2,0,1],"token_ids":[5,9,7],"logprobs":[-0.1,-2.5,-2]}}"#
    ])
    let store = try Store.open(trial.database, for: .reading)
    var rows: [[QueryValue]] = []
    var columns: [String] = []
    try store.query(
      """
      SELECT json_column(token_ids) AS ids, json_column(logprobs), json_column(top_logprobs, top_token_ids),
        json_column(entropies), :g
      FROM segment_tokens JOIN segments ON segments.id = segment WHERE group_id = :g ORDER BY ordinal
      """, arguments: ["g": "7"], header: { columns = $0 },
      body: {
        rows.append($0)
        return true
      })
    #expect(columns.first == "ids")
    #expect(
      rows == [
        [.text("[5]"), .text("[-0.1]"), .text("[[[5,-0.1],[9,-2.5]]]"), .null, .int(7)],
        [.text("[6]"), .null, .null, .null, .int(7)],
        [.text("[7]"), .text("[-2.0]"), .text("[[[7,-2.0]]]"), .null, .int(7)],
      ])
    #expect(throws: StoreError.self) {
      try store.query("SELECT json_column(x'01FFFFFF')", header: { _ in }, body: { _ in true })
    }
  }
}
