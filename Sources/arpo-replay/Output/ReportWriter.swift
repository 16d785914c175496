import Replay

/// Writes a report in the format asked for: a page, a document, or flat rows.
enum ReportWriter {
  /// - Parameters:
  ///   - page: what a person reads.
  ///   - document: everything, as JSON.
  ///   - rows: the report's rows, one value a column.
  static func write(
    _ format: OutputFormat, _ traits: TerminalTraits, page: () -> String, document: () -> DocumentValue,
    columns: [OutputColumn], rows: () -> [[CellValue]]
  ) throws {
    switch format {
    case .table: try write(page())
    case .json: try write(DocumentText.json(document()) + "\n")
    case .ndjson, .csv:
      let writer = RowWriter(format: format, columns: columns, traits: traits)
      for row in rows() { try writer.write(row) }
      try writer.finish()
    }
  }

  private static func write(_ text: String) throws {
    let out = BufferedOutput()
    out.write(text)
    try out.flush()
  }
}
