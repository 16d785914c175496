import Foundation
import Replay
import RolloutLogs
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// Names are compared by their bytes: what only looks alike is something else.
@Suite struct IdentityTests {
  /// Composed and decomposed é, the sign of the Ångström and the letter, with and without a zero in them.
  static let alike = [
    "\\u00e9", "e\\u0301", "\\u212b", "\\u00c5", "A\\u030a", "a\\u0000b", "a\\u0000c", "a", " a", "a ", "",
  ]

  static func record(group: String, id: String, run: String, token: Int) -> String {
    #"{"kind":"trajectory","run_id":"\#(run)","group_id":"\#(group)","trajectory_id":"\#(id)","token_ids":[\#(token)]}"#
  }

  @Test func groupsAndTrajectoriesThatLookAlike() throws {
    let trial = try ImportTrial()
    var lines: [String] = []
    for (i, name) in Self.alike.enumerated() {
      lines.append(Self.record(group: name, id: "t\(i)", run: "groups", token: i))
      lines.append(Self.record(group: "g", id: name, run: "ids", token: i))
      lines.append(Self.record(group: "g", id: "t", run: "run \(name)", token: i))
    }
    let report = try trial.run(lines: lines)
    #expect(report.quarantine.isEmpty && report.counts.trajectories == lines.count)
    #expect(
      try trial.value("SELECT count(*) FROM prompt_group JOIN run ON run.id = run WHERE run_id = 'groups'") == "11")
    #expect(try trial.count("run") == 2 + Self.alike.count)
    let groups = try trial.groups()
    let names = groups.filter { $0.run.id == "groups" }.map { Array($0.id.utf8) }
    #expect(
      Set(names).count == Self.alike.count
        && groups.filter { $0.run.id == "groups" }.allSatisfy { $0.trajectories.count == 1 })
    let ids = try #require(groups.first { $0.run.id == "ids" }).trajectories
    #expect(Set(ids.map { Array($0.id.utf8) }).count == Self.alike.count)
    #expect(ids.map { Array($0.id.utf8) } == ids.map { Array($0.id.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
  }

  /// A prompt is often logged once, its rollouts at several steps.
  @Test func groupRecordsWithoutStepHoldForEveryStep() throws {
    func trajectory(_ id: String, step: Int?, source: String? = nil) -> String {
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#(id)","token_ids":[1]"#
        + (step.map { #","step":\#($0)"# } ?? "") + (source.map { #","data_source":"\#($0)""# } ?? "") + "}"
    }
    let group = #"{"kind":"group","group_id":"g","prompt_text":"q","prompt_token_ids":[7,8],"data_source":"hotpotqa"}"#
    let stepped = #"{"kind":"group","group_id":"g","step":2,"data_source":"own"}"#
    let lines = [trajectory("a", step: 1), group, trajectory("b", step: 2), stepped, trajectory("c", step: 3)]
    for order in [lines, lines.reversed()] {
      let trial = try ImportTrial()
      #expect(try trial.run(lines: order).quarantine.isEmpty)
      let said = try trial.value(
        """
        SELECT group_concat(step || ':' || prompt_text || ':' || length(prompt_token_ids) || ':' || data_source)
        FROM (SELECT * FROM prompt_group WHERE step IS NOT NULL ORDER BY step)
        """)
      let bytes = try trial.value("SELECT length(prompt_token_ids) FROM prompt_group WHERE step IS NULL")
      let sources = ["hotpotqa", "own", "hotpotqa"]
      let expected = (1...3).map { "\($0):q:\(bytes ?? "none"):\(sources[$0 - 1])" }
      #expect(said == expected.joined(separator: ","))
      #expect(try trial.groups().map { $0.trajectories.count } == [1, 1, 1])
    }
  }

  @Test func parentsAreFoundByTheirBytes() throws {
    let lines = [
      Self.record(group: "g", id: "\\u00e9", run: "r", token: 1),
      #"{"kind":"trajectory","run_id":"r","group_id":"g","trajectory_id":"c","parent_id":"e\u0301","#
        + #""branch_token_index":1,"token_ids":[2]}"#,
    ]
    let trial = try ImportTrial()
    #expect(try trial.run(lines: lines).quarantine.map(\.name) == ["missing_parent"])
  }

  /// Tokens that are known by their texts only.
  @Test func tokensThatLookAlike() throws {
    let tokens = ["\\u00e9", "e\\u0301", "\\u212b", "\\u00c5", "A\\u030a", "a\\u0000b", "a\\u0000c", "a"]
    let content = tokens.map { #"{"token":"\#($0)","logprob":-0.5,"bytes":null,"top_logprobs":[]}"# }.joined(
      separator: ",")
    let line =
      #"{"request":{"model":"m","messages":[{"role":"user","content":"q"}]},"response":{"id":"c","#
      + #""object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"#
      + #""message":{"role":"assistant","content":"\#(tokens.joined())"},"#
      + #""logprobs":{"content":[\#(content)]},"finish_reason":"stop"}]}}"#
    let trial = try ImportTrial()
    #expect(try trial.run(lines: [line]).quarantine.isEmpty)
    let ids = try #require(try trial.groups().first?.trajectories.first?.columns?.tokenIDs)
    #expect(ids.count == tokens.count && Set(ids).count == tokens.count, "\(ids)")
    #expect(try trial.count("token_string") == tokens.count)
  }

  /// A zero character ends a text in SQLite; what stands behind it is kept.
  @Test func zeroCharactersLoseNothing() throws {
    let trial = try ImportTrial()
    let line =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","text":"a\u0000b","prompt_text":"p\u0000q","#
      + #""finish_reason":"x\u0000y"}"#
    // Twice in other words: the same prompt does not disagree with itself.
    #expect(try trial.run(lines: [line, line + " ", line.replacing(#""t""#, with: #""u""#)]).quarantine.isEmpty)
    let said =
      "SELECT s.text || ' ' || prompt_text || ' ' || finish_reason FROM segment s "
      + "JOIN trajectory t ON t.id = s.trajectory JOIN prompt_group g ON g.id = prompt_group"
    #expect(try trial.strings(said) == ["a\u{2400}b p\u{2400}q x\u{2400}y", "a\u{2400}b p\u{2400}q x\u{2400}y"])
  }

  @Test func numbersThatLookAlikeAreNotIDs() throws {
    let lines = [
      #"{"kind":"trajectory","group_id":"1","trajectory_id":"1","token_ids":[1]}"#,
      #"{"kind":"trajectory","group_id":"1.0","trajectory_id":"01","token_ids":[2]}"#,
      #"{"kind":"trajectory","group_id":"1e0","trajectory_id":"none","token_ids":[3]}"#,
      #"{"kind":"trajectory","group_id":"null","trajectory_id":"NULL","step":0,"token_ids":[4]}"#,
    ]
    let trial = try ImportTrial()
    #expect(try trial.run(lines: lines).counts.trajectories == 4)
    #expect(try trial.groups().map(\.id) == ["1", "1.0", "1e0", "null"])
  }
}
