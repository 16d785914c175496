import Foundation
import Replay
import Testing
import TestSupport

/// `attribute`, `compare`, `tree` and `score`: the real program on logs of known content.
@Suite struct AttributionCommandTests {
  private let folder: TemporaryFolder
  private let database: String
  private static let log = TestPaths.ownGoldens.appending(path: "analysis/branched.jsonl.zst").path

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
    let run = try Tool.run(["import", database, Self.log, "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
  }

  private func json(_ arguments: [String]) throws -> Any {
    let run = try Tool.run(arguments + ["--format", "json"])
    #expect(run.status == 0, "\(arguments): \(run.errors)")
    return try JSONSerialization.jsonObject(with: run.output)
  }

  private func rows(_ arguments: [String]) throws -> [[String: Any]] { try json(arguments) as? [[String: Any]] ?? [] }

  private func object(_ arguments: [String]) throws -> [String: Any] { try json(arguments) as? [String: Any] ?? [:] }

  // MARK: attribute

  /// Every strategy's tokens, through the command, the database and back, against the reference.
  @Test(arguments: ["mini", "branched", "rewards", "undeclared"]) func goldenTokens(name: String) throws {
    let url = TestPaths.ownGoldens.appending(path: "analysis/\(name).jsonl.zst")
    let path = folder.path("\(name).db")
    #expect(try Tool.run(["import", path, url.path, "--quiet"]).status == 0)
    let expected = try GoldenJSON.object(TestPaths.ownGoldens.appending(path: "analysis/\(name).expected.json"))
    let golden = try #require(expected["advantages"] as? [String: [String: Any]])
    let dapo = golden["dapo"]?["params"] as? [String: Double] ?? [:]
    let settings = ["cap", "buffer", "factor"].flatMap { ["--param", "dapo.\($0)=\(dapo[$0] ?? 1)"] }
    let names = golden.keys.sorted()
    let found = try rows(
      ["attribute", path, "--strategy", names.joined(separator: ","), "--per-token"] + settings)
    let lengths = Dictionary(
      uniqueKeysWithValues: (expected["trajectories"] as? [[String: Any]] ?? []).map {
        ($0["id"] as? String ?? "", $0["length"] as? Int ?? 0)
      })
    #expect(found.count == names.count * lengths.count)
    for row in found {
      let (strategy, id) = (row["strategy"] as? String ?? "", row["trajectory_id"] as? String ?? "")
      let entry = try #require(golden[strategy])
      let got = row["advantages"] as? [Double]
      if let runs = (entry["runs"] as? [String: Any])?[id] {
        let runs = runs as? [String: [Double]]
        let values = runs.map { runs in
          zip(runs["counts"] ?? [], runs["values"] ?? []).flatMap { [Double](repeating: $1, count: Int($0)) }
        }
        // Without candidates AEPO has no entropies: the command gives nothing where the reference gives GRPO.
        if strategy == "aepo", name == "rewards" {
          #expect(got == nil)
          continue
        }
        #expect(got?.count == values?.count && (got == nil) == (values == nil), "\(strategy) \(id)")
        let worst = zip(got ?? [], values ?? []).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
        // The small log has decimals that are no float32.
        #expect(worst <= (name == "mini" ? 1e-5 : 1e-9), "\(strategy) \(id)")
      } else {
        let value = (entry["values"] as? [String: Any])?[id] as? Double
        #expect((got == nil) == (value == nil) && (got ?? []).count == (value == nil ? 0 : lengths[id]))
        for x in got ?? [] where x != 0 { #expect(abs(x - (value ?? 0)) <= 1e-9 * max(1, abs(value ?? 0))) }
      }
    }
  }

  @Test func theSameRowsInEveryFormat() throws {
    for options in [[], ["--per-token"], ["--summary"]] {
      let base = ["attribute", database, "--strategy", "arpo-hard,aepo"] + options
      let json = try rows(base)
      let lines = try Tool.run(base + ["--format", "ndjson"]).text.split(separator: "\n")
      let csv = try Tool.run(base + ["--format", "csv"]).text.split(separator: "\r\n")
      #expect(json.count == lines.count && csv.count == lines.count + 1 && lines.count >= 2)
      #expect(csv[0].split(separator: ",").count == json[0].count)
    }
    let segments = try rows(["attribute", database, "--strategy", "arpo-hard"])
    let unscored = segments.filter { $0["reward"] is NSNull }
    #expect(!unscored.isEmpty && unscored.allSatisfy { $0["mean"] is NSNull && $0["segment"] is NSNull })
    let page = try Tool.run(["attribute", database, "--strategy", "arpo-hard,grpo"], environment: ["COLUMNS": "80"])
    #expect(page.text.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(page.text.prefix(400))")
  }

  @Test func resultsAreKeptByName() throws {
    let first = try Tool.run(["attribute", database, "--strategy", "gigpo", "--name", "x", "--summary"])
    #expect(first.status == 0 && first.errors.contains("x: 37 trajectories") && first.errors.contains("4 unscored"))
    let again = try Tool.run(["attribute", database, "--strategy", "gigpo", "--name", "x", "--summary"])
    #expect(again.status == 0 && again.errors.contains("already"))
    let other = [
      "attribute", database, "--strategy", "gigpo", "--param", "gigpo.gamma=0.5", "--name", "x", "--summary",
    ]
    let refused = try Tool.run(other)
    #expect(refused.status == 1 && refused.errors.contains("--replace") && refused.errors.contains("0.95"))
    #expect(try Tool.run(other + ["--replace"]).status == 0)
    let kept = try rows(["query", database, "SELECT name, parameters, state, trajectories, missing FROM attributions"])
    #expect(kept.count == 1 && kept[0]["state"] as? String == "complete" && kept[0]["missing"] as? Int == 4)
    #expect((kept[0]["parameters"] as? String)?.contains("\"gamma\":0.5") == true)
    _ = try Tool.run(["attribute", database, "--strategy", "grpo,rloo", "--name", "y", "--summary"])
    let names = try rows(["query", database, "SELECT DISTINCT name FROM advantages ORDER BY name"])
    #expect(names.compactMap { $0["name"] as? String } == ["x", "y/grpo:verl", "y/rloo"])
  }

  @Test func wrongRequestsAreOneSentence() throws {
    for (arguments, words) in [
      (["--strategy", "nope"], "there is no strategy nope"), ([], "--list-strategies"),
      (["--strategy", "grpo", "--param", "dapo.cap=1"], "not among the strategies"),
      (["--strategy", "dapo", "--param", "dapo.cap=1.5"], "whole number"),
      (["--strategy", "dapo", "--param", "dapo.cap"], "strategy.name=value"),
      (["--strategy", "tree-grpo", "--param", "tree-grpo.epsilon=1"], "no parameter epsilon"),
      (["--strategy", "grpo", "--per-token", "--summary"], "choose one"),
      (["--strategy", "grpo", "--token", "3"], "--explain"),
    ] {
      let run = try Tool.run(["attribute", database] + arguments)
      #expect(run.status == 64 && run.output.isEmpty && run.errors.contains(words), "\(arguments): \(run.errors)")
    }
    #expect(try Tool.run(["attribute", folder.path("no.db"), "--strategy", "grpo"]).status == 1)
    #expect(!FileManager.default.fileExists(atPath: folder.path("no.db")))
    let unknown = try Tool.run(["attribute", database, "--strategy", "grpo", "--run", "nobody"])
    #expect(unknown.status == 1 && unknown.errors.contains("branched"))
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM attribution") == "0")
  }

  @Test func strategiesAreListed() throws {
    let list = try rows(["attribute", "--list-strategies"])
    #expect(list.compactMap { $0["name"] as? String } == AttributionStrategies.all.map(\.name))
    #expect(
      list.allSatisfy {
        ($0["formula"] as? String)?.contains("A") == true && !(($0["source"] as? String) ?? "").isEmpty
      })
    let text = try Tool.run(["attribute", "--list-strategies"]).text
    #expect(text.contains("--param gigpo:mean.gamma=0.95"))
  }

  /// Killed or interrupted, nothing half done is taken for a result, and the same command makes all of it.
  @Test(arguments: [SIGKILL, SIGINT]) func interruptedAndAgain(signal: Int32) throws {
    var shape = SyntheticLog.Shape()
    shape.groups = 60
    shape.forks = 8
    shape.tokens = 60
    let log = try folder.write(SyntheticLog(seed: 7, shape).lines, "large.jsonl")
    let (alone, struck) = (folder.path("alone.db"), folder.path("struck.db"))
    for path in [alone, struck] { #expect(try Tool.run(["import", path, log, "--quiet"]).status == 0) }
    let arguments = ["--strategy", "all", "--summary", "--format", "json"]
    let start = Date.now
    #expect(try Tool.run(["attribute", alone] + arguments).status == 0)
    let seconds = -start.timeIntervalSinceNow
    var ended = 0
    for share in [0.2, 0.5, 0.8, 0.4, 0.6] {
      let running = try Tool.start(["attribute", struck] + arguments)
      usleep(UInt32(share * seconds * 1e6))
      running.send(signal: signal)
      let status = try running.wait().status
      if status == -SIGKILL || status == 130 { ended += 1 }
      if status == 130 {
        #expect(try DatabaseDump.value(struck, "SELECT count(*) FROM attribution WHERE state = 'writing'") == "0")
      }
      let complete = try DatabaseDump.value(struck, "SELECT count(*) FROM attributions WHERE state = 'complete'") ?? ""
      #expect(complete == "0" || status == 0 || complete == "25")
    }
    #expect(ended > 0)
    #expect(try Tool.run(["attribute", struck] + arguments).status == 0)
    let sql = """
      SELECT name || ' ' || trajectory_id || ' ' || coalesce(mean, '-') || ' ' || coalesce(hex(runs), '-') FROM advantages
      ORDER BY name, trajectory_id
      """
    let (a, b) = try (DatabaseDump.strings(alone, sql), DatabaseDump.strings(struck, sql))
    #expect(a == b && a.count > 25 * 100)
    let other = "SELECT count(*) FROM advantage WHERE attribution NOT IN (SELECT id FROM attribution)"
    #expect(try DatabaseDump.value(struck, other) == "0")
  }

  // MARK: compare

  /// The reference's comparisons, through the command.
  @Test func goldenComparisons() throws {
    let expected = try GoldenJSON.object(TestPaths.ownGoldens.appending(path: "analysis/branched.expected.json"))
    let golden = try #require(expected["comparisons"] as? [[String: Any]])
    let names = Set(golden.flatMap { [$0["a"] as? String, $0["b"] as? String] }.compactMap { $0 }).sorted()
    let found = try object(
      ["compare", database, "--strategies", names.joined(separator: ","), "--bootstrap", "50", "--top", "2"])
    let run = try #require((found["runs"] as? [[String: Any]])?.first)
    let pairs = try #require(run["pairs"] as? [[String: Any]])
    for row in golden {
      let pair = try #require(
        pairs.first { pair in
          Set([pair["a"] as? String, pair["b"] as? String]) == Set([row["a"] as? String, row["b"] as? String])
        })
      for key in ["pearson", "spearman", "sign_flip", "mean_abs_delta"] {
        let value = (pair[key] as? [String: Any])?["value"] as? Double
        #expect(abs((value ?? 9) - (row[key] as? Double ?? -9)) < 1e-9, "\(key)")
      }
    }
    let csv = try Tool.run(["compare", database, "--rows", "segments", "--format", "csv", "--top", "2"])
    #expect(csv.status == 0 && csv.text.split(separator: "\r\n").count > 4)
    #expect(
      try Tool.run(["compare", database, "--seed", "3"]).text
        == Tool.run(["compare", database, "--seed", "3", "--threads", "1"]).text)
  }

