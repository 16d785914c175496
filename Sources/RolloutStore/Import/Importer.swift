import Foundation
import GRDB
import RolloutLogs
import Rollouts

/// Imports logs into a database.
///
///     var importer = Importer(store: store, options: ImportOptions())
///     let report = try importer.run(["logs/"])
///
/// A decoder thread cuts the log into blocks of records, workers parse and encode them, one writer stores them in the
/// order of the log and commits every few seconds together with the place reached. What is committed is never done
/// again: after a crash the same call goes on from there.
public struct Importer {
  let store: Store
  let options: ImportOptions
  let onProgress: (ImportProgress) -> Void
  let onWait: (String) -> Void
  let isCancelled: @Sendable () -> Bool

  /// - Parameters:
  ///   - onProgress: called after every block.
  ///   - onWait: called with a process id when another import holds the database.
  ///   - isCancelled: asked between blocks, and while live input is waited for; the import then commits what it has and ends.
  ///     Of live input, which would not come again, that is all that has been read.
  public init(
    store: Store, options: ImportOptions, onProgress: @escaping (ImportProgress) -> Void = { _ in },
    onWait: @escaping (String) -> Void = { _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) {
    self.store = store
    self.options = options
    self.onProgress = onProgress
    self.onWait = onWait
    self.isCancelled = isCancelled
  }

  /// Imports files, folders and standard input (`-`).
  /// - Parameter reading: of the first of the paths, begun with the same options.
  public func run(_ paths: [String], reading: LogReading? = nil) throws -> ImportReport {
    let clock = ContinuousClock.now
    let entries = try LogPaths.expand(paths, database: store.path)
    let lock =
      store.path.isEmpty
      ? nil : try ImportLock(database: store.path, isCancelled: isCancelled, waiting: onWait)
    defer { withExtendedLifetime(lock) {} }
    var report = ImportReport()
    do {
      try store.queue.writeWithoutTransaction { db in
        let checkpointer = store.path.isEmpty ? nil : try Checkpointer(db, path: store.path)
        var isCopying = checkpointer != nil
        defer { if isCopying { checkpointer?.stop() } }
        let writer = try RecordWriter(db, keptBytes: options.keptRecordBytes)
        writer.onCommit = { checkpointer?.committed() }
        let lacking = try Int64.fetchSet(
          db, sql: "SELECT source FROM quarantine WHERE reason = ? AND length <= ?",
          arguments: [QuarantineReason.tooLong.rawValue, options.maxRecordBytes])
        var sources: [SourceState] = []
        for (i, entry) in entries.enumerated() {
          if entry.isEmptyFolder {
            report.files.append(FileReport(emptyFolder: entry.path))
            continue
          }
          var file = FileImport(
            importer: self, writer: writer, entry: entry, number: i + 1, of: entries.count, lacking: lacking,
            begun: reading?.path == entry.path && i == 0 ? reading : nil)
          report.files.append(try file.run())
          if let source = file.source {
            sources.append(source)
            report.files[i].source = source.id
          }
          if [.interrupted, .stopped].contains(report.files.last?.status) { break }
        }
        try db.inTransaction(.immediate) {
          try finish(writer, goesOn: report.files.contains { $0.status == .interrupted && $0.canGoOn })
          try writer.flush()
          return .commit
        }
        count(writer.joined, in: &report)
        try judgeWaiting(&report, db)
        try ReportQueries(db).fill(&report, sources: Array(Set(sources.map(\.id))).sorted())
        if options.runName == nil { report.sharedRuns = try SharedRunNames(db: db).find(sources) }
        checkpointer?.stop()
        isCopying = false
        if !store.path.isEmpty { try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
      }
    } catch let error as DatabaseError {
      throw Store.translated(error, store.path)
    }
    var info = stat()
    report.databaseBytes = !store.path.isEmpty && stat(store.path, &info) == 0 ? Int(info.st_size) : 0
    report.seconds = (ContinuousClock.now - clock).seconds
    return report
  }

  /// Calls were counted as they came; at the end several of them can be one trajectory, also with those of earlier
  /// imports, which is no less than nothing.
  private func count(_ joined: [Int64: (trajectories: Int, tokens: Int)], in report: inout ImportReport) {
    for i in report.files.indices where report.files[i].status != .known {
      guard let change = report.files[i].source.flatMap({ joined[$0] }) else { continue }
      report.files[i].counts.trajectories = max(0, report.files[i].counts.trajectories + change.trajectories)
      report.files[i].counts.tokens = max(0, report.files[i].counts.tokens + change.tokens)
    }
  }

  /// Records whose parent never came are bad too, which shows only at the end.
  private func judgeWaiting(_ report: inout ImportReport, _ db: Database) throws {
    for i in report.files.indices {
      let sql = "SELECT count(*) FROM quarantine WHERE waits_for IS NOT NULL AND source = ? AND byte_offset >= ?"
      let waiting = try Int.fetchOne(db, sql: sql, arguments: [report.files[i].source, report.files[i].begin])
      if report.files[i].status != .known { report.files[i].counts.quarantined += waiting ?? 0 }
    }
    let read = report.files.indices.filter { [.imported, .resumed].contains(report.files[$0].status) }
    if let limit = options.maxBad, let last = read.last, report.counts.quarantined > limit {
      report.files[last].status = .stopped
    }
  }

  /// What can only be said when all records are there.
  ///
  /// An import that was interrupted says it when it goes on, which that of a pipe does not.
  private func finish(_ writer: RecordWriter, goesOn: Bool) throws {
    try writer.settleWaiting()
    guard !goesOn else { return }
    let joiner = ConversationJoiner(writer)
    for run in try Int64.fetchAll(writer.db, sql: "SELECT id FROM run WHERE is_settled = 0 ORDER BY id") {
      try joiner.join(run: run)
      try writer.forgetGroupFindings(run: run)
      try writer.mergeGroups(run: run)
      try writer.spreadSteplessGroups(run: run)
      try writer.findCopies(run: run)
      try writer.execute("UPDATE run SET is_settled = 1 WHERE id = ?", [run])
    }
  }
}

extension Duration {
  /// Seconds as a double.
  public var seconds: Double {
    let parts = components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }
}
