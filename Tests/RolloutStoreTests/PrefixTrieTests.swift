import Foundation
import Replay
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// A shared prefix is stored once, and the paths through the tree are the trajectories that were logged.
@Suite struct PrefixTrieTests {
  static func shape(
    _ prefix: SyntheticLog.Prefix, _ digits: SyntheticLog.Digits = .float32, isTextOnly: Bool = false
  ) -> SyntheticLog.Shape {
    var shape = SyntheticLog.Shape()
    shape.prefix = prefix
    shape.digits = digits
    shape.isTextOnly = isTextOnly
    return shape
  }

  @Test(arguments: SyntheticLog.Prefix.allCases, SyntheticLog.Digits.allCases)
  func pathsEqualTheLoggedTrajectories(prefix: SyntheticLog.Prefix, digits: SyntheticLog.Digits) throws {
    for seed in 1...4 as ClosedRange<UInt64> {
      let log = SyntheticLog(seed: seed, Self.shape(prefix, digits))
      let trial = try ImportTrial()
      let report = try trial.run(lines: log.lines)
      #expect(report.quarantine.isEmpty && report.counts.trajectories == log.rollouts.count)
      #expect(report.files[0].announced == nil)
      Self.expectEqual(try trial.groups(), log)
      // Each token once, however often the log repeats it.
      let own = log.rollouts.reduce(0) { $0 + $1.length - ($1.parent == nil ? 0 : $1.branch) }
      #expect(try trial.value("SELECT sum(owned) FROM trajectory") == String(own) && report.counts.tokens == own)
      #expect(
        try trial.value("SELECT sum(end_index - start_index) FROM segment") == String(own))
    }
  }

  @Test(arguments: SyntheticLog.Prefix.allCases) func theOrderOfRecordsChangesNothing(prefix: SyntheticLog.Prefix)
    throws
  {
    for seed in 1...3 as ClosedRange<UInt64> {
      let log = SyntheticLog(seed: 20 + seed, Self.shape(prefix, .nine))
      let straight = try ImportTrial()
      try straight.run(lines: log.lines)
      for order in 1...3 as ClosedRange<UInt64> {
        let shuffled = try ImportTrial()
        let report = try shuffled.run(lines: log.shuffledLines(seed: order))
        #expect(report.quarantine.isEmpty && report.counts.trajectories == log.rollouts.count)
        Self.expectEqual(try shuffled.groups(), log)
        #expect(try shuffled.reading() == straight.reading())
      }
    }
  }

  @Test func theOrderOfFilesChangesNothing() throws {
    let log = SyntheticLog(seed: 31, Self.shape(.mixed))
    let lines = log.shuffledLines(seed: 1)
    // A run record holds for its own file only.
    let parts = stride(from: 1, to: lines.count - 1, by: 7).map {
      [lines[0]] + lines[$0..<min($0 + 7, lines.count - 1)]
    }
    let whole = try ImportTrial()
    try whole.run(lines: log.lines)
    for order in 0..<3 {
      let trial = try ImportTrial()
      for (i, part) in parts.enumerated() { try trial.folder.write(part, "\(order == 1 ? parts.count - i : i).jsonl") }
      let names = parts.indices.map { "\($0 + (order == 1 ? 1 : 0)).jsonl" }
      if order == 2 {
        // Each file an import of its own.
        for name in names { try trial.run(name) }
      } else {
        let store = try Store.open(trial.database, for: .writing)
        _ = try Importer(store: store, options: trial.options).run(names.map(trial.folder.path))
      }
      #expect(try trial.quarantine().isEmpty)
      Self.expectEqual(try trial.groups(), log)
      #expect(try trial.reading() == whole.reading())
    }
  }

  @Test func textOnlyTrajectoriesShareWholeSegments() throws {
    for seed in 1...4 as ClosedRange<UInt64> {
      let log = SyntheticLog(seed: 40 + seed, Self.shape(.mixed, isTextOnly: true))
      let trial = try ImportTrial()
      let report = try trial.run(lines: log.shuffledLines(seed: seed))
      #expect(report.quarantine.isEmpty && report.counts.trajectories == log.rollouts.count)
      Self.expectEqual(try trial.groups(), log)
      #expect(try trial.count("segment_tokens") == 0)
    }
  }

  @Test func everyContainerHoldsTheSameLog() throws {
    let log = SyntheticLog(seed: 50, Self.shape(.mixed))
    let lines = log.lines
    let plain = try ImportTrial()
    try plain.run(lines: lines)
    for compression in Compression.allCases {
      let third = lines.count / 3
      let parts = [lines[..<third], lines[third..<(2 * third)], lines[(2 * third)...]]
      let data = try compression.compress(parts.map { Data(Array($0).jsonLines.utf8) })
      let trial = try ImportTrial()
      // The name lies: content decides.
      try trial.folder.write(data, "log.jsonl")
      let report = try trial.run("log.jsonl")
      #expect(report.files[0].container == compression.rawValue && report.files[0].bytes == data.count)
      #expect(try trial.reading() == plain.reading())
    }
  }

  @Test func everyRowKnowsWhereItCameFrom() throws {
    let log = SyntheticLog(seed: 60, Self.shape(.full))
    let lines = log.shuffledLines(seed: 3)
    let trial = try ImportTrial()
    try trial.run(lines: lines)
    var offset = 0
    var places: [String: String] = [:]
    for (i, line) in lines.enumerated() {
      if let id = line.firstMatch(of: /"trajectory_id":"([^"]+)"/) { places[String(id.1)] = "\(i + 1) \(offset)" }
      offset += line.utf8.count + 1
    }
    let rows = try trial.strings("SELECT trajectory_id || ' ' || line || ' ' || byte_offset FROM trajectory")
    #expect(rows.count == log.rollouts.count)
    #expect(Set(rows) == Set(places.map { "\($0) \($1)" }))
    #expect(try trial.strings("SELECT DISTINCT path FROM trajectories") == [trial.folder.path("log.jsonl")])
    #expect(try trial.value("SELECT line || ' ' || byte_offset FROM run") == "1 0")
    #expect(try trial.value("SELECT count(*) FROM prompt_group WHERE is_recorded AND source = 1 AND line > 1") == "3")
  }

  /// A chain of forks, each on the one before, which no recursion may follow.
  @Test func aChainOfThousandForks() throws {
    var lines = [#"{"kind":"trajectory","group_id":"g","trajectory_id":"0","token_ids":[0],"logprobs":[-1.0]}"#]
    for i in 1...1000 {
      lines.append(
        #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(i)","parent_id":"\#(i - 1)","#
          + #""branch_token_index":\#(i),"#
          + #""token_ids":[\#(i)],"logprobs":[-0.5],"rollout_index":\#(i)}"#)
    }
    let trial = try ImportTrial()
    // Each waits for the next one, down to the root that comes last.
    let report = try trial.run(lines: lines.reversed())
    #expect(report.quarantine.isEmpty && report.counts.trajectories == 1001)
    let group = try #require(try trial.groups().first)
    let deepest = try #require(group.trajectories.firstIndex { $0.id == "1000" })
    #expect(group.stretches(of: deepest).map { $0.range.lowerBound } == Array(0...1000))
  }

  // MARK: Comparison

  static func expectEqual(_ groups: [ReplayGroup], _ log: SyntheticLog, location: SourceLocation = #_sourceLocation) {
    let positions = log.positions
    let seen = groups.flatMap { $0.trajectories.map(\.id) }
    #expect(seen.count == log.rollouts.count * log.shape.steps, sourceLocation: location)
    for group in groups {
      let ids = group.trajectories.map(\.id)
      let expected = log.rollouts.filter { $0.group == group.id }
        .sorted { ($0.rolloutIndex ?? .max, $0.id) < ($1.rolloutIndex ?? .max, $1.id) }.map(\.id)
      #expect(ids == expected, sourceLocation: location)
      for (i, t) in group.trajectories.enumerated() {
        guard let position = positions[t.id] else {
          Issue.record("\(t.id) is not in the log", sourceLocation: location)
          continue
        }
        let difference = Self.difference(group, i, log.rollouts[position], log)
        #expect(difference == nil, "\(t.id): \(difference ?? "")", sourceLocation: location)
      }
    }
  }

  /// The first thing in which a trajectory that was read back is not the one that was logged.
  private static func difference(
    _ group: ReplayGroup, _ position: Int, _ rollout: SyntheticLog.Rollout, _ log: SyntheticLog
  ) -> String? {
    let t = group.trajectories[position]
    if t.length != rollout.length { return "length \(t.length), logged \(rollout.length)" }
    if t.reward != rollout.reward || t.multiplicity != rollout.multiplicity { return "reward or multiplicity" }
    if t.rolloutIndex != rollout.rolloutIndex { return "rollout index" }
    if t.declaredParent.map({ group.trajectories[$0].id }) != rollout.parent.map({ log.rollouts[$0].id }) {
      return "parent"
    }
    if rollout.parent != nil, t.declaredBranch != rollout.branch { return "branch \(t.declaredBranch)" }
    let own = rollout.segments.filter { $0.start >= rollout.branch }
    if t.segments != own { return "segments \(t.segments), logged \(own)" }
    if rollout.path.isEmpty { return t.columns == nil || t.length == 0 ? nil : "tokens in a text" }
    for (owner, range) in group.stretches(of: position) {
      for index in range {
        guard let got = group.trajectories[owner].token(at: index) else { return "no token \(index)" }
        if !isEqual(got, rollout.path[index], exactly: log.shape.digits != .nine) {
          return "token \(index): \(got), logged \(rollout.path[index])"
        }
      }
    }
    return nil
  }

  /// Decimals of nine digits stand for float32 numbers; all others are kept as they are.
  private static func isEqual(_ a: SyntheticLog.Token, _ b: SyntheticLog.Token, exactly: Bool) -> Bool {
    func same(_ x: Double?, _ y: Double?) -> Bool { exactly ? x == y : x.map { Float($0) } == y.map { Float($0) } }
    return a.id == b.id && a.isGenerated == b.isGenerated && same(a.logprob, b.logprob) && same(a.entropy, b.entropy)
      && a.candidates.map(\.id) == b.candidates.map(\.id)
      && zip(a.candidates, b.candidates).allSatisfy { same($0.logprob, $1.logprob) }
  }
}