  /// Advantages in the log are one more column, and the strategy that made them is found.
  @Test func loggedAdvantagesAreHeldAgainstRecomputedOnes() throws {
    var lines = [#"{"schema":"arpo-rollout/1","kind":"run","run_id":"r"}"#]
    for g in 0..<6 {
      let rewards = [1.0, 0, Double(g) / 10]
      let advantages = GRPO(.verl).advantages(rewards: rewards, weights: [1, 1, 1])
      for i in 0..<3 {
        let a = advantages[i] ?? 0
        let logged = i == 0 ? "\"advantage\":\(a)" : "\"advantages\":[\(a),\(a),0.0]"
        lines.append(
          #"{"kind":"trajectory","group_id":"g\#(g)","trajectory_id":"g\#(g)/\#(i)","token_ids":[\#(i),2,3],"loss_mask":[1,1,0],"reward":\#(rewards[i]),\#(logged)}"#
        )
      }
    }
    let path = folder.path("logged.db")
    #expect(try Tool.run(["import", path, try folder.write(lines, "logged.jsonl"), "--quiet"]).status == 0)
    let run = try #require(
      (try object(["compare", path, "--strategies", "grpo,dr-grpo"])["runs"] as? [[String: Any]])?.first)
    let pairs = try #require(run["pairs"] as? [[String: Any]])
    let logged = pairs.filter { $0["b"] as? String == "logged" }
    #expect(logged.count == 2 && logged.allSatisfy { $0["tokens"] as? Int == 36 })
    #expect(logged[0]["verdict"] as? String == "equal" && logged[1]["differing_tokens"] as? Int ?? 0 > 0)
    let page = try Tool.run(["compare", path, "--strategies", "grpo,dr-grpo"]).text
    #expect(page.contains("own advantages against the recomputed"))
    // A log without any has no such column.
    #expect(!(try Tool.run(["compare", database]).text).contains("logged"))
  }

