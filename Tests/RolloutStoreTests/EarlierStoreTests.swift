import Foundation
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
}
