import GRDB
import Rollouts

/// The closing report of an import, from the database.
struct ReportQueries {
  let db: Database

  init(_ db: Database) { self.db = db }

  func fill(_ report: inout ImportReport, sources: [Int64]) throws {
    guard !sources.isEmpty else { return }
    let list = sources.map(String.init).joined(separator: ",")
    report.quarantine = try tallies(
      """
      SELECT q.reason AS name, count(*) AS count, 0 AS trajectories, (
          SELECT s.path || ':' || f.line FROM quarantine f JOIN source s ON s.id = f.source
          WHERE f.reason = q.reason AND f.source IN (\(list)) ORDER BY f.source, f.byte_offset LIMIT 1) AS first
      FROM quarantine q WHERE q.source IN (\(list)) GROUP BY q.reason ORDER BY 2 DESC, 1
      """)
    report.findings = try tallies(
      """
      SELECT f.check_name AS name, sum(f.count) AS count, count(DISTINCT f.trajectory) AS trajectories, (
          SELECT s.path || ':' || coalesce(t.line, 0) FROM finding g JOIN source s ON s.id = g.source
          LEFT JOIN trajectory t ON t.id = g.trajectory
          WHERE g.check_name = f.check_name AND g.source IN (\(list)) ORDER BY g.source, t.byte_offset LIMIT 1) AS first
      FROM finding f WHERE f.source IN (\(list)) GROUP BY f.check_name ORDER BY 2 DESC, 1
      """)
    report.evidence = try Row.fetchAll(
      db, sql: "SELECT evidence, count(*) FROM trajectory WHERE source IN (\(list)) GROUP BY evidence ORDER BY 1 DESC"
    ).map { (Evidence(rawValue: $0[0]), $0[1]) }
    for i in report.files.indices {
      guard let source = report.files[i].source, report.files[i].status != .known else { continue }
      report.files[i].counts.toolCalls = try toolCalls(of: source) - report.files[i].knownToolCalls
      report.files[i].announced = try announced(source, elsewhere: report.files[i].counts.knownElsewhere)
    }
  }

  /// Tool calls of the trajectories that a log brought.
  func toolCalls(of source: Int64) throws -> Int {
    try Int.fetchOne(
      db, sql: "SELECT count(*) FROM tool_call c JOIN trajectory t ON t.id = c.trajectory WHERE t.source = ?",
      arguments: [source]) ?? 0
  }

  /// What the log's `end` record announces, and how many of these trajectories there are; `nil` if it is the same number.
  /// - Parameter elsewhere: how many of them another log brought.
  private func announced(_ source: Int64, elsewhere: Int) throws -> (trajectories: Int, held: Int)? {
    let row = try Row.fetchOne(
      db,
      sql: """
        SELECT announced_trajectories, (SELECT count(*) FROM trajectory t WHERE t.source = s.id),
          (SELECT count(*) FROM trajectory t WHERE t.run = s.current_run)
        FROM source s WHERE id = ? AND state <> 'reading' AND announced_trajectories IS NOT NULL
        """, arguments: [source])
    guard let row else { return nil }
    let announced: Int = row[0]
    let held = (row[1] as Int) + elsewhere
    // Of a log that was read in pieces nobody knows how many came from elsewhere before: then the run tells.
    return held == announced || (row[2] as Int?) == announced ? nil : (announced, held)
  }

  private func tallies(_ sql: String) throws -> [ImportReport.Tally] {
    try Row.fetchAll(db, sql: sql).map {
      ImportReport.Tally(name: $0["name"], count: $0["count"], trajectories: $0["trajectories"], first: $0["first"])
    }
  }
}
