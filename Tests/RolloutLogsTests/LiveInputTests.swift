import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RolloutLogs

/// What comes through a pipe is handed on as it comes, and waiting for more can be given up.
@Suite(.timeLimit(.minutes(1))) struct LiveInputTests {
  private let pipe = Pipe()
  private let isCancelled = CancelFlag()

  private final class CancelFlag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
  }

  private func stream(_ text: String, maxRecord: Int = 1 << 20, block: Int = 1 << 20) throws -> RecordStream {
    write(text)
    let path = "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"
    let input = try LogInput(path: path, isCancelled: { [isCancelled] in isCancelled.isSet })
    return RecordStream(input: input, blockSize: block, maxRecord: maxRecord)
  }

  private func write(_ text: String) { pipe.fileHandleForWriting.write(Data(text.utf8)) }

  /// A record that is recognised.
  private static func record(_ n: Int, _ space: String = "") -> String { "{\(space)\"kind\":\"end\",\"n\":\(n)}" }

  /// In a thread of its own, since tests that wait may hold all others.
  private static func afterPause(_ body: @escaping @Sendable () -> Void) {
    Thread.detachNewThread {
      usleep(1_400_000)
      body()
    }
  }

  /// Writes after the pause, and closes the pipe.
  private func afterPause(write text: String) {
    let writing = UncheckedSendableBox(pipe.fileHandleForWriting)
    Self.afterPause {
      writing.value.write(Data(text.utf8))
      try? writing.value.close()
    }
  }

  private func texts(_ block: RecordBlock?) -> [String] {
    (block?.slices ?? []).map { String(decoding: block?.bytes(of: $0) ?? .init(start: nil, count: 0), as: UTF8.self) }
  }

  @Test(arguments: [RecordStream.Layout.lines, .documents]) func aPauseHandsOnWhatIsWhole(
    layout: RecordStream.Layout
  ) throws {
    let space = layout == .lines ? "" : "\n"
    let (a, b, c) = (Self.record(1, space), Self.record(2, space), Self.record(3, space))
    let stream = try stream("\(a)\n\(b)\n\(c.dropLast(2))")
    #expect(stream.preview().count > 0 && stream.layout == layout)
    let first = stream.next()
    #expect(texts(first) == [a, b] && first?.isEarly == true)
    #expect(first?.resume.byteOffset == a.utf8.count + b.utf8.count + (layout == .lines ? 2 : 1))
    write("\(c.suffix(2))\n\(a)")
    let second = stream.next()
    #expect(texts(second) == (layout == .lines ? [c] : [c, a]) && second?.isEarly == true)
    isCancelled.set()
    #expect(stream.next() == nil && stream.isInterrupted && stream.failure == nil)
  }

  /// Nobody knows how a record goes on that has come in part: it is no torn line, and is read again if the log comes again.
  @Test func whatHasComeInPartIsLeftOut() throws {
    let whole = Self.record(1)
    let stream = try stream("\(whole)\n{\"b\":")
    _ = stream.preview()
    isCancelled.set()
    let block = stream.next()
    #expect(texts(block) == [whole] && block?.resume == ResumePoint(byteOffset: whole.utf8.count + 1, lines: 1))
    #expect(block?.streamFailure == nil && stream.next() == nil && stream.isInterrupted)
  }

  @Test func aLineThatIsReadOverIsLeftOutToo() throws {
    let stream = try stream(
      "\(Self.record(1))\n{\"b\":\"\(String(repeating: "x", count: 500))", maxRecord: 100, block: 64)
    _ = stream.preview()
    #expect(texts(stream.next()) == [Self.record(1)])
    isCancelled.set()
    #expect(stream.next() == nil && stream.isInterrupted)
  }

  /// How a log begins that cannot be known yet, how it goes on, and what it then is.
  private static let beginnings: [(String, String, RecordStream.Layout, [String])] = [
    ("Starting server ...\n", "\(record(1))\n", .lines, ["Starting server ...", record(1)]),
    ("Starting", " server ...\n\(record(1))\n", .lines, ["Starting server ...", record(1)]),
    ("{\"event\":1}\n", "\(record(1))\n", .lines, ["{\"event\":1}", record(1)]),
    ("{\"event\":1}", "\n\(record(1))\n", .lines, ["{\"event\":1}", record(1)]),
    ("{\"kind\":\"run\",\"run_id\":\"x\n", "\(record(1))\n", .lines, ["{\"kind\":\"run\",\"run_id\":\"x", record(1)]),
    ("{\"kind\":\"run\",\n{\"ki", "nd\":\"end\"}\n", .lines, ["{\"kind\":\"run\",", "{\"kind\":\"end\"}"]),
    ("{\n\"kind\":", "\"end\",\"n\":1}\n", .documents, [record(1, "\n")]),
    ("[\(record(1)),\(record(2))]", "", .elements, [record(1), record(2)]),
    ("[\(record(1)),\(record(2))]\n", "", .elements, [record(1), record(2)]),
    ("[\(record(1)),\(record(2))]", "\n\(record(3))\n", .lines, ["[\(record(1)),\(record(2))]", record(3)]),
    (record(1), "\(record(2))\(record(3))", .documents, [record(1), record(2), record(3)]),
    (record(1), "\n\(record(2))\n", .lines, [record(1), record(2)]),
  ]

  /// A pause decides nothing that a log without one would not say.
  @Test(arguments: beginnings.indices) func aPauseDoesNotDecide(index: Int) throws {
    let (beginning, rest, layout, records) = Self.beginnings[index]
    let stream = try stream(beginning)
    afterPause(write: rest)
    let preview = stream.preview()
    #expect(preview.contains { LogFormats.recognise($0) != nil } && stream.layout == layout)
    var found: [String] = []
    while let block = stream.next() { found += texts(block) }
    #expect(found == records)
  }

  /// The same for a first record that no block holds.
  @Test(arguments: [
    ("[%]", "\n", RecordStream.Layout.documents), ("[%]\n", "", .documents), ("[%]", "\n\(record(1))\n", .lines),
    ("{\"text\":\"%\"}", "\n\(record(1))\n", .lines), ("{\"text\":\"%\"}", record(1), .documents),
  ]) func aPauseBehindALongRecordDoesNotDecide(beginning: String, rest: String, layout: RecordStream.Layout) throws {
    let long = beginning.replacing("%", with: String(repeating: "1", count: 100))
    let stream = try stream(long, block: 64)
    afterPause(write: rest)
    _ = stream.preview()
    #expect(stream.layout == layout)
  }

  @Test(arguments: beginnings.indices) func waitingToRecogniseCanBeGivenUp(index: Int) throws {
    let stream = try stream(Self.beginnings[index].0)
    Self.afterPause { [isCancelled] in isCancelled.set() }
    _ = stream.preview()
    #expect(isCancelled.isSet && stream.isInterrupted && stream.failure == nil)
  }

  private struct UncheckedSendableBox<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
  }

  /// Waiting costs nothing that adds up: after many pauses a frame still goes on.
  @Test func aFrameMayPauseOften() throws {
    let data = try Compression.zstd.compress(InputStreamTests.bytes(1000, seed: 2))
    pipe.fileHandleForWriting.write(data.prefix(20))
    let input = try LogInput(path: "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    for _ in 0..<40 {
      let count = try read(input, within: .milliseconds(1))
      #expect(count == nil)
    }
    pipe.fileHandleForWriting.write(data.dropFirst(20))
    let count = try read(input, within: nil)
    #expect(count == 1000)
  }

  private func read(_ input: LogInput, within patience: Duration?) throws -> Int? {
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 1)
    defer { out.deallocate() }
    return try input.read(into: out, within: patience)
  }
}
