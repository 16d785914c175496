import Foundation
import GRDB
import Replay
import Rollouts
import Synchronization
import TestSupport
import Testing

@testable import RolloutStore

/// Token columns stand in blocks, a record's together; databases of earlier versions have a row a segment.
@Suite struct TokenBlockTests {
  private let trial: ImportTrial

  private static let parent =
    #"{"schema":"arpo-rollout/1","kind":"trajectory","group_id":"g","trajectory_id":"a","reward":1,"#
    + #""token_ids":[5,6,7,8,9],"loss_mask":[1,1,0,1,0],"logprobs":[-0.1,-0.2,null,-0.5,null],"#
    + #""entropies":[0.5,0.25,null,1.5,null],"entropy_kind":"exact","#
    + #""top_logprobs":{"counts":[2,1,0,2,0],"token_ids":[5,50,6,8,80],"logprobs":[-0.1,-3,-0.2,-0.5,-2]},"#
    + #""segments":[{"kind":"reasoning","start":0,"end":2},{"kind":"tool_result","start":2,"end":3,"tool":"search"},"#
    + #"{"kind":"answer","start":3,"end":5}]}"#

  /// A child that repeats its parent's first tokens.
  private static func child(_ id: String, _ third: Int) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","parent_id":"a","prefix":"full","branch_token_index":3,"#
      + #""token_ids":[5,6,\#(third),1],"loss_mask":[1,1,0,1],"logprobs":[-0.1,-0.2,null,-0.7],"#
      + #""top_logprobs":{"counts":[2,1,0,1],"token_ids":[5,50,6,1],"logprobs":[-0.1,-3,-0.2,-0.7]},"reward":0}"#
  }

  init() throws {
    trial = try ImportTrial()
    try trial.run(lines: [Self.parent])
  }

  private static let view = """
    SELECT printf('%s|%s|%s|%s|%s|%s|%s', segment, hex(token_ids), hex(loss_mask), hex(logprobs), hex(top_logprobs),
      hex(entropies), hex(top_token_ids)) FROM segment_tokens ORDER BY segment
    """

  private func write(_ sql: String) throws {
    let queue = try DatabaseQueue(path: trial.database)
    try queue.write { try $0.execute(sql: sql) }
    try queue.close()
  }

  /// As versions before 6 wrote them.
  private func moveToRows() throws {
    try write(
      """
      INSERT INTO segment_columns SELECT segment, token_ids, loss_mask, logprobs, top_logprobs, entropies, top_token_ids
        FROM segment_tokens;
      UPDATE segment SET token_block = NULL, block_offset = NULL, token_ids_bytes = NULL, loss_mask_bytes = NULL,
        logprobs_bytes = NULL, entropies_bytes = NULL, top_logprobs_bytes = NULL, top_token_ids_offset = NULL,
        top_token_ids_bytes = NULL;
      DELETE FROM candidate_ids;
      DELETE FROM token_block;
      """)
  }

  @Test func aRecordHasOneBlock() throws {
    #expect(try trial.count("token_block") == 1 && trial.count("candidate_ids") == 1)
    #expect(try trial.count("segment_tokens") == 3 && trial.count("segment_columns") == 0)
    #expect(
      try trial.strings("SELECT token_block = (SELECT min(id) FROM segment) FROM segment") == ["1", "1", "1"])
  }

  /// Rows and blocks, alone and mixed, give the same columns to the analyses, to SQL and to the check of prefixes.
  @Test(arguments: [false, true]) func rowsOfEarlierVersions(repeated: Bool) throws {
    let (columns, groups) = (try trial.strings(Self.view), try trial.groups().map { "\($0)" })
    #expect(columns.count == 3 && !groups.isEmpty)
    try moveToRows()
    #expect(try trial.count("segment_columns") == 3)
    #expect(try trial.strings(Self.view) == columns)
    #expect(try trial.groups().map { "\($0)" } == groups)

    let children = [Self.child("b", 7), Self.child("c", 70)]
    let fresh = try ImportTrial()
    try fresh.run(lines: [Self.parent] + children)
    // The same file, grown; or the rest in one of its own, whose run is named by the parent's.
    if repeated {
      try trial.run(lines: [Self.parent] + children)
    } else {
      try trial.run(lines: [#"{"kind":"run","run_id":"log"}"#] + children, "rest.jsonl")
    }
    #expect(try trial.strings(Self.view).count == 4)
    #expect(try trial.strings("SELECT reason FROM quarantine") == ["prefix_disagrees"])
    #expect(try fresh.strings("SELECT reason FROM quarantine") == ["prefix_disagrees"])
    let trajectories = try trial.groups().flatMap(\.trajectories).map { "\($0)" }
    #expect(try trajectories == fresh.groups().flatMap(\.trajectories).map { "\($0)" })
  }

  /// Without candidates' ids, and without probabilities, the rest is the same.
  @Test func partsOfABlock() throws {
    var selection = GroupSelection()
    selection.withCandidateIDs = false
    let store = try Store.open(trial.database, for: .reading)
    let whole = try #require(try trial.groups().first?.trajectories.first?.columns)
    func read() throws -> TokenColumns? {
      var out: TokenColumns?
      try store.forEachGroup(
        selection, transform: { $0.trajectories.first?.columns }, consume: { out = $0 ?? out })
      return out
    }
    var columns = try #require(try read())
    #expect(columns.topLogprobs?.tokenIDs.isEmpty == true && columns.topLogprobs?.places == [0, 0, 255, 0, 255])
    #expect(columns.topLogprobs?.logprobs.floats == whole.topLogprobs?.logprobs.floats)
    selection.withProbabilities = false
    columns = try #require(try read())
    #expect(columns.tokenIDs == whole.tokenIDs && columns.lossMask == whole.lossMask)
    #expect(columns.logprobs == nil && columns.topLogprobs == nil && columns.entropies == nil)
  }

  /// Places that lie outside of their block, and blocks that are missing, are errors.
  @Test(arguments: [
    "UPDATE segment SET block_offset = 1000000", "UPDATE segment SET block_offset = -1",
    "UPDATE segment SET token_ids_bytes = -4", "UPDATE segment SET token_ids_bytes = 9223372036854775807",
    "UPDATE segment SET top_logprobs_bytes = top_logprobs_bytes + 100000",
    "UPDATE segment SET top_token_ids_offset = 99", "UPDATE segment SET token_ids_bytes = token_ids_bytes + 1",
    "DELETE FROM candidate_ids", "PRAGMA foreign_keys = 0; UPDATE token_block SET id = 77",
    "UPDATE token_block SET columns = x''",
  ]) func damagedPlaces(sql: String) throws {
    let queue = try DatabaseQueue(path: trial.database)
    try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
    try queue.close()
    #expect(throws: (any Error).self) { try trial.groups() }
  }

  /// Connections that threads read with are used again, and see what was committed in between.
  @Test func readersAreKept() throws {
    let store = try Store.open(trial.database, for: .reading)
    for count in 1...3 {
      var trajectories = 0
      try store.forEachGroup(workers: 3, transform: { $0.trajectories.count }, consume: { trajectories += $0 })
      #expect(trajectories == count)
      #expect(store.readers.withLock { $0.count } == 2)
      try trial.run(
        lines: [
          #"{"kind":"trajectory","group_id":"g","run_id":"r","trajectory_id":"t\#(count)","token_ids":[5],"reward":1}"#
        ], "\(count).jsonl")
    }
  }

  /// A record of several trajectories of which one is bad is rolled back whole, in a temporary database too.
  @Test func rolledBackRecords() throws {
    func call(_ id: String, _ replies: String...) -> String {
      let choices = replies.enumerated().map { i, reply in
        #"{"index":\#(i),"message":{"role":"assistant","content":"\#(reply)"},"logprobs":{"content":[{"token":"\#(reply)","#
          + #""logprob":-0.5,"top_logprobs":[{"token":"\#(reply)","logprob":-0.5},{"token":"x","logprob":-1}]}]}}"#
      }
      return #"{"request":{"messages":[{"role":"user","content":"q"}]},"response":{"id":"\#(id)","#
        + #""object":"chat.completion","choices":[\#(choices.joined(separator: ","))]}}"#
    }
    // The second choice of r is called r/1, which came before with another text.
    let lines = [call("r/1", "a"), call("r", "b", "c"), call("s", "d")]
    let trial = try ImportTrial()
    try trial.run(lines: lines)
    #expect(try trial.count("trajectory") == 2)
    #expect(try trial.strings("SELECT reason FROM quarantine") == ["duplicate_disagrees"])
    let store = try Store.temporary()
    _ = try Importer(store: store, options: ImportOptions()).run([trial.folder.path("log.jsonl")])
    var groups: [String] = []
    try store.forEachGroup(transform: { "\($0)" }, consume: { groups.append($0) })
    #expect(try groups == trial.groups().map { "\($0)" } && !groups.isEmpty)
  }

  /// A store that wrote leaves no files beside the database, even if threads read with connections of their own.
  @Test func closingTidiesUp() throws {
    do {
      let store = try Store.open(trial.database, for: .writing)
      try store.forEachGroup(workers: 2, transform: { $0.id }, consume: { _ in })
      try store.queue.write { try $0.execute(sql: "UPDATE run SET model = 'm'") }
    }
    let beside = try FileManager.default.contentsOfDirectory(atPath: trial.folder.path(".")).filter { $0.contains("-") }
    #expect(beside.isEmpty, "\(beside)")
  }
}
