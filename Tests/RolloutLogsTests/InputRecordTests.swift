import Foundation
import TestSupport
import Testing

@testable import RolloutLogs

/// A log is cut into the same records however its bytes arrive, and each knows its line and byte offset.
@Suite struct InputRecordTests {
  struct Record: Equatable, CustomStringConvertible {
    var line: Int
    var offset: Int
    var length: Int
    /// The record's text, or why there is none.
    var text: String

    var description: String { "\(line):\(offset)+\(length) \(text.prefix(60))" }
  }

  /// The records of a log in order, too long ones and stream failures included.
  static func records(
    _ data: Data, block: Int = 2 << 20, max: Int = 1 << 20, preview: Bool = true
  ) throws -> (layout: RecordStream.Layout, records: [Record], resume: ResumePoint) {
    let folder = try TemporaryFolder()
    let stream = RecordStream(input: try LogInput(path: folder.write(data, "log")), blockSize: block, maxRecord: max)
    if preview { _ = stream.preview() }
    let recycle = stream.recycler()
    var out: [Record] = []
    var resume = ResumePoint()
    while let block = stream.next() {
      for failure in block.failures {
        let p = failure.position
        out.append(
          Record(line: p.line, offset: p.byteOffset, length: p.length, text: "! \(failure.error.reason.rawValue)"))
      }
      for slice in block.slices {
        let bytes = block.bytes(of: slice)
        let p = slice.position
        let text = String(decoding: bytes, as: UTF8.self) + (slice.isUnterminated ? " ~" : "")
        out.append(Record(line: p.line, offset: p.byteOffset, length: p.length, text: text))
        // Every scan of the record stops at the zero behind it.
        #expect(bytes.baseAddress.map { $0[bytes.count] } == 0)
      }
      if let failure = block.streamFailure {
        out.append(Record(line: 0, offset: 0, length: 0, text: "! \(failure.reason.rawValue)"))
      }
      resume = block.resume
      recycle(block)
    }
    return (stream.layout, out.sorted { $0.offset < $1.offset }, resume)
  }

