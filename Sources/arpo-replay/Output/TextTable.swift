/// A table for a person to read: aligned columns, a header line, a thin rule, nothing else.
///
/// Cells hold text as it is in the log; the table makes it safe to show.
struct TextTable: Sendable {
  /// A column and how it is set.
  struct Column: Sendable {
    var title: String
    /// Numbers are set to the right and never cut.
    var isNumeric = false
    /// Columns that text is not cut below.
    var narrowest = 8
    /// Text is cut at its beginning, as paths are, which differ at their ends.
    var keepsEnd = false

    /// A column of text.
    static func text(_ title: String) -> Column { Column(title: title) }

    /// A column of numbers.
    static func number(_ title: String) -> Column { Column(title: title, isNumeric: true) }
  }

  /// What stands in a row and column.
  struct Cell: Sendable {
    var text: String
    var style = TextStyle.plain

    init(_ text: String, _ style: TextStyle = .plain) {
      self.text = text
      self.style = style
    }
  }

  private enum Line {
    case cells([Cell])
    case values([CellValue])
    case rule
  }

  let columns: [Column]
  private var lines: [Line] = []

  init(columns: [Column]) {
    self.columns = columns
  }

  /// Adds a row: one cell a column.
  mutating func add(_ cells: [Cell]) { lines.append(.cells(cells)) }

  /// Adds a row: one value a column; integers are counts.
  mutating func add(_ values: [CellValue]) { lines.append(.values(values)) }

  /// Adds a rule between groups of rows.
  mutating func addRule() { lines.append(.rule) }

  /// The table as lines of text.
  func render(_ traits: TerminalTraits) -> String {
    let rows = rows(traits)
    let layout = TableLayout(columns: columns, rows: rows.compactMap { $0 }, traits: traits, limit: traits.limit)
    return layout.header + rows.map { $0.map(layout.line) ?? layout.rule }.joined()
  }

  /// Columns that the table needs to show its numbers in full and its text at least in part.
  func narrowest(_ traits: TerminalTraits) -> Int {
    TableLayout(columns: columns, rows: rows(traits).compactMap { $0 }, traits: traits, limit: 0).width
  }

  /// The cells of each line, `nil` for a rule.
  private func rows(_ traits: TerminalTraits) -> [[Cell]?] {
    lines.map { line in
      switch line {
      case .cells(let cells): cells
      case .values(let values): values.map { $0.cell(isCount: true, traits) }
      case .rule: nil
      }
    }
  }
}

/// Widths of a table's columns, and lines set by them.
struct TableLayout: Sendable {
  /// Spaces between columns.
  private static let gap = 2
  /// Columns that a text column does not exceed, even where lines may have any length.
  private static let widestText = 120

  private let columns: [TextTable.Column]
  private let widths: [Int]
  private let traits: TerminalTraits

  /// Fits columns to what is in them, and narrows the widest text columns until the lines keep to the limit.
  init(columns: [TextTable.Column], rows: [[TextTable.Cell]], traits: TerminalTraits, limit: Int?) {
    self.columns = columns
    self.traits = traits
    var widths = columns.map { displayWidth(of: Self.safe($0.title, $0, traits)) }
    for row in rows {
      for (c, cell) in row.prefix(columns.count).enumerated() {
        widths[c] = max(widths[c], displayWidth(of: Self.safe(cell.text, columns[c], traits)))
      }
    }
    for c in columns.indices where !columns[c].isNumeric { widths[c] = min(widths[c], Self.widestText) }
    if let limit {
      var excess = widths.reduce(0, +) + Self.gap * max(0, widths.count - 1) - limit
      while excess > 0 {
        let cuttable = columns.indices.filter { !columns[$0].isNumeric && widths[$0] > columns[$0].narrowest }
        guard let c = cuttable.max(by: { widths[$0] < widths[$1] }) else { break }
        widths[c] -= 1
        excess -= 1
      }
    }
    self.widths = widths
  }

  /// Columns of a full line.
  var width: Int { widths.reduce(0, +) + Self.gap * max(0, widths.count - 1) }

  /// Leading columns whose lines are no wider than that; at least one.
  func columns(within limit: Int) -> Int {
    var count = 0
    var width = -Self.gap
    while count < widths.count, width + Self.gap + widths[count] <= limit || count == 0 {
      width += Self.gap + widths[count]
      count += 1
    }
    return count
  }

  /// The line of titles and the rule below it.
  var header: String {
    line(columns.map { TextTable.Cell($0.title, .bold) }) + rule
  }

  /// A rule as wide as the table.
  var rule: String { traits.rule(width) + "\n" }

  /// A row; text that is wider than its column is cut, numbers are not.
  func line(_ cells: [TextTable.Cell]) -> String {
    var out = ""
    var owed = 0
    for (c, cell) in cells.prefix(columns.count).enumerated() {
      var text = Self.safe(cell.text, columns[c], traits)
      if !columns[c].isNumeric { text = traits.cut(text, to: widths[c], keepsEnd: columns[c].keepsEnd) }
      let missing = max(0, widths[c] - displayWidth(of: text))
      // Spaces are owed until something follows them: no line ends in blanks.
      if columns[c].isNumeric { owed += missing }
      if !text.isEmpty {
        out += String(repeating: " ", count: owed) + traits.styled(text, cell.style)
        owed = 0
      }
      if !columns[c].isNumeric { owed += missing }
      owed += Self.gap
    }
    return out + "\n"
  }

  private static func safe(_ text: String, _ column: TextTable.Column, _ traits: TerminalTraits) -> String {
    terminalSafe(text, unicode: traits.unicode, limit: column.isNumeric || column.keepsEnd ? nil : widestText)
  }
}
