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
    let stream = RecordStream(input: input, blockSize: block, maxRecord: maxRecord)
    stream.silence = .milliseconds(200)
    return stream
  }

  private func write(_ text: String) { pipe.fileHandleForWriting.write(Data(text.utf8)) }

  /// A record that is recognised.
  private static func record(_ n: Int, _ space: String = "") -> String { "{\(space)\"kind\":\"end\",\"n\":\(n)}" }

  /// In a thread of its own, since tests that wait may hold all others.
  private static func afterPause(_ body: @escaping @Sendable () -> Void) {
    Thread.detachNewThread {
      usleep(400_000)
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

  /// Ends a wait that would have no end, were the stream wrong.
  private func giveUpLater() {
    Thread.detachNewThread { [isCancelled] in
      usleep(6_000_000)
      isCancelled.set()
    }
  }

  /// The records up to the first block that comes early, and that block.
  private func untilEarly(_ stream: RecordStream) -> (found: [String], block: RecordBlock?) {
    var found: [String] = []
    var block = stream.next()
    while let full = block, !full.isEarly {
      found += texts(full)
      block = stream.next()
    }
    return (found + texts(block), block)
  }

  private func texts(_ block: RecordBlock?) -> [String] {
    (block?.slices ?? []).map { String(decoding: block?.bytes(of: $0) ?? .init(start: nil, count: 0), as: UTF8.self) }
  }

  @Test(arguments: [RecordStream.Layout.lines, .documents, .elements]) func aPauseHandsOnWhatIsWhole(
    layout: RecordStream.Layout
  ) throws {
    let space = layout == .lines ? "" : "\n"
    let (open, between) = layout == .elements ? ("[", ",") : ("", "\n")
    let (a, b, c) = (Self.record(1, space), Self.record(2, space), Self.record(3, space))
    let stream = try stream("\(open)\(a)\(between)\(b)\(between)\(c.dropLast(2))")
    giveUpLater()
    #expect(stream.preview().count > 0 && stream.layout == layout)
    let first = stream.next()
    #expect(texts(first) == [a, b] && first?.isEarly == true)
    #expect(first?.resume.byteOffset == a.utf8.count + b.utf8.count + (layout == .documents ? 1 : 2))
    write("\(c.suffix(2))\(between)\(a)")
    let second = stream.next()
    #expect(texts(second) == (layout == .lines ? [c] : [c, a]) && second?.isEarly == true)
    isCancelled.set()
    #expect(stream.next() == nil && stream.isInterrupted && stream.failure == nil)
  }

  /// What was handed on because a block was full is followed by a block that says of the pause, be there more or not.
  @Test(
    arguments: [RecordStream.Layout.lines, .documents, .elements],
    [([6000], 0), ([6000], 50), ([6000], 9000), ([Int](repeating: 30, count: 70), 0), ([100, 6000, 10, 10], 30)])
  func aPauseBehindAFullBlock(layout: RecordStream.Layout, shape: (lengths: [Int], begun: Int)) throws {
    let space = layout == .lines ? "" : "\n"
    let (open, between) = layout == .elements ? ("[", ",") : ("", "\n")
    let all = (shape.lengths + [10_000]).enumerated().map {
      Self.record($0, "\(space)\"pad\":\"\(String(repeating: "x", count: $1))\",")
    }
    let (whole, last) = (all.dropLast(), all[all.count - 1])
    let stream = try stream(
      open + whole.joined(separator: between) + between + last.prefix(shape.begun), block: 4096)
    giveUpLater()
    #expect(!stream.preview().isEmpty && stream.layout == layout)
    let (found, block) = untilEarly(stream)
    #expect(found == Array(whole) && block?.isEarly == true)
    // A comma or a line feed between documents belongs to none of them.
    let offset = open.utf8.count + whole.joined(separator: between).utf8.count
    #expect([offset, offset + 1].contains(block?.resume.byteOffset))
    write(String(last.dropFirst(shape.begun)) + (layout == .elements ? "]" : "\n"))
    try pipe.fileHandleForWriting.close()
    var rest: [String] = []
    while let block = stream.next() { rest += texts(block) }
    #expect(rest == [last] && stream.failure == nil && !stream.isInterrupted)
  }

  /// What cannot be read is told at the next pause too.
  @Test func aPauseBehindWhatIsNoDocument() throws {
    let stream = try stream("\(Self.record(1, "\n"))\n")
    giveUpLater()
    _ = stream.preview()
    #expect(texts(stream.next()) == [Self.record(1, "\n")])
    write("}\n")
    let block = stream.next()
    #expect(block?.failures.map(\.error.reason) == [.invalidJSON] && block?.isEarly == true)
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

  /// A record that is read over is left out too: the place behind what was handed on is where it begins.
  @Test(arguments: [RecordStream.Layout.lines, .documents]) func aPauseInARecordThatIsReadOver(
    layout: RecordStream.Layout
  ) throws {
    let space = layout == .lines ? "" : "\n"
    let whole = Self.record(1, space)
    let stream = try stream(
      "\(whole)\n{\(space)\"b\":\"\(String(repeating: "x", count: 500))", maxRecord: 100, block: 64)
    giveUpLater()
    _ = stream.preview()
    #expect(stream.layout == layout)
    let (found, block) = untilEarly(stream)
    #expect(found == [whole] && block?.isEarly == true)
    let lines = whole.count { $0 == "\n" } + 1
    #expect(block?.resume == ResumePoint(byteOffset: whole.utf8.count + 1, lines: lines))
    isCancelled.set()
    #expect(stream.next() == nil && stream.isInterrupted)
  }

  /// A signal to a whole pipe ends its writer, which may be seen before the signal is.
  @Test(arguments: ["\(record(1))\n{\"b\":", "\(record(1))\n", "{\"b\"", ""]) func anEndBeforeTheWordOfTheSignal(
    text: String
  ) throws {
    write(text)
    try pipe.fileHandleForWriting.close()
    let asked = Mutex(0)
    let path = "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"
    do {
      let input = try LogInput(
        path: path,
        isCancelled: {
          asked.withLock { n in
            n += 1
            return n > 8
          }
        })
      let stream = RecordStream(input: input)
      _ = stream.preview()
      var found: [String] = []
      while let block = stream.next() { found += texts(block) }
      #expect(stream.isInterrupted && stream.failure == nil)
      #expect(found == (text.hasPrefix(Self.record(1)) ? [Self.record(1)] : []))
    } catch InputError.interrupted {
      #expect(text.utf8.count < 8)
    }
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

  /// One read is waited for so long, however often bytes come that nothing can be made of yet.
  @Test func aFrameThatDribblesIsNotWaitedForAnyLonger() throws {
    let data = try Compression.zstd.compress(InputStreamTests.bytes(1000, seed: 2))
    pipe.fileHandleForWriting.write(data.prefix(20))
    let input = try LogInput(path: "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    // Both its ends, so that somebody could still read when the test is done.
    let pipe = UncheckedSendableBox(pipe)
    Thread.detachNewThread {
      for i in 20..<60 {
        pipe.value.fileHandleForWriting.write(data[i..<(i + 1)])
        usleep(50_000)
      }
    }
    #expect(try read(input, within: .milliseconds(300)) == nil)
    #expect(input.bytesRead < 50)
  }

  private func read(_ input: LogInput, within patience: Duration?) throws -> Int? {
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 1)
    defer { out.deallocate() }
    return try input.read(into: out, within: patience)
  }
}
