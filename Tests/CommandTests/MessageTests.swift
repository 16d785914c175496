import Foundation
import Testing
import TestSupport

/// Sentences say what is so, in words of the tool.
@Suite struct MessageTests {
  let folder: TemporaryFolder
  let database: String

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
  }

  private static let segments =
    #""segments":[{"kind":"tool_call","start":0,"end":2,"tool":"search"},"#
    + #"{"kind":"tool_result","start":2,"end":4,"tool":"search"}]"#

  private func importing(_ lines: [String], _ name: String = "log.jsonl") throws -> Spawned {
    try Tool.run(["import", database, try folder.write(lines, name), "--quiet"])
  }

  /// A result behind which nothing was generated.
  @Test func whereNoDifferenceIs() throws {
    let line =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1,2,3,4],"#
      + #""logprobs":[-0.5,-1,null,null],\#(Self.segments)}"#
    #expect(try importing([line]).status == 0)
    let text = try Tool.run(["audit", database, "--format", "json"]).text
    #expect(text.contains("no trajectory has an initial entropy and a value in tokens 0-50 after a result"))
    #expect(!text.contains("neither above nor below"))
  }

  @Test func whatAnEstimatorCannotDo() throws {
    let line =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1,2,3,4],"logprobs":[-0.5,-1,null,null],"#
      + #""top_logprobs":{"k":2,"counts":[2,2,0,0],"token_ids":[1,5,2,6],"logprobs":[-0.5,-1,-1,-2]},\#(Self.segments)}"#
    #expect(try importing([line]).status == 0)
    for (options, told, untold) in [
      (
        ["--estimator", "lower", "--temperature", "1.3"], "values of lower at temperature 1.3", "candidates to rescale"
      ),
      (["--estimator", "exact"], "no token has a value by exact", "the log has no entropies"),
    ] {
      let text = try Tool.run(["audit", database, "--format", "json"] + options).text
      #expect(text.contains(told) && !text.contains(untold), "\(text)")
      let page = try Tool.run(["audit", database] + options, environment: ["COLUMNS": "200"]).text
      #expect(page.contains(told) && !page.contains(untold), "\(page)")
    }
    // Without candidates it is these that are missing.
    let plain = #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1,2],"logprobs":[-0.5,-1]}"#
    let other = folder.path("other.db")
    #expect(try Tool.run(["import", other, try folder.write([plain], "plain.jsonl"), "--quiet"]).status == 0)
    let text = try Tool.run(["audit", other, "--format", "json", "--temperature", "1.3"]).text
    #expect(text.contains("candidates to rescale") && text.contains("no token has a value at temperature 1.3"))
  }

  @Test func placesAreNamed() throws {
    let root = #"{"kind":"trajectory","group_id":"g","trajectory_id":"p","token_ids":[1,2,3]}"#
    let short =
      #"{"kind":"trajectory","group_id":"g","trajectory_id":"c","parent_id":"p","branch_token_index":3,"#
      + #""prefix":"full","token_ids":[1,2]}"#
    #expect(try importing(["", root, short]).status == 2)
    let message = try #require(try DatabaseDump.value(database, "SELECT message FROM quarantine"))
    #expect(message.contains("branch_token_index is 3") && message.contains("has 2 tokens"), "\(message)")
    let again = try importing([root.replacing("[1,2,3]", with: "[1,2,4]")], "other.jsonl")
    #expect(again.status == 0)
    _ = try Tool.run(["import", database, folder.path("other.jsonl"), "--run", "log", "--quiet"])
    let third = try folder.write([root.replacing("[1,2,3]", with: "[1,2,5]")], "third.jsonl")
    #expect(try Tool.run(["import", database, third, "--run", "log", "--quiet"]).status == 2)
    let told = try DatabaseDump.value(database, "SELECT message FROM quarantine WHERE reason = 'duplicate_disagrees'")
    #expect(told?.contains("(\(folder.path("log.jsonl")):2)") == true, "\(told ?? "")")
  }

  /// A value below what an option takes is no missing value.
  @Test(arguments: [
    ["audit", "x.db", "--temperature", "-1"], ["audit", "x.db", "--bootstrap", "-1"],
    ["import", "x.db", "log", "--max-bad", "-1"], ["rescore", "x.db", "--policy", "p", "--temperature", "-1"],
    ["analyze", "log", "--temperature", "-0.5"], ["query", "x.db", "tools", "--limit", "-1"],
  ]) func valuesBelow(arguments: [String]) throws {
    let run = try Tool.run(arguments, currentDirectory: folder.url)
    let option = try #require(arguments.last { $0.hasPrefix("--") })
    #expect(run.status == 64 && run.errors.hasPrefix("Error: \(option) is "), "\(run.errors)")
  }

  @Test func queriesInWordsOfTheTool() throws {
    #expect(try importing([ImportCommandTests.good]).status == 0)
    for (sql, told) in [
      ("SELECT 1; SELECT 2", "several statements"), ("ATTACH '\(folder.path("x"))' AS y", "ATTACH"),
      ("attach'/no/such/place' AS y", "ATTACH"), ("\n DETACH y", "ATTACH"),
    ] {
      let run = try Tool.run(["query", database, sql])
      #expect(run.status == 1 && run.errors.contains(told) && run.output.isEmpty, "\(run.errors)")
      #expect(!run.errors.contains("Database.") && !run.errors.contains("SQLite error"), "\(run.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("x")))
    #expect(try Tool.run(["query", database, "SELECT 1 AS attach;"]).status == 0)
  }
}
