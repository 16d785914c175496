/// One chart on its way to text.
struct ChartDrawing {
  private let chart: LineChart
  private let traits: TerminalTraits
  private let width: Int
  private let lines: [[Double?]]
  private let length: Int
  private let rows: Int

  init(_ chart: LineChart, traits: TerminalTraits, width: Int) {
    self.chart = chart
    self.traits = traits
    self.width = width
    lines = chart.series.prefix(LineChart.most).map { $0.values.map(Self.drawable) }
    length = lines.map(\.count).max() ?? 0
    rows = max(chart.height, 4)
  }

  private static func drawable(_ value: Double?) -> Double? {
    value.flatMap { abs($0) <= ChartScale.largest ? $0 : nil }
  }

  private var reference: LineChart.Reference? {
    chart.reference.flatMap { Self.drawable($0.value) == nil ? nil : $0 }
  }

  /// The chart.
  var text: String {
    let values = lines.joined().compactMap { $0 }
    guard let low = values.min(), let high = values.max() else { return "(no value to draw)\n" }
    let level = reference?.value
    let scale = ChartScale(from: min(low, level ?? low), to: max(high, level ?? high))
    let ticks = tickLabels(scale)
    let margin = ticks.values.map(displayWidth).max() ?? 0
    // Names stand at the ends of the lines where there is room, else below the chart.
    let names = labels.map { traits.cut($0.text, to: max(10, width / 4)) }
    let namesWidth = width >= 60 && names.count <= rows ? names.map(displayWidth).max() ?? 0 : 0
    let columns = width - margin - 2 - (namesWidth > 0 ? namesWidth + 1 : 0)

    var canvas = ChartCanvas(columns: columns, rows: rows, lines: lines.count, unicode: traits.unicode)
    for line in lines.indices { draw(line, on: &canvas, scale) }
    let ends = namesWidth > 0 ? labelRows(scale) : [:]
    let levelRow = level.map { row(scale, $0) }

    var out = chart.yLabel.isEmpty ? "" : chart.yLabel + "\n"
    for row in 0..<rows {
      let tick = ticks[row]
      out += padded(tick ?? "", to: margin, right: true) + " " + axis(hasTick: tick != nil)
      var end = body(canvas, row, isLevel: row == levelRow)
      if let label = ends[row] {
        end.add(" ", .plain)
        end.add(names[label], labels[label].style)
      }
      out += end.trimmed(traits) + "\n"
    }
    out += horizontalAxis(margin: margin, columns: columns)
    if namesWidth == 0 { out += legend }
    return out
  }
}

extension ChartDrawing {
  /// Names of the lines and the level, with their markers.
  private var labels: [(text: String, style: TextStyle)] {
    var out = lines.indices.map { line in
      let name = terminalSafe(chart.series[line].name, unicode: traits.unicode, limit: width)
      return (text: LineChart.marker(line, traits) + " " + name, style: LineChart.style(line))
    }
    if let reference {
      let name = terminalSafe(reference.name, unicode: traits.unicode, limit: width)
      out.append((text: dash + " " + name, style: .dim))
    }
    return out
  }

  private var dash: String { traits.unicode ? "┄" : "-" }

  /// Lines of dots in a row of text.
  private var dotsPerRow: Int { traits.unicode ? 4 : 1 }

  private func dot(_ scale: ChartScale, _ value: Double) -> Int {
    Int((scale.depth(value) * Double(rows * dotsPerRow - 1)).rounded())
  }

  private func row(_ scale: ChartScale, _ value: Double) -> Int { dot(scale, value) / dotsPerRow }

  private func tickLabels(_ scale: ChartScale) -> [Int: String] {
    Dictionary(
      scale.ticks.map { (row(scale, $0), decimals($0, scale.digits)) }, uniquingKeysWith: { first, _ in first })
  }

  private func axis(hasTick: Bool) -> String {
    traits.styled(traits.unicode ? (hasTick ? "┤" : "│") : hasTick ? "+" : "|", .dim)
  }

  /// Rows for the labels, as near as may be to where their lines end, no two on one row.
  private func labelRows(_ scale: ChartScale) -> [Int: Int] {
    var wanted: [(label: Int, row: Int)] = []
    for (label, line) in lines.enumerated() {
      if let last = line.last(where: { $0 != nil }) ?? nil { wanted.append((label, row(scale, last))) }
    }
    if let reference { wanted.append((lines.count, row(scale, reference.value))) }
    wanted.sort { ($0.row, $0.label) < ($1.row, $1.label) }
    var out: [Int: Int] = [:]
    var free = 0
    for (i, label) in wanted.enumerated() {
      let row = min(max(label.row, free), max(free, rows - (wanted.count - i)))
      out[row] = label.label
      free = row + 1
    }
    return out
  }

