import AdaptiveRollout
import Foundation
import Replay
import Rollouts
import Testing
import TestSupport

/// One generated token with its candidates.
private func position(_ ids: [Int], _ logprobs: [Double], sampled: Int, logprob: Double?) -> TokenColumns {
  TokenColumns(
    tokenIDs: [Int32(sampled)], lossMask: [1], logprobs: logprob.map { RealColumn(doubles: [$0]) },
    topLogprobs: TopLogprobs(
      counts: [Int32(ids.count)], tokenIDs: ids.map(Int32.init), logprobs: RealColumn(doubles: logprobs)))
}

private func expectClose(_ got: Double?, _ expected: Any?, _ comment: Comment? = nil) {
  guard let expected = expected as? Double else {
    #expect(got == nil || got?.isNaN == true, comment)
    return
  }
  guard let got else {
    Issue.record("nil, expected \(expected)")
    return
  }
  #expect(abs(got - expected) <= 1e-9 * max(1, abs(expected)), comment)
}

@Suite struct UnitsGoldenTests {
  private static func cases(_ key: String) throws -> [[String: Any]] {
    let units = try GoldenJSON.object(TestPaths.goldens.appending(path: "analysis/units.expected.json"))
    return units[key] as? [[String: Any]] ?? []
  }

  @Test func entropyFromLogits() throws {
    let cases = try Self.cases("entropy_from_logits")
    #expect(cases.count == 7)
    for row in cases {
      let logprobs = try #require(row["logprobs"] as? [Double])
      let candidates = try #require(row["candidates"] as? [Int])
      let sampled = try #require(row["sampled"] as? Int)
      let columns = position(
        candidates, candidates.map { logprobs[$0] }, sampled: sampled, logprob: logprobs[sampled])
      let expected = try #require(row["expected"] as? [String: Any])
      func values(_ vocabSize: Int?, _ temperature: TemperatureChange? = nil) -> TokenEntropy {
        TokenEntropy(
          of: columns, entropyKind: nil, vocabSize: vocabSize, estimators: Set(Estimator.allCases),
          temperature: temperature)
      }
      let plain = values(logprobs.count)
      for estimator in [Estimator.topk, .topkRenormalized, .lower, .upper] {
        expectClose(plain[estimator]?[0], expected[estimator.rawValue], "\(estimator)")
      }
      expectClose(plain[.sampledNLL]?[0], -logprobs[sampled])
      expectClose(values(nil)[.lower]?[0], expected["lower_unknown_vocab"])
      #expect(values(nil)[.upper]?[0].isNaN == true)
      for hot in try #require(row["at_temperature"] as? [[String: Double]]) {
        let change = try TemperatureChange(from: #require(hot["from"]), to: #require(hot["to"]))
        let rescaled = values(logprobs.count, change)
        for estimator in [Estimator.topk, .topkRenormalized, .sampledNLL] {
          expectClose(rescaled[estimator]?[0], hot[estimator.rawValue], "\(estimator) \(change)")
        }
        #expect(rescaled[.lower]?[0].isNaN == true && rescaled[.exact]?[0].isNaN == true)
      }
      // The bounds hold what the full vocabulary says.
      let exact = try #require((row["exact"] as? [String: Double])?["1.0"])
      #expect(try #require(plain[.lower]?[0]) <= exact + 1e-6 && exact - 1e-6 <= #require(plain[.upper]?[0]))
    }
  }

  @Test func entropyBounds() throws {
    let cases = try Self.cases("entropy_bounds")
    #expect(cases.count == 24)
    for (i, row) in cases.enumerated() {
      let columns = position(
        try #require(row["ids"] as? [Int]), try #require(row["logprobs"] as? [Double]),
        sampled: try #require(row["sampled"] as? Int), logprob: row["sampled_logprob"] as? Double)
      let estimators: Set<Estimator> = [.topk, .topkRenormalized, .lower, .upper]
      let got = TokenEntropy(
        of: columns, entropyKind: nil, vocabSize: row["vocab"] as? Int, estimators: estimators)
      for estimator in estimators {
        expectClose(got[estimator]?[0], row[estimator.rawValue], "case \(i), \(estimator)")
      }
    }
  }

  @Test func branchRules() throws {
    let units = try GoldenJSON.object(TestPaths.goldens.appending(path: "analysis/units.expected.json"))
    let rules = try #require(units["branch_rules"] as? [String: [[String: Double]]])
    let code = try #require(rules["code"])
    let aepo = try #require(rules["aepo"])
    #expect(code.count == 60 && aepo.count == 300)
    for row in code {
      let (bp, w, dh) = try (#require(row["bp"]), #require(row["w"]), #require(row["dh"]))
      expectClose(arpoBranchProbability(deltaH: dh, branchProbability: bp, entropyWeight: w), row["p"])
    }
    for row in aepo {
      let (bp, w, dh) = try (#require(row["bp"]), #require(row["w"]), #require(row["dh"]))
      let l = Int(try #require(row["consecutive"]))
      expectClose(
        aepoBranchProbability(deltaH: dh, branchProbability: bp, entropyWeight: w, consecutive: l), row["p"])
    }
  }

  /// The comparison that all golden tests rest on sees a difference.
  @Test func comparisonSeesDifferences() throws {
    func parse(_ s: String) throws -> Any { try JSONSerialization.jsonObject(with: Data(s.utf8)) }
    let a = #"{"x":[1,2.5,null,true],"y":"s"}"#
    #expect(try GoldenJSON.differences(parse(a), parse(a), tolerance: 1e-9).isEmpty)
    for b in [
      #"{"x":[1,2.5000001,null,true],"y":"s"}"#, #"{"x":[1,2.5,0,true],"y":"s"}"#,
      #"{"x":[1,2.5,null,false],"y":"s"}"#, #"{"x":[1,2.5,null,1],"y":"s"}"#, #"{"x":[1,2.5,null],"y":"s"}"#,
      #"{"x":[1,2.5,null,true],"y":"t"}"#, #"{"x":[1,2.5,null,true]}"#,
    ] {
      #expect(try !GoldenJSON.differences(parse(a), parse(b), tolerance: 1e-9).isEmpty, "\(b)")
    }
  }
}
