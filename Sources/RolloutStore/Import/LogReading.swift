import CKernels
import Foundation
import RolloutLogs
import Synchronization

/// A log that is being read: threads of their own open it, recognise it, cut it into blocks and prepare their records, so
/// far ahead as memory allows, whatever the caller does meanwhile.
///
///     let reading = LogReading.first(of: paths, options: options)
///     let store = try Store.open(database, for: .writing)
///     try Importer(store: store, options: options).run(paths, reading: reading)
///
/// Nobody hears of it before it is asked: what is wrong with the log is told when its turn comes. One that is let go
/// before it was consumed ends by itself.
public final class LogReading: Sendable {
  typealias Pipeline = OrderedPipeline<RecordBlock, PreparedBlock>

  let path: String
  private let start: Start
  /// Ends a thread that waits for input.
  private let isUnwanted: Flag

  /// The log that an import of these paths begins with; `nil` if that is in a folder or not there, or a named pipe, which
  /// somebody else can read if the import turns out to be impossible: standard input ends with the program anyway.
  /// - Parameters:
  ///   - options: those of the import.
  ///   - isCancelled: asked while live input is waited for.
  public static func first(
    of paths: [String], options: ImportOptions, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> LogReading? {
    guard let path = paths.first else { return nil }
    var info = stat()
    let isThere = path == "-" || (stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFREG)
    return isThere ? LogReading(path, options: options, isCancelled: isCancelled) : nil
  }

  /// - Parameter resume: where the records begin that are wanted.
  init(
    _ path: String, options: ImportOptions, from resume: ResumePoint = ResumePoint(),
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) {
    self.path = path
    let start = Start()
    self.start = start
    let isUnwanted = Flag()
    self.isUnwanted = isUnwanted
    let home = arpo_current_processor()
    let thread = Thread {
      arpo_spread_thread(home, 0)
      start.finish(
        Result { () throws(InputError) in
          let log = try OpenedLog(path: path, options: options, isCancelled: { isUnwanted.isSet || isCancelled() })
          return Started(log, options, from: resume)
        })
    }
    // Recognising a log parses its first records.
    thread.stackSize = 8 << 20
    thread.start()
  }

  deinit { stop() }

  /// Ends the reading of a log that is not wanted; it cannot be consumed any more.
  func stop() {
    isUnwanted.set()
    start.cancel()
  }

  /// Waits until the log is open.
  ///
  /// Only its recognition may be looked at while the records are consumed; the rest of it is another thread's until then.
  func opened() throws(InputError) -> OpenedLog { try start.wait().log }

  /// Calls the body with one block after the other, which is given back for reuse afterwards.
  ///
  /// Once: what the reading held is let go then.
  func consume(_ body: (PreparedBlock) throws -> Void) throws {
    let started = try start.take()
    defer { started.recent.clear() }
    try started.pipeline.consume { prepared in
      do {
        try body(prepared)
      } catch {
        isUnwanted.set()
        throw error
      }
      started.recycle(prepared.block)
    }
  }

  /// What there is when the log is open.
  private struct Started: @unchecked Sendable {
    /// The producer's until the pipeline has ended.
    let log: OpenedLog
    let pipeline: Pipeline
    let recent: RecentRecords
    let recycle: @Sendable (RecordBlock) -> Void

    init(_ log: OpenedLog, _ options: ImportOptions, from resume: ResumePoint) {
      self.log = log
      recycle = log.stream.recycler()
      let recent = RecentRecords(limit: options.recentBytes, release: recycle)
      self.recent = recent
      let format = log.format
      let stream = UncheckedBox(log.stream)
      pipeline = Pipeline(
        workers: options.workers, capacity: options.workers + 4,
        produce: { emit in
          if resume.byteOffset > 0 { try stream.value.skip(to: resume) }
          while let block = stream.value.next(), emit(block) {}
        },
        makeTransform: {
          let preparer = RecordPreparer(format: format, recent: recent)
          return { preparer.prepare($0) }
        })
    }
  }

  /// Where the thread that opens the log and the one that waits for it meet.
  private final class Start: @unchecked Sendable {
    private let condition = NSCondition()
    private var result: Result<Started, InputError>?
    private var isCancelled = false

    func finish(_ result: Result<Started, InputError>) {
      condition.withLock {
        self.result = result
        if isCancelled { letGo() }
        condition.broadcast()
      }
    }

    func wait() throws(InputError) -> Started {
      condition.lock()
      defer { condition.unlock() }
      while true {
        if let result { return try result.get() }
        condition.wait()
      }
    }

    /// The same for the one who consumes it, so that nothing is held any longer than that.
    func take() throws(InputError) -> Started {
      let started = try wait()
      condition.withLock { result = nil }
      return started
    }

    func cancel() {
      condition.withLock {
        isCancelled = true
        letGo()
      }
    }

    private func letGo() {
      try? result?.get().pipeline.stop()
      result = nil
    }
  }
}

private final class Flag: Sendable {
  private let value = Atomic(false)

  var isSet: Bool { value.load(ordering: .relaxed) }

  func set() { value.store(true, ordering: .relaxed) }
}

/// Hands a value that is not Sendable to the one thread that will use it.
private struct UncheckedBox<Value>: @unchecked Sendable {
  let value: Value

  init(_ value: Value) { self.value = value }
}
