import Foundation
import GRDB
import TestSupport
import Testing

/// The real program at the end of a pipe that nobody closes.
@Suite struct PipedImportTests {
  private let folder: TemporaryFolder
  private let database: String
  private let pipe = Pipe()

  init() throws {
    folder = try TemporaryFolder()
    database = folder.path("runs.db")
  }

  private static func line(_ id: String) -> String { ImportCommandTests.good.replacing("good", with: id) + "\n" }

  private func start(_ options: String..., log: String = "-") throws -> Spawned.Running {
    try Tool.start(["import", database, log, "--run", "piped", "--quiet"] + options, pipe: pipe)
  }

  private func write(_ data: Data) { pipe.fileHandleForWriting.write(data) }

  private func value(_ sql: String) -> String? { (try? DatabaseDump.value(database, sql)) ?? nil }

  private func wait(until condition: () -> Bool) -> Bool {
    let deadline = Date.now + 30
    while !condition() {
      guard Date.now < deadline else { return false }
      usleep(5000)
    }
    return true
  }

  private func committed(_ count: Int) -> Bool {
    wait { value("SELECT count(*) FROM trajectory") == "\(count)" }
  }

  /// Whole records are committed while the pipe is silent, Ctrl-C ends the wait, and what came of the last record is not
  /// put aside.
  @Test(arguments: ["plain", "zstd", "gzip"]) func silence(container: String) throws {
    let whole = Data((Self.line("a") + Self.line("b")).utf8)
    let torn = Self.line("c")
    let running = try start()
    if let compression = Compression(rawValue: container) {
      write(try compression.compress(whole) + compression.compress(Data(torn.utf8)).prefix(20))
    } else {
      write(whole + Data(torn.utf8).prefix(30))
    }
    #expect(committed(2) && running.isRunning)
    running.send(signal: SIGINT)
    let run = try running.wait(seconds: 20)
    #expect(run.status == 130, "\(run.status) \(run.errors)")
    #expect(value("SELECT count(*) FROM quarantine") == "0" && value("SELECT count(*) FROM trajectory") == "2")
    #expect(value("SELECT state || resume_offset || ' ' || records FROM source") == "reading\(whole.count) 2")
  }

  /// What a kill left is told whoever looks at it, until an import has come to its end.
  @Test func whatIsNotSettledIsTold() throws {
    let running = try start()
    write(Data((Self.line("a") + Self.line("b")).utf8))
    #expect(committed(2))
    running.send(signal: SIGKILL)
    _ = try running.wait(seconds: 20)
    for (arguments, isTold) in [([], true), (["--run", "piped"], true), ([], false)] {
      if !isTold {
        let log = try folder.write(Data(Self.line("c").utf8), "c.jsonl")
        #expect(try Tool.run(["import", database, log, "--run", "piped", "--quiet"]).status == 0)
      }
      let audit = try Tool.run(["audit", database] + arguments)
      let tells = audit.errors.contains("run piped has not come to its end")
      #expect(audit.status == 0 && tells == isTold, "\(audit.errors)")
    }
  }

  /// What has come just before the interruption is imported, although no block is full and no pause was made.
  @Test func whatHasComeIsImported() throws {
    let running = try start()
    write(Data(Self.line("a").utf8))
    #expect(committed(1))
    write(Data((Self.line("b") + Self.line("c") + "{").utf8))
    usleep(200_000)
    running.send(signal: SIGINT)
    #expect(try running.wait(seconds: 20).status == 130)
    #expect(value("SELECT count(*) FROM trajectory") == "3" && value("SELECT count(*) FROM quarantine") == "0")
    // The whole log, once it is there, makes it complete.
    let log = Data(["a", "b", "c", "d"].map(Self.line).joined().utf8)
    #expect(try Tool.run(["import", database, "-", "--run", "piped", "--quiet"], input: log).status == 0)
    #expect(value("SELECT count(*) FROM trajectory") == "4")
  }

  /// A pipe does not go on: what is said once all records are there is said at its end, although a signal ended it.
  @Test(arguments: [SIGINT, SIGTERM]) func whatWasInterruptedIsSettled(signal: Int32) throws {
    let log = ImportCommandTests.logs.appending(path: "openai/vllm-chat-ids.jsonl")
    let other = folder.path("other.db")
    _ = try Tool.run(["import", other, log.path, "--run", "piped", "--quiet"])
    let running = try start()
    write(try Data(contentsOf: log))
    #expect(wait { value("SELECT count(*) FROM trajectory") ?? "0" != "0" })
    running.send(signal: signal)
    let run = try running.wait(seconds: 20)
    #expect(run.status == 130 && run.errors.contains("ends standard input"), "\(run.status) \(run.errors)")
    #expect(!run.errors.contains("same command"))
    #expect(value("SELECT min(is_settled) FROM run") == "1")
    let sql = "SELECT trajectory_id || length || generated || owned FROM trajectory ORDER BY 1"
    let calls = try DatabaseDump.value(other, "SELECT count(*) FROM model_call").flatMap { Int($0) } ?? 0
    let expected = try DatabaseDump.strings(other, sql)
    #expect(try DatabaseDump.strings(database, sql) == expected && calls > expected.count)
  }