  private func draw(_ line: Int, on canvas: inout ChartCanvas, _ scale: ChartScale) {
    let right = canvas.dotColumns - 1
    func place(_ i: Int, _ value: Double) -> (x: Int, y: Int) {
      let x = length > 1 ? Int((Double(i) / Double(length - 1) * Double(right)).rounded()) : 0
      return (x, dot(scale, value))
    }
    var last: (x: Int, y: Int)?
    for (i, value) in lines[line].enumerated() {
      guard let value else {
        last = nil
        continue
      }
      let dot = place(i, value)
      canvas.stroke(line, from: last ?? dot, to: dot)
      last = dot
    }
    if traits.unicode {
      for i in markedPoints(line, columns: canvas.columns) {
        guard let value = lines[line][i] else { continue }
        let dot = place(i, value)
        canvas.mark(line, x: dot.x, y: dot.y)
      }
    }
  }

  /// Points that carry a marker: some along the line, each line's at places of its own, and at least one in each piece.
  private func markedPoints(_ line: Int, columns: Int) -> [Int] {
    let values = lines[line]
    // Markers of all lines together stand about four columns apart.
    let spacing = 4 * max(2, lines.count) * max(1, length - 1)
    let step = max(1, (spacing + columns - 1) / max(1, columns))
    let offset = line * step / max(1, lines.count)
    var out: [Int] = []
    var start = 0
    while start < values.count {
      guard values[start] != nil else {
        start += 1
        continue
      }
      let end = values[start...].firstIndex { $0 == nil } ?? values.count
      let marked = (start..<end).filter { ($0 - offset) % step == 0 }
      out += marked.isEmpty ? [(start + end - 1) / 2] : marked
      start = end
    }
    return out
  }

  /// The cells of a row, with the level drawn behind the lines.
  private func body(_ canvas: ChartCanvas, _ row: Int, isLevel: Bool) -> StyledLine {
    var out = StyledLine()
    for column in 0..<canvas.columns {
      if let cell = canvas.cell(row: row, column: column) {
        let isBraille = traits.unicode && !cell.isMarker
        let glyph = isBraille ? brailleText(cell.dots) : LineChart.marker(cell.line, traits)
        out.add(glyph, LineChart.style(cell.line))
      } else if isLevel, traits.unicode || column % 2 == 0 {
        out.add(dash, .dim)
      } else {
        out.add(" ", .plain)
      }
    }
    return out
  }

  private func brailleText(_ dots: UInt8) -> String {
    Unicode.Scalar(0x2800 + UInt32(dots)).map { String(Character($0)) } ?? " "
  }

  private func horizontalAxis(margin: Int, columns: Int) -> String {
    let last = max(length - 1, 0)
    let positions = tickPositions(last: last, columns: columns)
    let places = positions.map { last > 0 ? Int((Double($0) / Double(last) * Double(columns - 1)).rounded()) : 0 }
    let (line, tick, corner) = traits.unicode ? ("─", "┬", "└") : ("-", "+", "+")
    let marks = (0..<columns).map { places.contains($0) ? tick : line }.joined()
    let blank = String(repeating: " ", count: margin + 1)
    var numbers = blank
    for (position, place) in zip(positions, places) {
      let text = chart.xTicks.map { $0.indices.contains(position) ? $0[position] : "" } ?? String(position)
      let start = max(margin + 2 + place - (text.utf8.count - 1) / 2, margin + 2)
      if start + text.utf8.count <= width { numbers = padded(numbers, to: start) + text }
    }
    var out = blank + traits.styled(corner + marks, .dim) + "\n"
    let fits = displayWidth(of: numbers) + 2 + displayWidth(of: chart.xLabel) <= width
    if chart.xLabel.isEmpty {
      out += numbers + "\n"
    } else if fits {
      out += numbers + "  " + chart.xLabel + "\n"
    } else {
      out += numbers + "\n" + blank + " " + chart.xLabel + "\n"
    }
    return out
  }

  /// Where the horizontal axis has a tick: at round numbers, or at as many of the given names as have room.
  private func tickPositions(last: Int, columns: Int) -> [Int] {
    guard let ticks = chart.xTicks else { return chartPositions(last: last, most: max(2, columns / 8)) }
    let room = (ticks.map(displayWidth).max() ?? 0) + 2
    let most = max(2, columns / max(4, room))
    return Array(stride(from: 0, through: last, by: max(1, (last + most) / most)))
  }

  /// The labels below the chart, as many a line as fit.
  private var legend: String {
    var out = ""
    var line = ""
    for label in labels {
      let text = traits.cut(label.text, to: width)
      if !line.isEmpty, displayWidth(of: line) + 3 + displayWidth(of: text) > width {
        out += line + "\n"
        line = ""
      }
      line += (line.isEmpty ? "" : "   ") + text
    }
    return out + line + "\n"
  }
}
