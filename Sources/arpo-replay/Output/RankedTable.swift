/// A table with as many columns as the width has room for: the first one names the row, the others are numbers.
struct RankedTable<Row> {
  /// A column of numbers.
  struct Column {
    var title: String
    /// Lower ones stay longer when there is little room.
    var rank: Int
    /// `nil`: no number in this row.
    var cell: (Row) -> String?
  }

  /// Above the names of the rows.
  var keyTitle: String
  var key: (Row) -> String
  var columns: [Column]
  var rows: [Row]
  /// Rows below a rule.
  var below: [Row] = []

  /// The table, and a note on what had no room.
  func text(_ traits: TerminalTraits) -> String {
    // A column without any number is no loss.
    var columns = columns.filter { column in (rows + below).contains { column.cell($0) != nil } }
    let all = columns.count
    while columns.count > 1, let last = columns.indices.max(by: { columns[$0].rank < columns[$1].rank }),
      table(columns, traits).narrowest(traits) > traits.width
    {
      columns.remove(at: last)
    }
    var fitted = traits
    fitted.limit = traits.width
    var out = table(columns, traits).render(fitted)
    if columns.count < all {
      out += traits.wrapped(
        "\(traits.counted(all - columns.count, "more column")) in a wider window; --format json has every number",
        style: .dim)
    }
    return out
  }

  private func table(_ columns: [Column], _ traits: TerminalTraits) -> TextTable {
    let longest = (rows + below).map { displayWidth(of: traits.safe(key($0))) }.max() ?? 0
    let name = TextTable.Column(title: keyTitle, narrowest: min(longest, max(8, traits.width / 5)))
    var table = TextTable(columns: [name] + columns.map { .number($0.title) })
    for row in rows { table.add(cells(columns, row)) }
    if !below.isEmpty { table.addRule() }
    for row in below { table.add(cells(columns, row)) }
    return table
  }

  private func cells(_ columns: [Column], _ row: Row) -> [TextTable.Cell] {
    [TextTable.Cell(key(row))] + columns.map { TextTable.Cell($0.cell(row) ?? "") }
  }
}
