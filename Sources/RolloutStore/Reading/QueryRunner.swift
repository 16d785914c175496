import Dispatch
import Foundation
import GRDB
import GRDBSQLite
import Rollouts

/// A value of a query's result.
public enum QueryValue: Sendable, Equatable {
  case null
  case int(Int64)
  case double(Double)
  case text(String)
  case blob(Int)
}

/// A query's result: columns in order, rows handed over one by one.
extension Store {
  /// Runs one SQL statement that only reads.
  /// - Parameters:
  ///   - arguments: values of named parameters (`:step`), as text. One that is written as its number is written (`7`,
  ///     `0.5`) is bound as that number, everything else (`007`, `nan`, `1e3`) as the text that it is.
  ///   - timeout: seconds after which the query is stopped.
  ///   - body: called with the columns once per row; `false` ends the query.
  public func query(
    _ sql: String, arguments: [String: String] = [:], timeout: Double = 60,
    header: ([String]) throws -> Void, body: ([QueryValue]) throws -> Bool
  ) throws {
    // A query may work long before its first row, or have one row only.
    let stop = DispatchWorkItem { self.queue.interrupt() }
    DispatchQueue.global().asyncAfter(deadline: .now() + timeout, execute: stop)
    defer { stop.cancel() }
    do {
      guard !Self.attaches(sql) else {
        throw StoreError(.failed, "a query is one statement about one database: ATTACH and DETACH do nothing here")
      }
      try queue.read { db in
        db.add(function: Self.jsonColumn)
        let statement = try db.makeStatement(sql: sql)
        guard statement.isReadonly else {
          throw StoreError(
            .failed, "the query would change the database; only SELECT, WITH and PRAGMA that read are run")
        }
        try Self.check(arguments, statement)
        let cursor = try Row.fetchCursor(statement, arguments: StatementArguments(arguments.mapValues(Self.argument)))
        try header(statement.columnNames)
        while let row = try cursor.next() {
          if try !body(row.databaseValues.map(Self.value)) { break }
        }
      }
    } catch let error as DatabaseError {
      if error.resultCode == .SQLITE_INTERRUPT {
        throw StoreError(.failed, "the query took longer than \(timeout) s (--timeout)")
      }
      // Its message speaks of functions of the library.
      if error.resultCode == .SQLITE_MISUSE, error.message?.hasPrefix("Multiple statements") == true {
        throw StoreError(.failed, "the query has several statements; give one")
      }
      if error.resultCode == .SQLITE_ERROR || error.resultCode == .SQLITE_MISUSE {
        throw StoreError(.failed, (error.message ?? error.description) + ageNote(error))
      }
      throw Self.translated(error, path)
    }
  }

  /// SQLite calls these statements harmless, although they open a file.
  private static func attaches(_ sql: String) -> Bool {
    ["attach", "detach"].contains(sql.split(whereSeparator: { $0.isWhitespace || $0 == "'" }).first?.lowercased())
  }

  /// Where a table may be missing because the database is of an older version: how it gets it.
  private func ageNote(_ error: DatabaseError) -> String {
    guard error.message?.hasPrefix("no such") == true,
      let version = try? queue.read({ try Int.fetchOne($0, sql: "PRAGMA user_version") }), version < Self.schemaVersion
    else { return "" }
    return """
       (the database has schema version \(version), this program \(Self.schemaVersion)): arpo-replay import \(path) LOG \
      brings it up to date, with any log, also one that it has already
      """
  }

  /// A number only if no digit of the text gets lost.
  private static func argument(_ text: String) -> any DatabaseValueConvertible {
    if let number = Int64(text), number.description == text { return number }
    if let number = Double(text), number.isFinite, number.description == text { return number }
    return text
  }