  /// The records of a text by the definition: lines between line feeds, without blank ones.
  static func lines(_ text: String, from first: Int = 0) -> [Record] {
    var out: [Record] = []
    var offset = first
    let parts = text.utf8.dropFirst(first).split(separator: 0x0A, omittingEmptySubsequences: false)
    for (i, part) in parts.enumerated() {
      var line = Array(part)
      if line.last == 0x0D { line.removeLast() }
      if line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) {
        let isLast = i == parts.count - 1
        out.append(
          Record(
            line: i + 1, offset: offset, length: line.count,
            text: String(decoding: line, as: UTF8.self) + (isLast ? " ~" : "")))
      }
      offset += part.count + 1
    }
    return out
  }

  static func line(_ i: Int) -> String {
    #"{"n":\#(i),"text":"é\#(String(repeating: "x", count: i * 37 % 90))\#u{2028}"}"#
  }

  @Test func linesComeOutWhateverTheBlockSize() throws {
    let ends = ["\n", "\r\n", "\n\n", "\n  \t\n", "\n\r\n"]
    for bom in [false, true] {
      for isTerminated in [true, false] {
        var text = bom ? "\u{FEFF}" : ""
        for i in 0..<24 { text += Self.line(i) + (i == 23 ? (isTerminated ? "\n" : "") : ends[i % ends.count]) }
        let expected = Self.lines(text, from: bom ? 3 : 0)
        #expect(expected.count == 24)
        for block in [64, 65, 71, 97, 128, 200, 1000, 1 << 20] {
          let got = try Self.records(Data(text.utf8), block: block)
          #expect(got.layout == .lines)
          #expect(got.records == expected, "block \(block)")
          #expect(got.resume.byteOffset == (isTerminated ? text.utf8.count : expected[23].offset))
        }
      }
    }
  }

  @Test func everyFirstBlockBoundary() throws {
    let text = (0..<6).map { Self.line($0) }.joined(separator: "\r\n") + "\n"
    let expected = Self.lines(text)
    for block in 8...150 {
      #expect(try Self.records(Data(text.utf8), block: block).records == expected, "block \(block)")
    }
  }

  @Test(arguments: Compression.allCases) func offsetsCountUncompressedBytes(compression: Compression) throws {
    let texts = (0..<30).map { Self.line($0) + "\n" }
    let data = try compression.compress(texts.map { Data($0.utf8) })
    #expect(try Self.records(data, block: 100).records == Self.lines(texts.joined()))
  }

  @Test func recordsThatAreTooLongAreReadOver() throws {
    var text = Self.line(1) + "\n"
    let long = #"{"text":""# + String(repeating: "y", count: 900) + "\"}"
    for i in 2..<8 { text += (i % 2 == 0 ? long + "\r\n\n" : "") + Self.line(i) + "\n" }
    let expected = Self.lines(text).map { record in
      record.length > 300
        ? Record(line: record.line, offset: record.offset, length: record.length, text: "! too_long") : record
    }
    for block in [64, 100, 299, 300, 400, 5000] {
      let got = try Self.records(Data(text.utf8), block: block, max: 300).records
      // The line end of what was read over may count.
      for (a, b) in zip(got, expected) {
        #expect(
          a.line == b.line && a.offset == b.offset && a.text == b.text && (b.length...b.length + 1).contains(a.length),
          "block \(block)")
      }
      #expect(got.count == expected.count, "block \(block)")
    }
  }

  @Test func aLongFirstLineDoesNotHideTheOthers() throws {
    let long = #"{"text":""# + String(repeating: "y", count: 900) + "\"}"
    let rest = (0..<5).map { Self.line($0) + "\n" }.joined()
    for count in [1, 3] {
      let text = String(repeating: long + "\n", count: count) + rest
      let got = try Self.records(Data(text.utf8), block: 100, max: 400)
      #expect(got.layout == .lines && got.records.count == count + 5)
      #expect(got.records.map(\.line) == Array(1...(count + 5)))
      #expect(got.records.prefix(count).allSatisfy { $0.text == "! too_long" })
      // Long for a block, but not for a record.
      let all = try Self.records(Data(text.utf8), block: 100, max: 4000)
      #expect(all.layout == .lines && all.records == Self.lines(text))
    }
  }

  // MARK: Documents

  static let documents: [String] = [
    "{\n  \"a\": [1,\n 2],\n  \"s\": \"}]\\\"{\"\n}", "{\"b\":\n{}}", "{\n}", "{\"c\": \"\u{2028}\\\\\"\n\n}",
  ]

  /// What a text says at each record's own place.
  static func expectPlaces(_ records: [Record], _ text: String, location: SourceLocation = #_sourceLocation) {
    let bytes = Array(text.utf8)
    for record in records where !record.text.hasPrefix("!") {
      let there = String(decoding: bytes[record.offset..<(record.offset + record.length)], as: UTF8.self)
      #expect(there == record.text, sourceLocation: location)
      #expect(bytes[..<record.offset].count { $0 == 0x0A } + 1 == record.line, sourceLocation: location)
    }
  }

  @Test func documentsOverSeveralLines() throws {
    for between in ["\n", "", " \n\n ", "\r\n"] {
      let text = Self.documents.joined(separator: between) + "\n"
      for block in [16, 20, 33, 64, 1000] {
        let got = try Self.records(Data(text.utf8), block: block)
        #expect(got.layout == .documents)
        #expect(got.records.map(\.text) == Self.documents, "block \(block)")
        Self.expectPlaces(got.records, text)
      }
    }
  }

  /// An array of records is as good as its records behind each other.
  @Test func theElementsOfAnArray() throws {
    let elements = (0..<6).map {
      #"{"kind":"group","group_id":"\#($0)",\#n "prompt_text":"\#(String(repeating: "p", count: 9 * $0))"}"#
    }
    for (open, between, close) in [("[", ",", "]"), ("[\n  ", ",\n  ", "\n]\n"), (" [", " , ", " ] ")] {
      let text = open + elements.joined(separator: between) + close
      for block in [50, 64, 200, 4000] {
        let got = try Self.records(Data(text.utf8), block: block)
        #expect(got.layout == .elements)
        #expect(got.records.map(\.text) == elements, "block \(block)")
        Self.expectPlaces(got.records, text)
        #expect(got.resume.byteOffset == text.utf8.count)
      }
    }
  }

  @Test func whatStandsBehindAnArrayIsNotLost() throws {
    let element = #"{"kind":"group","group_id":"g"}"#
    let text = "[\(element),\n\(element)]\n [\(element)]\n\(element) :,[\(element)] oops"
    for block in [32, 64, 90, 4000] {
      let got = try Self.records(Data(text.utf8), block: block)
      #expect(got.layout == .elements)
      #expect(
        got.records.map(\.text) == [element, element, element, element, "! invalid_json", element, "oops ~"],
        "block \(block)")
      Self.expectPlaces(got.records.dropLast(), text)
      #expect(got.records.last?.offset == text.utf8.count - 4 && got.records.last?.line == 4)
    }
  }

  /// A list of records is known by its first element, however long it is.
  @Test func aLongListIsNotReadToBeKnown() throws {
    let records = (0..<20_000).map { #"{"kind":"trajectory","group_id":"g","trajectory_id":"\#($0)","token_ids":[1]}"# }
    for (open, between, close) in [("[", ",", "]\n"), ("[\n", ",\n", "\n]\n")] {
      let folder = try TemporaryFolder()
      let path = try folder.write(Data((open + records.joined(separator: between) + close).utf8), "log.json")
      let stream = RecordStream(input: try LogInput(path: path), blockSize: 4096)
      #expect(stream.preview().count == 1 && stream.layout == .elements)
      #expect(stream.input.bytesOut <= 8192)
      var count = 0
      while let block = stream.next() { count += block.slices.count }
      #expect(count == records.count)
    }
  }

  /// What is made of a record takes memory however short it is: a block has only so many.
  @Test(arguments: [RecordStream.Layout.lines, .documents, .elements])
  func shortRecordsFillABlock(layout: RecordStream.Layout) throws {
    let record = #"{"kind":"group","group_id":"g"}"#
    let records = [String](repeating: record, count: 30_000)
    let text =
      switch layout {
      case .lines: records.joined(separator: "\n")
      case .documents: records.joined(separator: " ")
      case .elements: "[" + records.joined(separator: ",") + "]"
      }
    let folder = try TemporaryFolder()
    let stream = RecordStream(input: try LogInput(path: folder.write(Data(text.utf8), "log")))
    // The lines that were read to recognise a log are one block.
    if layout != .lines { _ = stream.preview() }
    #expect(stream.layout == layout)
    var counts: [Int] = []
    while let block = stream.next() { counts.append(block.slices.count) }
    #expect(counts.reduce(0, +) == records.count)
    // Lines are looked for in stretches of 64 KiB.
    #expect(counts.max() ?? 0 <= 1000 + (1 << 16) / record.utf8.count)
  }

  @Test func bytesThatBelongNowhereAreToldOnce() throws {
    let element = #"{"kind":"group","group_id":"g"}"#
    let stray = String(repeating: ":", count: 20_000) + " }\n,"
    let text = "{\n\"a\":1}\n\(stray)\(element)"
    let got = try Self.records(Data(text.utf8))
    #expect(got.records.map(\.text) == ["{\n\"a\":1}", "! invalid_json", element])
    #expect(got.records[1].offset == 9 && got.records[1].length == stray.utf8.count)
    // Inside an array commas are none.
    let array = try Self.records(Data("[\(element),:}: ,\(element)]".utf8), block: 33)
    #expect(array.records.map(\.text) == [element, "! invalid_json", element] && array.records[1].length == 3)
  }

  @Test func aDocumentThatIsTooLongIsReadOver() throws {
    let long = "{\n\"text\":\"" + String(repeating: "[", count: 2000) + "\",\n\"a\":[1,2]}"
    let texts = [Self.documents[0], long, Self.documents[1], long, Self.documents[3]]
    let text = texts.joined(separator: "\n") + "\n"
    for block in [64, 100, 500, 5000] {
      let got = try Self.records(Data(text.utf8), block: block, max: 500)
      #expect(got.layout == .documents)
      #expect(got.records.map(\.text) == [texts[0], "! too_long", texts[2], "! too_long", texts[4]], "block \(block)")
      Self.expectPlaces(got.records, text)
      #expect(got.records.filter { $0.text == "! too_long" }.map(\.length) == [long.utf8.count, long.utf8.count])
    }
  }

  @Test func aTornDocumentSaysSo() throws {
    let text = Self.documents[0] + "\n" + Self.documents[1].dropLast(1)
    for block in [16, 1000] {
      let got = try Self.records(Data(text.utf8), block: block)
      #expect(got.records.map(\.text) == [Self.documents[0], Self.documents[1].dropLast(1) + " ~"])
      #expect(got.resume.byteOffset == Self.documents[0].utf8.count + 1)
    }
  }

  // MARK: Going on

  /// Whatever was read before, the rest is the same records at the same places.
  @Test func goingOnFromEveryRecord() throws {
    let lines = (0..<12).map { Self.line($0) }.joined(separator: "\n\n") + "\n"
    let array = "[" + (0..<6).map { #"{"kind":"end",\#n"n":\#($0)}"# }.joined(separator: ",\n") + "]"
    for (text, layout) in [
      (lines, RecordStream.Layout.lines), (Self.documents.joined(separator: "\n") + "\n", .documents),
      (array, .elements),
    ] {
      let all = try Self.records(Data(text.utf8)).records
      let folder = try TemporaryFolder()
      let path = try folder.write(Data(text.utf8), "log")
      for (i, record) in all.enumerated().dropFirst() {
        let stream = RecordStream(input: try LogInput(path: path), blockSize: 90, maxRecord: 1 << 20)
        _ = stream.preview()
        #expect(stream.layout == layout)
        try stream.skip(to: ResumePoint(byteOffset: record.offset, lines: record.line - 1))
        var places: [String] = []
        while let block = stream.next() { places += block.slices.map { "\($0.position)" } }
        let expected = all[i...].map { "\(RecordPosition(line: $0.line, byteOffset: $0.offset, length: $0.length))" }
        #expect(places == expected, "\(layout) from \(i)")
      }
    }
  }

  @Test func aShorterLogCannotGoOn() throws {
    let folder = try TemporaryFolder()
    let stream = RecordStream(input: try LogInput(path: folder.write(Data("{}\n".utf8), "log")))
    #expect(throws: InputError.self) { try stream.skip(to: ResumePoint(byteOffset: 10, lines: 2)) }
  }

  @Test func aStreamThatBreaksOffSaysSoOnce() throws {
    let data = try Compression.zstd.compress([Data("{\"a\":1}\n{\"b\":2}\n".utf8), Data("{\"c\":3}\n".utf8)])
    let got = try Self.records(data.dropLast(3))
    #expect(got.records.filter { $0.text == "! truncated_stream" }.count == 1)
    #expect(got.records.contains { $0.text == "{\"b\":2}" })
  }
}
