/// Cells of characters that several lines are drawn on: in Braille dots, or with a letter a line.
struct ChartCanvas: Sendable {
  let columns: Int
  let rows: Int
  let unicode: Bool
  /// By line and cell: the Braille dots that are set, or 1.
  private var dots: [[UInt8]]
  /// By cell: the line whose marker stands there.
  private var markers: [Int?]

  init(columns: Int, rows: Int, lines: Int, unicode: Bool) {
    self.columns = columns
    self.rows = rows
    self.unicode = unicode
    dots = [[UInt8]](repeating: [UInt8](repeating: 0, count: columns * rows), count: lines)
    markers = [Int?](repeating: nil, count: columns * rows)
  }

  /// Dots in a line of the canvas.
  var dotColumns: Int { unicode ? 2 * columns : columns }

  /// Lines of dots.
  var dotRows: Int { unicode ? 4 * rows : rows }

  /// Draws a straight stroke between two dots.
  mutating func stroke(_ line: Int, from a: (x: Int, y: Int), to b: (x: Int, y: Int)) {
    let steps = max(abs(b.x - a.x), abs(b.y - a.y))
    for i in 0...steps {
      let t = steps == 0 ? 0 : Double(i) / Double(steps)
      set(line, x: a.x + Int((t * Double(b.x - a.x)).rounded()), y: a.y + Int((t * Double(b.y - a.y)).rounded()))
    }
  }

  /// Sets one dot.
  mutating func set(_ line: Int, x: Int, y: Int) {
    guard (0..<dotColumns).contains(x), (0..<dotRows).contains(y) else { return }
    if unicode {
      dots[line][y / 4 * columns + x / 2] |= Self.braille[y % 4][x % 2]
    } else {
      dots[line][y * columns + x] = 1
    }
  }

  /// Puts a line's marker at a dot; another line's marker that is already there stays.
  mutating func mark(_ line: Int, x: Int, y: Int) {
    guard (0..<dotColumns).contains(x), (0..<dotRows).contains(y) else { return }
    let cell = unicode ? y / 4 * columns + x / 2 : y * columns + x
    markers[cell] = markers[cell] ?? line
  }

  /// What a cell shows, and the line it belongs to; `nil` if it is empty.
  func cell(row: Int, column: Int) -> (line: Int, dots: UInt8, isMarker: Bool)? {
    let cell = row * columns + column
    if let line = markers[cell] { return (line, 0, true) }
    let present = dots.indices.filter { dots[$0][cell] != 0 }
    if present.isEmpty { return nil }
    // Lines that run on top of each other take turns, so that each can be followed.
    let line = present[column % present.count]
    return (line, unicode ? present.reduce(0) { $0 | dots[$1][cell] } : 0, false)
  }

  /// Bits of a Braille pattern by row and column of its dots.
  private static let braille: [[UInt8]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]
}
