import Foundation
import Testing
import TestSupport

/// The command `import`, from the shell's side: what it prints, what it writes, how it ends.
@Suite struct ImportCommandTests {
  let folder: TemporaryFolder
  let database: String

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
  }

  static let logs = TestPaths.fixtures.appending(path: "logs")

  static func log(_ name: String) -> String { logs.appending(path: name).path }

  static let good =
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"good","token_ids":[1,2],"logprobs":[-0.5,-1],"reward":1}"#
  static let bad = #"{"kind":"trajectory","group_id":"g","trajectory_id":"bad","token_ids":[1],"logprobs":[0.5]}"#

  func json(_ arguments: String..., input: Data? = nil, status: Int32 = 0) throws -> [String: Any] {
    let run = try Tool.run(["import", database] + arguments + ["--format", "json", "--quiet"], input: input)
    #expect(run.status == status, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
  }

  // MARK: Logs

  /// Every log of the fixtures, by its content, in one walk of the folder.
  @Test func aFolderOfEverything() throws {
    let report = try json(Self.logs.path, status: 2)
    let files = try #require(report["files"] as? [[String: Any]])
    var formats: [String: Set<String>] = [:]
    var containers: Set<String> = []
    for file in files where file["status"] as? String == "imported" {
      let path = file["path"] as? String ?? ""
      guard !path.contains("/bad/") else { continue }
      formats[file["format"] as? String ?? "", default: []].insert(
        URL(filePath: path).deletingLastPathComponent().lastPathComponent)
      containers.insert(file["container"] as? String ?? "")
    }
    #expect(
      formats == [
        "openai": ["openai"], "sglang": ["sglang"], "verl": ["verl-v0", "verl-v1", "arpo", "arpo-eval"],
        "nemo-gym": ["nemo-gym"],
      ])
    #expect(containers == ["plain", "zstd", "gzip"])
    let refused = files.filter { $0["status"] as? String == "refused" }.compactMap { $0["path"] as? String }
    #expect(refused.allSatisfy { $0.hasSuffix("README.md") || $0.hasSuffix("expected.csv") } && !refused.isEmpty)
    // Again: nothing.
    let again = try json(Self.logs.path, status: 2)
    #expect(again["records"] as? Int == 0 && again["trajectories"] as? Int == 0)
  }

  @Test func standardInput() throws {
    let data = try Data(contentsOf: URL(filePath: Self.log("openai/vllm-chat-ids.jsonl.zst")))
    let report = try json("-", "--run", "piped", input: data)
    let file = try #require((report["files"] as? [[String: Any]])?.first)
    #expect(
      file["path"] as? String == "-" && file["container"] as? String == "zstd" && file["format"] as? String == "openai")
    let before = try DatabaseDump.value(database, "SELECT count(*) FROM trajectory")
    let again = try json("-", "--run", "piped", input: data)
    #expect(again["trajectories"] as? Int == 0)
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == before)
    #expect(try DatabaseDump.strings(database, "SELECT run_id FROM run") == ["piped"])
    // The same log as a file says the same.
    let other = folder.path("other.db")
    _ = try Tool.run(["import", other, Self.log("openai/vllm-chat-ids.jsonl.zst"), "--run", "piped", "--quiet"])
    let sql = "SELECT trajectory_id || length || generated || owned FROM trajectory ORDER BY 1"
    #expect(try DatabaseDump.strings(database, sql) == DatabaseDump.strings(other, sql))
  }

  @Test func aRunNamedByHand() throws {
    _ = try json(try folder.write([Self.good], "log.jsonl"), "--run", "mine")
    _ = try json(try folder.write([Self.good], "step.jsonl.gz"))
    #expect(try DatabaseDump.strings(database, "SELECT run_id FROM run ORDER BY id") == ["mine"])
    _ = try json(try folder.write([Self.good + " "], "step.jsonl.gz"))
    #expect(try DatabaseDump.strings(database, "SELECT run_id FROM run ORDER BY id") == ["mine", "step"])
  }

  /// A log whose first records tell nothing can be named.
  @Test func aFormatNamedByHand() throws {
    let odd = try folder.write([#"{"comment":1}"#, Self.good], "odd.jsonl")
    let lines = try folder.write([String](repeating: #"{"comment":1}"#, count: 30) + [Self.good], "odder.jsonl")
    #expect(try Tool.run(["import", database, lines, "--quiet"]).status == 4)
    #expect(try json(odd, status: 2)["trajectories"] as? Int == 1)
    #expect(try json(lines, "--log-format", "arpo-rollout", "--run", "x", status: 2)["trajectories"] as? Int == 1)
  }

  /// The bad logs of the fixtures: every bad record with file, line, byte offset and reason, every good one imported.
  @Test func badLogsAreTaken() throws {
    let bad = Self.logs.appending(path: "bad")
    let table = try String(contentsOf: bad.appending(path: "expected.csv"), encoding: .utf8)
    let expected = table.split(separator: "\n").dropFirst().map(String.init)
    let files = Set(expected.compactMap { $0.split(separator: ",").first.map(String.init) })
    var found: [String] = []
    for file in files.sorted() {
      let path = bad.appending(path: file).path
      let other = folder.path(file + ".db")
      let run = try Tool.run(["import", other, path, "--quiet"])
      #expect(run.status == 2, "\(file): \(run.errors)")
      for row in try DatabaseDump.strings(
        other, "SELECT path || ',' || line || ',' || byte_offset || ',' || reason FROM quarantined")
      {
        found.append((row ?? "").replacing(bad.path + "/", with: ""))
      }
      let good = try GoldenLog.read(bad.appending(path: "values.jsonl"))
      #expect(!good.isEmpty)
      let ids = Set(try DatabaseDump.strings(other, "SELECT trajectory_id FROM trajectory"))
      let count = ids.count { $0?.hasPrefix("good") == true }
      let least = [
        "torn.jsonl": 7, "cut-off.jsonl.gz": 7, "cut-off.jsonl.zst": 7, "damaged.jsonl.gz": 5, "damaged.jsonl.zst": 5,
      ]
      let lines = try String(contentsOf: URL(filePath: path), encoding: .isoLatin1).split(separator: "\n").filter {
        $0.contains("good")
      }
      #expect(count == least[file] ?? Set(lines).count, "\(file): \(ids)")
    }
    #expect(Set(found) == Set(expected))
  }

  // MARK: Exit codes

  @Test func zeroIfAllIsWell() throws {
    #expect(try json(Self.log("nemo-gym/nemo-gym_rollouts.jsonl"))["trajectories"] as? Int == 4)
  }

  @Test func oneIfAFileCannotBeRead() throws {
    let good = try folder.write([Self.good], "good.jsonl")
    let run = try Tool.run(["import", database, folder.path("absent.jsonl"), good, "--quiet"])
    #expect(run.status == 1 && run.errors.contains("absent.jsonl") && run.errors.contains("No such file"))
    // The other one is imported all the same.
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "1")
  }

  @Test func oneIfTheDatabaseIsNone() throws {
    let text = try folder.write(
      Data("This is a text and no database, as anyone can see.\n".utf8) + Data(count: 2000), "notes.txt")
    let before = try Data(contentsOf: URL(filePath: text))
    let run = try Tool.run(["import", text, Self.log("nemo-gym/nemo-gym_rollouts.jsonl"), "--quiet"])
    #expect(run.status == 1 && run.errors.contains("notes.txt") && run.output.isEmpty)
    #expect(try Data(contentsOf: URL(filePath: text)) == before)
    let nowhere = try Tool.run(["import", folder.path("no/such/folder/runs.db"), Self.log("arpo/3.jsonl"), "--quiet"])
    #expect(nowhere.status == 1 && nowhere.errors.hasPrefix("error: "))
  }

  /// The database is what is wrong first, whatever the log is like.
  @Test func theDatabaseIsToldBeforeTheLog() throws {
    let text = try folder.write(Data("This is a text and no database.\n".utf8) + Data(count: 2000), "notes.txt")
    let log = try folder.write(Data("no log\n".utf8), "log.txt")
    for (database, status) in [(text, Int32(1)), (folder.path("no/such/folder/runs.db"), 1), (self.database, 4)] {
      let run = try Tool.run(["import", database, log, "--quiet"])
      #expect(run.status == status && run.errors.contains("log.txt") == (status == 4), "\(run.errors)")
      #expect(!run.errors.contains("\n\n") && run.errors.split(separator: "\n").count == 1, "\(run.errors)")
    }
  }

  /// An import that cannot begin ends, although standard input says nothing and does not end.
  @Test func aSilentInputHoldsNothingUp() throws {
    let fifo = folder.path("fifo")
    #expect(mkfifo(fifo, 0o600) == 0)
    let descriptor = open(fifo, O_RDWR)
    defer { close(descriptor) }
    let running = try Spawned.Running(
      "/bin/sh",
      [
        "-c", #"exec "$0" import "$1" - --quiet < "$2""#, Tool.path ?? "", folder.path("no/such/folder/runs.db"), fifo,
      ])
    let run = try running.wait(seconds: 20)
    #expect(run.status == 1 && run.errors.hasPrefix("error: "), "\(run.errors)")
  }

  @Test func twoIfRecordsArePutAside() throws {
    let log = try folder.write([Self.good, Self.bad], "log.jsonl")
    let report = try json(log, status: 2)
    #expect(report["quarantined"] as? Int == 1 && report["trajectories"] as? Int == 1)
    let tally = try #require((report["quarantine"] as? [[String: Any]])?.first)
    #expect(tally["name"] as? String == "positive_logprob" && tally["first"] as? String == "\(log):2")
    // Still there the next time.
    #expect(try json(log, status: 2)["quarantined"] as? Int == 0)
  }

  @Test func twoIfAParentNeverCame() throws {
    let orphan =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","parent_id":"p","branch_token_index":0,"#
      + #""token_ids":[1]}"#
    let report = try json(try folder.write([Self.good, orphan], "log.jsonl"), status: 2)
    #expect(report["quarantined"] as? Int == 1)
    let parent = #"{"kind":"trajectory","run_id":"log","group_id":"g","trajectory_id":"p","token_ids":[1]}"#
    #expect(try json(try folder.write([parent], "later.jsonl"))["trajectories"] as? Int == 2)
    // Now that the parent is there, the first log is in order too.
    _ = try json(folder.path("log.jsonl"))
  }

  @Test func threeIfTooManyAreBad() throws {
    let log = try folder.write(
      [
        Self.good, Self.bad, Self.bad.replacing("\"bad\"", with: "\"worse\""),
        Self.good.replacing("good", with: "last"),
      ], "log.jsonl")
    for (options, status) in [
      (["--strict"], 3), (["--max-bad", "0"], 3), (["--max-bad", "1"], 3), (["--max-bad", "2"], 2),
    ] as [([String], Int32)] {
      let other = folder.path("\(options.joined()).db")
      let run = try Tool.run(["import", other, log, "--quiet"] + options)
      #expect(run.status == status, "\(options)")
      if status == 3 { #expect(run.errors.contains("--strict")) }
      // What came before is imported, and the same command without the limit goes on.
      #expect(try DatabaseDump.value(other, "SELECT count(*) FROM trajectory") == (status == 3 ? "1" : "2"))
      #expect(try Tool.run(["import", other, log, "--quiet"]).status == 2)
      #expect(try DatabaseDump.value(other, "SELECT count(*) FROM trajectory") == "2")
      #expect(try DatabaseDump.value(other, "SELECT count(*) FROM quarantine") == "2")
    }
  }

  @Test func fourIfALogIsInNoKnownFormat() throws {
    let unknown = try folder.write([#"{"steps":[],"agent":"x"}"#], "unknown.jsonl")
    let good = try folder.write([Self.good], "good.jsonl")
    let run = try Tool.run(["import", database, unknown, good, "--quiet"])
    #expect(run.status == 4 && run.errors.contains("steps, agent"))
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "1")
    // In a folder other files are expected, unless there is nothing else.
    try folder.write([Self.good], "logs/a.jsonl")
    try folder.write(Data("notes\n".utf8), "logs/notes.txt")
    #expect(try Tool.run(["import", database, folder.path("logs"), "--quiet"]).status == 0)
    try folder.write(Data("notes\n".utf8), "empty/notes.txt")
    #expect(try Tool.run(["import", database, folder.path("empty"), "--quiet"]).status == 4)
  }

  /// A second import waits and says so; who does not want to wait any longer is told that the database was busy.
  @Test func fiveIfAnotherImportIsWriting() throws {
    let log = try folder.write([Self.good], "log.jsonl")
    let descriptor = open(database + "-import", O_RDWR | O_CREAT, 0o644)
    #expect(descriptor >= 0 && flock(descriptor, LOCK_EX) == 0)
    defer { close(descriptor) }
    let waiting = try Tool.start(["import", database, log, "--quiet"])
    let deadline = Date.now + 30
    while !waiting.errors.contains("waiting"), Date.now < deadline { usleep(5000) }
    #expect(waiting.errors.contains("another import"))
    waiting.send(signal: SIGINT)
    let run = try waiting.wait(seconds: 30)
    #expect(run.status == 5, "\(run.status) \(run.errors)")
    #expect(flock(descriptor, LOCK_UN) == 0)
    #expect(try Tool.run(["import", database, log, "--quiet"]).status == 0)
  }

  @Test(arguments: [
    ["import"], ["import", "x.db"], ["import", "x.db", "log", "--no-such-option"],
    ["import", "x.db", "log", "--max-bad", "many"],
    ["import", "x.db", "log", "--max-bad", "-1"], ["import", "x.db", "log", "--log-format", "none"],
    ["import", "x.db", "log", "--max-record", "0"],
    ["import", "x.db", "log", "--format", "csv"], ["audit"], ["audit", "x.db", "--windows", "5-1"],
    ["audit", "x.db", "--windows", "a-b"],
    ["audit", "x.db", "--estimator", "guess"], ["audit", "x.db", "--by", "moon"],
    ["audit", "x.db", "--temperature", "0"], ["audit", "x.db", "--calls", "--curve"],
    ["audit", "x.db", "--bootstrap", "-1"], ["audit", "x.db", "--format", "xml"], ["analyze"],
    ["analyze", "log", "--format", "csv"],
    ["analyze", "log", "--temperature", "-1"], ["query", "x.db"], ["nonsense"],
  ]) func sixtyFourIfTheUsageIsWrong(arguments: [String]) throws {
    let run = try Tool.run(arguments, currentDirectory: folder.url)
    #expect(run.status == 64, "\(arguments): \(run.status) \(run.errors)")
    #expect(run.output.isEmpty && run.errors.contains("Usage:"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  // MARK: Dry run

  @Test(arguments: [
    ("openai/openai-chat.jsonl.gz", "openai (gzip, lines)"), ("openai/openai-stream.json", "openai (plain, documents)"),
    ("nemo-gym/nemo-gym_rollouts.jsonl.zst", "nemo-gym (zstd, lines)"),
    ("arpo-eval/arpo-eval.json", "verl (plain, elements)"),
    ("sglang/sglang-generate.jsonl", "sglang (plain, lines)"), ("verl-v1/7.jsonl", "run verl-v1"),
    ("bad/values.jsonl", "invalid_json"),
  ]) func aDryRunShowsAndWritesNothing(name: String, shown: String) throws {
    let run = try Tool.run(["import", database, Self.log(name), "--dry-run"])
    let status: Int32 = name.hasPrefix("bad") ? 2 : 0
    #expect(run.status == status && run.text.contains(shown) && run.text.contains("keys: "), "\(run.errors)")
    #expect(run.text.contains("\n  line \(name.contains("eval") ? "2, byte 6" : "1, byte 0"): "))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test func aDryRunLeavesADatabaseAlone() throws {
    _ = try json(Self.log("arpo/3.jsonl"))
    let before = try DatabaseDump.rows(database)
    #expect(
      try Tool.run(["import", database, Self.log("openai"), Self.log("arpo/4.jsonl.gz"), "--dry-run"]).status == 0)
    #expect(try DatabaseDump.rows(database) == before)
    #expect(try Tool.run(["import", database, Self.log("README.md"), "--dry-run"]).status == 4)
  }

  /// A dry run ends as the import does.
  @Test func aDryRunEndsAsTheImport() throws {
    let good = try folder.write([Self.good], "logs/good.jsonl")
    let readme = try folder.write(["# Logs"], "logs/README.md")
    let bad = try folder.write([Self.good, Self.bad], "bad.jsonl")
    let input = Data([Self.good].jsonLines.utf8)
    for (i, (paths, status))
      in ([
        ([folder.path("logs")], 0), ([folder.path("absent.jsonl")], 1), ([folder.path("absent.jsonl"), good], 1),
        ([readme], 4), ([good, readme], 4), ([good, bad], 2), (["-"], 0), ([], 64), ([good, "--max-record", "0"], 64),
      ] as [([String], Int32)]).enumerated()
    {
      let path = folder.path("\(i).db")
      let dry = try Tool.run(["import", path] + paths + ["--dry-run"], input: input)
      #expect(dry.status == status && !FileManager.default.fileExists(atPath: path), "\(paths): \(dry.errors)")
      #expect(try Tool.run(["import", path] + paths + ["--quiet"], input: input).status == status, "\(paths)")
    }
  }

  /// Standard input is shown too, and data is data.
  @Test func aDryRunAsData() throws {
    let input = Data([Self.good, Self.bad].jsonLines.utf8)
    let text = try Tool.run(["import", database, "-", "--dry-run"], input: input)
    #expect(text.status == 2 && text.text.contains("trajectory good of group g") && text.text.contains("line 2, byte"))
    let document = try json("-", folder.path("absent"), "--dry-run", input: input, status: 1)
    let files = try #require(document["files"] as? [[String: Any]])
    #expect(files.map { $0["status"] as? String } == ["recognised", "unreadable"])
    #expect(files[0]["format"] as? String == "arpo-rollout" && files[1]["format"] is NSNull)
    let records = try #require(files[0]["records"] as? [[String: Any]])
    #expect(records.map { $0["line"] as? Int } == [1, 2] && records[0]["error"] is NSNull)
    #expect((records[1]["error"] as? [String: Any])?["reason"] as? String == "positive_logprob")
    for option in [["--strict"], ["--max-bad", "1"]] {
      let refused = try Tool.run(["import", database, "-", "--dry-run"] + option, input: input)
      #expect(refused.status == 64 && refused.errors.contains("first records only"))
    }
  }

  // MARK: Output

  @Test func stdoutIsDataAndStderrIsTalk() throws {
    let table = try Tool.run(["import", database, Self.log("bad/values.jsonl"), folder.path("absent")])
    #expect(table.text.contains("values.jsonl") && table.errors.contains("absent"))
    #expect(!table.text.contains("warning") && !table.text.contains("\u{1B}"))
    let quiet = try Tool.run(["import", database, Self.log("arpo/3.jsonl"), "--quiet", "--format", "json"])
    #expect(quiet.errors.isEmpty && quiet.status == 0)
  }

  /// What stands in a log cannot command the terminal.
  @Test func controlCharactersOfALogAreShownAndNotSent() throws {
    let evil = #"\u001b]0;title\u0007\u001b[31mred\u009b2J\r\n"#
    let lines = [
      #"{"kind":"run","run_id":"\#(evil)","algorithm":"\#(evil)"}"#,
      #"{"kind":"trajectory","group_id":"\#(evil)","trajectory_id":"\#(evil)","token_ids":[1,2],"logprobs":[-1,-1],"#
        + #""segments":[{"kind":"tool_call","start":0,"end":1,"tool":"\#(evil)"},"#
        + #"{"kind":"answer","start":1,"end":2}]}"#,
      #"{"kind":"\#(evil)","\#(evil)":"\u001b[2J"}"#,
    ]
    let log = try folder.write(lines, "evil\u{1B}[31m.jsonl")
    var outputs: [Spawned] = [
      try Tool.run(["import", database, log, "--dry-run"]), try Tool.run(["import", database, log]),
    ]
    #expect(outputs.map(\.status) == [2, 2])
    for arguments in [
      ["audit", database], ["audit", database, "--calls"], ["query", database, "groups"], ["query", database, "tools"],
      ["query", database, "quarantine"], ["query", database, "SELECT trajectory_id FROM trajectory"], ["analyze", log],
      ["audit", database, "--run", "no\u{1B}[31m"], ["query", database, "SELECT '\u{1B}[31m' FROM nothing"],
    ] { outputs.append(try Tool.run(arguments)) }
    for run in outputs {
      let all = run.output + Data(run.errors.utf8)
      #expect(!all.contains { ($0 < 0x20 && $0 != 0x0A) || $0 == 0x7F }, "\(run.text) \(run.errors)")
      #expect(!String(decoding: all, as: UTF8.self).unicodeScalars.contains { (0x80...0x9F).contains($0.value) })
    }
  }
}
