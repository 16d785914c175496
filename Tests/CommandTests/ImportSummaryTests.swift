import Foundation
import Testing
import TestSupport

/// What `import` says it did, held against what is in the database.
@Suite struct ImportSummaryTests {
  let folder: TemporaryFolder
  let database: String

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
  }

  /// Every log of the fixtures.
  static let logs: [String] = {
    ["logs", "goldens/analysis", "rescore", "branching"].flatMap { name -> [String] in
      let root = TestPaths.fixtures.appending(path: name)
      let files = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)?.allObjects ?? []
      return files.compactMap { ($0 as? URL)?.path }.filter { path in
        [".jsonl", ".jsonl.zst", ".jsonl.gz"].contains { path.hasSuffix($0) }
          || (path.contains("/logs/") && path.hasSuffix(".json"))
      }.map { String($0.dropFirst(TestPaths.fixtures.path.count + 1)) }
    }.sorted()
  }()

  static func fixture(_ name: String) -> String { TestPaths.fixtures.appending(path: name).path }

  private func importing(_ paths: [String], _ more: [String] = [], into database: String? = nil) throws
    -> (report: [String: Any], errors: String)
  {
    let run = try Tool.run(
      ["import", database ?? self.database] + paths + more + ["--format", "json", "--quiet"],
      currentDirectory: folder.url)
    let report = try JSONSerialization.jsonObject(with: run.output) as? [String: Any]
    return (try #require(report, "\(run.errors)"), run.errors)
  }

  private func runs(_ database: String? = nil) throws -> [String?] {
    try DatabaseDump.strings(database ?? self.database, "SELECT run_id FROM run ORDER BY run_id")
  }

  // MARK: Counts

  @Test func theFixturesAreThere() { #expect(Self.logs.count > 30) }

  /// What a log has grown by is counted, and not what it had.
  @Test func aGrownLogCountsWhatIsNew() throws {
    let lines = try String(contentsOfFile: Self.fixture("logs/nemo-gym/nemo-gym_rollouts.jsonl"), encoding: .utf8)
      .split(separator: "\n").map(String.init)
    var sums: [String: Int] = [:]
    for count in 1...lines.count {
      let log = try folder.write(Array(lines[..<count]), "log_rollouts.jsonl")
      let file = try #require((importing([log]).report["files"] as? [[String: Any]])?.first)
      for key in ["records", "trajectories", "tokens", "tool_calls"] { sums[key, default: 0] += file[key] as? Int ?? 0 }
    }
    let there = try DatabaseDump.value(database, "SELECT count(*) FROM tool_call")
    #expect(there == "\(sums["tool_calls"] ?? -1)" && there != "0")
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "\(sums["trajectories"] ?? -1)")
  }

  /// The summary of a fresh import says what the database has, to the last token.
  @Test(arguments: logs) func theSummaryIsWhatIsThere(name: String) throws {
    let (report, errors) = try importing([Self.fixture(name)])
    let file = try #require((report["files"] as? [[String: Any]])?.first, "\(errors)")
    let isCallLog = ["openai", "sglang"].contains(file["format"] as? String)
    for (key, sql) in [
      ("records", "SELECT sum(records) FROM source"), ("trajectories", "SELECT count(*) FROM trajectory"),
      ("calls", isCallLog ? "SELECT count(*) FROM model_call" : "SELECT 0"),
      ("tokens", "SELECT coalesce(sum(owned), 0) FROM trajectory WHERE unit = 'token'"),
      ("tool_calls", "SELECT count(*) FROM tool_call"), ("quarantined", "SELECT count(*) FROM quarantine"),
    ] {
      let there = try DatabaseDump.value(database, sql)
      #expect((report[key] as? Int).map(String.init) == there, "\(name) \(key)")
      #expect(file[key] as? Int == report[key] as? Int, "\(name) \(key)")
    }
    #expect(!errors.contains("end record"), "\(errors)")
  }

  /// A conversation whose turns come with two imports: the second brings tokens and no trajectory.
  @Test func aTurnThatContinuesAnEarlierImport() throws {
    let lines = try String(contentsOfFile: Self.fixture("logs/openai/vllm-chat-ids.jsonl"), encoding: .utf8)
      .split(separator: "\n").map(String.init)
    var sums = (trajectories: 0, tokens: 0)
    for (i, line) in lines.enumerated() {
      let (report, _) = try importing([try folder.write([line], "\(i).jsonl")], ["--run", "r"])
      #expect(report["calls"] as? Int == 1)
      sums.trajectories += try #require(report["trajectories"] as? Int)
      sums.tokens += try #require(report["tokens"] as? Int)
    }
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "\(sums.trajectories)")
    #expect(try DatabaseDump.value(database, "SELECT sum(owned) FROM trajectory") == "\(sums.tokens)")
    #expect(sums.trajectories < lines.count)
  }

  // MARK: End records

  /// Trajectories that another log brought are there too.
  @Test func anEndRecordCountsWhatIsThereAlready() throws {
    let log = Self.fixture("goldens/analysis/mini.jsonl.zst")
    let plain = try GoldenLog.read(URL(filePath: log))
    let half = try #require(plain.range(of: Data("\n".utf8), in: (plain.count / 2)..<plain.count)?.upperBound)
    // A pipe that broke off, and the log again.
    _ = try importing([try folder.write(plain[..<half], "half.jsonl")])
    for path in [log, try folder.write(plain, "mini.jsonl"), log] {
      let errors = try importing([path]).errors
      #expect(!errors.contains("end record"), "\(errors)")
    }
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "7")
  }

  @Test func anEndRecordThatCountsOtherwise() throws {
    let log = try folder.write([ImportCommandTests.good, #"{"kind":"end","trajectories":3}"#], "log.jsonl")
    let run = try Tool.run(["import", database, log, "--quiet"])
    #expect(run.errors.contains("announces 3 trajectories, the database has 1 of them"), "\(run.errors)")
  }

  // MARK: Names of runs

  /// Two experiments whose folders have the name that every script gives: two runs, whichever came first.
  @Test func experimentsWithTheSameFolderNames() throws {
    let data = try Data(contentsOf: URL(filePath: Self.fixture("logs/arpo/3.jsonl")))
    let text = String(decoding: data, as: UTF8.self)
    let expected = ["A/rollout", "B/rollout", "C/outputs/Rollout"]
    for (i, order) in [[0, 1, 2], [2, 1, 0]].enumerated() {
      let other = folder.path("\(i).db")
      // Equal bytes are one log, however many copies of it there are.
      for (k, j) in order.enumerated() {
        try folder.write(Data((text + String(repeating: " ", count: k) + "\n").utf8), "\(expected[j])/3.jsonl")
      }
      let (report, errors) = try importing(order.map { expected[$0] }, into: other)
      #expect(try runs(other) == expected && errors.isEmpty, "\(errors)")
      #expect(report["duplicates"] as? Int == 0 && (report["shared_runs"] as? [Any])?.isEmpty == true)
    }
  }

  /// The name does not depend on how the path is spelled.
  @Test(arguments: ["rollout/3.jsonl", "./rollout", "../A/rollout/3.jsonl", "rollout/../rollout/./3.jsonl"])
  func aFolderSpelledOtherwise(path: String) throws {
    let log = Self.fixture("logs/arpo/3.jsonl")
    try folder.write(try Data(contentsOf: URL(filePath: log)), "A/rollout/3.jsonl")
    let run = try Tool.run(["import", database, path, "--quiet"], currentDirectory: folder.url.appending(path: "A"))
    #expect(run.status == 0 && run.errors.isEmpty, "\(run.errors)")
    #expect(try runs() == ["A/rollout"])
    // As a name in the folder itself.
    let inside = folder.url.appending(path: "A/rollout")
    let other = folder.path("other.db")
    _ = try Tool.run(["import", other, "3.jsonl", "--quiet"], currentDirectory: inside)
    #expect(try runs(other) == ["A/rollout"])
  }

  /// A log that was imported under another name stays what it is, and grows there.
  @Test func whatIsKnownKeepsItsRun() throws {
    let data = try Data(contentsOf: URL(filePath: Self.fixture("logs/arpo/3.jsonl")))
    let log = try folder.write(data, "A/rollout/3.jsonl")
    _ = try importing([log], ["--run", "rollout"])
    #expect(try importing([log]).report["trajectories"] as? Int == 0)
    let line = try #require(String(decoding: data, as: UTF8.self).split(separator: "\n").first)
    try folder.append(Data((line.replacing("<think>", with: "<think>Anew: ") + "\n").utf8), "A/rollout/3.jsonl")
    #expect(try importing([log]).report["trajectories"] as? Int == 1)
    #expect(try runs() == ["rollout"])
  }

  /// Where files of two places are one run by their name alone, that is told, with what to do about it.
  @Test func oneNameForFilesOfSeveralFolders() throws {
    let text = try String(contentsOfFile: Self.fixture("logs/sglang/sglang-generate.jsonl"), encoding: .utf8)
    for (i, name) in ["x", "y", "x/z"].enumerated() {
      try folder.write(Data((String(repeating: "\n", count: i) + text).utf8), "\(name)/calls.jsonl")
    }
    #expect(try importing(["x/calls.jsonl"]).errors.isEmpty)
    let (report, errors) = try importing(["y"])
    #expect(errors.contains("run calls") && errors.contains("--run NAME") && errors.contains("/x, "), "\(errors)")
    let shared = try #require((report["shared_runs"] as? [[String: Any]])?.first)
    #expect(shared["run"] as? String == "calls" && (shared["folders"] as? [String])?.count == 2)
    // Who names the run knows.
    #expect(try importing(["x/z/calls.jsonl"], ["--run", "calls"]).errors.isEmpty)
  }

  // MARK: Nothing to import

  @Test func anEmptyFolderIsTold() throws {
    try FileManager.default.createDirectory(at: folder.url.appending(path: "empty"), withIntermediateDirectories: true)
    for command in [["import", database], ["analyze"], ["import", database, "--dry-run"]] {
      let run = try Tool.run(command + [folder.path("empty")])
      #expect(run.status == 4 && run.errors.contains("empty: no log in this folder"), "\(run.errors)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["empty"])
  }

  /// An import of nothing makes no database, and one that was there is left.
  @Test func noLogMakesNoDatabase() throws {
    let text = try folder.write(["# Notes"], "notes.md")
    for paths in [[folder.path("absent")], [text], [text, folder.path("absent")]] {
      let run = try Tool.run(["import", database] + paths + ["--quiet"])
      #expect([1, 4].contains(run.status) && !run.errors.contains("absent: \(folder.path("absent"))"), "\(run.errors)")
      #expect(run.errors.split(separator: "\n").count == paths.count)
    }
    #expect(try Tool.run(["import", database, "-", "--quiet"], input: Data("notes\n".utf8)).status == 4)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["notes.md"])
    // The second of two is a log.
    let log = try folder.write([ImportCommandTests.good], "log.jsonl")
    #expect(try Tool.run(["import", database, text, log, "--quiet"]).status == 4)
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "1")
    _ = try Tool.run(["import", database, text, "--quiet"])
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "1")
  }

  /// One of something is told as one.
  @Test func oneIsOne() throws {
    let row = #"{"input":"q","output":"a","score":1,"step":1}"#
    let run = try Tool.run(["import", database, try folder.write([row, row, "{"], "X/1.jsonl"), "--quiet"])
    #expect(
      run.text.contains("1 trajectory with text\n") && run.text.contains("  1 segment of text whose"), "\(run.text)")
    #expect(run.text.contains("1 row that repeats another row of its group (padding?) in 1 trajectory"))
    #expect(run.text.contains("1 padded copy"))
  }
}
