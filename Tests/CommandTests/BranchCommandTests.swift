import Foundation
import Testing
import TestSupport

/// `branches`, `budget` and `simulate` on databases of fixtures.
@Suite struct BranchCommandTests {
  let folder: TemporaryFolder
  let database: String
  static let goldens = TestPaths.ownGoldens.appending(path: "analysis")
  static let draws = TestPaths.fixtures.appending(path: "branching/draws.jsonl").path

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
    let logs = ["branched", "textonly"].map { Self.goldens.appending(path: $0 + ".jsonl.zst").path }
    let run = try Tool.run(["import", database, "--quiet", Self.draws] + logs)
    #expect(run.status == 0, "\(run.errors)")
  }

  func ndjson(_ arguments: [String]) throws -> [[String: Any]] {
    let run = try Tool.run(arguments + ["--format", "ndjson"])
    #expect(run.status == 0, "\(run.errors)")
    return try run.text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  func document(_ arguments: [String]) throws -> [String: Any] {
    let run = try Tool.run(arguments + ["--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
  }

  static let uses: [[String]] = [
    ["branches"], ["branches", "--rule", "paper", "--normalizer", "lnV"], ["branches", "--timing", "post-result"],
    ["branches", "--calls"], ["budget"], ["simulate", "--repetitions", "5"],
    ["branches", "--sweep", "beta=0,0.5", "--sweep", "k=5:20:5", "--repetitions", "3"],
    ["branches", "--rule", "paper", "--sweep", "tau=0.4,0.5", "--sweep", "alpha=0.5", "--grid", "--repetitions", "3"],
  ]

  @Test(arguments: uses) func theSameRowsInEveryFormat(use: [String]) throws {
    let base = [use[0], database] + use.dropFirst()
    let lines = try ndjson(base)
    let csv = try Tool.run(base + ["--format", "csv"]).text.split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(csv.count == lines.count + 2 && csv.last == "" && lines.count > 1)
    for (line, row) in zip(lines, csv.dropFirst()) {
      #expect(line.count == csv[0].split(separator: ",").count)
      #expect(row.hasPrefix(line["run_id"] as? String ?? "?"))
    }
    let json = try Tool.run(base + ["--format", "json"])
    #expect(json.status == 0 && (try? JSONSerialization.jsonObject(with: json.output)) != nil)
  }

  /// However many threads: the same bytes.
  ///
  /// Plain output is ASCII, tables keep to their width.
  @Test(arguments: uses) func threadsAndWidths(use: [String]) throws {
    let base = [use[0], database] + use.dropFirst()
    for format in ["table", "json"] {
      let one = try Tool.run(base + ["--threads", "1", "--format", format])
      let four = try Tool.run(base + ["--threads", "4", "--format", format])
      #expect(one.status == 0 && one.output == four.output && !one.output.isEmpty)
      #expect(!one.output.contains(0x1B))
    }
    for width in [80, 120] {
      let run = try Tool.run(base + ["--plain"], environment: ["COLUMNS": "\(width)"])
      #expect(run.output.allSatisfy { $0 < 0x80 })
      // A row a decision is as wide as it has columns.
      if use.contains("--calls") { continue }
      let wide = run.text.split(separator: "\n").filter { $0.count > width }
      #expect(wide.isEmpty, "\(wide.prefix(3))")
    }
  }

  /// The rows of `--calls` are the events of the golden.
  @Test(arguments: [("code", "lagged"), ("code", "post-result"), ("paper", "post-result"), ("paper", "lagged")])
  func decisionsGolden(rule: String, timing: String) throws {
    let expected = try GoldenJSON.object(Self.goldens.appending(path: "branched.expected.json"))
    let events = try #require((expected["branching"] as? [String: Any])?["events"] as? [[String: Any]])
    let rows = try ndjson(
      ["branches", database, "--run", "branched", "--calls", "--rule", rule, "--timing", timing])
    try #require(rows.count == events.count)
    for (row, event) in zip(rows, events) {
      #expect(row["trajectory_id"] as? String == event["trajectory"] as? String)
      #expect(row["at"] as? Int == event["at"] as? Int && row["tool"] as? String == event["tool"] as? String)
      var now = (event[rule] as? [String: Any])?[timing] as? [String: Any]
      if rule == "paper" { now = now?["V"] as? [String: Any] }
      for (key, name) in [("dh", "dh"), ("p", "probability")] {
        let differences = GoldenJSON.differences(
          row[name] ?? NSNull(), now?[key] ?? NSNull(), tolerance: 1e-6, at: name)
        #expect(differences.isEmpty, "\(differences)")
      }
    }
  }

  /// The draws of the log decide as the log did, and the page says so.
  @Test func recordedDraws() throws {
    let document = try document(["branches", database, "--run", "draws-a", "--run", "draws-b"])
    let runs = try #require(document["runs"] as? [[String: Any]])
    for (run, count) in zip(runs, [82, 131]) {
      let recorded = try #require(run["recorded"] as? [String: Any])
      #expect(recorded["drawn"] as? Int == count && recorded["reproduced"] as? Int == count)
      let confusion = try #require(run["confusion"] as? [String: [String: Any]])
      #expect(
        confusion["not_branched"]?["points"] as? Int == 0 && confusion["budget_spent"]?["points"] as? Int ?? 0 > 0)
      let forks = try #require(run["forks"] as? [String: Any])
      #expect(forks["elsewhere"] as? Int == 0 && forks["at_start"] as? Int == 0)
    }
    let page = try Tool.run(["branches", database, "--run", "draws-a"], environment: ["COLUMNS": "200"]).text
    #expect(page.contains("82 of 82 draws decide the same"))
    // Replayed with other settings, the recorded draws are still held against the run's own.
    let other = try self.document(["branches", database, "--run", "draws-a", "--beta", "3", "--k", "1"])
    let recorded = (other["runs"] as? [[String: Any]])?.first?["recorded"] as? [String: Any]
    #expect(recorded?["reproduced"] as? Int == 82)
  }

  @Test func theBudgetGolden() throws {
    let expected = try GoldenJSON.object(Self.goldens.appending(path: "branched.expected.json"))
    let budget = try #require((expected["budget"] as? [String: Any])?["run"] as? [String: Any])
    let rows = try ndjson(["budget", database, "--run", "branched"])
    #expect(rows[0]["executed"] as? Int == budget["executed"] as? Int)
    #expect(rows[0]["independent"] as? Int == budget["independent"] as? Int)
    #expect(rows[0]["generated_unique"] as? Int == budget["generated_unique"] as? Int)
    let tools = rows.filter { $0["dimension"] as? String == "tool" }
    let whole = Dictionary(
      uniqueKeysWithValues: tools.map { ($0["key"] as? String ?? "", $0["independent"] as? Int ?? 0) })
    #expect(whole == budget["independent_by_tool"] as? [String: Int])
  }

  /// A log of text has no entropies: the commands say so, and give what they can.
  @Test func textOnly() throws {
    let page = try Tool.run(["branches", database, "--run", "textonly"])
    #expect(page.status == 0 && page.text.contains("the log is text only"))
    let rows = try ndjson(["simulate", database, "--run", "textonly", "--repetitions", "5"])
    for row in rows {
      let needsEntropy = (row["algorithm"] as? String)?.hasPrefix("a") == true
      if needsEntropy { #expect(row["decisions"] as? Double == 0 && row["unknown"] as? Double ?? 0 > 0) }
      #expect(row["generated_tokens"] is NSNull && row["calls"] is Double)
    }
    let simulated = try Tool.run(["simulate", database, "--run", "textonly", "--repetitions", "5"]).text
    #expect(simulated.contains("not simulated: arpo:code, arpo:paper, aepo:code, aepo:paper"))
    let budget = try ndjson(["budget", database, "--run", "textonly"])
    #expect(budget[0]["executed"] as? Int == 14 && budget[0]["generated_unique"] is NSNull)
  }

  /// A vocabulary that the log does not name is asked for.
  @Test func aMissingVocabulary() throws {
    let log = try String(contentsOfFile: Self.draws, encoding: .utf8)
      .replacing("\"tokenizer\":{\"name\":\"synthetic\",\"vocab_size\":1000},", with: "")
    try folder.write(log.split(separator: "\n").map(String.init), "nameless.jsonl")
    let nameless = folder.path("nameless.db")
    #expect(try Tool.run(["import", nameless, folder.path("nameless.jsonl"), "--quiet"]).status == 0)
    #expect(try Tool.run(["branches", nameless]).text.contains("--vocab-size"))
    let given = try document(["branches", nameless, "--vocab-size", "1000"])
    let whole = try document(["branches", database, "--run", "draws-a", "--run", "draws-b"])
    #expect(GoldenJSON.differences(given["runs"] as Any, whole["runs"] as Any, tolerance: 0).isEmpty)
  }

  @Test func simulationsCanBeRepeated() throws {
    let base = ["simulate", database, "--repetitions", "20", "--format", "csv"]
    let first = try Tool.run(base + ["--seed", "5"])
    let again = try Tool.run(base + ["--seed", "5"])
    #expect(first.status == 0 && first.output == again.output)
    #expect(try Tool.run(base + ["--seed", "6"]).output != first.output)
    // One algorithm alone draws what it draws beside others.
    // Spreads are over the groups that all algorithms have one in, and so depend on which they are.
    func ownNumbers(_ rows: [[String: Any]]) -> [[String: Any]] {
      rows.filter { $0["algorithm"] as? String == "global" }.map { row in row.filter { !$0.key.hasPrefix("spread") } }
    }
    let alone = ownNumbers(
      try ndjson(["simulate", database, "--repetitions", "20", "--seed", "5", "--algorithm", "global"]))
    let all = ownNumbers(try ndjson(["simulate", database, "--repetitions", "20", "--seed", "5"]))
    #expect(GoldenJSON.differences(alone, all, tolerance: 0).isEmpty)
  }

  /// A page as one line.
  private static func unwrapped(_ page: String) -> String {
    page.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// Over how many groups spreads are means, in every format.
  @Test func spreadsNameTheirGroups() throws {
    let log = (0..<6).flatMap { g -> [String] in
      let fork = g < 3
      func line(_ t: Int, _ tokens: String, _ reward: Double, _ parent: String = "") -> String {
        #"{"kind":"trajectory","group_id":"g\#(g)","trajectory_id":"g\#(g)/\#(t)",\#(parent)"token_ids":\#(tokens),"#
          + (parent.isEmpty ? #""loss_mask":[1,0,1],"# : "") + #""multiplicity":\#(t + 1),"reward":\#(reward)}"#
      }
      return [line(0, "[1,9,2]", fork ? 0 : 0.5), line(1, "[3,9,4]", fork ? 1 : 0.501)]
        + (fork ? [line(2, "[5]", 1, #""parent_id":"g\#(g)/0","branch_token_index":2,"#)] : [])
    }
    let path = folder.path("mixed.db")
    #expect(try Tool.run(["import", path, try folder.write(log, "mixed.jsonl"), "--quiet"]).status == 0)
    let base = ["simulate", path, "--repetitions", "40", "--algorithm", "tree-grpo,global"]
    let rows = try ndjson(base)
    #expect(rows.map { $0["spread_groups"] as? Int } == [3, 3])
    #expect(rows.map { $0["groups_with_spread"] as? Int } == [3, 6])
    #expect(rows.map { $0["copies_left_out"] as? Int } == [12, 12])
    #expect(rows.allSatisfy { $0["spread"] as? Double ?? 0 > 0.3 })
    let run = try #require((try document(base)["runs"] as? [[String: Any]])?.first)
    #expect(run["spread_groups"] as? Int == 3 && run["copies_left_out"] as? Int == 12)
    let page = Self.unwrapped(try Tool.run(base).text)
    #expect(page.contains("over the 3 of 6 groups in which every algorithm that has any has one (tree-grpo in 3)"))
    #expect(page.contains("12 leaves that records stand for as padded copies"))
  }

  /// What an algorithm of its own drew is not held against ARPO's coin.
  @Test func otherAlgorithmsDraws() throws {
    let log = try String(contentsOfFile: Self.draws, encoding: .utf8)
      .replacing("\"branching\":{\"algorithm\":\"arpo\"", with: "\"branching\":{\"algorithm\":\"mine\"")
    try folder.write(log.split(separator: "\n").map(String.init), "mine.jsonl")
    let mine = folder.path("mine.db")
    #expect(try Tool.run(["import", mine, folder.path("mine.jsonl"), "--quiet"]).status == 0)
    let runs = try #require(try document(["branches", mine])["runs"] as? [[String: Any]])
    let recorded = runs.compactMap { $0["recorded"] as? [String: Any] }
    #expect(
      recorded.map { $0["not_checked"] as? Int } == [82, 131] && recorded.allSatisfy { $0["drawn"] as? Int == 0 })
    let page = Self.unwrapped(try Tool.run(["branches", mine]).text)
    #expect(page.contains("82 decisions with a draw not checked") && page.contains("not of mine"))
  }

  /// Settings that no sampler can have had are not believed, and numbers at the ends of what there is end no command.
  @Test func impossibleNumbers() throws {
    let log =
      [
        #"{"schema":"arpo-rollout/1","kind":"run","run_id":"odd","tokenizer":{"vocab_size":1000},"branching":{"rollouts":"#
          + #"9223372036854775807,"initial_rollouts":-1,"beam_size":-9223372036854775808,"window_tokens":-5,"top_k":0}}"#
      ]
      + (0..<8).map { i in
        let entropies = (0..<5).map { _ in i % 2 == 0 ? "1e20" : "1e308" }.joined(separator: ",")
        return #"{"kind":"trajectory","group_id":"g\#(i % 3)","trajectory_id":"t\#(i)","token_ids":[1,2,3,4,\#(i)],"#
          + #""loss_mask":[1,0,1,0,1],"segments":[{"kind":"tool_call","start":0,"end":1,"tool":"search"},"#
          + #"{"kind":"tool_result","start":1,"end":2,"tool":"search"},{"kind":"tool_call","start":2,"end":3,"tool":"python"},"#
          + #"{"kind":"tool_result","start":3,"end":4,"tool":"python"},{"kind":"answer","start":4,"end":5}],"#
          + #""entropies":[\#(entropies)],"entropy_kind":"exact","reward":\#(i % 2 == 0 ? "" : "-")1.7e308}"#
      }
    let path = folder.path("odd.db")
    #expect(try Tool.run(["import", path, try folder.write(log, "odd.jsonl"), "--quiet"]).status == 0)
    for command in [
      ["audit", path], ["audit", path, "--calls"], ["audit", path, "--curve"], ["branches", path],
      ["branches", path, "--rule", "paper"], ["branches", path, "--calls"], ["simulate", path, "--repetitions", "3"],
      ["branches", path, "--sweep", "beta=0,1", "--repetitions", "2"], ["budget", path], ["score", path],
      ["compare", path], ["attribute", path, "--strategy", "all"], ["tree", path, "g0"],
    ] {
      for format in ["table", "json"] where !(command.contains("--sweep") && format == "json") {
        let run = try Tool.run(command + ["--format", format])
        #expect(run.status == 0, "\(command) \(format): \(run.status) \(run.errors.suffix(300))")
      }
    }
  }

  /// A sweep's row at the base setting is the simulation's.
  @Test func aSweepAtTheBase() throws {
    let sweep = try ndjson(["branches", database, "--run", "draws-a", "--sweep", "bp=0.4,0.9", "--repetitions", "30"])
    let simulated = try ndjson(
      ["simulate", database, "--run", "draws-a", "--algorithm", "arpo:code", "--repetitions", "30"])
    for key in ["calls", "calls_low", "branch_points", "leaves", "generated_tokens", "wanted"] {
      #expect(sweep[0][key] as? Double == simulated[0][key] as? Double, "\(key)")
    }
    #expect(sweep[1]["branch_points"] as? Double ?? 0 > sweep[0]["branch_points"] as? Double ?? 9)
    let page = try Tool.run(["branches", database, "--run", "draws-a", "--sweep", "alpha", "--repetitions", "5"]).text
    #expect(page.contains("alpha") && page.contains("shares of each line's largest value"))
    let all = try Tool.run([
      "branches", database, "--run", "draws-a", "--sweep", "alpha,beta,tau,k", "--repetitions", "1",
    ])
    #expect(all.status == 0 && all.errors.contains("tau is left out"))
  }

  @Test(arguments: [
    ["branches", "--rule", "best"], ["branches", "--timing", "late"], ["branches", "--tau", "0.5"],
    ["branches", "--normalizer", "V"], ["branches", "--k", "0"], ["branches", "--sweep", "gamma"],
    ["branches", "--sweep", "tau"], ["branches", "--sweep", "k=0.5"], ["branches", "--sweep", "alpha=1:0:0.1"],
    ["branches", "--sweep", "alpha=0:1:0"], ["branches", "--sweep", "beta=1,1"], ["branches", "--sweep", "beta=x"],
    ["branches", "--sweep", "beta", "--sweep", "w=1"], ["branches", "--calls", "--sweep", "beta"],
    ["branches", "--grid"],
    ["branches", "--alpha", "nan"], ["branches", "--estimator", "upper"], ["branches", "--sweep", "k=1:100000:1"],
    ["simulate", "--algorithm", "ppo"], ["simulate", "--algorithm", "global", "--algorithm", "global"],
    ["simulate", "--repetitions", "0"], ["simulate", "--rollouts", "4", "--initial-rollouts", "5"],
    ["simulate", "--beam-size", "0"], ["simulate", "--call-limit", "-1"], ["budget", "--bootstrap", "-1"],
  ]) func wrongUse(use: [String]) throws {
    let run = try Tool.run([use[0], database] + use.dropFirst())
    #expect(run.status == 64 && run.output.isEmpty && run.errors.hasPrefix("Error: "), "\(use) \(run.errors)")
  }

  @Test(arguments: ["branches", "budget", "simulate"]) func whatIsNotThere(command: String) throws {
    let missing = try Tool.run([command, folder.path("no.db")])
    #expect(missing.status == 1 && missing.errors.contains("no.db") && missing.output.isEmpty)
    let unknown = try Tool.run([command, database, "--run", "nobody"])
    #expect(unknown.status == 1 && unknown.errors.contains("draws-a"))
    let group = try Tool.run([command, database, "--group", "nobody"])
    #expect(group.status == 1 && group.errors.contains("there is no group nobody; there are: ") && group.output.isEmpty)
  }
}
