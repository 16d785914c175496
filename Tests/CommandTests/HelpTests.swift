import Foundation
import Testing
import TestSupport

@Suite struct HelpTests {
  static let commands = [
    "import", "audit", "branches", "budget", "simulate", "analyze", "query", "schema", "rescore", "mismatch",
    "tree", "attribute", "compare", "score",
  ]

  @Test(arguments: [nil] + commands.map(Optional.some)) func helpLeadsWithAnExample(command: String?) throws {
    let run = try Tool.run((command.map { [$0] } ?? []) + ["--help"])
    #expect(run.status == 0 && run.errors.isEmpty)
    let lines = run.text.split(separator: "\n", omittingEmptySubsequences: false)
    let example = try #require(lines.firstIndex { $0.contains("arpo-replay \(command ?? "")") }, "\(run.text)")
    let usage = try #require(lines.firstIndex { $0.hasPrefix("USAGE") })
    #expect(example < usage && example <= 4)
    #expect(lines.allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE") }, "\(lines.filter { $0.count > 80 })")
  }

  /// Commands of examples are commands that there are, with options that there are.
  @Test func examplesCanBeTyped() throws {
    for command in Self.commands {
      let text = try Tool.run([command, "--help"]).text
      let examples = text.split(separator: "\n").filter {
        $0.contains("arpo-replay \(command)") && !$0.hasPrefix("USAGE")
      }
      #expect(!examples.isEmpty)
      let options = Set(examples.flatMap { $0.matches(of: /--[a-z][a-z-]*/).map { String($0.0) } })
      let usage = text.split(separator: "OPTIONS:").last.map(String.init) ?? ""
      for option in options { #expect(usage.contains(option), "\(command) \(option)") }
    }
  }

  @Test func exitCodesAreTold() throws {
    let text = try Tool.run(["import", "--help"]).text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for code in [
      "0 done", "1 failed", "2 done", "3 stopped", "4 a log", "5 database locked", "64 wrong usage", "130 interrupted",
    ] {
      #expect(text.contains(code))
    }
  }

  @Test func theVersion() throws {
    let run = try Tool.run(["--version"])
    #expect(run.status == 0 && run.text.wholeMatch(of: /\d+\.\d+\.\d+\n/) != nil)
  }

  /// The schema is SQL that makes the database, with a comment for every table.
  @Test func theSchema() throws {
    let run = try Tool.run(["schema"])
    #expect(run.status == 0)
    let folder = try TemporaryFolder()
    let database = folder.path("runs.db")
    _ = try Tool.run(["import", database, TestPaths.fixtures.appending(path: "logs/arpo/3.jsonl").path, "--quiet"])
    let names = try DatabaseDump.strings(
      database, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'")
    #expect(names.count > 15)
    for case .some(let name) in names {
      #expect(run.text.contains("CREATE TABLE \(name) (") || run.text.contains("CREATE VIEW \(name) AS"), "\(name)")
    }
  }
}
