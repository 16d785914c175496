import Foundation
import GRDB
import RolloutLogs
import Rollouts

/// The import of one file: find out where to begin, run the pipeline, commit.
struct FileImport {
  let importer: Importer
  let writer: RecordWriter
  let entry: LogPaths.Entry
  let number: Int
  let files: Int
  /// Sources with records that were too long for the import that read them and are not for this one.
  let lacking: Set<Int64>
  /// The reading of this file, where it began before its turn.
  let begun: LogReading?
  private(set) var source: SourceState?

  private var db: Database { writer.db }
  private var options: ImportOptions { importer.options }
  private var report: FileReport

  init(
    importer: Importer, writer: RecordWriter, entry: LogPaths.Entry, number: Int, of files: Int, lacking: Set<Int64>,
    begun: LogReading?
  ) {
    self.importer = importer
    self.begun = begun
    self.writer = writer
    self.entry = entry
    self.number = number
    self.files = files
    self.lacking = lacking
    report = FileReport(path: entry.path, status: .imported, isExplicit: entry.isExplicit)
    report.canGoOn = entry.path != "-" && size(of: entry.path) != nil
  }

  /// Ends the import of a file early: the place is between two records.
  private struct Stop: Error {
    var status: FileReport.Status
  }

  mutating func run() throws -> FileReport {
    let clock = ContinuousClock.now
    defer { report.seconds = (ContinuousClock.now - clock).seconds }
    let reading: LogReading
    let log: OpenedLog
    let earlier: Earlier?
    do throws(InputError) {
      earlier = try earlierImport()
      if earlier != nil { begun?.stop() }
      if case .known(let id) = earlier {
        report.status = .known
        source = SourceState(
          id: id, defaultRunName: "", records: 0, resume: ResumePoint(), bytes: 0, hash: { "" })
        report.seconds = (ContinuousClock.now - clock).seconds
        return report
      }
      reading = self.reading(behind: earlier)
      log = try reading.opened()
    } catch {
      report.status = FileReport.Status(error)
      report.message = error.description
      return report
    }
    report.format = log.recognition.format
    report.container = log.recognition.container.rawValue
    writer.counts = ImportCounts()
    try db.beginTransaction(.immediate)
    do {
      try begin(log, earlier)
      try pump(reading, log)
      try finish(log)
    } catch {
      if db.isInsideTransaction { try db.rollback() }
      try writer.forget()
      throw error
    }
    report.counts = writer.counts
    report.bytes = log.stream.input.bytesRead
    report.uncompressedBytes = log.stream.input.bytesOut
    report.seconds = (ContinuousClock.now - clock).seconds
    return report
  }

  // MARK: Earlier imports

  private enum Earlier {
    /// The same bytes.
    case known(Int64)
    /// A beginning of these bytes.
    case part(Row)
    /// The same bytes or a beginning of them, with records that were too long then and are not now.
    case lacking(Row)

    /// Its row in the table `source`, and where the records begin that are wanted.
    var rest: (row: Row, resume: ResumePoint)? {
      switch self {
      case .known: nil
      case .part(let row): (row, ResumePoint(byteOffset: row["resume_offset"], lines: row["resume_lines"]))
      case .lacking(let row): (row, ResumePoint())
      }
    }
  }

  /// What the database has of this file already.
  ///
  /// Only files that could be the same are hashed.
  private func earlierImport() throws(InputError) -> Earlier? {
    guard report.canGoOn, let size = size(of: entry.path) else { return nil }
    let name = URL(filePath: entry.path).lastPathComponent
    let rows: [Row]
    do {
      rows = try Row.fetchAll(
        db,
        sql: "SELECT * FROM source WHERE bytes <= ? AND path <> '-' ORDER BY bytes DESC, id", arguments: [size])
    } catch {
      throw .unreadable("\(error)")
    }
    var hashes: [Int: String] = [:]
    for row in rows {
      let bytes: Int = row["bytes"]
      let path: String = row["path"]
      guard bytes > 0, bytes == size || URL(filePath: path).lastPathComponent == name else { continue }
      if hashes[bytes] == nil { hashes[bytes] = try LogInput.hash(path: entry.path, first: bytes) ?? "" }
      guard hashes[bytes] == row["sha256"] else { continue }
      let format = (row["format"] as String?).flatMap(LogFormats.named)
      if lacking.contains(row["id"]), format?.countsEqualRecords == false { return .lacking(row) }
      if bytes == size, row["state"] != "reading" { return .known(row["id"]) }
      return .part(row)
    }
    return nil
  }

