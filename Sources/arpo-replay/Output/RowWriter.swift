import Replay

/// Streams rows to standard output in the format asked for.
///
///     let writer = RowWriter(format: format, columns: ["run_id", OutputColumn("calls", isCount: true)])
///     for row in rows { try writer.write([.text(row.run), .int(row.calls)]) }
///     try writer.finish()
///
/// Memory does not grow with the number of rows: a table fits its columns to the first rows and streams the others. In a
/// window that is too narrow for all columns it shows the first ones, and says how many it leaves out. Throws
/// `ExitCode.success` once nobody reads any more.
final class RowWriter {
  let format: OutputFormat
  let columns: [OutputColumn]
  private let traits: TerminalTraits
  private let output: BufferedOutput
  private let rowsToFit: Int
  private var json: TerminalSafeJSON<BufferedOutput>
  /// What stands before each value of an object.
  private let keys: [String]
  private var hasBegun = false
  /// Rows that a table's columns are yet to be fitted to.
  private var waiting: [[CellValue]] = []
  private var layout: TableLayout?
  /// Columns of a table that there is room for.
  private var shown = 0

  /// Text is not cut below it, so that names that begin alike can be told apart.
  private static let narrowestText = 16

  /// Writes rows of some columns.
  ///
  /// - Parameter rowsToFit: rows that a table's columns are fitted to, and that it keeps until then.
  init(
    format: OutputFormat, columns: [OutputColumn], traits: TerminalTraits = .standardOutput,
    output: BufferedOutput = BufferedOutput(), rowsToFit: Int = 1000
  ) {
    self.format = format
    self.columns = columns
    self.traits = traits
    self.output = output
    self.rowsToFit = rowsToFit
    json = TerminalSafeJSON(output)
    keys = columns.enumerated().map { c, column in
      (c == 0 ? "" : ",") + DocumentText.json(.string(column.name)) + ":"
    }
  }

  /// Writes rows whose columns have these names.
  convenience init(format: OutputFormat, columns: [String], traits: TerminalTraits = .standardOutput) {
    self.init(format: format, columns: columns.map { OutputColumn($0) }, traits: traits)
  }

  /// Writes a row: one value a column.
  func write(_ row: [CellValue]) throws {
    precondition(row.count == columns.count, "a row has one value for each column")
    switch format {
    case .table: try writeTableRow(row)
    case .json:
      output.write(hasBegun ? ",\n" : "[\n")
      writeObject(row)
    case .ndjson:
      writeObject(row)
      output.write("\n")
    case .csv:
      if !hasBegun { writeCSVHeader() }
      writeCSVLine(row.map(csvText))
    }
    hasBegun = true
    try output.drain()
  }

  /// Writes what is still kept and the end of the document.
  func finish() throws {
    switch format {
    case .table:
      if layout == nil { fitTable() }
      writeHiddenColumns()
    case .json: output.write(hasBegun ? "\n]\n" : "[]\n")
    case .ndjson: break
    case .csv: if !hasBegun { writeCSVHeader() }
    }
    try output.flush()
  }
}

extension RowWriter {
  private func writeObject(_ row: [CellValue]) {
    output.write("{")
    for (c, value) in row.enumerated() {
      output.write(keys[c])
      value.document.write(into: &json)
    }
    output.write("}")
  }

  private func writeCSVHeader() { writeCSVLine(columns.map { csvText(.text($0.name)) }) }

  /// Lines end in CR LF, as RFC 4180 has it.
  private func writeCSVLine(_ fields: [String]) {
    output.write(fields.joined(separator: ","))
    output.write("\r\n")
  }

  /// CSV has no escape for control characters: a file gets them as they are, a terminal does not.
  private func csvText(_ value: CellValue) -> String {
    guard traits.isTTY, case .text(let text) = value else { return value.csv }
    return csvField(terminalSafe(text, unicode: true))
  }

  private func writeTableRow(_ row: [CellValue]) throws {
    if let layout {
      output.write(layout.line(cells(row)))
      return
    }
    waiting.append(row)
    if waiting.count >= rowsToFit { fitTable() }
  }

  /// Fixes the widths by the rows seen so far and writes them.
  private func fitTable() {
    var columns = columns.enumerated().map { c, column in
      let values = waiting.map { $0[c] }.filter { $0 != .null }
      return TextTable.Column(
        title: column.name, isNumeric: !values.isEmpty && values.allSatisfy(\.isNumeric),
        narrowest: Self.narrowestText)
    }
    shown = columns.count
    let rows = waiting.map(cells)
    if let limit = traits.limit {
      shown = TableLayout(columns: columns, rows: rows, traits: traits, limit: 0).columns(within: limit)
      columns.removeLast(columns.count - shown)
    }
    let layout = TableLayout(columns: columns, rows: rows, traits: traits, limit: traits.limit)
    output.write(layout.header)
    for row in rows { output.write(layout.line(row)) }
    if rows.isEmpty { output.write(traits.styled("no rows", .dim) + "\n") }
    waiting = []
    self.layout = layout
  }

  private func writeHiddenColumns() {
    let hidden = columns.count - shown
    guard hidden > 0 else { return }
    output.write(
      traits.wrapped(
        "\(traits.counted(hidden, "more column")) in a wider window; --format csv has all of them", style: .dim))
  }

  private func cells(_ row: [CellValue]) -> [TextTable.Cell] {
    zip(row, columns).map { $0.cell(isCount: $1.isCount, traits) }
  }
}
