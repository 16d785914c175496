import Foundation
import Testing
import TestSupport

/// Options that several commands have: each does the same everywhere, and none is ignored.
@Suite struct OptionTests {
  let folder: TemporaryFolder
  /// The same groups at two steps; at the second they earn other rewards.
  let database: String
  /// The second step alone.
  let second: String

  init() throws {
    folder = try TemporaryFolder()
    var shape = SyntheticLog.Shape()
    shape.groups = 4
    let lines = SyntheticLog(seed: 71, shape).lines.filter { !$0.contains(#""kind":"end""#) }
    let first = lines.map { $0.replacing(/"step":\d+/, with: #""step":1"#) }
    let other = lines.map {
      $0.replacing(/"step":\d+/, with: #""step":2"#).replacing(#""reward":1.0"#, with: #""reward":0.5"#)
    }
    database = folder.path("both.db")
    second = folder.path("second.db")
    for (path, records) in [(database, first + other.dropFirst()), (second, other)] {
      let log = try folder.write(records, "log.jsonl")
      let run = try Tool.run(["import", path, log, "--quiet"])
      #expect(run.status == 0, "\(run.errors)")
    }
  }

  /// A step of a database says what a database of that step alone says.
  @Test(arguments: [
    ["audit", "--format", "csv"], ["audit", "--calls", "--format", "csv"], ["branches", "--format", "csv"],
    ["budget", "--format", "csv"], ["simulate", "--repetitions", "20", "--format", "csv"],
    ["attribute", "--strategy", "arpo-hard,grpo,reinforce++", "--replace", "--format", "csv"],
    ["compare", "--format", "json"],
    ["score", "--by", "step", "--format", "csv"],
    ["export", "--as", "verl-parquet-jsonl", "--attribution", "reinforce++"],
  ]) func aStepAlone(command: [String]) throws {
    let group = try #require(try DatabaseDump.value(database, "SELECT group_id FROM prompt_group ORDER BY id"))
    func output(_ database: String, _ more: [String]) throws -> String {
      let run = try Tool.run([command[0], database] + command.dropFirst() + more)
      #expect(run.status == 0, "\(run.errors)")
      // Places in the log differ.
      return run.text.replacing(/"(line|byte_offset|source_line)":\d+/, with: "")
    }
    let whole = try output(database, [])
    let part = try output(database, ["--step", "2"])
    #expect(try part == output(second, []) && part != whole)
    #expect(part.contains { $0.isNewline })
    // What is not there is no empty result.
    for (option, words) in [
      (["--step", "9"], "there is no step 9; there are: 1, 2"), (["--group", "nosuch"], "there is no group nosuch; "),
      (["--group", group, "--step", "9"], "there is no step 9 of group \(group); there are: 1, 2"),
      (["--run", "nosuch"], "there is no run nosuch; "),
    ] {
      let none = try Tool.run([command[0], database] + command.dropFirst() + option)
      #expect(none.status == 1 && none.output.isEmpty && none.errors.contains(words), "\(option): \(none.errors)")
    }
  }

  /// Results of one step are not taken for those of all.
  @Test func aKeptAttributionKnowsItsStep() throws {
    let command = ["attribute", database, "--strategy", "grpo", "--summary"]
    #expect(try Tool.run(command + ["--step", "2"]).status == 0)
    let other = try Tool.run(command)
    #expect(other.status == 1 && other.errors.contains("another selection"))
    #expect(try Tool.run(command + ["--step", "2"]).errors.contains("already"))
  }

  @Test func theAuditSplitsAsItIsAsked() throws {
    func dimensions(_ arguments: [String]) throws -> Set<String> {
      let run = try Tool.run(["audit", database, "--format", "csv"] + arguments)
      #expect(run.status == 0, "\(run.errors)")
      return Set(run.text.split(separator: "\r\n").dropFirst().map { String($0.split(separator: ",")[1]) })
    }
    let always: Set = ["baseline", "early_reasoning", "all"]
    #expect(try dimensions(["--by", "step"]) == always.union(["step"]))
    #expect(try dimensions(["--by", "tool", "--by", "call_number"]) == always.union(["tool", "call_number"]))
    #expect(try dimensions([]).isStrictSuperset(of: always.union(["tool", "step", "outcome"])))
    let json = try Tool.run(["audit", database, "--format", "json", "--by", "step"])
    let document = try #require(try JSONSerialization.jsonObject(with: json.output) as? [String: Any])
    let run = try #require((document["runs"] as? [[String: Any]])?.first)
    #expect((run["by"] as? [String: Any])?.keys.sorted() == ["step"])
    for output in ["--calls", "--curve"] {
      let refused = try Tool.run(["audit", database, output, "--by", "step"])
      #expect(refused.status == 64 && refused.errors.contains("--by"))
    }
  }

  @Test func anExplanationKeepsNothing() throws {
    for option in [["--name", "x"], ["--replace"], ["--per-token"], ["--summary"]] {
      let run = try Tool.run(["attribute", database, "--strategy", "grpo", "--explain"] + option)
      #expect(run.status == 64 && run.errors.contains(option[0]) && run.output.isEmpty, "\(run.errors)")
    }
    #expect(try Tool.run(["attribute", database, "--strategy", "grpo", "--explain"]).status == 0)
  }

  /// Both names of the option are the same in both commands.
  @Test func sharedPrefixes() throws {
    // Two roots that begin alike, which the log does not call a fork.
    let log = try folder.write(
      [
        #"{"schema":"arpo-rollout/1","kind":"run","run_id":"r"}"#,
        #"{"kind":"group","group_id":"g","prompt_token_ids":[9]}"#,
        #"{"kind":"trajectory","group_id":"g","trajectory_id":"a","token_ids":[1,2,3],"reward":1}"#,
        #"{"kind":"trajectory","group_id":"g","trajectory_id":"b","token_ids":[1,2,4],"reward":0}"#,
      ], "alike.jsonl")
    let path = folder.path("alike.db")
    #expect(try Tool.run(["import", path, log, "--quiet"]).status == 0)
    for command in [["tree", path, "g"], ["export", path, "--as", "pairs"]] {
      let outputs = try ["--shared-prefix", "--sharing"].map { name in
        let run = try Tool.run(command + [name, "any"])
        #expect(run.status == 0, "\(run.errors)")
        return run.text
      }
      #expect(try outputs[0] == outputs[1] && outputs[0] != Tool.run(command).text)
    }
  }

  /// Pages without anything but ASCII.
  @Test(arguments: [
    ["audit"], ["branches"], ["budget"], ["simulate", "--repetitions", "5"], ["compare"], ["score"],
    ["attribute", "--strategy", "grpo"], ["attribute", "--strategy", "grpo", "--explain"],
    ["query", "SELECT 'a long text with an ö, ' || group_id, NULL FROM groups"],
  ]) func plainPages(command: [String]) throws {
    let run = try Tool.run(
      [command[0], database] + command.dropFirst() + ["--plain"], environment: ["LANG": "C.UTF-8", "COLUMNS": "30"])
    #expect(run.status == 0 && !run.output.isEmpty, "\(run.errors)")
    #expect(run.output.allSatisfy { $0 < 0x80 }, "\(run.text)")
    let drawn = try Tool.run(
      [command[0], database] + command.dropFirst(), environment: ["LANG": "C.UTF-8", "COLUMNS": "30"])
    #expect(drawn.output.contains { $0 >= 0x80 })
  }
}
