import ArgumentParser
import Queries
import RolloutStore

struct QueryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query",
    abstract: "Runs a query that comes with the tool, or SQL.",
    discussion: """
        arpo-replay query runs.db tools    # calls, failures, latency by tool
        arpo-replay query runs.db "SELECT * FROM trajectories LIMIT 5"
        arpo-replay query runs.db "SELECT * FROM groups WHERE step = :s" -p s=12

      Queries:
      \(CannedQuery.all.map { "  \($0.name): \($0.title)" }.joined(separator: "\n"))

      The tables and views are described by arpo-replay schema. In SQL, json_column(blob) turns a token column into a \
      JSON array: SELECT json_column(logprobs) FROM segment_tokens LIMIT 1; candidates take two columns: \
      json_column(top_logprobs, top_token_ids).

      A parameter is a number if it is written as one is (7, 0.5) and text otherwise (007, 1e3): CAST(:x AS REAL) \
      makes it one.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Argument(help: "Name of a query, or one SQL statement that reads.")
  var query: String

  @Option(name: [.short, .long], help: "A named parameter, as name=value; repeatable.")
  var parameter: [String] = []

  @Option(parsing: .unconditional, help: "Rows at the most; 0 for all.")
  var limit = 0

  @Option(parsing: .unconditional, help: "Seconds at the most.")
  var timeout = 60.0

  @OptionGroup var output: OutputArguments

  func validate() throws {
    guard limit >= 0 else { throw ValidationError("--limit is 0 or more") }
    guard timeout > 0, timeout <= 1e6 else { throw ValidationError("--timeout is above 0 and at most 1000000") }
    _ = try arguments()
  }

  private func arguments() throws -> [String: String] {
    var arguments: [String: String] = [:]
    for text in parameter {
      guard let at = text.firstIndex(of: "="), at > text.startIndex else {
        throw ValidationError("-p wants name=value, not \(text)")
      }
      let name = String(text[..<at])
      guard arguments.updateValue(String(text[text.index(after: at)...]), forKey: name) == nil else {
        throw ValidationError("-p gives \(name) twice")
      }
    }
    return arguments
  }

  func run() throws {
    try Talk.guarded {
      let store = try Store.open(database, for: .reading)
      let isSQL = query.contains(" ") || query.contains("\n")
      guard let sql = CannedQuery.named(query)?.sql ?? (isSQL ? query : nil) else {
        throw ValidationError(
          "there is no query \(query); known: \(CannedQuery.all.map(\.name).joined(separator: ", ")), or give SQL")
      }
      var writer: RowWriter?
      var rows = 0
      try store.query(sql, arguments: try arguments(), timeout: timeout) { columns in
        writer = RowWriter(
          format: output.format, columns: columns.map { OutputColumn($0) }, traits: output.traits)
      } body: { values in
        rows += 1
        try writer?.write(values.map(cell))
        return limit == 0 || rows < limit
      }
      try writer?.finish()
      return .ok
    }
  }

  private func cell(_ value: QueryValue) -> CellValue {
    switch value {
    case .null: .null
    case .int(let i): .int(Int(i))
    case .double(let d): .double(d)
    case .text(let s): .text(s)
    case .blob(let n): .text("<blob of \(n) bytes>")
    }
  }
}

struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Prints the database's schema, with a comment for every table and column.",
    discussion: """
        arpo-replay schema | less
        arpo-replay schema | sqlite3 empty.db

      Exit codes: \(ExitStatus.summary)
      """)

  func run() throws { print(Store.schema, terminator: "") }
}
