import Foundation
import GRDB
import Replay
import TestSupport
import Testing

@testable import RolloutStore

/// What an earlier version stored reads as what this one stores.
@Suite struct EarlierStoreTests {
  private static func groups(_ path: String, _ access: Store.Access) throws -> [ReplayGroup] {
    var out: [ReplayGroup] = []
    try Store.open(path, for: access).forEachGroup(transform: { $0 }, consume: { out.append($0) })
    return out
  }

  @Test func aDatabaseOfVersionOne() throws {
    let trial = try ImportTrial()
    let log = TestPaths.fixtures.appending(path: "goldens/analysis/entropy.jsonl.zst")
    try trial.folder.write(Data(contentsOf: log), "entropy.jsonl.zst")
    try trial.run("entropy.jsonl.zst")
    let fresh = try trial.groups()
    let folder = try TemporaryFolder()
    let old = folder.path("old.db")
    try FileManager.default.copyItem(
      at: TestPaths.fixtures.appending(path: "stores/entropy-v1.sqlite"), to: URL(filePath: old))
    // Reading leaves the file as it is; writing brings the schema up to date.
    for access in [Store.Access.reading, .writing, .reading] {
      let read = try Self.groups(old, access)
      #expect(read.map(\.id) == fresh.map(\.id) && !read.isEmpty)
      for (a, b) in zip(read.flatMap(\.trajectories), fresh.flatMap(\.trajectories)) {
        // Texts, since columns hold NaN where nothing was logged.
        #expect(String(describing: a) == String(describing: b), "\(a.id)")
      }
    }
    #expect(try DatabaseDump.value(old, "PRAGMA user_version") == "\(Store.schemaVersion)")
  }

  /// A user's own view of what had another shape then shows all rows, old and new.
  @Test func aViewOfOnesOwn() throws {
    let trial = try ImportTrial()
    try FileManager.default.copyItem(
      at: TestPaths.fixtures.appending(path: "stores/entropy-v1.sqlite"), to: URL(filePath: trial.database))
    try DatabaseQueue(path: trial.database).write {
      try $0.execute(sql: "CREATE VIEW mine AS SELECT segment, length(token_ids) AS bytes FROM segment_tokens")
    }
    let before = try #require(Int(trial.value("SELECT count(bytes) FROM mine") ?? ""))
    #expect(before > 0)
    try trial.run(lines: [#"{"kind":"trajectory","group_id":"g","trajectory_id":"new","token_ids":[1,2]}"#])
    #expect(try trial.value("SELECT count(bytes) FROM mine") == "\(before + 1)")
  }

  /// An older database that was brought up to date has the tables, columns, indexes, references and views of a new one.
  @Test func theSchemaIsThatOfANewDatabase() throws {
    let folder = try TemporaryFolder()
    let (old, new) = (folder.path("old.db"), folder.path("new.db"))
    try FileManager.default.copyItem(
      at: TestPaths.fixtures.appending(path: "stores/entropy-v1.sqlite"), to: URL(filePath: old))
    for path in [old, new] { _ = try Store.open(path, for: .writing) }
    for sql in [
      """
      SELECT m.type || ' ' || m.name || ' ' || json_array(c.cid, c.name, c.type, c."notnull", c.dflt_value, c.pk)
      FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') ORDER BY m.name, c.cid
      """,
      """
      SELECT m.name || ' ' || json_array(f."table", f."from", f."to", f.on_delete) FROM sqlite_master m
      JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f."from"
      """,
      "SELECT type || ' ' || name || coalesce(sql, '') FROM sqlite_master WHERE type IN ('view', 'index') ORDER BY name",
      "SELECT name || ' ' || strict || ' ' || wr FROM pragma_table_list WHERE schema = 'main' ORDER BY name",
      "PRAGMA user_version", "PRAGMA application_id",
    ] {
      let (a, b) = (try DatabaseDump.strings(old, sql), try DatabaseDump.strings(new, sql))
      #expect(a == b && !a.isEmpty, "\(DatabaseDump.differences(a.map { $0 ?? "" }, b.map { $0 ?? "" }))")
    }
  }
}
