import Foundation
import GRDB

/// Everything in a database as text, a line a row, to compare two databases row for row.
public enum DatabaseDump {
  /// The rows of every table, in the order of their keys; of a log's path only the file's name.
  public static func rows(_ path: String) throws -> [String] {
    var configuration = Configuration()
    configuration.readonly = true
    return try DatabaseQueue(path: path, configuration: configuration).read { db in
      var lines: [String] = []
      let tables = try String.fetchAll(
        db, sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
      for table in tables {
        let info = try Row.fetchAll(db, sql: "SELECT name, pk FROM pragma_table_info(?)", arguments: [table])
        let columns = info.map { $0["name"] as String }
        let key = info.filter { ($0["pk"] as Int) > 0 }.sorted { ($0["pk"] as Int) < ($1["pk"] as Int) }
          .map { $0["name"] as String }
        let parts = columns.map { "'\($0)=' || quote(\($0))" }.joined(separator: " || ' ' || ")
        let order = (key.isEmpty ? columns : key).joined(separator: ", ")
        lines += try String.fetchAll(db, sql: "SELECT '\(table) ' || \(parts) FROM \(table) ORDER BY \(order)")
          .map { table == "source" ? withoutFolder($0) : table == "quarantine" ? withoutFolders(ofPlacesIn: $0) : $0 }
      }
      return lines
    }
  }

  /// Messages name places in other logs as `(path:line)`.
  private static func withoutFolders(ofPlacesIn row: String) -> String {
    row.replacing(/\(\/[^() ]*\/([^()\/ ]+:\d+)\)/) { "(\($0.1))" }
  }

  private static func withoutFolder(_ row: String) -> String {
    guard let start = row.range(of: "path='"), let end = row[start.upperBound...].firstIndex(of: "'"),
      let slash = row[start.upperBound..<end].lastIndex(of: "/")
    else { return row }
    return row.replacingCharacters(in: start.upperBound...slash, with: "")
  }

  /// Where two dumps differ, at most a few rows of each, cut to a readable length; empty if they are equal.
  public static func differences(_ a: [String], _ b: [String]) -> [String] {
    if a == b { return [] }
    let onlyA = Set(a).subtracting(b).sorted().prefix(4).map { "- " + $0.prefix(4000) }
    let onlyB = Set(b).subtracting(a).sorted().prefix(4).map { "+ " + $0.prefix(4000) }
    return onlyA + onlyB + (onlyA.isEmpty && onlyB.isEmpty ? ["the same rows, but not as often"] : [])
  }

  /// Runs statements, in a new database if there is none.
  public static func execute(_ sql: String, in path: String) throws {
    try DatabaseQueue(path: path).writeWithoutTransaction { try $0.execute(sql: sql) }
  }

  /// One value of a query's first row, as text; `nil` for NULL and where there is no row.
  public static func value(_ path: String, _ sql: String) throws -> String? {
    try strings(path, sql).first ?? nil
  }

  /// The first column of a query's rows, as text.
  public static func strings(_ path: String, _ sql: String) throws -> [String?] {
    var configuration = Configuration()
    configuration.readonly = true
    return try DatabaseQueue(path: path, configuration: configuration).read { db in
      try Row.fetchAll(db, sql: sql).map { row in
        switch (row[0] as DatabaseValue).storage {
        case .null: nil
        case .int64(let i): String(i)
        case .double(let d): d.description
        case .string(let s): s
        case .blob(let data): "\(data.count) bytes"
        }
      }
    }
  }
}
