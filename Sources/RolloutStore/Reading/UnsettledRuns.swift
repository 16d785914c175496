import GRDB

extension Store {
  /// The runs whose import is under way or was cut off: what is said only at its end is not in the database yet, such as
  /// which calls are one conversation.
  public func unsettledRuns() throws -> [String] {
    try reading { try String.fetchAll($0, sql: "SELECT run_id FROM run WHERE is_settled = 0 ORDER BY id") }
  }
}