  private static func check(_ arguments: [String: String], _ statement: Statement) throws {
    let count = sqlite3_bind_parameter_count(statement.sqliteStatement)
    // The first character is `:`, `@` or `$`.
    let named = (0..<count).map { i in
      sqlite3_bind_parameter_name(statement.sqliteStatement, i + 1).map { String(String(cString: $0).dropFirst()) }
    }
    guard !named.contains(nil) else {
      throw StoreError(
        .failed, "the query has a parameter without a name (?): name it, such as :x, and give -p x=value")
    }
    let names = Set(named.compactMap { $0 })
    let unknown = arguments.keys.filter { !names.contains($0) }.sorted()
    guard unknown.isEmpty else {
      throw StoreError(
        .failed,
        "the query has no parameter \(unknown.joined(separator: ", ")); "
          + (names.isEmpty ? "it has none" : "it has: \(names.sorted().joined(separator: ", "))"))
    }
    let missing = names.subtracting(arguments.keys).sorted()
    guard missing.isEmpty else {
      throw StoreError(.failed, "the query wants " + missing.map { "-p \($0)=value" }.joined(separator: " "))
    }
  }

  private static func value(_ value: DatabaseValue) -> QueryValue {
    switch value.storage {
    case .null: .null
    case .int64(let i): .int(i)
    case .double(let d): .double(d)
    case .string(let s): .text(s)
    case .blob(let data): .blob(data.count)
    }
  }

  /// `json_column(blob)`: a token column as a JSON array, null where the log has no value; candidates as an array of
  /// `[id, logprob]` pairs a token, from two blobs: `json_column(top_logprobs, top_token_ids)`.
  private static let jsonColumn = DatabaseFunction("json_column", argumentCount: nil, pure: true) { values in
    guard (1...2).contains(values.count) else { throw ColumnError("json_column takes one blob or two") }
    guard let data = Data.fromDatabaseValue(values[0]), let first = data.first else { return nil }
    let ids = values.count == 2 ? Data.fromDatabaseValue(values[1]) : nil
    let decoder = ColumnDecoder()
    return try data.withUnsafeBytes { bytes -> String? in
      switch ColumnCoding(rawValue: first) {
      case .integers:
        var ids: [Int32] = []
        try decoder.integers(bytes, into: &ids)
        return "[" + ids.map(String.init).joined(separator: ",") + "]"
      case .mask:
        var mask: [UInt8] = []
        try decoder.mask(bytes, into: &mask)
        return "[" + mask.map(String.init).joined(separator: ",") + "]"
      case .reals:
        var column = RealColumn()
        try decoder.reals(bytes, into: &column)
        return "[" + column.jsonElements.joined(separator: ",") + "]"
      case .candidates, .candidatesWithoutPlaces, .candidatesWithoutIDs:
        var top = TopLogprobs()
        if let ids {
          try ids.withUnsafeBytes { try decoder.candidates(bytes, ids: $0, into: &top) }
        } else {
          if first == ColumnCoding.candidatesWithoutIDs.rawValue {
            throw ColumnError("the ids stand in a column of their own: json_column(top_logprobs, top_token_ids)")
          }
          try decoder.candidates(bytes, into: &top)
        }
        let logprobs = top.logprobs.jsonElements
        var at = 0
        let rows = top.counts.map { count in
          defer { at += Int(count) }
          return "[" + (at..<(at + Int(count))).map { "[\(top.tokenIDs[$0]),\(logprobs[$0])]" }.joined(separator: ",")
            + "]"
        }
        return "[" + rows.joined(separator: ",") + "]"
      case .advantages:
        return "[" + (try decoder.advantages(bytes).alignedValues.map(\.description)).joined(separator: ",") + "]"
      case nil: return nil
      }
    }
  }
}

extension RealColumn {
  /// JSON numbers, `null` where there is none; a float32 is printed as one.
  fileprivate var jsonElements: [String] {
    precision == .float64
      ? doubles.map { $0.isNaN ? "null" : $0.description } : floats.map { $0.isNaN ? "null" : $0.description }
  }
}