  private func size(of path: String) -> Int? {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : nil
  }

  // MARK: Begin

  /// A file of which a part is there is read from there on; what it lacks may stand anywhere.
  private func reading(behind earlier: Earlier?) -> LogReading {
    let isCancelled = importer.isCancelled
    guard let rest = earlier?.rest else {
      return begun ?? LogReading(entry.path, options: options, isCancelled: isCancelled)
    }
    return LogReading(entry.path, options: options, from: rest.resume, isCancelled: isCancelled)
  }

  private mutating func begin(_ log: OpenedLog, _ earlier: Earlier?) throws {
    let found = log.recognition
    if let (row, resume) = earlier?.rest {
      report.status = .resumed
      report.begin = resume.byteOffset
      report.knownToolCalls = try ReportQueries(db).toolCalls(of: row["id"])
      let hash: String = row["sha256"]
      var state = SourceState(
        id: row["id"], defaultRunName: found.runName, records: 0, resume: resume, bytes: row["bytes"], hash: { hash })
      if resume.byteOffset > 0 {
        state.currentRun = row["current_run"]
        state.records = row["records"]
        state.announced = row["announced_trajectories"]
      }
      // What was cut off then is read again now.
      let removed = try Int.fetchOne(
        db,
        // A stream that breaks off is told by a row without length, which is no record.
        sql: "SELECT count(*) FROM quarantine WHERE source = ? AND byte_offset >= ? AND length > 0",
        arguments: [state.id, resume.byteOffset])
      state.records -= min(state.records, removed ?? 0)
      try db.execute(
        sql: "DELETE FROM quarantine WHERE source = ? AND byte_offset >= ?", arguments: [state.id, resume.byteOffset])
      state.isRunLost = try writer.isRunLost(in: state.id)
      source = state
      // What comes now may continue what was settled then.
      if let run = state.currentRun { try writer.reopen(run) }
    } else {
      let id = writer.newID(.source)
      source = SourceState(
        id: id, defaultRunName: found.runName, records: 0, resume: ResumePoint(), bytes: 0, hash: { "" })
      try writer.execute(
        """
        INSERT INTO source (id, path, format, container, layout, bytes, sha256, resume_offset, resume_lines, records, state)
        VALUES (?,?,?,?,?,0,'',0,0,0,'reading')
        """, [id, entry.path, found.format, found.container.rawValue, found.layout.rawValue])
    }
    if let source { writer.formats[source.id] = log.format }
  }

  // MARK: Pipeline

  private mutating func pump(_ reading: LogReading, _ log: OpenedLog) throws {
    let clock = ContinuousClock()
    var committed = clock.now
    var sinceCommit = 0
    var bytesOut = source?.resume.byteOffset ?? 0
    do {
      try reading.consume { prepared in
        // Not before: while a pipe is silent, others may write.
        if !db.isInsideTransaction { try db.beginTransaction(.immediate) }
        try write(prepared)
        let block = prepared.block
        sinceCommit += max(0, block.resume.byteOffset - bytesOut)
        bytesOut = block.resume.byteOffset
        progress(log, block.bytesRead, bytesOut)
        // What came through a pipe would not come again: its reading ends, and what was read is still imported.
        if importer.isCancelled(), !log.stream.input.isLive { throw Stop(status: .interrupted) }
        if block.isEarly || sinceCommit >= options.commitBytes
          || (clock.now - committed).seconds >= options.commitSeconds
        {
          try commit(state: "reading")
          committed = clock.now
          sinceCommit = 0
        }
      }
      if log.stream.isInterrupted { throw Stop(status: .interrupted) }
    } catch let stop as Stop {
      report.status = stop.status
    }
  }

  private func progress(_ log: OpenedLog, _ bytesRead: Int, _ bytesOut: Int) {
    importer.onProgress(
      ImportProgress(
        path: entry.path, file: number, files: files, bytesRead: bytesRead, size: log.stream.input.size,
        uncompressedBytes: bytesOut, counts: writer.counts))
  }

