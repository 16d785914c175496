import Foundation
import Queries
import Testing
import TestSupport

/// The queries that come with the tool, each with what it draws for a log that one can read by hand.
@Suite struct CannedQueryTests {
  private let scratch: TemporaryFolder
  private let database: String

  init() throws {
    scratch = try TemporaryFolder()
    database = scratch.path("runs.db")
    let log = try scratch.write(
      [
        #"{"schema":"arpo-rollout/1","kind":"run","run_id":"r1","tokenizer":{"name":"t","vocab_size":100}}"#,
        #"{"kind":"group","group_id":"p1","step":3,"data_source":"hotpotqa","prompt_text":"q"}"#,
        #"{"kind":"trajectory","group_id":"p1","trajectory_id":"a","rollout_index":0,"step":3,"token_ids":[1,2,3,4,5,6],"logprobs":[-0.5,-0.25,null,null,-1,-2],"segments":[{"kind":"tool_call","start":0,"end":2,"tool":"search","tool_call_id":"c1"},{"kind":"tool_result","start":2,"end":4,"tool":"search","tool_call_id":"c1","status":"ok","latency_s":0.5},{"kind":"answer","start":4,"end":6}],"reward":1}"#,
        #"{"kind":"trajectory","group_id":"p1","trajectory_id":"b","rollout_index":1,"step":3,"parent_id":"a","branch_token_index":4,"token_ids":[7,8,9],"logprobs":[-1,null,-3],"segments":[{"kind":"tool_call","start":4,"end":5,"tool":"python"},{"kind":"tool_result","start":5,"end":6,"tool":"python","status":"error","latency_s":1.5},{"kind":"answer","start":6,"end":7}],"reward":0}"#,
        #"{"kind":"trajectory","group_id":"p1","trajectory_id":"c","step":3,"token_ids":[1],"logprobs":[0.5],"reward":0}"#,
      ], "log.jsonl")
    let run = try Tool.run(["import", database, log, "--quiet"])
    #expect(run.status == 2, "\(run.errors)")
    let kept = try Tool.run(["attribute", database, "--strategy", "arpo-hard,dr-grpo", "--summary"])
    #expect(kept.status == 0, "\(kept.errors)")
  }

