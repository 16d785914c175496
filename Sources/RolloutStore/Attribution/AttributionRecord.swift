import GRDB
public import Replay

/// A named attribution of the database: which strategy, with which numbers, over what.
public struct AttributionRecord: Sendable, Equatable {
  /// The name by which it is asked for.
  public var name: String
  /// The strategy's name, such as `arpo-hard`.
  public var strategy: String
  /// What the strategy gives: one value a leaf, or one a token.
  public var kind: AttributionKind
  /// The formula as a report prints it.
  public var formula: String
  /// JSON: the formula's named numbers.
  public var parameters: String
  /// What of the log the results stand on.
  public var evidence: [String]
  /// Whether all results are there; `false` if the command was cut off.
  public var isComplete: Bool

  let id: Int64
  let scope: AttributionScope
  let selection: String
  let dataKey: String

  init(_ row: Row) {
    id = row["id"]
    scope = AttributionScope(rawValue: row["scope"]) ?? .group
    name = row["name"]
    strategy = row["strategy"]
    kind = AttributionKind(rawValue: row["kind"]) ?? .token
    formula = row["formula"]
    parameters = row["parameters"]
    evidence = (row["evidence"] as String).split(separator: ",").map(String.init)
    isComplete = row["state"] == "complete"
    selection = row["selection"]
    dataKey = row["data_key"]
  }

  static func find(_ name: String, _ db: Database) throws -> AttributionRecord? {
    try Row.fetchOne(db, sql: "SELECT * FROM attribution WHERE name = ?", arguments: [name]).map(AttributionRecord.init)
  }
}

extension AttributionRecord {
  private static let successorMark = " (being replaced)"

  /// The name that results have while they are written, where complete ones of their own name are there.
  static func successor(of name: String) -> String { name + successorMark }

  static func isSuccessor(_ name: String) -> Bool { name.hasSuffix(successorMark) }
}

extension Store {
  /// The named attributions, by name; none in a database of an older version.
  public func attributions() throws -> [AttributionRecord] {
    try reading { db in
      guard try db.tableExists("attribution") else { return [] }
      return try Row.fetchAll(db, sql: "SELECT * FROM attribution ORDER BY name").map(AttributionRecord.init)
    }
  }

  /// Runs a body that reads, errors in words for the user.
  func reading<T>(_ body: (Database) throws -> T) throws -> T {
    do { return try queue.read(body) } catch let error as DatabaseError { throw Self.translated(error, path) }
  }
}
