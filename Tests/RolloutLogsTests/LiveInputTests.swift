import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RolloutLogs

/// What comes through a pipe is handed on as it comes, and waiting for more can be given up.
@Suite struct LiveInputTests {
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

  private func texts(_ block: RecordBlock?) -> [String] {
    (block?.slices ?? []).map { String(decoding: block?.bytes(of: $0) ?? .init(start: nil, count: 0), as: UTF8.self) }
  }

  @Test(arguments: [RecordStream.Layout.lines, .documents]) func aPauseHandsOnWhatIsWhole(
    layout: RecordStream.Layout
  ) throws {
    let space = layout == .lines ? "" : "\n"
    let (a, b, c) = ("{\(space)\"a\":1}", "{\(space)\"b\":2}", "{\(space)\"c\":3}")
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
    let stream = try stream("{\"a\":1}\n{\"b\":")
    _ = stream.preview()
    isCancelled.set()
    let block = stream.next()
    #expect(texts(block) == ["{\"a\":1}"] && block?.resume == ResumePoint(byteOffset: 8, lines: 1))
    #expect(block?.streamFailure == nil && stream.next() == nil && stream.isInterrupted)
  }

  @Test func aLineThatIsReadOverIsLeftOutToo() throws {
    let stream = try stream("{\"a\":1}\n{\"b\":\"\(String(repeating: "x", count: 500))", maxRecord: 100, block: 64)
    _ = stream.preview()
    #expect(texts(stream.next()) == ["{\"a\":1}"])
    isCancelled.set()
    #expect(stream.next() == nil && stream.isInterrupted)
  }

  /// The list on the first line is known to be one when the log ends behind it, however late that shows.
  @Test func aListIsNotTakenForARecord() throws {
    let record = #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1,2]}"#
    let stream = try stream("[\(record),\(record)]\n")
    let writing = UncheckedSendableBox(pipe.fileHandleForWriting)
    DispatchQueue.global().asyncAfter(deadline: .now() + 1.5) { try? writing.value.close() }
    _ = stream.preview()
    #expect(stream.layout == .elements)
    #expect(texts(stream.next()) == [record, record])
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
