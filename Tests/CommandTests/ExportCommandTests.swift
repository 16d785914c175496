import Demonstration
import Foundation
import Testing
import TestSupport

/// `export` on logs that one can check by hand.
@Suite struct ExportCommandTests {
  private typealias Record = [String: Any]

  private let scratch: TemporaryFolder

  init() throws { scratch = try TemporaryFolder() }

  private static let head = [
    #"{"schema":"arpo-rollout/1","kind":"run","run_id":"r1","tokenizer":{"name":"t","vocab_size":100}}"#,
    #"{"kind":"group","group_id":"p1","step":3,"data_source":"qa","prompt_text":"How long? ","prompt_token_ids":[90,91],"ground_truth":"412"}"#,
  ]

  /// a asks a tool and is right; b leaves it behind the result and is wrong; c is another root.
  private static let tokens =
    head + [
      #"{"kind":"trajectory","group_id":"p1","trajectory_id":"a","rollout_index":0,"step":3,"token_ids":[1,2,3,4,5,6],"logprobs":[-0.5,-0.25,null,null,-1,-2],"segments":[{"kind":"tool_call","start":0,"end":2,"tool":"search","text":"<search>x</search>"},{"kind":"tool_result","start":2,"end":4,"tool":"search","text":"<result>412</result>"},{"kind":"answer","start":4,"end":6,"text":"412"}],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"p1","trajectory_id":"b","rollout_index":1,"step":3,"parent_id":"a","branch_token_index":4,"token_ids":[7],"logprobs":[-3],"segments":[{"kind":"answer","start":4,"end":5,"text":"380"}],"reward":0,"multiplicity":2}"#,
      #"{"kind":"trajectory","group_id":"p1","trajectory_id":"c","rollout_index":2,"step":3,"token_ids":[8,9],"logprobs":[-1,null],"segments":[{"kind":"answer","start":0,"end":2,"text":"??"}],"reward":0.25}"#,
      #"{"kind":"trajectory","group_id":"p1","trajectory_id":"d","rollout_index":3,"step":3,"token_ids":[8],"reward":null}"#,
    ]

