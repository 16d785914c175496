import Foundation
import Testing
import TestSupport

/// `audit`, `analyze` and `query` on a database of fixtures: their data is data in every format.
@Suite struct AuditCommandTests {
  let folder: TemporaryFolder
  let database: String
  static let log = TestPaths.ownGoldens.appending(path: "analysis/branched.jsonl.zst").path

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
    let run = try Tool.run(["import", database, Self.log, "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
  }

  func rows(_ arguments: String...) throws -> [[String: Any]] {
    let run = try Tool.run(arguments)
    #expect(run.status == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: run.output) as? [[String: Any]])
  }

  @Test(arguments: [[], ["--calls"], ["--curve"], ["--by", "step"], ["--bootstrap", "0", "--estimator", "topk"]])
  func theSameRowsInEveryFormat(options: [String]) throws {
    let base = ["audit", database] + options
    let json = try Tool.run(base + ["--format", "json"])
    #expect(json.status == 0, "\(json.errors)")
    let document = try JSONSerialization.jsonObject(with: json.output)
    #expect(document is [String: Any] || (document as? [Any])?.isEmpty == false)
    let lines = try Tool.run(base + ["--format", "ndjson"]).text.split(separator: "\n")
    let csv = try Tool.run(base + ["--format", "csv"]).text.split(separator: "\r\n")
    #expect(csv.count == lines.count + 1 && lines.count > 1)
    for (line, row) in zip(lines, csv.dropFirst()) {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(object.count == csv[0].split(separator: ",").count)
      #expect(row.contains("\(object["run_id"] as? String ?? "?")"))
    }
  }

  /// The same seed gives the same intervals; the table fits in 80 columns nowhere and has no colour in a pipe.
  @Test func aReportCanBeRepeated() throws {
    let first = try Tool.run(["audit", database, "--seed", "3"])
    #expect(first.status == 0 && !first.text.isEmpty && !first.output.contains(0x1B))
    #expect(try Tool.run(["audit", database, "--seed", "3", "--threads", "1"]).text == first.text)
    let plain = try Tool.run(["audit", database, "--plain"])
    #expect(plain.output.allSatisfy { $0 < 0x80 })
  }

  /// Where a server left out the tokens of the turn that calls a tool, nobody knows how a trajectory began.
  @Test func aFirstTurnWithoutTokensIsNoBaseline() throws {
    let folder = try TemporaryFolder()
    let call =
      #"{"role":"assistant","content":null,"tool_calls":[{"id":"k","type":"function","#
      + #""function":{"name":"search","arguments":"{}"}}]}"#
    func line(_ id: String, _ message: String, _ logprobs: String, _ more: String) -> String {
      #"{"request":{"model":"m","messages":[{"role":"user","content":"q"}\#(more)]},"response":{"object":"chat.completion","#
        + #""id":"\#(id)","created":1,"model":"m","choices":[{"index":0,"message":\#(message),"logprobs":\#(logprobs)}]}}"#
    }
    let tokens = "abcd".map {
      #"{"token":"\#($0)","logprob":-0.7,"top_logprobs":[{"token":"\#($0)","logprob":-0.7},{"token":"z","logprob":-1.5}]}"#
    }
    let answer = line(
      "b", #"{"role":"assistant","content":"abcd"}"#, #"{"content":[\#(tokens.joined(separator: ","))]}"#,
      ",\(call)," + #"{"role":"tool","tool_call_id":"k","content":"r"}"#)
    let log = try folder.write([line("a", call, "null", ""), answer], "hosted.jsonl")
    let path = folder.path("hosted.db")
    #expect(try Tool.run(["import", path, log, "--quiet"]).status == 0)
    let rows = try rows("audit", path, "--calls", "--format", "json")
    #expect(rows.count == 1)
    for row in rows {
      #expect(row["w0_10_mean"] is Double)
      for column in ["baseline", "w0_10_delta"] { #expect(row[column] is NSNull, "\(column) \(row)") }
    }
    let page = try Tool.run(["audit", path]).text
    #expect(page.contains("✗") == false && page.contains("3. entropy after a tool result exceeds"), "\(page)")
  }

  /// A database is read where nothing can be written beside it, as in an archive.
  @Test(.enabled(if: Unprivileged.isPossible)) func aReadOnlyFolder() throws {
    let archive = try TemporaryFolder()
    let copy = archive.path("archive/runs.db")
    try FileManager.default.createDirectory(atPath: archive.path("archive"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: database, toPath: copy)
    let tool = archive.path("arpo-replay")
    try FileManager.default.copyItem(atPath: try #require(Tool.path), toPath: tool)
    for (path, mode) in [(archive.url.path, 0o755), (tool, 0o755), (copy, 0o444), (archive.path("archive"), 0o555)] {
      try #require(chmod(path, mode_t(mode)) == 0)
    }
    defer { chmod(archive.path("archive"), 0o755) }
    let run = try Unprivileged.run(tool, ["audit", copy, "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.text == (try Tool.run(["audit", database, "--format", "json"]).text))
    // What only stands in the write-ahead log cannot be had there.
    chmod(archive.path("archive"), 0o755)
    try Data([0]).write(to: URL(filePath: copy + "-wal"))
    chmod(archive.path("archive"), 0o555)
    let refused = try Unprivileged.run(tool, ["audit", copy])
    #expect(refused.status == 1 && refused.errors.contains("-wal"), "\(refused.errors)")
  }

  /// One log without a database says what the audit of a database says.
  @Test(arguments: ["table", "json"]) func analyzeSaysWhyThereIsNothing(format: String) throws {
    let bad = #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1],"logprobs":[NaN]}"#
    let run = try Tool.run(["analyze", folder.write([bad], "bad.jsonl"), "--format", format])
    #expect(run.status == 2 && run.output.isEmpty)
    #expect(run.errors.contains("1 record quarantined") && run.errors.contains("no trajectory"), "\(run.errors)")
  }

  @Test func analyzeIsAuditWithoutADatabase() throws {
    let direct = try Tool.run(["analyze", Self.log])
    let audit = try Tool.run(["audit", database])
    #expect(direct.status == 0 && direct.text == audit.text)
    let input = try Data(contentsOf: URL(filePath: Self.log))
    let piped = try Tool.run(["analyze", "-", "--format", "json"], input: input)
    let named = try Tool.run(["analyze", Self.log, "--format", "json"])
    #expect(
      piped.status == 0
        && piped.text.split(separator: "\n").dropFirst(2) == named.text.split(separator: "\n").dropFirst(2))
  }

  @Test func onlyOneRunOrGroup() throws {
    let other = TestPaths.ownGoldens.appending(path: "analysis/mini.jsonl.zst").path
    #expect(try Tool.run(["import", database, other, "--quiet"]).status == 0)
    let runs = try DatabaseDump.strings(database, "SELECT run_id FROM run ORDER BY id").compactMap { $0 }
    #expect(runs.count == 2)
    for run in runs {
      let report = try Tool.run(["audit", database, "--run", run, "--format", "json"])
      let document = try #require(try JSONSerialization.jsonObject(with: report.output) as? [String: Any])
      #expect((document["runs"] as? [Any])?.count == 1)
    }
    let unknown = try Tool.run(["audit", database, "--run", "nobody"])
    #expect(unknown.status == 1 && unknown.output.isEmpty && runs.allSatisfy { unknown.errors.contains($0) })
  }

  @Test func aDatabaseThatIsNotThere() throws {
    for arguments in [["audit", folder.path("no.db")], ["query", folder.path("no.db"), "tools"]] {
      let run = try Tool.run(arguments)
      #expect(run.status == 1 && run.errors.contains("no.db") && run.output.isEmpty)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("no.db")))
  }

  // MARK: Queries

  @Test func aQueryInEveryFormat() throws {
    let sql = "SELECT 1 AS a, 'x,\"y\"' AS b, NULL AS c, 0.1 AS d, x'00' AS e UNION ALL SELECT 2, 'ü', 3, -1e300, 'z'"
    let json = try rows("query", database, sql, "--format", "json")
    #expect(
      json.count == 2 && json[0]["a"] as? Int == 1 && json[0]["b"] as? String == "x,\"y\"" && json[0]["c"] is NSNull)
    #expect(json[0]["d"] as? Double == 0.1 && json[1]["d"] as? Double == -1e300 && json[1]["b"] as? String == "ü")
    let csv = try Tool.run(["query", database, sql, "--format", "csv"])
    #expect(csv.text.hasPrefix("a,b,c,d,e\r\n1,\"x,\"\"y\"\"\",,0.1,") && csv.text.contains("2,ü,3,"))
    let ndjson = try Tool.run(["query", database, sql, "--format", "ndjson"]).text.split(separator: "\n")
    #expect(ndjson.count == 2)
    // No row at all is data too.
    #expect(try rows("query", database, "SELECT 1 WHERE 0", "--format", "json").isEmpty)
    #expect(try rows("query", database, "SELECT * FROM trajectories", "--limit", "3", "--format", "json").count == 3)
  }

  @Test func wrongQueriesAreOneSentence() throws {
    for (query, status) in [
      ("nosuch", 64), ("SELECT nope FROM trajectory", 1), ("SELECT * FROM nothing", 1), ("DELETE FROM run", 1),
      ("SELECT (", 1),
    ] as [(String, Int32)] {
      let run = try Tool.run(["query", database, query])
      #expect(run.status == status && run.output.isEmpty, "\(query): \(run.text)")
      #expect(run.errors.lowercased().hasPrefix("error: ") && !run.errors.contains("SQLite error"), "\(run.errors)")
    }
    #expect(try Tool.run(["query", database, "SELECT :x", "-p", "novalue"]).status == 64)
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM run") == "1")
  }

  @Test func aQueryEndsInTime() throws {
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    let start = Date.now
    let run = try Tool.run(["query", database, endless, "--timeout", "0.3"])
    #expect(run.status == 1 && run.errors.contains("0.3 s"))
    #expect(-start.timeIntervalSinceNow < 30)
  }
}
