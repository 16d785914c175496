import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

struct NumberTextTests {
  @Test(arguments: [
    (0.43124, "0.4312"), (0, "0.0000"), (-0.0, "0.0000"), (-0.00001, "-1.0000e-05"), (12.5, "12.5000"),
    (1.0 / 3, "0.3333"), (-2.00005, "-2.0000"), (1234567.25, "1234567.2500"), (1e7, "1.0000e+07"),
    (5e-324, "4.9407e-324"), (1e308, "1.0000e+308"), (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"),
  ])
  func fourDecimals(x: Double, expected: String) {
    #expect(decimals(x) == expected)
  }

  @Test func signs() {
    #expect(signedDecimals(0.1) == "+0.1000")
    #expect(signedDecimals(-0.1) == "-0.1000")
    #expect(signedDecimals(0) == "0.0000")
  }

  @Test func shares() {
    #expect(percentText(0.12345) == "12.3 %")
    #expect(percentText(1) == "100.0 %")
    #expect(percentText(0) == "0.0 %")
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1\u{2009}000"), (1_234_567, "1\u{2009}234\u{2009}567"), (-1000, "-1\u{2009}000"),
    (Int.min, "-9\u{2009}223\u{2009}372\u{2009}036\u{2009}854\u{2009}775\u{2009}808"),
  ])
  func thousands(n: Int, expected: String) {
    #expect(TerminalTraits.columns(80).grouped(n) == expected)
    #expect(TerminalTraits.columns(80, unicode: false).grouped(n) == expected.replacing("\u{2009}", with: ","))
  }

  @Test func counts() {
    #expect(TerminalTraits.file.counted(1, "group") == "1 group")
    #expect(TerminalTraits.file.counted(2, "trajectory", "trajectories") == "2 trajectories")
  }
}