  private mutating func write(_ prepared: PreparedBlock) throws {
    guard var state = source else { return }
    let block = prepared.block
    defer { source = state }
    state.bytes = block.bytesRead
    state.hash = block.hash
    var failures = block.failures[...]
    // The last record is bad and may be unfinished: it is read again when the log has grown.
    var hasOpenTail = false
    var isFailureTold = block.streamFailure == nil
    for item in prepared.items {
      let index =
        switch item {
        case .records(_, let i), .bad(_, let i): i
        }
      let slice = block.slices[index]
      while let failure = failures.first, failure.position.byteOffset < slice.position.byteOffset {
        failures.removeFirst()
        state.resume = ResumePoint(byteOffset: slice.position.byteOffset, lines: slice.position.line - 1)
        try tell(failure, &state)
      }
      let origin = Origin(source: state.id, position: slice.position)
      state.records += 1
      writer.counts.records += 1
      var failure: RecordError?
      switch item {
      case .bad(let error, _): failure = error
      case .records(let records, _):
        do {
          try write(records, block.bytes(of: slice), origin, &state)
        } catch let error as RecordError {
          failure = error
        }
      }
      if var error = failure {
        hasOpenTail = slice.isUnterminated
        if error.reason == .unsupportedSchema { report.message = error.message }
        if let torn = block.torn(slice, error) {
          isFailureTold = true
          error = torn
        }
        try quarantine(error, block.bytes(of: slice), slice.position, state)
        if !slice.isUnterminated { try leaveRun(block.bytes(of: slice), origin, &state) }
      }
      state.resume = place(behind: index, of: block)
      try stopIfTooManyAreBad()
    }
    for failure in failures {
      state.resume = block.resume
      try tell(failure, &state)
    }
    state.resume = hasOpenTail || block.slices.last?.isUnterminated != true ? block.resume : behindTail(block)
    if let failure = block.streamFailure, !isFailureTold {
      let here = RecordPosition(line: state.resume.lines + 1, byteOffset: state.resume.byteOffset, length: 0)
      try quarantine(RecordError(failure.reason, failure.description), nil, here, state)
      try stopIfTooManyAreBad()
    }
  }

  /// What stands behind a bad run record is not in the run before it.
  private func leaveRun(_ raw: UnsafeBufferPointer<UInt8>, _ origin: Origin, _ state: inout SourceState) throws {
    switch writer.formats[state.id]?.lostRun(in: raw) {
    case .named(let name): try writer.enter(run: name, &state)
    case .unnamed: try writer.loseRun(origin, &state)
    case nil: break
    }
  }

  private func tell(_ failure: RecordBlock.Failure, _ state: inout SourceState) throws {
    state.records += 1
    writer.counts.records += 1
    try quarantine(failure.error, nil, failure.position, state)
    try stopIfTooManyAreBad()
  }

  private func stopIfTooManyAreBad() throws {
    if let limit = options.maxBad, writer.bad > limit { throw Stop(status: .stopped) }
  }

  private func place(behind index: Int, of block: RecordBlock) -> ResumePoint {
    guard index + 1 < block.slices.count else { return block.resume }
    let next = block.slices[index + 1].position
    return ResumePoint(byteOffset: next.byteOffset, lines: next.line - 1)
  }

  /// Behind a last line that is whole although no line feed ends it.
  private func behindTail(_ block: RecordBlock) -> ResumePoint {
    guard let last = block.slices.last else { return block.resume }
    return ResumePoint(
      byteOffset: last.position.byteOffset + last.position.length, lines: last.position.line - 1)
  }

  private func quarantine(
    _ error: RecordError, _ raw: UnsafeBufferPointer<UInt8>?, _ position: RecordPosition, _ state: SourceState
  ) throws {
    let message = error.offset.map { "\(error.message) (byte \(position.byteOffset + $0))" } ?? error.message
    try writer.quarantine(error.reason, message, raw: raw, Origin(source: state.id, position: position))
  }

