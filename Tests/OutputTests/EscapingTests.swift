import Replay
import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

/// Nothing that a log holds may act upon a terminal.
struct EscapingTests {
  @Test(arguments: [
    ("plain text", "plain text"),
    ("two\nlines\r\n", #"two\nlines\r\n"#),
    ("a\tb", #"a\tb"#),
    ("\u{1B}[31mred\u{1B}[0m", #"\x1b[31mred\x1b[0m"#),
    ("\u{1B}]0;title\u{7}", #"\x1b]0;title\x07"#),
    ("\u{9B}2J\u{7F}\u{0}", #"\x9b2J\x7f\x00"#),
    // Bidirectional overrides and isolates, zero-width and invisible characters.
    ("abc\u{202E}cba\u{2066}x\u{2069}", #"abc\u{202e}cba\u{2066}x\u{2069}"#),
    ("a\u{200B}b\u{FEFF}c\u{AD}d\u{2028}", #"a\u{200b}b\u{feff}c\u{ad}d\u{2028}"#),
    ("a\u{3164}b\u{E0041}", #"a\u{3164}b\u{e0041}"#),
    ("naïve 東京 🎉", "naïve 東京 🎉"),
    ("❤\u{FE0F}", "❤"),
    ("e" + String(repeating: "\u{301}", count: 40), "e" + String(repeating: "\u{301}", count: 6)),
  ])
  func safeText(text: String, expected: String) {
    #expect(terminalSafe(text, unicode: true) == expected)
  }

  @Test(arguments: [
    ("naïve 東京 🎉", "na?ve ?? ?"), ("\u{1B}[1m", #"\x1b[1m"#), ("e\u{301}", "?"), ("\u{202E}", #"\u{202e}"#),
  ])
  func withoutUnicode(text: String, expected: String) {
    #expect(terminalSafe(text, unicode: false) == expected)
  }

  @Test func everyControlCharacterIsEscaped() {
    let scalars = (0...0x10FFFF).compactMap { Unicode.Scalar(UInt32($0)) }
    let acting = scalars.filter {
      [.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
    }
    #expect(acting.count > 200)
    for scalar in acting {
      let safe = terminalSafe("a\(Character(scalar))b", unicode: true)
      #expect(safe.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "U+\(String(scalar.value, radix: 16))")
    }
  }

  @Test(arguments: [
    ("abc", 3), ("東京", 4), ("e\u{301}", 1), ("한국", 4), ("\u{1112}\u{1161}\u{11AB}", 2), ("🎉", 2), ("👍🏽", 2),
    ("🇩🇪", 2), ("ｶﾅ", 2), ("Ａ", 2), ("…●┤⠿", 4), ("", 0),
  ])
  func widths(text: String, columns: Int) {
    #expect(displayWidth(of: text) == columns)
  }

  @Test(arguments: [
    ("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("東京都庁", 8, "東京都庁"), ("東京都庁", 7, "東京都…"),
    ("東京都庁", 6, "東京…"), ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"), ("abc", 1, "…"), ("abc", 0, ""),
  ])
  func cuts(text: String, columns: Int, expected: String) {
    let cut = TerminalTraits.columns(80).cut(text, to: columns)
    #expect(cut == expected)
    #expect(displayWidth(of: cut) <= columns)
  }

  /// Paths differ at their ends.
  @Test func cutsBeginningsOff() {
    #expect(TerminalTraits.columns(80).cut("/a/b/file.jsonl", to: 11, keepsEnd: true) == "…file.jsonl")
    #expect(TerminalTraits.columns(80).cut("short", to: 5, keepsEnd: true) == "short")
    #expect(TerminalTraits.columns(80).cut("日本語", to: 5, keepsEnd: true) == "…本語")
  }

  @Test func cutsInASCII() {
    let ascii = TerminalTraits.columns(80, unicode: false)
    #expect(ascii.cut("abcdefgh", to: 6) == "abcd..")
    #expect(ascii.cut("abcdefgh", to: 1) == ".")
  }

  @Test func lineOfAMessage() {
    #expect(Escaping.line("a\nb \u{1B}[2J and more", width: 12, unicode: true) == #"a\nb \x1b[2…"#)
    #expect(Escaping.line(String(repeating: "東", count: 1_000_000), width: 9, unicode: true) == "東東東東…")
    #expect(Escaping.line(String(repeating: "👍🏽", count: 1000), width: 9, unicode: true) == "👍🏽👍🏽👍🏽👍🏽…")
  }

  @Test(arguments: [
    ("plain", "plain"), ("a,b", #""a,b""#), (#"say "hi""#, #""say ""hi""""#), ("a\nb", "\"a\nb\""),
    ("a\r\nb", "\"a\r\nb\""), ("", ""), (" padded ", " padded "), ("東京, 日本", #""東京, 日本""#),
  ])
  func csvFields(text: String, expected: String) {
    #expect(csvField(text) == expected)
  }

  @Test func jsonKeepsTheTextAndActsOnNoTerminal() {
    let text = "\u{1B}[31m\u{9B}\u{7F}\u{202E}\u{E0041} é 東 \"\\"
    let json = DocumentText.json(.object([("k", .string(text))]))
    #expect(json == #"{"k":"\u001b[31m\u009b\u007f\u202e\udb40\udc41 é 東 \"\\"}"#)
  }
}
