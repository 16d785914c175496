import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

struct RowWriterTests {
  private static let columns: [OutputColumn] = ["name", OutputColumn("calls", isCount: true), "step", "mean", "ok"]
  private static let rows: [[CellValue]] = [
    [.text("search, \"web\""), .int(12_345), .int(12_345), .double(0.1), .bool(true)],
    [.text("two\nlines"), .int(7), .null, .double(1.0 / 3), .bool(false)],
    [.null, .null, .int(0), .double(.nan), .null],
  ]

  private func written(
    _ format: OutputFormat, rows: [[CellValue]] = rows, traits: TerminalTraits = .file, rowsToFit: Int = 1000
  ) throws -> String {
    try OutputTests.written { output in
      let writer = RowWriter(
        format: format, columns: Self.columns, traits: traits, output: output, rowsToFit: rowsToFit)
      for row in rows { try writer.write(row) }
      try writer.finish()
    }
  }

  @Test func json() throws {
    let expected = #"""
      [
      {"name":"search, \"web\"","calls":12345,"step":12345,"mean":0.1,"ok":true},
      {"name":"two\nlines","calls":7,"step":null,"mean":0.3333333333333333,"ok":false},
      {"name":null,"calls":null,"step":0,"mean":null,"ok":null}
      ]

      """#
    #expect(try written(.json) == expected)
    #expect(try written(.json, rows: []) == "[]\n")
  }

  @Test func ndjson() throws {
    let expected = #"""
      {"name":"search, \"web\"","calls":12345,"step":12345,"mean":0.1,"ok":true}
      {"name":"two\nlines","calls":7,"step":null,"mean":0.3333333333333333,"ok":false}
      {"name":null,"calls":null,"step":0,"mean":null,"ok":null}

      """#
    #expect(try written(.ndjson) == expected)
    #expect(try written(.ndjson, rows: []) == "")
  }

  @Test func csv() throws {
    let expected =
      "name,calls,step,mean,ok\r\n" + "\"search, \"\"web\"\"\",12345,12345,0.1,true\r\n"
      + "\"two\nlines\",7,,0.3333333333333333,false\r\n" + ",,0,,\r\n"
    #expect(try written(.csv) == expected)
    #expect(try written(.csv, rows: []) == "name,calls,step,mean,ok\r\n")
  }

  @Test func csvOnATerminalIsSafe() throws {
    let rows: [[CellValue]] = [[.text("\u{1B}[2J"), .null, .null, .null, .null]]
    #expect(try written(.csv, rows: rows).contains("\u{1B}"))
    #expect(try !written(.csv, rows: rows, traits: .columns(80, isTTY: true)).contains("\u{1B}"))
  }

  @Test func table() throws {
    let expected = #"""
      name            calls   step    mean  ok
      ───────────────────────────────────────────
      search, "web"  12'345  12345  0.1000  true
      two\nlines          7      –  0.3333  false
      –                   –      0     nan  –

      """#
    #expect(try written(.table).replacing("\u{2009}", with: "'") == expected)
    #expect(try written(.table, rows: []) == "name  calls  step  mean  ok\n───────────────────────────\nno rows\n")
  }

  /// A window that is too narrow for all columns shows the first ones, with names that can be told apart.
  @Test func aNarrowWindowShowsTheFirstColumns() throws {
    let rows: [[CellValue]] = [0, 1].map {
      [.text("a-long-run-\($0)"), .int(1), .int(12_345_678), .double(0.1), .bool(true)]
    }
    let lines = try written(.table, rows: rows, traits: .columns(20, isTTY: false).plain).split(separator: "\n")
    #expect(
      lines.prefix(4) == ["name          calls", "-------------------", "a-long-run-0      1", "a-long-run-1      1"])
    #expect(
      lines.dropFirst(4).joined(separator: " ") == "3 more columns in a wider window; --format csv has all of them")
    let whole = try written(.table, rows: rows, traits: .columns(80, isTTY: false).plain)
    #expect(whole.contains("ok") && !whole.contains("more column"))
  }

  @Test func aTableStreamsBehindItsFirstRows() throws {
    let rows: [[CellValue]] = [
      [.text("a"), .int(1), .int(1), .double(1), .bool(true)],
      [.text("a name that is too long"), .int(1_000_000), .int(1), .double(1), .bool(true)],
    ]
    let expected = """
      name  calls  step    mean  ok
      -------------------------------
      a         1     1  1.0000  true
      a ..  1,000,000     1  1.0000  true

      """
    #expect(try written(.table, rows: rows, traits: TerminalTraits.file.plain, rowsToFit: 1) == expected)
  }

  @Test func aClosedPipeEndsQuietly() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    let writer = RowWriter(
      format: .csv, columns: ["a"], traits: .file, output: BufferedOutput(descriptor: ends[1], capacity: 16))
    let error = #expect(throws: (any Error).self) {
      for i in 0..<1000 { try writer.write([.int(i)]) }
    }
    #expect(error.map { String(describing: $0) } == "ExitCode(rawValue: 0)")
  }

  @Test(.enabled(if: access("/dev/full", W_OK) == 0)) func aFullDiskIsAnError() throws {
    let full = open("/dev/full", O_WRONLY)
    try #require(full >= 0)
    defer { close(full) }
    let output = BufferedOutput(descriptor: full)
    output.write("x")
    #expect(throws: OutputError(code: ENOSPC)) { try output.flush() }
  }
}
