import ArgumentParser
import Replay
import Testing

@testable import arpo_replay

/// What `--sweep` takes.
@Suite struct SweepTextTests {
  @Test func valuesAndRanges() throws {
    #expect(try SweepText.parse("alpha=0.1,0.2").1 == [0.1, 0.2])
    #expect(try SweepText.parse("w=0:0.5:0.1").1 == [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    #expect(try SweepText.parse("bp=0.3").0 == .alpha && SweepText.parse("k=5:20:5").1 == [5, 10, 15, 20])
    // The end counts only if a step meets it.
    #expect(try SweepText.parse("beta=0:1:0.4").1 == [0, 0.4, 0.8])
    for parameter in SweepParameter.allCases {
      let (name, values) = try SweepText.parse(parameter.rawValue)
      #expect(name == parameter && values == values.sorted() && values.count > 3)
    }
  }

  /// Any text is taken or refused, and what is taken is finite.
  @Test func anyText() {
    var state: UInt64 = 7
    func next(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    let pieces = ["alpha", "k", "tau", "=", ":", ",", "1", "0.5", "-", "e9", "nan", "inf", "9999999999", " ", "", "é"]
    var taken = 0
    for _ in 0..<5000 {
      let text = (0..<next(8)).map { _ in pieces[next(pieces.count)] }.joined()
      guard let (parameter, values) = try? SweepText.parse(text) else { continue }
      taken += 1
      #expect(!values.isEmpty && values.count <= 10_001 && values.allSatisfy(\.isFinite), "\(text)")
      if parameter == .k { #expect(values.allSatisfy { $0 >= 1 }, "\(text)") }
    }
    #expect(taken > 20)
  }
}