  // MARK: tree

  @Test func treesInEveryFormat() throws {
    let document = try object(["tree", database, "branched-g1", "--strategy", "arpo-hard,treerl"])
    let nodes = try #require(document["nodes"] as? [[String: Any]])
    let expected = try GoldenJSON.object(TestPaths.ownGoldens.appending(path: "analysis/branched.expected.json"))
    let golden = try #require((expected["tree"] as? [String: [[String: Any]]])?["branched-g1"])
    #expect(nodes.count == golden.count)
    for (node, row) in zip(nodes, golden) {
      #expect(node["owner"] as? String == row["owner"] as? String && node["start"] as? Int == row["start"] as? Int)
      #expect(node["leaves"] as? [String] == row["leaves"] as? [String])
      #expect((node["parent"] as? Int ?? -1) == row["parent"] as? Int)
    }
    let any = try object(["tree", database, "branched-g1", "--shared-prefix", "any"])
    #expect((any["nodes"] as? [Any])?.count == (expected["tree_any"] as? [String: [Any]])?["branched-g1"]?.count)
    let csv = try Tool.run(["tree", database, "branched-g1", "--format", "csv"]).text.split(separator: "\r\n")
    #expect(csv.count == nodes.count + 1 && csv[0].hasSuffix("arpo-hard,grpo:verl"))
  }