  /// Writes what one record of the log holds: all of it, or nothing.
  private func write(
    _ records: [PreparedRecord], _ raw: UnsafeBufferPointer<UInt8>, _ origin: Origin, _ state: inout SourceState
  ) throws {
    guard records.count > 1 else { return try records.forEach { try write($0, raw, origin, &state) } }
    let before = state
    let counts = writer.counts
    // What is kept back from here on is rolled back with the rest.
    try writer.flush()
    do {
      try db.inSavepoint {
        for record in records { try write(record, raw, origin, &state) }
        return .commit
      }
    } catch let error as RecordError {
      state = before
      writer.counts = counts
      try writer.forget()
      throw error
    }
  }

  private func write(
    _ record: PreparedRecord, _ raw: UnsafeBufferPointer<UInt8>, _ origin: Origin, _ state: inout SourceState
  ) throws {
    switch record {
    case .run(let run): try writer.write(run, origin, source: &state)
    case .group(let group): try writer.write(group, origin, source: &state)
    case .end(let count):
      // Logs that were joined end to end have an end each.
      if let count { state.announced = (state.announced ?? 0) + count }
    case .trajectory(let prepared):
      let run = try writer.run(named: prepared.record.runID, source: &state)
      let outcome = try writer.write(prepared, run: run, origin)
      if case .mustBeReadInFull = outcome { return try writeInFull(raw, origin, &state) }
      try settle(outcome, prepared.record, run, raw, origin)
    case .unnumbered(let trajectory):
      let run = try writer.run(named: trajectory.runID, source: &state)
      let prepared = try writer.number(trajectory, run: run)
      try settle(writer.write(prepared, run: run, origin), trajectory, run, raw, origin)
    case .call(let call):
      let run = try writer.run(named: call.runID, source: &state)
      if case .duplicate = try writer.write(call, run: run, origin) { writer.counts.duplicates += 1 }
    }
  }

  /// Writes a record whose repetition turned out not to be told by another record's bytes.
  private func writeInFull(_ raw: UnsafeBufferPointer<UInt8>, _ origin: Origin, _ state: inout SourceState) throws {
    guard let format = writer.formats[origin.source] else { return }
    for record in try format.records(in: raw, at: origin.position) {
      guard case .trajectory(let trajectory) = record else { continue }
      try write(.trajectory(writer.preparer.prepare(trajectory)), raw, origin, &state)
    }
  }

  private func settle(
    _ outcome: RecordWriter.Outcome, _ record: TrajectoryRecord, _ run: Int64, _ raw: UnsafeBufferPointer<UInt8>,
    _ origin: Origin
  ) throws {
    switch outcome {
    case .duplicate: writer.counts.duplicates += 1
    case .copy: writer.counts.copies += 1
    case .mustBeReadInFull: break
    case .inserted:
      guard writer.waiting > 0 else { break }
      let key = RecordWriter.key(record.trajectoryID, record.step)
      try writer.release(key, run: run)
      try writer.release("\(key)#\(record.part)", run: run)
    case .waits(let reason, let key, let name, let message):
      try writer.quarantine(
        reason, message, raw: raw, origin, waiting: RecordWriter.Waiting(run: run, forKey: key, asKey: name))
    }
  }

  // MARK: End

  private mutating func finish(_ log: OpenedLog) throws {
    let isEnd = report.status == .imported || report.status == .resumed
    if isEnd, var state = source {
      state.bytes = log.stream.input.bytesRead
      let hash = log.stream.input.hash
      state.hash = { hash }
      source = state
    }
    try commit(state: isEnd ? (log.stream.failure == nil ? "complete" : "cut_off") : "reading")
  }

  private func commit(state: String) throws {
    if !db.isInsideTransaction { try db.beginTransaction(.immediate) }
    try writer.flush()
    guard let source else { return try db.commit() }
    try writer.execute(
      """
      UPDATE source SET bytes = ?, sha256 = ?, resume_offset = ?, resume_lines = ?, records = ?, state = ?,
        current_run = ?, announced_trajectories = ? WHERE id = ?
      """,
      [
        source.bytes, source.hash(), source.resume.byteOffset, source.resume.lines, source.records, state,
        source.currentRun, source.announced, source.id,
      ])
    try db.commit()
    // What the last file leaves is copied back when the import ends, which would wait for a copy in between.
    if state == "reading" || number < files { writer.onCommit() }
  }
}