  /// Ctrl-C at a terminal ends the program that writes too.
  @Test(arguments: ["", "{\"kind\":"]) func theWriterEndsWithIt(begun: String) throws {
    let running = try start()
    write(Data((Self.line("a") + begun).utf8))
    #expect(committed(1))
    running.send(signal: SIGINT)
    try pipe.fileHandleForWriting.close()
    let run = try running.wait(seconds: 20)
    #expect(run.status == 130, "\(run.status) \(run.errors)")
    #expect(value("SELECT count(*) FROM quarantine") == "0")
  }

  // MARK: Named pipes

  private func namedPipe() throws -> String {
    let path = folder.path("fifo")
    #expect(mkfifo(path, 0o644) == 0)
    return path
  }

  @Test func aNamedPipeThatNobodyWritesTo() throws {
    let running = try start(log: try namedPipe())
    #expect(wait { FileManager.default.fileExists(atPath: database) })
    usleep(200_000)
    running.send(signal: SIGINT)
    let run = try running.wait(seconds: 10)
    #expect(run.status == 130, "\(run.status) \(run.errors)")
  }

  /// It is committed as it comes, and Ctrl-C ends it for good.
  @Test func aNamedPipe() throws {
    let path = try namedPipe()
    let running = try start(log: path)
    var descriptor: Int32 = -1
    // Nobody reads from it before.
    #expect(
      wait {
        descriptor = open(path, O_WRONLY | O_NONBLOCK)
        return descriptor >= 0
      })
    let writing = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    writing.write(Data((Self.line("a") + Self.line("b")).utf8))
    #expect(committed(2) && running.isRunning)
    running.send(signal: SIGINT)
    let run = try running.wait(seconds: 20)
    #expect(run.status == 130 && run.errors.contains("ends \(path)"), "\(run.status) \(run.errors)")
    #expect(value("SELECT min(is_settled) FROM run") == "1")
    withExtendedLifetime(writing) {}
  }

  /// While nothing comes, others write into the database, however much came before.
  @Test(arguments: [0, 1_500_000]) func othersWriteMeanwhile(length: Int) throws {
    let running = try start()
    let long = Self.line("a").replacing("}", with: #","meta":{"note":"\#(String(repeating: "x", count: length))"}}"#)
    write(Data(long.utf8))
    #expect(committed(1))
    var configuration = Configuration()
    configuration.busyMode = .timeout(5)
    let other = try DatabaseQueue(path: database, configuration: configuration)
    try other.write { try $0.execute(sql: "UPDATE trajectory SET finish_reason = 'seen'") }
    write(Data(Self.line("b").utf8))
    try pipe.fileHandleForWriting.close()
    #expect(try running.wait(seconds: 20).status == 0)
    #expect(value("SELECT count(*) || min(finish_reason) FROM trajectory") == "2seen")
  }

  /// A log that never pauses, and comes slowly, is committed too.
  @Test func slowness() throws {
    let running = try start()
    var written = 0
    let isCommitted = wait {
      write(Data(Self.line("t\(written)").utf8))
      written += 1
      usleep(100_000)
      return (value("SELECT count(*) FROM trajectory").flatMap { Int($0) } ?? 0) > 0
    }
    #expect(isCommitted)
    try pipe.fileHandleForWriting.close()
    #expect(try running.wait(seconds: 20).status == 0)
    #expect(value("SELECT count(*) FROM trajectory") == "\(written)")
    #expect(value("SELECT state FROM source") == "complete")
  }

  @Test(arguments: ["", "{\"kind\":"]) func nothingHasComeYet(text: String) throws {
    let running = try start()
    write(Data(text.utf8))
    #expect(wait { FileManager.default.fileExists(atPath: database) })
    running.send(signal: SIGTERM)
    let run = try running.wait(seconds: 20)
    #expect(run.status == 130, "\(run.status) \(run.errors)")
    #expect(value("SELECT count(*) FROM source") == "0")
  }

  /// A server says that it starts long before it writes the first record.
  @Test(arguments: ["Starting ...", #"{"event":"start","host":"a"}"#, #"{"kind":"group","group_id":"x"#])
  func aPauseBehindTheFirstLine(first: String) throws {
    let running = try start()
    write(Data("\(first)\n".utf8))
    usleep(1_600_000)
    try #require(running.isRunning)
    write(Data((Self.line("a") + Self.line("b")).utf8))
    try pipe.fileHandleForWriting.close()
    let run = try running.wait(seconds: 20)
    #expect(value("SELECT count(*) FROM trajectory") == "2", "\(run.errors)")
    #expect(value("SELECT count(*) FROM quarantine") == "1")
  }

  /// Too many bad records end the import at once, and not when the pipe has more.
  @Test func aStopDoesNotWaitForMore() throws {
    let running = try start("--strict")
    write(Data((Self.line("a") + ImportCommandTests.bad + "\n").utf8))
    #expect(try running.wait(seconds: 20).status == 3)
    #expect(value("SELECT count(*) FROM trajectory") == "1")
  }
}
