import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

struct TextTableTests {
  private var table: TextTable {
    var table = TextTable(columns: [.text("tool"), .number("calls"), .text("note")])
    table.add([.text("search"), .int(1234), .text("fine")])
    table.add([.text("python"), .int(7), .null])
    table.addRule()
    table.add([.text("東京\u{1B}[2J"), .double(0.25), .text("a long note that goes on for quite a while")])
    return table
  }

  @Test func asWideAsNeeded() {
    let expected = #"""
      tool          calls  note
      ───────────────────────────────────────────────────────────────
      search        1 234  fine
      python            7  –
      ───────────────────────────────────────────────────────────────
      東京\x1b[2J  0.2500  a long note that goes on for quite a while

      """#
    #expect(table.render(.file).replacing("\u{2009}", with: " ") == expected)
  }

  @Test func narrowedToForty() {
    let expected = #"""
      tool          calls  note
      ────────────────────────────────────────
      search        1 234  fine
      python            7  –
      ────────────────────────────────────────
      東京\x1b[2J  0.2500  a long note that g…

      """#
    #expect(table.render(.columns(40)).replacing("\u{2009}", with: " ") == expected)
  }

  @Test func inASCII() {
    let expected = #"""
      tool        calls  note
      ----------------------------------------
      search      1,234  fine
      python          7  -
      ----------------------------------------
      ??\x1b[2J  0.2500  a long note that go..

      """#
    #expect(table.render(.columns(40, unicode: false)) == expected)
  }

  @Test func colorIsForEmphasisAlone() {
    let colored = table.render(.columns(40, color: true))
    #expect(colored.hasPrefix("\u{1B}[1mtool\u{1B}[0m          \u{1B}[1mcalls\u{1B}[0m  \u{1B}[1mnote\u{1B}[0m\n"))
    let bare = ["1", "2"].reduce(colored) { $0.replacing("\u{1B}[\($1)m", with: "") }
    #expect(bare.replacing("\u{1B}[0m", with: "") == table.render(.columns(40)))
  }

  @Test func numbersAreNeverCut() {
    var table = TextTable(columns: [.text("name"), .number("a"), .number("b")])
    table.add([.text("a name of some length"), .int(123_456), .double(-1.25)])
    #expect(
      table.render(.columns(20, unicode: false)) == """
        name            a        b
        --------------------------
        a name..  123,456  -1.2500

        """)
  }

  @Test func nothing() {
    #expect(TextTable(columns: []).render(.file) == "\n\n")
    #expect(TextTable(columns: [.text("a")]).render(.file) == "a\n─\n")
  }
}
