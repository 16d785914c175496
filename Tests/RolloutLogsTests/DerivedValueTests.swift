import Foundation
@testable import RolloutLogs
import Rollouts
import Testing

/// Hashes, JSON text and columns that formats make of what a log says.
@Suite struct DerivedValueTests {
  @Test func hashesAreFNV() {
    // Vectors of the algorithm's authors.
    #expect(ContentHash().hex == "6c62272e07bb014262b821756295c58d")
    var a = ContentHash()
    a.add(bytes: "a".utf8)
    #expect(a.hex == "d228cb696f1a8caf78912b704e4a8964")
    #expect(a.short.count == 16)
  }

  @Test func hashesTellBoundariesApart() {
    func hash(_ parts: String...) -> String {
      var hash = ContentHash()
      for part in parts { hash.add(part) }
      return hash.hex
    }
    #expect(hash("ab", "c") != hash("a", "bc") && hash("a") != hash("a", "") && hash("a", "b") == hash("a", "b"))
  }

  @Test(arguments: [
    (#"{"b":1,"a":[true,null,-0.5,"x"],"b":2}"#, #"{"a":[true,null,-0.5,"x"],"b":1}"#),
    (#"{"é":"\u0001\t\n\r\"\\\/","e":1e300}"#, #"{"e":1e+300,"é":"\u0001\t\n\r\"\\/"}"#),
    ("[NaN,Infinity,9223372036854775807,1.0]", "[null,null,9223372036854775807,1.0]"), ("{}", "{}"), ("\"\"", "\"\""),
  ]) func jsonText(logged: String, sorted: String) throws {
    let value = try JSONValue(parsing: logged)
    #expect(value.text(sortedKeys: true) == sorted)
    // Once written it reads back as itself.
    let written = try JSONValue(parsing: value.text())
    #expect(written.text() == value.text())
  }

  @Test func notFiniteNumbersAreCounted() throws {
    #expect(try JSONValue(parsing: #"{"a":[NaN,1,{"b":-Infinity}],"c":"NaN"}"#).notFiniteCount == 2)
  }

  @Test(
    arguments: [
      ([nil, -0.5, 0, -9999], RealColumn.Precision.float32), ([-0.1], .float32Decimal),
      ([-1.23456789], .float32Decimal),
      ([-0.000123456789], .float32Decimal), ([-1.234567891], .float64), ([-1e-300], .float64), ([-1e300], .float64),
      ([Double(Float(-0.1))], .float32), ([Double(Float(-0.1)), -0.1], .float32Decimal),
      ([-0.1, -0.30000000000000004], .float64), ([], .float32),
    ] as [([Double?], RealColumn.Precision)]) func precisionOfColumns(
      values: [Double?], precision: RealColumn.Precision
    )
  {
    let column = RealColumn(logged: values)
    #expect(column.precision == precision && column.count == values.count)
    for (i, value) in values.enumerated() {
      guard let value else {
        #expect(column[i] == nil)
        continue
      }
      let stored = column[i] ?? .nan
      #expect(precision == .float32Decimal ? abs(stored - value) <= 1e-7 * abs(value) : stored == value)
    }
  }

  @Test func rewardsBesideTheReward() throws {
    let row = try JSONValue(
      parsing: #"{"acc":true,"format_reward":0.5,"reward_len":NaN,"x":1,"my_score":"a","f1_score":2,"acc":0}"#)
    let parts = LoggedReward.parts(of: row, except: ["format_reward"], suffixes: ["_reward", "_score"])
    #expect(parts == [RewardPart(name: "acc", score: 1, weight: 0), RewardPart(name: "f1_score", score: 2, weight: 0)])
  }
}
