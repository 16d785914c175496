import Foundation
import GRDB
import Replay
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// Advantages in the database: what comes back is what went in, and never something else.
@Suite struct AttributionStoreTests {
  private let trial: ImportTrial

  init() throws {
    trial = try ImportTrial()
    var shape = SyntheticLog.Shape()
    shape.groups = 4
    shape.steps = 2
    try trial.run(lines: SyntheticLog(seed: 61, shape).lines)
  }

  private func store(_ access: Store.Access) throws -> Store { try Store.open(trial.database, for: access) }

  /// Applies strategies to all groups and keeps the results under their names.
  @discardableResult
  private func keep(
    _ strategies: [any AttributionStrategy], names: [String]? = nil, selection: GroupSelection = GroupSelection(),
    replace: Bool = false, groups limit: Int = .max, finish: Bool = true
  ) throws -> [AttributionWriter.State] {
    let entries = zip(names ?? strategies.map(\.name), strategies).map { AttributionWriter.Entry($0, $1) }
    let writer = try AttributionWriter(try store(.writing), entries, selection: selection, replace: replace)
    let reader = try store(.reading)
    var batches = AttributionBatches(strategies)
    try reader.forEachGroup(selection, transform: { $0 }) {
      batches += AttributionBatches(strategies, of: try RolloutTree($0))
    }
    var seen = 0
    try reader.forEachGroup(selection, transform: { $0 }) {
      if seen < limit { try writer.add(GroupAttribution(try RolloutTree($0), strategies, batches)) }
      seen += 1
    }
    if finish { try writer.finish(checks: strategies.map { _ in .array([]) }) }
    return writer.states
  }

  /// Every strategy's values of every token come back bit for bit, read while the groups stream by.
  @Test func everyStrategyComesBack() throws {
    let strategies = AttributionStrategies.all
    #expect(try keep(strategies) == strategies.map { _ in .writing(replaced: false) })
    var batches = AttributionBatches(strategies)
    for group in try trial.groups() { batches += AttributionBatches(strategies, of: try RolloutTree(group)) }
    var values = 0
    for (s, strategy) in strategies.enumerated() {
      let reader = try store(.reading)
      let attribution = try reader.attribution(named: strategy.name)
      #expect(attribution.record.kind == strategy.kind && attribution.record.isComplete)
      try reader.forEachGroup(transform: { ($0, try attribution.advantages(of: $0)) }) { group, back in
        let tree = try RolloutTree(group)
        let expected = GroupAttribution(tree, strategies, batches)
        for (t, leaf) in expected.group.leaves.enumerated() {
          let a = expected.advantages[s][t].aligned(leaf.generated, length: leaf.length)
          #expect(back[t].aligned(leaf.generated, length: leaf.length) == a)
          #expect((back[t] == .missing) == (a == nil))
          values += a?.count ?? 0
        }
      }
    }
    #expect(values > 10_000)
  }