  @Test func everyFileIsAQueryWithATitle() throws {
    let folder = TestPaths.checkout.appending(path: "Queries")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
    #expect(Set(files) == Set(CannedQuery.all.map { $0.name + ".sql" }))
    for query in CannedQuery.all { #expect(query.title.hasSuffix(".") && query.title.count > 20) }
    let help = try Tool.run(["query", "--help"])
    for query in CannedQuery.all { #expect(help.text.contains("\(query.name): \(query.title.prefix(20))")) }
  }

  @Test(arguments: [
    (
      "attributions",
      """
      name,strategy,parameters,evidence,state,trajectories,missing,mean_abs,checks\r
      arpo-hard,arpo-hard,"{""epsilon"":1e-06,""ddof"":1}","reward,forks",complete,2,0,0.3536,"[{""check"":""shared_tokens"",""value"":0,""group"":null,""count"":2,""violations"":0,""required"":true},{""check"":""token_balance"",""value"":0,""group"":null,""count"":8,""violations"":0,""required"":false}]"\r
      dr-grpo,dr-grpo,{},"reward,forks",complete,2,0,0.5,"[{""check"":""group_sum"",""value"":0,""group"":null,""count"":1,""violations"":0,""required"":true},{""check"":""shared_tokens"",""value"":1,""group"":""p1"",""count"":2,""violations"":2,""required"":false},{""check"":""token_balance"",""value"":0,""group"":null,""count"":8,""violations"":0,""required"":false}]"\r

      """
    ),
    (
      "credit",
      """
      name,run_id,kind,tool,tokens,share,mean\r
      arpo-hard,r1,answer,,3,0.75,0.2357\r
      arpo-hard,r1,tool_call,python,1,0.25,-0.7071\r
      arpo-hard,r1,tool_call,search,4,0,0\r
      dr-grpo,r1,tool_call,search,4,0.5,0\r
      dr-grpo,r1,answer,,3,0.375,0.1667\r
      dr-grpo,r1,tool_call,python,1,0.125,-0.5\r

      """
    ),
    (
      "evidence",
      """
      run_id,evidence,trajectories,generated,tokens,tokens_flat,tool_calls,mean_reward\r
      r1,"token_ids,sampled_logprobs",2,6,9,13,2,0.5\r

      """
    ),
    (
      "forks",
      """
      run_id,group_id,step,parent,child,branch_index,parent_length,unit,after,parent_reward,child_reward,gain\r
      r1,p1,3,a,b,4,6,token,tool_result search,1,0,-1\r

      """
    ),
    (
      "groups",
      """
      run_id,step,group_id,data_source,leaves,scored,mean_reward,min_reward,max_reward,signal,forks,tokens,shared\r
      r1,3,p1,hotpotqa,2,2,0.5,0,1,1,1,9,0.3077\r

      """
    ),
    (
      "tools",
      """
      run_id,tool,calls,trajectories,failures,mean_latency_s,max_latency_s,mean_result_tokens,mean_reward\r
      r1,python,1,1,1,1.5,1.5,1,0\r
      r1,search,1,1,0,0.5,0.5,2,1\r

      """
    ),
  ])
  func draws(name: String, expected: String) throws {
    let run = try Tool.run(["query", database, name, "--format", "csv"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.text == expected)
  }

  @Test func disagreements() throws {
    let run = try Tool.run([
      "query", database, "disagreements", "-p", "a=arpo-hard", "-p", "b=dr-grpo", "--format", "csv",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let lines = run.text.split(separator: "\r\n")
    #expect(lines.count == 6 && lines[1] == "r1,p1,3,a,0,tool_call,search,0,2,0,0.5,-0.5")
    #expect(lines[2] == "r1,p1,3,b,0,tool_call,search,0,2,0,-0.5,0.5")
  }

  @Test func quarantine() throws {
    let run = try Tool.run(["query", database, "quarantine", "--format", "ndjson"])
    let row = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    #expect(row["reason"] as? String == "positive_logprob")
    #expect(row["records"] as? Int == 1)
    #expect(row["first_line"] as? Int == 5)
  }

  /// The same ids at several steps are several trajectories: one branches behind a result, the other before its answer.
  @Test func equalIDsAtSeveralSteps() throws {
    func lines(_ step: Int, _ segments: String, branch: Int, rewards: (Int, Int)) -> [String] {
      [
        #"{"kind":"trajectory","group_id":"p","trajectory_id":"a","step":\#(step),"token_ids":[1,2,3,4,5,6],"segments":[\#(segments)],"reward":\#(rewards.0)}"#,
        #"{"kind":"trajectory","group_id":"p","trajectory_id":"b","step":\#(step),"parent_id":"a","branch_token_index":\#(branch),"token_ids":[7],"segments":[{"kind":"answer","start":\#(branch),"end":\#(branch + 1)}],"reward":\#(rewards.1)}"#,
      ]
    }
    let call = #"{"kind":"tool_call","start":0,"end":2,"tool":"search"},"#
    let first =
      call + #"{"kind":"tool_result","start":2,"end":4,"tool":"search"},{"kind":"answer","start":4,"end":6}"#
    let second =
      call + #"{"kind":"tool_result","start":2,"end":3,"tool":"search"},{"kind":"answer","start":3,"end":4},"#
      + #"{"kind":"reasoning","start":4,"end":6}"#
    let path = scratch.path("steps.db")
    // A grandchild that leaves where its parent begins: what came before is its grandparent's.
    let late =
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"c","step":1,"parent_id":"b","branch_token_index":4,"token_ids":[9],"reward":0}"#
    let log = try scratch.write(
      [#"{"schema":"arpo-rollout/1","kind":"run","run_id":"r"}"#] + lines(1, first, branch: 4, rewards: (1, 0))
        + lines(2, second, branch: 4, rewards: (1, 1)) + [late], "steps.jsonl")
    #expect(try Tool.run(["import", path, log, "--quiet"]).status == 0)
    #expect(try Tool.run(["attribute", path, "--strategy", "grpo,dr-grpo", "--summary"]).status == 0)
    func rows(_ arguments: String...) throws -> [String] {
      let run = try Tool.run(["query", path] + arguments + ["--format", "csv"])
      #expect(run.status == 0, "\(run.errors)")
      return run.text.split(separator: "\r\n").dropFirst().map(String.init)
    }
    #expect(
      try rows("forks") == [
        "r,p,1,a,b,4,6,token,tool_result search,1,0,-1", "r,p,1,b,c,4,5,token,tool_result search,0,0,0",
        "r,p,2,a,b,4,6,token,answer,1,1,0",
      ])
    #expect(try rows("tools") == ["r,search,2,2,0,,,1.5,1"])
    #expect(try rows("groups").map { String($0.prefix(5)) } == ["r,1,p", "r,2,p"])
    #expect(try rows("evidence") == ["r,token_ids,5,12,15,27,2,0.6"])
    // No pair of one step with the other: as many rows as there are segments with generated tokens.
    let segments = try DatabaseDump.value(path, "SELECT count(*) FROM segment_advantages WHERE name = 'dr-grpo'")
    let differing = try rows("disagreements", "-p", "a=grpo:verl", "-p", "b=dr-grpo")
    #expect(String(differing.count) == segments && Set(differing).count == differing.count)
    #expect(differing.filter { $0.hasPrefix("r,p,2,") }.allSatisfy { $0.hasSuffix(",0,0,0") })
    let tokens = "SELECT name || sum(generated) FROM segment_advantages GROUP BY name ORDER BY name"
    let credited = try rows("credit").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    for case .some(let total) in try DatabaseDump.strings(path, tokens) {
      let sum = credited.filter { total.hasPrefix($0[0]) }.reduce(0) { $0 + (Int($1[4]) ?? 0) }
      #expect(total.hasSuffix(":verl\(sum)") || total == "dr-grpo\(sum)")
    }
  }

  /// Segments are no tokens, and a result whose tokens nobody logged is not one of none.
  @Test func whatHasNoTokensHasNoNumberOfThem() throws {
    let path = scratch.path("text.db")
    let logs = TestPaths.fixtures.appending(path: "logs")
    let texts = ["arpo/3.jsonl", "nemo-gym/nemo-gym_rollouts.jsonl"].map { logs.appending(path: $0).path }
    #expect(try Tool.run(["import", path] + texts + ["--quiet"]).status == 0)
    #expect(try Tool.run(["attribute", path, "--strategy", "dr-grpo", "--summary"]).status == 0)
    func rows(_ query: String, in database: String) throws -> [[String: Any]] {
      let run = try Tool.run(["query", database, query, "--format", "ndjson"])
      #expect(run.status == 0, "\(run.errors)")
      return try run.text.split(separator: "\n").compactMap {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
    }
    let evidence = try rows("evidence", in: path)
    #expect(evidence.count > 1)
    for row in evidence {
      let isText = row["evidence"] as? String == "text"
      for column in ["generated", "tokens", "tokens_flat"] { #expect((row[column] is NSNull) == isText, "\(row)") }
    }
    for (query, columns) in [
      ("groups", ["tokens", "shared"]), ("tools", ["mean_result_tokens"]), ("credit", ["tokens"]),
    ] {
      let ofText = try rows(query, in: path).filter { $0["run_id"] as? String == "arpo" }
      #expect(!ofText.isEmpty)
      for row in ofText { for column in columns { #expect(row[column] is NSNull, "\(query) \(row)") } }
    }
    for view in [
      "SELECT tokens, generated FROM segments", "SELECT result_tokens FROM tool_calls", "SELECT tokens FROM groups",
    ] {
      let ofText = try rows(view + " WHERE run_id = 'arpo'", in: path)
      #expect(!ofText.isEmpty && ofText.allSatisfy { $0.values.allSatisfy { $0 is NSNull } }, "\(view)")
    }
    // Replies with tokens, and a result that came as text.
    let chat = scratch.path("chat.db")
    #expect(
      try Tool.run(["import", chat, logs.appending(path: "openai/openai-chat.jsonl").path, "--quiet"]).status == 0)
    let tools = try rows("tools", in: chat)
    #expect(!tools.isEmpty && tools.allSatisfy { $0["mean_result_tokens"] is NSNull }, "\(tools)")
    #expect(try rows("evidence", in: chat).contains { $0["tokens"] is Int })
  }

  @Test func queriesOnlyRead() throws {
    let run = try Tool.run(["query", database, "DELETE FROM trajectory"])
    #expect(run.status == 1)
    #expect(run.errors.contains("only"))
    let count = try Tool.run(["query", database, "SELECT count(*) AS n FROM trajectory", "--format", "csv"])
    #expect(count.text == "n\r\n2\r\n")
  }

  @Test func parameters() throws {
    let run = try Tool.run([
      "query", database, "SELECT trajectory_id FROM trajectories WHERE reward > :low", "-p", "low=0.5", "--format",
      "csv",
    ])
    #expect(run.text == "trajectory_id\r\na\r\n")
  }

  /// A value comes back as it was typed; numbers only where that is so.
  @Test func parametersKeepTheirText() throws {
    for (text, type) in [
      ("7", "integer"), ("-3", "integer"), ("0.5", "real"), ("-1.25", "real"), ("007", "text"), ("nan", "text"),
      ("inf", "text"), ("12e45", "text"), ("0x1F", "text"), ("+5", "text"), ("1.10", "text"), ("", "text"),
      ("99999999999999999999", "text"), ("a=b", "text"),
    ] {
      let run = try Tool.run(["query", database, "SELECT typeof(:x), :x", "-p", "x=\(text)", "--format", "csv"])
      let row = try #require(run.text.split(separator: "\r\n").last, "\(run.errors)")
      #expect(row == "\(type),\(text)", "\(text)")
    }
  }

  @Test func whatAQueryIsNotAskedForIsAnError() throws {
    let sql = "SELECT trajectory_id FROM trajectories WHERE reward > :low"
    for (arguments, status, words) in [
      (["-p", "low=0", "-p", "zzz=1"], 1, "no parameter zzz; it has: low"), ([], 1, "-p low=value"),
      (["-p", "low=0", "-p", "low=1"], 64, "twice"), (["-p", "low"], 64, "name=value"),
      (["-p", "low=0", "--limit=-3"], 64, "--limit"), (["-p", "low=0", "--timeout=-1"], 64, "--timeout"),
      (["-p", "low=0", "--timeout=nan"], 64, "--timeout"),
    ] as [([String], Int32, String)] {
      let run = try Tool.run(["query", database, sql] + arguments)
      #expect(run.status == status && run.output.isEmpty && run.errors.contains(words), "\(arguments): \(run.errors)")
    }
    let none = try Tool.run(["query", database, "tools", "-p", "x=1"])
    #expect(none.status == 1 && none.errors.contains("it has none"))
    let unnamed = try Tool.run(["query", database, "SELECT ?", "-p", "x=1"])
    #expect(unnamed.status == 1 && unnamed.errors.contains("without a name"))
  }

  /// A query of what came later says how the database gets it, and that is true.
  @Test func aDatabaseOfTheFirstVersion() throws {
    let old = try scratch.write(
      try Data(contentsOf: TestPaths.fixtures.appending(path: "stores/entropy-v1.sqlite")), "old.db")
    let before = try Tool.run(["query", old, "attributions"])
    #expect(before.status == 1 && before.errors.contains("arpo-replay import \(old) LOG"), "\(before.errors)")
    #expect(try Tool.run(["query", old, "tools"]).status == 0)
    // A mistake in the SQL of a database of this version has nothing to do with it.
    let mistaken = try Tool.run(["query", database, "SELECT * FROM nothing"])
    #expect(mistaken.status == 1 && !mistaken.errors.contains("import"))
    _ = try Tool.run(["import", old, scratch.path("log.jsonl"), "--quiet"])
    let after = try Tool.run(["query", old, "attributions"])
    #expect(after.status == 0, "\(after.errors)")
  }

  @Test func longQueriesAreStopped() throws {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    let run = try Tool.run(["query", database, sql, "--timeout", "0.2"])
    #expect(run.status == 1)
    #expect(run.errors.contains("longer than 0.2 s"))
  }
}
