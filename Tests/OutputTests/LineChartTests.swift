import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

struct LineChartTests {
  private func chart(_ values: [[Double?]], height: Int = 9, reference: Double? = nil) -> LineChart {
    LineChart(
      series: values.enumerated().map { LineChart.Series(name: ["search", "python", "browser"][$0 % 3], values: $1) },
      reference: reference.map { LineChart.Reference(name: "initial", value: $0) }, xLabel: "tokens", height: height)
  }

  private let falling: [Double?] = (0..<30).map { 1 - Double($0) / 30 }
  private let rising: [Double?] = (0..<30).map { Double($0) / 60 }

  @Test func inUnicode() {
    #expect(
      chart([falling, rising], reference: 0.25).render(.columns(60)) == """
        1.00 ┤●⠒⠢⠤⣀
             │     ⠉⠒⠤⢄●
        0.75 ┤          ⠉⠑⠢⢄⡀
             │              ⠈⠉⠒⠢●⣀⡀
        0.50 ┤                    ⠈⠑⠢⢄⣀               ▲⣀⣀⠤ ▲ python
             │                         ⠉⠑●⠤⢄⣀▲⡠⠤⠤⠔⠒⠉⠉⠉
        0.25 ┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄⣀⣀⣀▲⠤⠤⠒⠒⠒⠉⠁⠈⠑⠢⠤⣀⡀┄┄┄┄┄┄┄┄ ┄ initial
             │          ⣀⡠⠤▲⠔⠒⠒⠊⠉                ⠈●⠒⠢⢄⡀
        0.00 ┤⣀⠤⠤⠤▲⠒⠒⠉⠉⠉                              ⠈⠑⠒⠤ ● search
             └┬──────────────┬──────────────┬─────────────
              0              10             20  tokens

        """)
  }

  @Test func inASCII() {
    #expect(
      chart([falling, rising], reference: 0.25).render(.columns(60, unicode: false)) == """
        1.00 +**
             |  ******
        0.75 +        ******
             |              ******
        0.50 +                    *****               ++++ + python
             |                         ****+*+++++++++
        0.25 +- - - - - - - - -+++++++++++- -****** - - -  - initial
             |     ++++++++++++                    ******
        0.00 ++++++                                      * * search
             ++--------------+--------------+-------------
              0              10             20  tokens

        """)
  }

  @Test func narrow() {
    #expect(
      chart([falling, rising], reference: 0.25).render(.columns(20)) == """
        1.00 ┤●⠒⠤⣀
             │    ⠑⠢⢄⡀
        0.75 ┤       ⠈●⠢⢄
             │           ⠉⠒⠢⢄⡀
        0.50 ┤               ⠈●⠢⣀           ⢀⣀⣀⠤
             │                   ⠉⠑⠢⢄⣀⣀⠤⠤▲⠊⠉⠁
        0.25 ┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄⢀⣀⣀⠤⠤▲⠒⠊⠁⠈●⠤⣀┄┄┄┄┄┄┄
             │       ⢀⡠⠤⠤▲⠒⠊⠁            ⠉⠑⠢⢄
        0.00 ┤⡠⠤⠤▲⠒⠊⠉⠁                       ⠉●⠤
             └┬──────────┬───────────┬──────────
              0          10          20  tokens
        ● search   ▲ python   ┄ initial

        """)
  }

  @Test func missingValuesLeaveGaps() {
    var values = falling
    for i in 10..<20 { values[i] = i % 2 == 0 ? nil : .nan }
    #expect(
      chart([values]).render(.columns(60, unicode: false)) == """
        1.00 +***
             |   ******
        0.75 +         ******
             |
        0.50 +
             |                              *
        0.25 +                               ******
             |                                     ******
        0.00 +                                           ** * search
             ++--------------+--------------+--------------
              0              10             20  tokens

        """)
  }

  @Test func oneConstantPoint() {
    #expect(
      chart([[0.5]], height: 5).render(.columns(40)) == """
        0.550 ┤
        0.525 ┤
        0.500 ┤●
        0.475 ┤
        0.450 ┤
              └┬────────────────────────────────
               0  tokens
        ● search

        """)
  }

  @Test func colorOnlyHelps() {
    let chart = chart([falling, rising], reference: 0.25)
    var bare = chart.render(.columns(60, color: true))
    for code in ["0", "2", "33", "36"] { bare = bare.replacing("\u{1B}[\(code)m", with: "") }
    #expect(bare == chart.render(.columns(60)))
  }

  @Test(arguments: [[], [[]], [[nil]], [[nil, .nan, .infinity, -.infinity]], [[1e301]]] as [[[Double?]]])
  func nothingToDraw(values: [[Double?]]) {
    #expect(chart(values, reference: 0.5).render(.columns(60)) == "(no value to draw)\n")
  }

  /// Whatever the values, there is a chart of the right size.
  @Test(arguments: [0, 60, 120])
  func anyValues(width: Int) {
    for values in odd {
      for (unicode, height, reference) in [
        (true, 14, nil), (true, 0, 0.4), (false, 14, .nan), (false, 0, 1e300),
      ] as [(Bool, Int, Double?)] {
        let text = chart(values, height: height, reference: reference).render(.columns(width, unicode: unicode))
        let widest = text.split(separator: "\n").map { displayWidth(of: String($0)) }.max() ?? 0
        #expect(widest <= max(width, 40))
        #expect(text.hasSuffix("\n"))
      }
    }
  }

  private var odd: [[[Double?]]] {
    let one: [Double?] = [
      0, -1, 5e-324, 1e-290, 1e-12, 1e12, 1e300, -1e300, 1e308, .nan, .infinity, nil, 0.3,
    ]
    var sets: [[[Double?]]] = []
    for a in one {
      sets.append([[a]])
      sets.append([[Double?](repeating: a, count: 64)])
      for b in one { sets.append([[a, b]]) }
    }
    let many = (0..<12).map { s -> [Double?] in
      (0..<1000).map { i -> Double? in (i * (s + 7)) % 13 == 0 ? nil : Double(i % 97) / 97 }
    }
    return sets + [many, [one, [], [nil], falling]]
  }

  @Test func roundTicks() {
    #expect(ChartScale(from: 0, to: 1).ticks == [0, 0.25, 0.5, 0.75, 1])
    #expect(ChartScale(from: 0.31, to: 0.88).ticks.count == 5)
    #expect(ChartScale(from: -3, to: 3).ticks.contains(0))
    #expect(ChartScale(from: 0, to: 1).digits == 2)
    #expect(ChartScale(from: 0, to: 400).digits == 0)
  }

  @Test func roundPositions() {
    #expect(chartPositions(last: 63, most: 7) == [0, 10, 20, 30, 40, 50, 60])
    #expect(chartPositions(last: 63, most: 4) == [0, 20, 40, 60])
    #expect(chartPositions(last: 0, most: 4) == [0])
    #expect(chartPositions(last: 3, most: 8) == [0, 1, 2, 3])
  }
}