  @Test func drawingsDegrade() throws {
    let wide = try Tool.run(["tree", database, "branched-g1"], environment: ["LANG": "C.UTF-8"])
    #expect(wide.text.contains("├╴") && !wide.output.contains(0x1B))
    for columns in [80, 120] {
      let plain = try Tool.run(
        ["tree", database, "branched-g1", "--plain"], environment: ["COLUMNS": "\(columns)"])
      #expect(plain.output.allSatisfy { $0 < 0x80 } && plain.text.contains("|-") && plain.text.contains("`-"))
      #expect(plain.text.split(separator: "\n").allSatisfy { $0.count <= columns }, "\(plain.text)")
    }
    let folded = try Tool.run(["tree", database, "branched-g1", "--rows", "8"])
    #expect(folded.text.contains("folded") && folded.text.contains("[+"))
    let all = try Tool.run(["tree", database, "branched-g1", "--rows", "0"])
    #expect(
      !all.text.contains("[+") && all.text.split(separator: "\n").count > folded.text.split(separator: "\n").count)
    let level = try Tool.run(["tree", database, "branched-g1", "--depth", "0"])
    #expect(!level.text.contains("├╴"))
  }

  @Test func groupsThatAreNotOne() throws {
    let lines = [
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"one"}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"a","step":1,"token_ids":[1],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"b","step":2,"token_ids":[1],"reward":1}"#,
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"two"}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"c","step":1,"token_ids":[1],"reward":1}"#,
    ]
    let path = folder.path("several.db")
    #expect(try Tool.run(["import", path, try folder.write(lines, "several.jsonl"), "--quiet"]).status == 0)
    let several = try Tool.run(["tree", path, "p"])
    #expect(
      several.status == 1 && several.errors.contains("--run one --step 1") && several.errors.contains("--run two"))
    #expect(try Tool.run(["tree", path, "p", "--run", "one"]).status == 1)
    #expect(try Tool.run(["tree", path, "p", "--run", "one", "--step", "2"]).text.contains("step 2"))
    #expect(try Tool.run(["tree", path, "p", "--run", "two"]).status == 0)
    let elsewhere = try Tool.run(["tree", path, "p", "--run", "two", "--step", "2"])
    #expect(elsewhere.status == 1 && elsewhere.errors.contains("but in run one"))
    let nowhere = try Tool.run(["tree", path, "q"])
    #expect(nowhere.status == 1 && nowhere.errors.contains("there is no group q") && nowhere.errors.contains("p"))
  }

  // MARK: --explain

  @Test(arguments: ["attribute", "compare", "tree"]) func explanationsEndInTheAdvantage(command: String) throws {
    let base =
      command == "tree"
      ? ["tree", database, "branched-g0", "--strategy", "all"] : [command, database, "--strategies", "all"]
    let explained = try object(
      base + ["--explain", "--trajectory", "branched-g0/4", "--token", "5"])
    let strategies = try #require(explained["strategies"] as? [[String: Any]])
    #expect(strategies.count == AttributionStrategies.all.count && explained["token"] as? Int == 5)
    var numbers = 0
    for strategy in strategies {
      let last = (strategy["terms"] as? [[String: Any]])?.last
      guard let advantage = strategy["advantage"] as? Double else {
        #expect(last == nil && !((strategy["notes"] as? [Any]) ?? []).isEmpty)
        continue
      }
      numbers += 1
      #expect(last?["symbol"] as? String == "A")
      #expect(abs((last?["value"] as? Double ?? 99) - advantage) <= 1e-9 * max(1, abs(advantage)))
    }
    #expect(numbers == AttributionStrategies.all.count - 1)
    let text = try Tool.run(base + ["--explain"])
    #expect(
      text.status == 0 && text.text.contains("token 0 of branched-g0/0")
        && text.text.contains("(r - mean) / (std + epsilon)"))
    #expect(try Tool.run(base + ["--explain", "--trajectory", "nobody"]).errors.contains("no trajectory nobody"))
    #expect(try Tool.run(base + ["--explain", "--token", "99999"]).status == 1)
    // An explanation keeps nothing.
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM attribution") == "0")
  }

  // MARK: score

  @Test func scoresByHand() throws {
    var lines: [String] = []
    for (run, shift) in [("arpo", 0), ("grpo", 1)] {
      lines.append(#"{"schema":"arpo-rollout/1","kind":"run","run_id":"\#(run)","algorithm":"\#(run)"}"#)
      for g in 0..<4 {
        for i in 0..<4 {
          let reward = i == 0 ? -1.0 : i <= g + shift ? 1.0 : 0
          lines.append(
            #"{"kind":"trajectory","group_id":"q\#(g)","trajectory_id":"\#(run)\#(g)/\#(i)","data_source":"\#(g % 2 == 0 ? "aime" : "gaia")","step":1,"token_ids":[1,2,\#(i)],"segments":[{"kind":"tool_call","start":0,"end":1,"tool":"search"},{"kind":"tool_result","start":1,"end":2,"tool":"search"},{"kind":"answer","start":2,"end":3}],"reward":\#(reward)}"#
          )
        }
      }
    }
    let path = folder.path("score.db")
    #expect(try Tool.run(["import", path, try folder.write(lines, "score.jsonl"), "--quiet"]).status == 0)
    let found = try object(["score", path, "--by", "data_source", "--k", "1,2", "--against", "arpo"])
    let rows = try #require(found["rows"] as? [[String: Any]])
    #expect(rows.compactMap { $0["run_id"] as? String } == ["arpo", "arpo", "arpo", "grpo", "grpo", "grpo"])
    // arpo: rewards -1, then g ones of three.
    func number(_ row: Int, _ key: String) -> Double { rows[row][key] as? Double ?? .nan }
    #expect(number(0, "accuracy") == 0.125)
    #expect(number(0, "pass_at_1") == 0.375 && number(0, "format_failures") == 0.25)
    // Of pairs: none, a half, five of six, all.
    let pairs = [0, 0.5, 5.0 / 6, 1]
    #expect(abs(number(0, "pass_at_2") - pairs.reduce(0, +) / 4) < 1e-12)
    #expect(number(3, "accuracy_difference") == 0.1875 && rows[0]["accuracy_difference"] is NSNull)
    // The forks are inferred: equal calls with equal results are one.
    #expect(number(0, "executed_calls") == 0.25 && number(0, "independent_calls") == 1)
    #expect(rows[1]["data_source"] as? String == "aime" && rows[1]["is_total"] as? Bool == false)
    let table = try Tool.run(["score", path, "--by", "data_source"], environment: ["COLUMNS": "80"])
    #expect(table.text.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(table.text)")
    #expect(table.text.contains("gaia") && table.text.contains("the reward is -1"))
    #expect(try Tool.run(["score", path, "--against", "nobody"]).status == 1)
    #expect(
      try Tool.run(["score", path, "--by", "tool"]).status == 64 && Tool.run(["score", path, "--k", "0"]).status == 64)
  }

  // MARK: Real logs

  /// Whatever people have: text, ids without rewards, one leaf a group.
  @Test(.enabled(if: TestPaths.realLogs != nil)) func realLogs() throws {
    let logs = try #require(TestPaths.realLogs)
    let path = folder.path("real.db")
    _ = try Tool.run(
      ["import", path]
        + ["nemo-gym-tokens", "nemo-gym-tools-group", "openai-top-logprobs"].map { logs.appending(path: $0).path }
        + ["--quiet"])
    let summary = try rows(["attribute", path, "--strategy", "all", "--summary"])
    #expect(summary.count == AttributionStrategies.all.count && summary.allSatisfy { $0["violations"] as? Int == 0 })
    // Rewards 0, 0, 1, 1, 0 of five.
    let soft = try rows([
      "query", path, "SELECT mean FROM advantages WHERE name = 'dr-grpo' AND run_id LIKE 'anyswe%' ORDER BY mean",
    ]).compactMap { $0["mean"] as? Double }
    #expect(soft.count == 5 && zip(soft, [-0.4, -0.4, -0.4, 0.6, 0.6]).allSatisfy { abs($0 - $1) < 1e-12 })
    for arguments in [["compare", path], ["score", path, "--by", "data_source"], ["compare", path, "--explain"]] {
      let run = try Tool.run(arguments)
      #expect(run.status == 0 && !run.text.isEmpty, "\(run.errors)")
    }
    let group = try #require(try DatabaseDump.value(path, "SELECT group_id FROM groups WHERE run_id LIKE 'anyswe%'"))
    let name = try #require(try DatabaseDump.value(path, "SELECT run_id FROM groups WHERE run_id LIKE 'anyswe%'"))
    let tree = try Tool.run(["tree", path, group, "--run", name])
    #expect(tree.status == 0 && tree.text.contains("5 leaves"), "\(tree.errors)")
  }
}