  private func database(_ lines: [String]) throws -> (path: String, log: String) {
    let log = try scratch.write(lines, "log.jsonl")
    let path = scratch.path("runs.db")
    let run = try Tool.run(["import", path, log, "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
    return (path, log)
  }

  private func export(_ database: String, _ arguments: [String]) throws -> (records: [Record], talk: String) {
    let run = try Tool.run(["export", database] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    let lines = run.text.split(separator: "\n")
    return (
      try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? Record) }, run.errors
    )
  }

  private func member(_ value: Any?, _ path: String...) -> Any? {
    path.reduce(value) { ($0 as? Record)?[$1] }
  }

  @Test func preferencePairsShareTheirPrefix() throws {
    let (database, log) = try database(Self.tokens)
    let (records, talk) = try export(database, ["--as", "trl-dpo"])
    try #require(records.count == 2)
    // The prompt's fork: a (1) over c (0.25) against c over b: 0.75 wins.
    #expect(records[0]["prompt"] as? String == "How long? ")
    #expect(records[0]["chosen"] as? String == "<search>x</search><result>412</result>412")
    #expect(records[0]["rejected"] as? String == "??")
    #expect(records[0]["margin"] as? Double == 0.75)
    #expect(records[0]["prompt_ids"] as? [Int] == [90, 91])
    #expect(records[0]["chosen_ids"] as? [Int] == [1, 2, 3, 4, 5, 6])
    #expect(records[0]["chosen_mask"] as? [Int] == [1, 1, 0, 0, 1, 1])
    #expect(records[1]["prompt"] as? String == "How long? <search>x</search><result>412</result>")
    #expect(records[1]["prompt_ids"] as? [Int] == [90, 91, 1, 2, 3, 4])
    #expect(records[1]["chosen_ids"] as? [Int] == [5, 6])
    #expect(records[1]["rejected_ids"] as? [Int] == [7])
    #expect(records[1]["chosen"] as? String == "412")
    #expect(records[1]["rejected"] as? String == "380")
    #expect(member(records[1], "provenance", "fork_index") as? Int == 4)
    #expect(member(records[1], "provenance", "fork_after") as? String == "tool_result search")
    #expect(member(records[1], "provenance", "chosen", "trajectory_id") as? String == "a")
    #expect(member(records[1], "provenance", "chosen", "path") as? String == log)
    #expect(member(records[1], "provenance", "chosen", "line") as? Int == 3)
    #expect(member(records[1], "provenance", "rejected", "line") as? Int == 4)
    #expect(member(records[1], "provenance", "rejected", "multiplicity") as? Int == 2)
    #expect(talk.contains("2 records of 1 group, 2 forks"))
    #expect(talk.contains("left out 1: no reward"))
  }

  @Test func marginsLimitsAndConditions() throws {
    let (database, _) = try database(Self.tokens)
    #expect(try export(database, ["--as", "pairs", "--min-margin", "0.8"]).records.count == 1)
    let filtered = try export(database, ["--as", "pairs", "--where", "trajectory_id <> 'c'"])
    #expect(filtered.records.count == 1)
    #expect(member(filtered.records.first, "provenance", "rejected", "trajectory_id") as? String == "b")
    let wrong = try Tool.run(["export", database, "--as", "pairs", "--where", "no_such_column = 1"])
    #expect(wrong.status == 1)
    #expect(wrong.errors.contains("--where: no such column"))
    let evil = try Tool.run(["export", database, "--as", "pairs", "--where", "1); DELETE FROM run; --"])
    #expect(evil.status == 1)
  }

  @Test func advantagesRankContinuations() throws {
    let (database, _) = try database(Self.tokens)
    let (records, _) = try export(database, ["--as", "pairs", "--score", "advantage", "--attribution", "arpo-hard"])
    let pair = try #require(records.last)
    // Rewards 1, 0, 0, 0.25: mean 0.3125, deviation with N - 1 over four leaves.
    let std = (((0.6875 * 0.6875) + 2 * (0.3125 * 0.3125) + 0.0625 * 0.0625) / 3).squareRoot()
    let expected = 0.6875 / (std + 1e-6)
    #expect(abs((pair["score_chosen"] as? Double ?? 0) - expected) < 1e-12)
    #expect(member(pair, "provenance", "attribution") as? String == "arpo-hard")
    #expect(member(pair, "provenance", "chosen", "advantage") as? Double == pair["score_chosen"] as? Double)
    let missing = try Tool.run(["export", database, "--as", "pairs", "--score", "advantage"])
    #expect(missing.status == 64)
  }

  /// What attribute keeps is the same as what is computed on the way.
  @Test func keptAttributionsHaveTheirNames() throws {
    let (database, _) = try database(Self.tokens)
    let computed = try export(database, ["--as", "verl-parquet-jsonl", "--attribution", "arpo-hard"]).records
    let kept = try Tool.run(
      ["attribute", database, "--strategy", "arpo-hard", "--name", "mine", "--summary"])
    #expect(kept.status == 0, "\(kept.errors)")
    let stored = try export(database, ["--as", "verl-parquet-jsonl", "--attribution", "mine"]).records
    #expect(stored.map { $0["advantages"] as? [Double] } == computed.map { $0["advantages"] as? [Double] })
    let unknown = try Tool.run(["export", database, "--as", "verl-parquet-jsonl", "--attribution", "nobody"])
    #expect(unknown.status == 64)
    #expect(unknown.errors.contains("mine"))
  }

  @Test func aTokenizerTurnsIdsIntoText() throws {
    try TinyCheckpoint.write(to: scratch.path("tiny"), seed: 1)
    let lines = [
      Self.head[0],
      #"{"kind":"group","group_id":"p","prompt_token_ids":[100,63]}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"a","token_ids":[257,100,258,195,169],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"b","parent_id":"a","branch_token_index":3,"token_ids":[55],"reward":0}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"c","parent_id":"a","branch_token_index":4,"token_ids":[168],"reward":0}"#,
    ]
    let (database, _) = try database(lines)
    let (records, talk) = try export(database, ["--as", "trl-dpo", "--tokenizer", scratch.path("tiny")])
    try #require(records.count == 2)
    #expect(records[0]["prompt"] as? String == "d?<search>d</search>")
    #expect(records[0]["chosen"] as? String == "é")
    #expect(records[0]["rejected"] as? String == "7")
    // The other fork lies inside a character: ids, and no text.
    #expect(records[1]["prompt"] == nil)
    #expect(records[1]["chosen_ids"] as? [Int] == [169])
    #expect(talk.contains("1 of them have ids and no text"))
  }

  @Test func verlRowsCarryAdvantagesAndLogprobs() throws {
    let (database, _) = try database(Self.tokens)
    let (records, _) = try export(database, ["--as", "verl-parquet-jsonl", "--attribution", "dr-grpo"])
    try #require(records.count == 3)
    let a = records[0]
    #expect(a["uid"] as? String == "r1/3/p1")
    #expect(a["data_source"] as? String == "qa")
    #expect(member(a, "reward_model", "ground_truth") as? String == "412")
    #expect(member(a, "reward_model", "style") as? String == "rule")
    #expect((a["prompt"] as? [[String: String]])?.first == ["role": "user", "content": "How long? "])
    #expect(a["prompts"] as? [Int] == [90, 91])
    #expect(a["responses"] as? [Int] == [1, 2, 3, 4, 5, 6])
    #expect(a["response_mask"] as? [Int] == [1, 1, 0, 0, 1, 1])
    #expect(a["advantages"] as? [Double] == [0.6875, 0.6875, 0, 0, 0.6875, 0.6875])
    #expect(a["token_level_scores"] as? [Double] == [0, 0, 0, 0, 0, 1])
    let logprobs = try #require(a["old_log_probs"] as? [Any])
    #expect(logprobs.map { $0 as? Double } == [-0.5, -0.25, nil, nil, -1, -2])
    // b's path begins with a's tokens and their logprobs.
    #expect((records[1]["rollout_log_probs"] as? [Any])?.map { $0 as? Double } == [-0.5, -0.25, nil, nil, -3])
    #expect(member(records[1], "extra_info", "provenance", "trajectory", "trajectory_id") as? String == "b")
    #expect((records[2]["rollout_log_probs"] as? [Any])?.map { $0 as? Double } == [-1, nil])
  }

  @Test func labelsAndBestLeaves() throws {
    let (database, _) = try database(Self.tokens)
    let labels = try export(database, ["--as", "trl-kto"]).records
    #expect(labels.map { $0["label"] as? Bool } == [true, false, false])
    #expect(labels.first?["completion_ids"] as? [Int] == [1, 2, 3, 4, 5, 6])
    let threshold = try export(database, ["--as", "trl-kto", "--threshold", "0.25"]).records
    #expect(threshold.map { $0["label"] as? Bool } == [true, false, true])
    let best = try export(database, ["--as", "trl-sft"]).records
    try #require(best.count == 1)
    #expect(best[0]["input_ids"] as? [Int] == [90, 91, 1, 2, 3, 4, 5, 6])
    #expect(best[0]["assistant_masks"] as? [Int] == [0, 0, 1, 1, 0, 0, 1, 1])
    #expect(best[0]["completion"] as? String == "<search>x</search><result>412</result>412")
    #expect(member(best[0], "provenance", "trajectory", "trajectory_id") as? String == "a")
    #expect(try export(database, ["--as", "trl-sft", "--min-reward", "0.2", "--best", "5"]).records.count == 2)
  }

  @Test func messagesEndWhereToolsSpeak() throws {
    let (database, _) = try database(Self.tokens)
    let records = try export(database, ["--as", "trl-dpo", "--style", "conversational"]).records
    try #require(records.count == 2)
    let prompt = try #require(records[1]["prompt"] as? [[String: String]])
    #expect(prompt.map { $0["role"] } == ["user", "assistant", "tool"])
    #expect(prompt[1]["content"] == "<search>x</search>")
    #expect(prompt[2]["name"] == "search")
    #expect((records[1]["chosen"] as? [[String: String]]) == [["role": "assistant", "content": "412"]])
  }

  /// A text-only log has no ids, and one without a prompt gives nothing; both are said.
  @Test func whatIsMissingIsSaid() throws {
    let lines = [
      #"{"kind":"trajectory","group_id":"t","trajectory_id":"a","prompt_text":"Q: ","text":"<search>x</search><result>y</result>yes","segments":[{"kind":"tool_call","text":"<search>x</search>"},{"kind":"tool_result","text":"<result>y</result>"},{"kind":"answer","text":"yes"}],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"t","trajectory_id":"b","parent_id":"a","branch_segment":2,"text":"no","segments":[{"kind":"answer","text":"no"}],"reward":0}"#,
      #"{"kind":"trajectory","group_id":"u","trajectory_id":"x","token_ids":[1,2],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"u","trajectory_id":"y","token_ids":[3],"reward":0}"#,
    ]
    let (database, _) = try database([Self.head[0]] + lines)
    let (records, talk) = try export(database, ["--as", "trl-dpo"])
    try #require(records.count == 1)
    #expect(records[0]["prompt"] as? String == "Q: <search>x</search><result>y</result>")
    #expect(records[0]["chosen"] as? String == "yes")
    #expect(records[0]["rejected"] as? String == "no")
    #expect(records[0]["prompt_ids"] == nil)
    #expect(talk.contains("left out 1: the log has no prompt of it"))
    #expect(talk.contains("1 of them have text and no ids"))
    #expect(try export(database, ["--as", "verl-parquet-jsonl"]).talk.contains("left out 2: the log has no token ids"))
  }

  /// Advantages that were kept before an import changed what they stand on are used, and that is said.
  @Test func keptAdvantagesOfAnEarlierDatabase() throws {
    let (database, _) = try database(Self.tokens)
    #expect(try Tool.run(["attribute", database, "--strategy", "grpo", "--name", "x", "--summary"]).status == 0)
    let options = ["--as", "trl-kto", "--score", "advantage", "--attribution", "x"]
    #expect(try !export(database, options).talk.contains("before the database changed"))
    let more =
      #"{"kind":"trajectory","group_id":"p2","trajectory_id":"e","step":3,"token_ids":[1],"logprobs":[-1],"reward":1}"#
    let grown = try scratch.write([Self.head[0], more], "more.jsonl")
    #expect(try Tool.run(["import", database, grown, "--quiet"]).status == 0)
    #expect(try export(database, options + ["--group", "p1"]).talk.contains("before the database changed"))
    #expect(try Tool.run(["attribute", database, "--strategy", "grpo", "--name", "x", "--summary"]).status == 0)
    #expect(try !export(database, options).talk.contains("before the database changed"))
  }

  @Test func aFileThatCannotBeWrittenIsNamed() throws {
    let (database, _) = try database(Self.tokens)
    let path = scratch.path("absent/pairs.jsonl")
    let run = try Tool.run(["export", database, "--as", "pairs", "-o", path])
    #expect(run.status == 1 && run.errors == "error: cannot write \(path): No such file or directory\n")
  }

  @Test func aFileAppearsWhenItIsComplete() throws {
    let (database, _) = try database(Self.tokens)
    let out = scratch.path("pairs.jsonl")
    let run = try Tool.run(["export", database, "--as", "trl-dpo", "-o", out])
    #expect(run.status == 0)
    #expect(run.text.isEmpty)
    let streamed = try Tool.run(["export", database, "--as", "trl-dpo"])
    #expect(try String(contentsOfFile: out, encoding: .utf8) == streamed.text)
    #expect(!FileManager.default.fileExists(atPath: out + ".partial"))
    let refused = try Tool.run(["export", database, "--as", "trl-dpo", "--run", "nobody", "-o", out])
    #expect(refused.status == 1)
    #expect(try String(contentsOfFile: out, encoding: .utf8) == streamed.text)
  }

  /// Every format, every log that the repository has: each line is JSON and names its file and line.
  @Test(arguments: ["trl-dpo", "trl-kto", "trl-sft", "verl-parquet-jsonl", "pairs"])
  func everyRecordSaysWhereItComesFrom(format: String) throws {
    let path = scratch.path("all.db")
    let goldens = TestPaths.fixtures.appending(path: "goldens/analysis").path
    let logs = ["branched", "rewards", "textonly", "undeclared"].map { "\(goldens)/\($0).jsonl.zst" }
    let more = ["arpo", "openai", "nemo-gym", "verl-v0", "verl-v1"].map {
      TestPaths.fixtures.appending(path: "logs/\($0)").path
    }
    _ = try Tool.run(["import", path, "--quiet"] + logs + more)
    var count = 0
    for style in ["standard", "conversational"] {
      let (records, _) = try export(path, ["--as", format, "--style", style, "--sharing", "any"])
      count += records.count
      for record in records {
        let provenance = try #require(
          member(record, "provenance") ?? member(record, "extra_info", "provenance") as? Record)
        #expect(member(provenance, "run_id") is String)
        for key in format == "trl-dpo" || format == "pairs" ? ["chosen", "rejected"] : ["trajectory"] {
          let file = try #require(member(provenance, key, "path") as? String)
          #expect(FileManager.default.fileExists(atPath: file))
          #expect((member(provenance, key, "line") as? Int ?? 0) > 0)
          #expect(member(provenance, key, "trajectory_id") is String)
        }
      }
    }
    #expect(count > 0)
  }
}
