import Replay
import RolloutLogs
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// Forks that repeat their parent's bytes are not parsed twice, which nobody can tell from the database.
@Suite struct RepeatedBytesTests {
  typealias Record = ParentTests

  /// The dumps of a log imported with and without records at hand; they must be equal.
  private static func imported(_ lines: [String], workers: Int = 2) throws -> ImportTrial {
    let trials = try [0, 16 << 20].map { bytes in
      let trial = try ImportTrial()
      trial.options.recentBytes = bytes
      trial.options.workers = workers
      try trial.run(lines: lines)
      return trial
    }
    #expect(DatabaseDump.differences(try trials[0].dump(), try trials[1].dump()) == [])
    return trials[1]
  }

  @Test(arguments: 0..<6) func theDatabaseIsTheSame(seed: Int) throws {
    let log = SyntheticLog(seed: UInt64(seed))
    #expect(try Self.imported(log.lines, workers: 1 + seed % 3).count("trajectory") > 0)
    #expect(try Self.imported(log.shuffledLines(seed: 3)).count("trajectory") > 0)
  }

  /// A record with the keys of its branch before its arrays, as most writers put them.
  private static func full(
    _ id: String, parent: String?, branch: Int = 0, ids: [Int], logprobs: String, _ more: String = ""
  ) -> String {
    let fork = parent.map { #""parent_id":"\#($0)","branch_token_index":\#(branch),"prefix":"full","# } ?? ""
    let end = ids.count
    let whole = end == 0 ? "" : #","segments":[{"kind":"answer","start":0,"end":\#(end)}]"#
    let more = more.isEmpty ? whole : more
    return
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)",\#(fork)"token_ids":\#(ids),"logprobs":\#(logprobs)\#(more)}"#
  }

  private static let root = full("r", parent: nil, ids: [1, 2, 3, 4], logprobs: "[-0.5,-0.25,-1.5,-2]")

  @Test func ownTokensAreStoredOnce() throws {
    let child = Self.full("c", parent: "r", branch: 3, ids: [1, 2, 3, 9, 8], logprobs: "[-0.5,-0.25,-1.5,-3,-0.125]")
    let grandchild = Self.full("d", parent: "c", branch: 4, ids: [1, 2, 3, 9], logprobs: "[-0.5,-0.25,-1.5,-3]")
    let trial = try Self.imported([Self.root, child, grandchild])
    #expect(try trial.quarantine() == [])
    #expect(try trial.strings("SELECT owned FROM trajectory ORDER BY id") == ["4", "2", "0"])
    #expect(try trial.groups()[0].trajectories.map { $0.columns?.tokenIDs.count } == [2, 0, 4])
  }

  @Test(arguments: [
    ("[1,2,7,9]", "[-0.5,-0.25,-1.5,-3]"), ("[1,2,3,9]", "[-0.5,-0.26,-1.5,-3]"), ("[1,2,3,9]", "[-0.5,null,-1.5,-3]"),
    ("[1,2,3,9]", "[-0.5,-0.25,-1.5]"), ("[1,2,3,9]", "[-0.5,-0.25,-1.5,0.5]"), ("[1,2]", "[-0.5,-0.25]"),
    ("[1,2,3,9]", "[0.5,-0.25,-1.5,-3]"), ("[1,2,3,9", "[-0.5,-0.25,-1.5,-3]"), ("[1,2,3,9,]", "[-0.5,-0.25,-1.5,-3]"),
  ])
  func whatDiffersIsToldAsEver(ids: String, logprobs: String) throws {
    let child =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","parent_id":"r","branch_token_index":3,"prefix":"full","#
      + #""token_ids":\#(ids),"logprobs":\#(logprobs),"segments":[{"kind":"answer","start":0,"end":4}]}"#
    _ = try Self.imported([Self.root, child])
  }

  @Test func theParentIsTheOneThatWasStored() throws {
    // The second record of that name is refused, and so its bytes say nothing about its children.
    let other = Self.full("r", parent: nil, ids: [1, 2, 7, 4], logprobs: "[-0.5,-0.25,-1.5,-2]")
    let child = Self.full("c", parent: "r", branch: 3, ids: [1, 2, 7, 9], logprobs: "[-0.5,-0.25,-1.5,-3]")
    let trial = try Self.imported([Self.root, other, child])
    #expect(
      try trial.quarantine().map { $0?.split(separator: " ").last } == ["duplicate_disagrees", "prefix_disagrees"])
    let fitting = Self.full("c", parent: "r", branch: 3, ids: [1, 2, 3, 9], logprobs: "[-0.5,-0.25,-1.5,-3]")
    #expect(try Self.imported([Self.root, other, fitting]).count("trajectory") == 2)
  }

  @Test func theMaskOfTheRepetitionCounts() throws {
    func segments(_ result: String) -> String {
      #","segments":[{"kind":"reasoning","start":0,"end":1},{"kind":"\#(result)","start":1,"end":2},"#
        + #"{"kind":"answer","start":2,"end":4}]"#
    }
    let root = Self.full("r", parent: nil, ids: [1, 2, 3, 4], logprobs: "[-1,null,-1,-1]", segments("tool_result"))
    for (kind, count) in [("tool_result", 2), ("other", 1)] {
      let child = Self.full(
        "c", parent: "r", branch: 3, ids: [1, 2, 3, 9], logprobs: "[-1,null,-1,-2]", segments(kind))
      #expect(try Self.imported([root, child]).count("trajectory") == count)
    }
  }

  /// Arrays that come twice, and clamped logprobs, which the parent's row does not have.
  @Test func theRepetitionIsComparedAsItIsRead() throws {
    let root = Self.full("r", parent: nil, ids: [1, 2, 3, 4], logprobs: "[-9999,-0.25,-1.5,-2]")
    let twice = root.replacing(#","segments""#, with: #","logprobs":[-7,-7,-7,-7],"segments""#)
    let null = root.replacing(#""logprobs""#, with: #""logprobs":null,"logprobs""#)
    let child = Self.full("c", parent: "r", branch: 3, ids: [1, 2, 3, 9], logprobs: "[-9999,-0.25,-1.5,-3]")
    for parent in [root, twice] {
      #expect(try Self.imported([parent, child]).count("trajectory") == 2)
      #expect(try Self.imported([child, parent]).count("trajectory") == 2)
    }
    // Logprobs that only the repetition has would be lost.
    #expect(try Self.imported([null, child]).quarantine().count == 1)
  }

  /// The way that is tested here is the one that is taken.
  @Test func theRepetitionIsNotReadAgain() throws {
    let folder = try TemporaryFolder()
    let child = Self.full("c", parent: "r", branch: 3, ids: [1, 2, 3, 9], logprobs: "[-0.5,-0.25,-1.5,-3]")
    let path = try folder.write([Self.root, child], "log.jsonl")
    let stream = RecordStream(input: try LogInput(path: path))
    _ = stream.preview()
    let recent = RecentRecords(limit: 16 << 20, release: stream.recycler())
    let block = try #require(stream.next())
    recent.add(block)
    let desk = ReadingDesk(recent: recent)
    let format = NativeLog(file: LogFile(path: path))
    let records = try block.slices.flatMap { try format.records(in: block.bytes(of: $0), at: $0.position, with: desk) }
    guard records.count == 2, case .trajectory(let t) = records[1] else {
      Issue.record("two trajectories")
      return
    }
    guard case .sameAsRecord(byteOffset: 0) = t.repeated else {
      Issue.record("\(t.repeated)")
      return
    }
    #expect(t.columns?.tokenIDs == [9] && t.columns?.logprobs?.floats == [-3] && t.firstIndex == 0)
  }
}
