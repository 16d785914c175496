import Foundation
import Testing
import TestSupport

@Suite struct HelpTests {
  static let commands = [
    "import", "audit", "branches", "budget", "simulate", "tree", "attribute", "compare", "score", "analyze", "learn",
    "query", "schema", "export", "sample", "evaluate", "demonstrate", "rescore", "mismatch",
  ]

  @Test func noCommandIsForgotten() throws {
    let help = try Tool.run(["--help"]).text
    let list = try #require(help.components(separatedBy: "SUBCOMMANDS:\n").last)
    let names = list.split(separator: "\n").compactMap { $0.firstMatch(of: /^  ([a-z]+)\s/)?.1 }.map(String.init)
    #expect(names == Self.commands)
  }

  @Test(arguments: [nil] + commands.map(Optional.some)) func helpLeadsWithAnExample(command: String?) throws {
    let run = try Tool.run((command.map { [$0] } ?? []) + ["--help"])
    #expect(run.status == 0 && run.errors.isEmpty)
    let lines = run.text.split(separator: "\n", omittingEmptySubsequences: false)
    let example = try #require(lines.firstIndex { $0.contains("arpo-replay \(command ?? "")") }, "\(run.text)")
    let usage = try #require(lines.firstIndex { $0.hasPrefix("USAGE") })
    #expect(example < usage && example <= 4)
    // What is wrapped begins at the left edge, and cannot be pasted.
    let examples = lines[example..<usage].prefix { !$0.isEmpty }
    #expect(examples.allSatisfy { $0.hasPrefix("  ") }, "\(examples)")
    #expect(lines.allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE") }, "\(lines.filter { $0.count > 80 })")
  }

  /// Commands of examples are commands that there are, with options that there are.
  @Test func examplesCanBeTyped() throws {
    for command in Self.commands {
      let text = try Tool.run([command, "--help"]).text
      let examples = text.replacing("\\\n", with: "").split(separator: "\n").filter {
        $0.contains("arpo-replay \(command)") && !$0.hasPrefix("USAGE")
      }
      #expect(!examples.isEmpty)
      let options = Set(examples.flatMap { $0.matches(of: /--[a-z][a-z-]*/).map { String($0.0) } })
      let usage = text.split(separator: "USAGE:").last.map(String.init) ?? ""
      for option in options { #expect(usage.contains(option), "\(command) \(option)") }
    }
  }

  @Test(arguments: [nil] + commands.map(Optional.some)) func exitCodesAreTold(command: String?) throws {
    let help = try Tool.run((command.map { [$0] } ?? []) + ["--help"])
    let text = help.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for code in [
      "0 done", "1 failed", "2 done", "3 stopped", "4 a log", "5 database locked", "64 wrong usage", "130 interrupted",
    ] {
      #expect(text.contains(code))
    }
  }

  /// Options that mean the same have the same name wherever they are of use.
  @Test func theSameOptionsEverywhere() throws {
    let analyses = ["audit", "branches", "budget", "simulate", "compare", "score"]
    let selecting = analyses + ["attribute", "export", "learn", "evaluate", "rescore", "mismatch"]
    let evidence = ["audit", "branches", "simulate", "attribute", "compare", "tree", "mismatch"]
    let pages =
      analyses + [
        "attribute", "tree", "mismatch", "rescore", "query", "evaluate", "analyze", "learn", "import", "demonstrate",
      ]
    for (option, commands) in [
      ("--step <step>", selecting + ["tree"]), ("--run <run>", selecting), ("--group <group>", selecting),
      ("--evidence <evidence>", evidence), ("--plain", pages),
      (
        "--bootstrap <bootstrap>",
        analyses.filter {
          $0 != "branches"
        }
      ), ("--shared-prefix", ["tree", "export"]),
    ] {
      for command in commands {
        #expect(try Tool.run([command, "--help"]).text.contains("  \(option)"), "\(command) \(option)")
      }
    }
  }

  /// Formats that the help offers are taken.
  @Test func formatsThatThereAre() throws {
    for command in Self.commands {
      let help = try Tool.run([command, "--help"]).text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      guard let offered = help.firstMatch(of: /--format <format> [^<]*?\(values: ([a-z, ]+); default/)?.1 else {
        #expect(!help.contains("--format <format>"), "\(command)")
        continue
      }
      for format in ["table", "json", "ndjson", "csv"] {
        let run = try Tool.run([command, "--format", format])
        let isOffered = offered.split(separator: ", ").map(String.init).contains(format)
        let isRefused = run.errors.contains("is invalid for '--format <format>'")
        #expect(isRefused == !isOffered, "\(command) \(format): \(run.errors)")
      }
    }
  }

  /// The printed schema makes an empty database that every command takes.
  @Test func theSchemaMakesADatabase() throws {
    let folder = try TemporaryFolder()
    let database = folder.path("empty.db")
    try DatabaseDump.execute(try Tool.run(["schema"]).text, in: database)
    let query = try Tool.run(["query", database, "evidence"])
    #expect(query.status == 0, "\(query.errors)")
    let log = TestPaths.fixtures.appending(path: "logs/arpo/3.jsonl").path
    let run = try Tool.run(["import", database, log, "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(try DatabaseDump.value(database, "SELECT count(*) FROM trajectory") == "4")
  }

  @Test func theVersion() throws {
    let run = try Tool.run(["--version"])
    #expect(run.status == 0 && run.text.wholeMatch(of: /\d+\.\d+\.\d+\n/) != nil)
  }

  /// The schema is SQL that makes the database, with a comment for every table, view and column.
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
    let lines = run.text.split(separator: "\n", omittingEmptySubsequences: false)
    var (made, columns, table) = (0, 0, "")
    for (before, line) in zip(lines, lines.dropFirst()) {
      if let found = line.firstMatch(of: /^CREATE (TABLE|VIEW) (\w+)/) {
        table = found.1 == "TABLE" ? String(found.2) : ""
        made += 1
        #expect(before.hasPrefix("-- "), "\(found.2)")
      } else if let found = line.firstMatch(of: /^ALTER TABLE (\w+) ADD COLUMN/) {
        table = String(found.1)
      } else if line.hasPrefix(")") {
        table = ""
      } else if !table.isEmpty, line.firstMatch(of: /^  [a-z]\w* [A-Z]/) != nil {
        columns += 1
        #expect(line.contains("-- "), "\(table): \(line)")
        if line.firstMatch(of: /^[^-]*;/) != nil { table = "" }
      }
    }
    #expect(made == names.count)
    let known = try DatabaseDump.value(
      database,
      """
      SELECT count(*) FROM sqlite_master m JOIN pragma_table_info(m.name)
      WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
      """)
    #expect(known == String(columns))
  }
}
