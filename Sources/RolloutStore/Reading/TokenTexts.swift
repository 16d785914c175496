import GRDB

extension Store {
  /// The texts of tokens joined, where the run's log gives texts; `nil` if it lacks any of them.
  public func tokenText(run: String, _ ids: [Int32]) throws -> String? {
    if ids.isEmpty { return nil }
    return try reading { db in
      var out = ""
      for id in ids {
        let text = try String.fetchOne(
          db.cachedStatement(
            sql: "SELECT text FROM token_string t JOIN run r ON r.id = t.run WHERE r.run_id = ? AND t.number = ?"),
          arguments: [run, id])
        guard let text else { return nil }
        out += text
      }
      return out
    }
  }
}