  /// What plain SQL sees: means by trajectory and by segment agree with the tokens.
  @Test func sqlSeesTheSameNumbers() throws {
    try keep([ARPOHard(.own), GRPO(.verl)])
    var rows = 0
    try store(.reading).query(
      "SELECT mean, total_abs, json_column(runs) FROM advantages WHERE name = 'arpo-hard' AND runs IS NOT NULL",
      header: { _ in },
      body: { row in
        guard case .double(let mean) = row[0], case .double(let size) = row[1], case .text(let json) = row[2],
          let tokens = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [Double]
        else {
          Issue.record("\(row)")
          return true
        }
        let sum = tokens.reduce(0, +)
        #expect(abs(tokens.reduce(0) { $0 + abs($1) } - size) < 1e-9)
        // Generated tokens are not all: the mean is of fewer.
        #expect(abs(sum) >= abs(mean) - 1e-9)
        rows += 1
        return true
      })
    #expect(rows > 10)
    let sums = try trial.strings(
      """
      SELECT count(*) FROM advantages v WHERE mean IS NOT NULL AND abs(total_abs - (SELECT coalesce(sum(total_abs), 0)
        FROM segment_advantages s WHERE s.name = v.name AND s.trajectory_id = v.trajectory_id AND s.step IS v.step)) > 1e-9
      """)
    #expect(sums == ["0"])
    #expect(
      try trial.value(
        "SELECT count(DISTINCT mean) FROM segment_advantages WHERE strategy = 'grpo:verl' GROUP BY trajectory_id, step ORDER BY 1 DESC"
      ) == "1")
  }

  @Test func theSameAgainDoesNothing() throws {
    try keep([GRPO(.verl), DAPO()])
    let before = try trial.dump()
    #expect(try keep([DAPO(), GRPO(.verl)]) == [.unchanged, .unchanged])
    #expect(try trial.dump() == before)
  }

  @Test func otherNumbersUnderTheSameNameAreRefused() throws {
    try keep([GiGPO(.mean)], names: ["x"])
    let before = try trial.dump()
    var only = GroupSelection()
    only.groups = [try #require(trial.groups().first?.id)]
    for (strategy, selection) in [
      (GiGPO(.mean, gamma: 0.5), GroupSelection()), (GRPO(.verl), GroupSelection()), (GiGPO(.mean), only),
    ] as [(any AttributionStrategy, GroupSelection)] {
      #expect { try keep([strategy], names: ["x"], selection: selection) } throws: { "\($0)".contains("--replace") }
      #expect(try trial.dump() == before)
    }
    #expect(try keep([GiGPO(.mean, gamma: 0.5)], names: ["x"], replace: true) == [.writing(replaced: true)])
    #expect(try trial.value("SELECT parameters FROM attributions WHERE name = 'x'")?.contains("0.5") == true)
    let rows = try trial.value("SELECT count(DISTINCT attribution) FROM advantage")
    #expect(rows == "1")
  }

  /// A run that was cut off is no result, and the same command starts over.
  @Test func whatWasCutOffIsStartedOver() throws {
    try keep([ARPOHard(.own)], groups: 3, finish: false)
    #expect(try trial.value("SELECT state FROM attributions") == "writing")
    #expect(try trial.count("advantages") == 0)
    #expect { try store(.reading).attribution(named: "arpo-hard") } throws: { "\($0)".contains("cut off") }
    #expect(try keep([ARPOHard(.own)]) == [.writing(replaced: true)])
    let trajectories = try trial.count("trajectory")
    #expect(try trial.count("advantages") == trajectories)
    #expect(try trial.value("SELECT trajectories FROM attributions") == "\(trajectories)")
  }

  /// More trajectories make results stale: the reader says so, and the same command makes them anew.
  @Test func moreTrajectoriesMakeResultsStale() throws {
    try keep([GRPO(.verl)])
    var shape = SyntheticLog.Shape()
    shape.groups = 1
    shape.isDescribed = false
    try trial.run(lines: SyntheticLog(seed: 62, shape).lines, "more.jsonl")
    let reader = try store(.reading)
    let attribution = try reader.attribution(named: "grpo:verl")
    #expect { try reader.forEachGroup(transform: { try attribution.advantages(of: $0) }, consume: { _ in }) } throws: {
      "\($0)".contains("does not cover")
    }
    #expect(try keep([GRPO(.verl)]) == [.writing(replaced: true)])
    try reader.forEachGroup(
      transform: { try reader.attribution(named: "grpo:verl").advantages(of: $0).count }, consume: { #expect($0 > 0) })
  }

  /// A late group record may join groups: no trajectory changes, but what its advantage is taken against does.
  @Test func joinedGroupsMakeResultsStale() throws {
    let trial = try ImportTrial()
    let head = #"{"schema":"arpo-rollout/1","kind":"run","run_id":"R"}"#
    func leaf(_ id: String, _ reward: Int, _ step: String) -> String {
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","token_ids":[1,2],"reward":\#(reward)\#(step)}"#
    }
    func isCurrent() throws -> Bool? {
      try Store.open(trial.database, for: .reading).attribution(named: "x").isCurrent
    }
    func means() throws -> [String?] {
      let reader = try Store.open(trial.database, for: .reading)
      let writer = try AttributionWriter(
        try Store.open(trial.database, for: .writing), [AttributionWriter.Entry("x", DrGRPO())])
      if writer.isWriting(0) {
        try reader.forEachGroup(transform: { $0 }) {
          try writer.add(GroupAttribution(try RolloutTree($0), [DrGRPO()], AttributionBatches([DrGRPO()])))
        }
        try writer.finish(checks: [.array([])])
      }
      return try trial.strings("SELECT mean FROM advantages ORDER BY trajectory_id")
    }
    try trial.run(lines: [head, leaf("a", 1, ""), leaf("b", 0, #","step":5"#)])
    #expect(try means() == ["0.0", "0.0"])
    #expect(try isCurrent() == true)
    try trial.run(lines: [head, #"{"kind":"group","run_id":"R","group_id":"g","step":5}"#], "group.jsonl")
    #expect(try trial.count("prompt_group") == 1)
    // Who reads them is told.
    #expect(try isCurrent() == false)
    #expect(try means() == ["0.5", "-0.5"])
    #expect(try isCurrent() == true)
    // Keys of an earlier version tell nothing.
    try DatabaseQueue(path: trial.database).write {
      try $0.execute(sql: "UPDATE attribution SET data_key = '2:12345:2:4'")
    }
    #expect(try isCurrent() == nil)
  }

  /// Statistics of a batch run over groups that were not asked for: what is imported of those counts too.
  @Test func otherGroupsCountWhereTheBatchDoes() throws {
    var only = GroupSelection()
    only.groups = [try #require(trial.groups().first?.id)]
    let strategies: [any AttributionStrategy] = [GRPO(.verl), ReinforcePlusPlus()]
    try #require(strategies.map(\.scope) == [.group, .batch])
    try keep(strategies, selection: only)
    #expect(try keep(strategies, selection: only) == [.unchanged, .unchanged])
    let run = try #require(try trial.value("SELECT run_id FROM run"))
    try trial.run(
      lines: [
        #"{"schema":"arpo-rollout/1","kind":"run","run_id":"\#(run)"}"#,
        #"{"kind":"trajectory","group_id":"new","trajectory_id":"new","step":1,"token_ids":[1],"reward":1}"#,
      ], "more.jsonl")
    #expect(try keep(strategies, selection: only) == [.unchanged, .writing(replaced: true)])
  }

  /// Complete results stay until their successor is complete, whatever becomes of it on the way.
  @Test func resultsStayUntilTheyAreReplaced() throws {
    func parameters() throws -> String? {
      try store(.reading).attribution(named: "x").record.parameters
    }
    let sql = "SELECT trajectory_id || coalesce(mean, '-') FROM advantages WHERE name = 'x' ORDER BY 1"
    try keep([GiGPO(.mean)], names: ["x"])
    let (old, values) = try (parameters(), trial.strings(sql))
    let next = GiGPO(.mean, gamma: 0.5)
    // Killed on the way.
    try keep([next], names: ["x"], replace: true, groups: 2, finish: false)
    #expect(try parameters() == old && trial.strings(sql) == values)
    // Ended with an error on the way.
    let writer = try AttributionWriter(
      try store(.writing), [AttributionWriter.Entry("x", next)], selection: GroupSelection(), replace: true)
    #expect(try trial.count("attribution") == 2)
    try writer.discard()
    #expect(try parameters() == old && trial.strings(sql) == values && trial.count("attribution") == 1)
    #expect(try keep([next], names: ["x"], replace: true) == [.writing(replaced: true)])
    #expect(try parameters() != old && trial.strings(sql) != values && trial.count("attribution") == 1)
    #expect(try trial.value("SELECT count(DISTINCT attribution) FROM advantage") == "1")
    #expect(throws: StoreError.self) { try keep([next], names: ["x (being replaced)"]) }
  }

  @Test func namesThatAreNotThere() throws {
    #expect { try store(.reading).attribution(named: "no") } throws: { "\($0)".contains("arpo-replay attribute") }
    try keep([GRPO(.verl)])
    #expect { try store(.reading).attribution(named: "no") } throws: { "\($0)".contains("grpo:verl") }
  }

  /// A database of the version before has no attributions, and is read all the same.
  @Test func anOlderDatabaseIsRead() throws {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    let queue = try DatabaseQueue(path: trial.database, configuration: configuration)
    try queue.write { db in
      // What later versions made, newest first.
      let made = try Row.fetchAll(
        db,
        sql: """
          SELECT type, name FROM sqlite_master WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite_%'
            AND rowid >= (SELECT rowid FROM sqlite_master WHERE name = 'attribution') ORDER BY rowid DESC
          """)
      #expect(made.contains { $0["name"] == "advantage" })
      for row in made { try db.execute(sql: "DROP \(row["type"] as String) \(row["name"] as String)") }
      try db.execute(sql: "PRAGMA user_version = 1")
    }
    try queue.close()
    #expect(try store(.reading).attributions() == [])
    #expect { try store(.reading).attribution(named: "x") } throws: { "\($0)".contains("no attribution") }
  }

  // MARK: Blobs

  /// Random paths, also without generated tokens, come back; damaged blobs are errors.
  @Test func blobsComeBack() throws {
    var random = SeededGenerator(seed: 63)
    let (encoder, decoder) = (ColumnEncoder(), ColumnDecoder())
    var damagedErrors = 0
    for round in 0..<300 {
      var generated: [Range<Int>] = []
      var end = 0
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let start = end + Int.random(in: generated.isEmpty ? 0...3 : 1...5, using: &random)
        end = start + Int.random(in: 1...40, using: &random)
        generated.append(start..<end)
      }
      let length = end + Int.random(in: 0...3, using: &random)
      let levels = (0..<Int.random(in: 1...3, using: &random)).map { _ in Double.random(in: -2...2, using: &random) }
      let values = (0..<generated.reduce(0) { $0 + $1.count }).map { i in
        round % 2 == 0 ? levels[i / 13 % levels.count] : Double.random(in: -1...1, using: &random)
      }
      let blob = encoder.advantages(values, generated: generated, length: length)
      let back = try blob.withUnsafeBytes { try decoder.advantages($0) }
      #expect(back.generated == generated && back.length == length && back.tokenValues == values)
      var k = 0
      back.path.forEachRun(generated) { range, value in
        for _ in range {
          #expect(values[k] == value)
          k += 1
        }
      }
      #expect(k == values.count)
      for cut in 0..<blob.count {
        #expect(throws: ColumnError.self) { try Array(blob[..<cut]).withUnsafeBytes { try decoder.advantages($0) } }
      }
      for _ in 0..<20 {
        var damaged = blob
        damaged[Int.random(in: 0..<min(10, blob.count), using: &random)] = UInt8.random(in: 0...127, using: &random)
        do { _ = try damaged.withUnsafeBytes { try decoder.advantages($0).alignedValues } } catch is ColumnError {
          damagedErrors += 1
        }
      }
    }
    #expect(damagedErrors > 300)
  }
}
