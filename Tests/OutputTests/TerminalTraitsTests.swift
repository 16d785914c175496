import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

struct TerminalTraitsTests {
  private func traits(
    tty: Bool = true, columns: Int? = 80, _ environment: [String: String] = [:], color: ColorChoice = .auto
  ) -> TerminalTraits {
    TerminalTraits(isTTY: tty, columns: columns, environment: environment, color: color)
  }

  @Test func colorNeedsATerminalThatWantsIt() {
    #expect(traits().color)
    #expect(!traits(tty: false).color)
    #expect(!traits(["NO_COLOR": "1"]).color)
    #expect(traits(["NO_COLOR": ""]).color, "an empty NO_COLOR counts as unset")
    #expect(!traits(["TERM": "dumb"]).color)
    #expect(traits(["TERM": "xterm-256color"]).color)
  }

  @Test func theFlagOverrulesTheEnvironment() {
    #expect(traits(tty: false, ["NO_COLOR": "1", "TERM": "dumb"], color: .always).color)
    #expect(!traits(color: .never).color)
  }

  @Test func withoutColorThereIsNoEscape() {
    #expect(traits(["NO_COLOR": "1"]).styled("x", .bold) == "x")
    #expect(traits().styled("x", .bold) == "\u{1B}[1mx\u{1B}[0m")
    #expect(traits().styled("x", .plain) == "x")
    #expect(traits().styled("", .red) == "")
  }

  @Test func widthIsTheTerminalsOwnOrTold() {
    #expect(traits(columns: 132).width == 132)
    #expect(traits(columns: 132, ["COLUMNS": "70"]).width == 132)
    #expect(traits(columns: nil, ["COLUMNS": "70"]).width == 70)
    #expect(traits(columns: 0, ["COLUMNS": "wide"]).width == 100)
    #expect(traits(columns: nil).width == 100)
    #expect(traits(columns: nil).limit == 100)
  }

  @Test func aFileTakesLinesOfAnyLength() {
    let file = traits(tty: false, columns: nil)
    #expect(file.width == 120)
    #expect(file.limit == nil)
    #expect(traits(tty: false, columns: nil, ["COLUMNS": "60"]).limit == 60)
  }

  @Test(arguments: [
    ([:], false), (["LANG": "C"], false), (["LANG": "en_US.UTF-8"], true), (["LANG": "de_DE.utf8"], true),
    (["LANG": "en_US.UTF-8", "LC_ALL": "C"], false), (["LANG": "C", "LC_CTYPE": "C.UTF-8"], true),
    (["LANG": "en_US.UTF-8", "LC_ALL": ""], true), (["LANG": "en_US.ISO-8859-1"], false),
  ])
  func unicodeByTheLocale(environment: [String: String], expected: Bool) {
    #expect(traits(environment).unicode == expected)
  }

  @Test func plainKeepsTheWidth() {
    let plain = traits(["LANG": "C.UTF-8"]).plain
    #expect(plain == TerminalTraits(isTTY: true, width: 80, limit: 80, color: false, unicode: false))
  }
}
