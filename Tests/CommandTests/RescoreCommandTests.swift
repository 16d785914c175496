import Foundation
import Policy
import TestSupport
import Testing

/// `rescore`, `mismatch` and `--evidence` on a log whose numbers transformers computed from a tiny checkpoint
/// (`Tests/Scripts/make_rescore_fixture.py`).
@Suite struct RescoreCommandTests {
  let folder: TemporaryFolder
  let database: String
  static let fixture = TestPaths.fixtures.appending(path: "rescore")
  static let policy = fixture.appending(path: "policy").path

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
    let logs = ["ids", "text"].map { Self.fixture.appending(path: "\($0).jsonl").path }
    let run = try Tool.run(["import", database, "--quiet"] + logs)
    #expect(run.status == 0, "\(run.errors)")
  }

  @discardableResult
  func rescore(_ arguments: String..., policy: String = Self.policy) throws -> Spawned {
    try Tool.run(["rescore", database, "--policy", policy] + arguments)
  }

  func json(_ arguments: String...) throws -> Any {
    let run = try Tool.run(arguments + ["--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    return try JSONSerialization.jsonObject(with: run.output)
  }

  /// The checkpoint with every matrix changed a little.
  func otherPolicy(_ amount: Float) throws -> String {
    let checkpoint = try Checkpoint(directory: Self.policy)
    let path = folder.path("other-\(amount)")
    var generator = SeededGenerator(seed: 1)
    var noise: [String: [Float]] = [:]
    for name in checkpoint.names {
      noise[name] = try checkpoint.tensor(named: name).floats().map {
        $0 + Float.random(in: -amount...amount, using: &generator)
      }
    }
    try checkpoint.write(to: path) { noise[$0] }
    return path
  }

  static func reals(_ text: Any?) throws -> [Double?] {
    let data = Data(try #require(text as? String).utf8)
    return try #require(try JSONSerialization.jsonObject(with: data) as? [Any]).map { $0 as? Double }
  }

  @Test("what transformers computed is reproduced, token by token")
  func reproduces() throws {
    let run = try rescore("--top-k", "5", "--name", "tiny", "--format", "json")
    #expect(run.status == 0, "\(run.errors)")
    let rows = try #require(
      try json(
        "query", database,
        """
        SELECT json_column(t.logprobs) AS logged, json_column(x.logprobs) AS scored, json_column(t.entropies) AS entropies,
          json_column(x.entropies) AS exact, json_column(t.top_logprobs, t.top_token_ids) AS top, json_column(x.top_logprobs) AS candidates,
          s.kind AS kind, x.token_ids IS NULL AS same
        FROM rescored_tokens x JOIN segment_tokens t USING (segment) JOIN segment s ON s.id = x.segment
        """) as? [[String: Any]])
    #expect(rows.count > 20)
    for row in rows {
      #expect(row["same"] as? Int == 1)
      let scored = try Self.reals(row["scored"])
      for (a, b) in zip(try Self.reals(row["entropies"]), try Self.reals(row["exact"])) {
        #expect(abs(try #require(a) - #require(b)) < 5e-5)
      }
      // Inserted tokens have values too; the log has none for them.
      #expect(scored.allSatisfy { $0 != nil })
      guard row["kind"] as? String != "tool_result" else { continue }
      for (a, b) in zip(try Self.reals(row["logged"]), scored) { #expect(abs(try #require(a) - #require(b)) < 5e-5) }
      let lists = try ["top", "candidates"].map { key in
        let data = Data(try #require(row[key] as? String).utf8)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [[[Double]]])
      }
      for (logged, mine) in zip(lists[0], lists[1]) {
        #expect(mine.count == 5)
        for (a, b) in zip(logged, mine) { #expect(abs(a[1] - b[1]) < 5e-5) }
      }
    }
    // The log itself is as it was.
    let twice = try Tool.run(["rescore", database, "--policy", Self.policy, "--top-k", "5", "--name", "tiny"])
    #expect(twice.status == 0 && twice.errors.contains("nothing was left to do"))
  }

  @Test("yes for the checkpoint that made the log, no for another")
  func mismatch() throws {
    #expect(try rescore("--name", "same").status == 0)
    func verdict(_ name: String) throws -> (String, [String: Any]) {
      let document = try #require(try json("mismatch", database, "--evidence", name) as? [String: Any])
      let runs = try #require(document["runs"] as? [[String: Any]])
      let run = try #require(runs.first { $0["run_id"] as? String == "ids" })
      let text = try #require(runs.first { $0["run_id"] as? String == "text" })
      #expect(text["verdict"] as? String == "cannot tell")
      return (try #require(run["verdict"] as? String), run)
    }
    let (same, run) = try verdict("same")
    #expect(same == "yes")
    #expect(try #require(run["mean_abs"] as? Double) < 1e-5 && run["tokens"] as? Int == 936)
    #expect((run["turns"] as? [[String: Any]])?.count == 3 && (run["worst"] as? [Any])?.count == 10)
    #expect(try rescore("--name", "other", policy: otherPolicy(0.3)).status == 0)
    #expect(try verdict("other").0 == "no")
    #expect(try rescore("--name", "close", policy: otherPolicy(0.003)).status == 0)
    #expect(try ["yes, within 16-bit rounding", "probably not"].contains(verdict("close").0))
    // At another temperature nothing can be said.
    #expect(try rescore("--name", "hot", "--temperature", "1").status == 0)
    #expect(try verdict("hot").0 == "cannot tell")
    let page = try Tool.run(["mismatch", database, "--evidence", "same", "--tokenizer", Self.policy])
    #expect(page.status == 0 && page.text.contains("yes: this checkpoint made this log"))
    for by in ["run", "turn", "token"] {
      let csv = try Tool.run(["mismatch", database, "--evidence", "same", "--by", by, "--format", "csv"])
      let lines = try Tool.run(["mismatch", database, "--evidence", "same", "--by", by, "--format", "ndjson"])
      #expect(csv.text.split(separator: "\r\n").count == lines.text.split(separator: "\n").count + 1)
      if by == "token" { #expect(lines.text.split(separator: "\n").count == 936) }
    }
  }

  @Test("text alone is tokenised and marked, and can then be audited; the drift of ids is told")
  func text() throws {
    let run = try rescore("--name", "tiny", "--format", "ndjson")
    #expect(run.status == 0, "\(run.errors)")
    let rows = try run.text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(rows[0]["retokenized"] as? Int == 0 && rows[0]["matched"] as? Int == 0 && rows[0]["missing"] as? Int == 0)
    #expect(try #require(rows[0]["drift_share"] as? Double) > 0.01)
    #expect(rows[1]["retokenized"] as? Int == 12 && rows[1]["prompt_retokenized"] as? Int == 12)
    let marks = try #require(
      try json("query", database, "SELECT DISTINCT run_id, ids, prompt FROM rescored ORDER BY 1") as? [[String: String]]
    )
    #expect(
      marks == [
        ["run_id": "ids", "ids": "logged", "prompt": "logged"],
        ["run_id": "text", "ids": "retokenized", "prompt": "retokenized"],
      ])
    func audit(_ arguments: String...) throws -> [[String: Any]] {
      let run = try Tool.run(["audit", database, "--bootstrap", "0", "--format", "json"] + arguments)
      #expect(run.status == 0, "\(run.errors)")
      let document = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
      return try #require(document["runs"] as? [[String: Any]])
    }
    #expect(try audit("--run", "text")[0]["tokens_with_value"] as? Int == 0)
    let recomputed = try audit("--evidence", "tiny")
    for run in recomputed {
      #expect((run["recomputed_by"] as? String)?.hasPrefix("tiny: policy") == true)
      #expect(run["tokens_with_value"] as? Int == run["generated_tokens"] as? Int)
      #expect(run["text_only_trajectories"] as? Int == 0 && run["tool_results"] as? Int == 24)
    }
    // Three of four trajectories of a group have the same tokens either way, so the two audits are close.
    let logged = try audit("--run", "ids")
    #expect(logged[0]["recomputed_by"] is NSNull && logged[0]["generated_tokens"] as? Int == 936)
    #expect(recomputed[0]["generated_tokens"] as? Int == 936)
  }

  @Test("ids outside the vocabulary and missing prompts are counted and named; nothing at all is a failure")
  func gaps() throws {
    let log = [
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"bad"}"#,
      #"{"kind":"group","group_id":"g","prompt_token_ids":[1,2]}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"far","token_ids":[3,4,99999,5]}"#,
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"fine","token_ids":[3,4,5]}"#,
      #"{"kind":"trajectory","group_id":"h","trajectory_id":"bare","token_ids":[3,4,5]}"#,
    ]
    #expect(try Tool.run(["import", database, try folder.write(log, "bad.jsonl"), "--quiet"]).status == 0)
    let run = try rescore("--run", "bad", "--name", "x")
    #expect(run.status == 0, "\(run.errors)")
    #expect(
      run.errors.contains(
        "trajectory far of group g: the id 99999 at response index 2 is outside the vocabulary of 907"))
    #expect(run.errors.contains("trajectory bare of group h: the log has no prompt"))
    let alone = try Tool.run(["rescore", database, "--policy", Self.policy, "--group", "h", "--name", "y"])
    #expect(alone.status == 1 && alone.errors.contains("no trajectory could be scored"))
    let allowed = try rescore("--group", "h", "--name", "z", "--without-prompt")
    #expect(allowed.status == 0, "\(allowed.errors)")
    let rows = try #require(
      try json("query", database, "SELECT prompt, scored, missing FROM rescored WHERE name = 'z'") as? [[String: Any]])
    #expect(rows[0]["prompt"] as? String == "none" && rows[0]["scored"] as? Int == 2 && rows[0]["missing"] as? Int == 1)
  }

  @Test("killed anywhere, the same command goes on; the end is the same")
  func killed() throws {
    #expect(try rescore("--name", "tiny", "--top-k", "2").status == 0)
    let query = """
      SELECT g.group_id, t.trajectory_id, s.ordinal, hex(x.token_ids) AS i, hex(x.logprobs) AS l, hex(x.entropies) AS e,
        hex(x.top_logprobs) AS k FROM rescored_tokens x JOIN evidence_set n ON n.id = x.evidence_set AND n.name = 'NAME'
      JOIN segment s ON s.id = x.segment JOIN trajectory t ON t.id = s.trajectory JOIN prompt_group g ON g.id = t.prompt_group
      ORDER BY t.id, s.ordinal
      """
    func rows(_ name: String) throws -> String {
      try Tool.run(["query", database, query.replacing("NAME", with: name), "--format", "ndjson"]).text
    }
    var generator = SeededGenerator(seed: 2)
    for signal in [SIGKILL, SIGINT] {
      let name = "killed\(signal)"
      for _ in 0..<4 {
        let running = try Tool.start(
          ["rescore", database, "--policy", Self.policy, "--name", name, "--top-k", "2"])
        usleep(UInt32.random(in: 10_000...250_000, using: &generator))
        running.send(signal: signal)
        let status = try running.wait().status
        #expect([0, 130, -SIGKILL].contains(status))
        // It may have been struck when all was done.
        let state = try DatabaseDump.value(database, "SELECT state FROM evidence_set WHERE name = '\(name)'")
        let audit = try Tool.run(["audit", database, "--evidence", name])
        #expect(audit.status == (state == "complete" ? 0 : 1), "\(state ?? "none"): \(audit.errors)")
        #expect(status != 0 || state == "complete")
      }
      #expect(try rescore("--name", name, "--top-k", "2").status == 0)
      #expect(try rows(name) == rows("tiny") && !rows(name).isEmpty)
    }
  }

  @Test("a group that has grown is scored again, the others are not")
  func grown() throws {
    #expect(try rescore("--run", "ids", "--name", "tiny").status == 0)
    let logged = try String(contentsOf: Self.fixture.appending(path: "ids.jsonl"), encoding: .utf8)
    let log = [
      String(logged.prefix { $0 != "\n" }),
      #"{"kind":"trajectory","group_id":"q0","step":1,"trajectory_id":"new","token_ids":[3,4,5]}"#,
    ]
    #expect(try Tool.run(["import", database, try folder.write(log, "more.jsonl"), "--quiet"]).status == 0)
    let run = try rescore("--run", "ids", "--name", "tiny", "--format", "json")
    #expect(run.status == 0 && run.text.contains("\"trajectories\":13"), "\(run.errors)")
  }

  @Test("another checkpoint or other options under the same name are refused without --replace")
  func sameName() throws {
    #expect(try rescore("--name", "tiny").status == 0)
    let other = try otherPolicy(0.1)
    let refused = try rescore("--name", "tiny", policy: other)
    #expect(refused.status == 1 && refused.errors.contains("another checkpoint"))
    #expect(
      try rescore("--name", "tiny", "--temperature", "2").errors.contains(
        "another temperature: each run's own, not 2.0"))
    #expect(try rescore("--name", "tiny", "--replace", policy: other).status == 0)
    #expect(try Tool.run(["audit", database, "--evidence", "nope"]).errors.contains("the database has: tiny"))
  }

  @Test("an adapter takes part and is named")
  func adapter() throws {
    let checkpoint = try Checkpoint(directory: Self.policy)
    var generator = SeededGenerator(seed: 4)
    var adapter = try LoRAAdapter(
      fresh: LoRASettings(rank: 2, alpha: 4), for: checkpoint.config, using: &generator)
    try adapter.write(to: folder.path("zero"))
    for module in adapter.modules {
      let count = adapter.factors[module]?.b.count ?? 0
      adapter.factors[module]?.b = (0..<count).map { _ in Float.random(in: -0.5...0.5, using: &generator) }
    }
    try adapter.write(to: folder.path("strong"))
    for (name, verdict) in [("zero", "yes"), ("strong", "no")] {
      let run = try rescore("--adapter", folder.path(name), "--run", "ids")
      #expect(run.status == 0, "\(run.errors)")
      let document = try #require(
        try json("mismatch", database, "--evidence", "policy+\(name)", "--run", "ids") as? [String: Any])
      #expect((document["runs"] as? [[String: Any]])?.first?["verdict"] as? String == verdict)
    }
  }

  @Test("a broken or unknown checkpoint is a clear error and leaves no trace in the database")
  func badPolicy() throws {
    let bad = folder.path("bad")
    try FileManager.default.copyItem(atPath: Self.policy, toPath: bad)
    try Data("{\"model_type\":\"mixtral\"}".utf8).write(to: URL(filePath: bad + "/config.json"))
    let run = try rescore(policy: bad)
    #expect(run.status == 1 && run.errors.contains("the model type 'mixtral'"))
    #expect(try rescore(policy: folder.path("nowhere")).status == 1)
    #expect(try (json("query", database, "SELECT * FROM evidence_sets") as? [Any])?.isEmpty == true)
    #expect(try rescore("--top-k", "-1").status == 64)
  }

  @Test("attribution by entropies stands on what was recomputed, and says so")
  func attribution() throws {
    #expect(try rescore("--name", "tiny").status == 0)
    let run = try Tool.run(["attribute", database, "--strategy", "grpo", "--evidence", "tiny", "--format", "ndjson"])
    #expect(run.status == 0 && run.errors.contains("evidence tiny: policy"), "\(run.errors)")
    let branches = try Tool.run(["branches", database, "--evidence", "tiny", "--format", "json"])
    #expect(branches.status == 0 && branches.text.contains("\"recomputed_by\":\"tiny: policy"), "\(branches.errors)")
  }

  @Test("a comparison and a tree stand on what was recomputed, and say so")
  func comparisonAndTree() throws {
    let log = try folder.write(
      [#"{"schema":"arpo-rollout/1","kind":"run","run_id":"bare"}"#]
        + (0..<4).map {
          #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#($0)","token_ids":[1,2,\#(3 + $0),4],"reward":\#($0 % 2),"segments":[{"kind":"tool_call","start":0,"end":1,"tool":"t"},{"kind":"tool_result","start":1,"end":2,"tool":"t"},{"kind":"answer","start":2,"end":4}]}"#
        }, "bare.jsonl")
    #expect(try Tool.run(["import", database, log, "--quiet"]).status == 0)
    #expect(try rescore("--name", "tiny", "--run", "bare", "--without-prompt", "--top-k", "5").status == 0)
    let compare = ["compare", database, "--run", "bare", "--strategies", "aepo,grpo", "--bootstrap", "0"]
    let tree = ["tree", database, "g", "--run", "bare"]
    for (command, key) in [(compare, "tokens"), (tree, "entropy_estimator")] {
      func found(_ more: [String]) throws -> (document: [String: Any], errors: String) {
        let run = try Tool.run(command + ["--format", "json"] + more)
        #expect(run.status == 0, "\(run.errors)")
        let whole = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
        return ((whole["runs"] as? [[String: Any]])?.first ?? whole, run.errors)
      }
      func value(_ document: [String: Any]) -> String {
        // AEPO has no advantage, and the tree no entropies, where the log has no candidates.
        "\(((document["pairs"] as? [[String: Any]])?.first ?? document)[key] ?? "?")"
      }
      let (logged, _) = try found([])
      let (recomputed, talk) = try found(["--evidence", "tiny"])
      #expect(logged["recomputed_by"] is NSNull && talk.contains("evidence tiny: policy"))
      #expect((recomputed["recomputed_by"] as? String)?.hasPrefix("tiny: policy") == true)
      #expect(value(logged) != value(recomputed), "\(key): \(value(logged))")
      #expect(try Tool.run(command + ["--evidence", "tiny"]).text.contains("recomputed"))
      #expect(try Tool.run(command + ["--evidence", "nobody"]).status == 1)
    }
  }

  @Test("the only values need no name; of several one must be named")
  func theOnlyEvidence() throws {
    let none = try Tool.run(["mismatch", database])
    #expect(none.status == 1 && none.errors.contains("arpo-replay rescore"))
    #expect(try rescore("--name", "tiny").status == 0)
    let only = try Tool.run(["mismatch", database, "--format", "json"])
    #expect(only.status == 0 && only.errors.contains("evidence tiny: policy"), "\(only.errors)")
    #expect(try only.text == Tool.run(["mismatch", database, "--evidence", "tiny", "--format", "json"]).text)
    for command in [["mismatch", database], ["rescore", database, "--policy", Self.policy, "--name", "tiny"]] {
      let plain = try Tool.run(command + ["--plain"], environment: ["LANG": "C.UTF-8"])
      #expect(plain.status == 0 && !plain.output.isEmpty && plain.output.allSatisfy { $0 < 0x80 }, "\(plain.errors)")
    }
    #expect(try rescore("--name", "second", "--temperature", "0.5").status == 0)
    let several = try Tool.run(["mismatch", database])
    #expect(several.status == 1 && several.errors.contains("--evidence: second, tiny"), "\(several.errors)")
  }
}
