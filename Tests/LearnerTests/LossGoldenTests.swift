import Foundation
import Learner
import Replay
import TestSupport
import Testing

/// A [B][T] case of `units.expected.json` with its tokens of mask 1 as rows.
private struct LossCase {
  var mask: [[Int]]
  var rows: [Range<Int>] = []
  var logprobs: [Double] = []
  var old: [Double] = []
  var ref: [Double] = []
  var behaviour: [Double] = []
  var advantages: [Double] = []
  var expected: [String: Any]

  init(_ row: [String: Any]) throws {
    mask = try #require(row["mask"] as? [[Int]])
    expected = try #require(row["expected"] as? [String: Any])
    func read(_ key: String) throws -> [[Double]] { try #require(row[key] as? [[Double]]) }
    let (lp, o, r, m, a) = try (read("logprobs"), read("old"), read("ref"), read("behaviour"), read("advantages"))
    for b in mask.indices {
      let start = logprobs.count
      for t in mask[b].indices where mask[b][t] == 1 {
        logprobs.append(lp[b][t])
        old.append(o[b][t])
        ref.append(r[b][t])
        behaviour.append(m[b][t])
        advantages.append(a[b][t])
      }
      rows.append(start..<logprobs.count)
    }
  }

  var lossRows: LossRows { LossRows(rows: rows, logprobs: logprobs, anchor: old, advantages: advantages) }

  /// Values of tokens as they stand in the file, 0 where the mask is.
  func spread(_ values: [Double]) -> [[Double]] {
    var k = 0
    return mask.map { row in
      row.map { m in
        defer { k += m }
        return m == 1 ? values[k] : 0
      }
    }
  }

  func aggregates(_ loss: [Double]) -> [String: Double] {
    var out: [String: Double] = [:]
    for mode in Aggregation.allCases where mode != .tokenSum {
      let factors = mode.coefficients(
        lengths: rows.map { Double($0.count) }, multiplicities: rows.map { _ in 1 }, horizon: Double(mask[0].count))
      out[mode.rawValue] = zip(rows, factors).reduce(0) { sum, row in
        sum + row.1 * row.0.reduce(0) { $0 + loss[$1] }
      }
    }
    return out
  }

  func share(_ flags: [Bool]) -> Double { flags.isEmpty ? 0 : Double(flags.count { $0 }) / Double(flags.count) }
}

@Suite struct LossGoldenTests {
  private static func units() throws -> [String: Any] {
    try GoldenJSON.object(TestPaths.goldens.appending(path: "analysis/units.expected.json"))
  }

  private static func cases() throws -> [LossCase] {
    let rows = try #require(try units()["losses"] as? [[String: Any]])
    #expect(rows.count == 5)
    return try rows.map(LossCase.init)
  }

  private func expectEqual(_ got: Any, _ expected: Any?, _ what: String) {
    let differences = GoldenJSON.differences(got, expected ?? "nothing", tolerance: 1e-9)
    #expect(differences.isEmpty, "\(what): \(differences)")
  }

  @Test(arguments: ["ppo", "ppo-asym", "ppo-unclamped", "aepo", "gspo"])
  func policyLosses(name: String) throws {
    let loss: any PolicyLoss =
      switch name {
      case "ppo": PPOClip(ClipRange(low: 0.2, high: 0.2, dual: 3))
      case "ppo-asym": PPOClip(ClipRange(low: 0.2, high: 0.28, dual: 10))
      case "ppo-unclamped": PPOClip(ClipRange(low: 0.2, high: 0.2, dual: 3), clampsLogRatio: false)
      case "aepo": AEPOClip(ClipRange(low: 0.2, high: 0.2, dual: 3))
      default: GSPO()
      }
    for (c, example) in try Self.cases().enumerated() {
      let expected = try #require(example.expected[name] as? [String: Any])
      let terms = loss.terms(example.lossRows)
      expectEqual(example.spread(terms.loss), expected["loss"], "\(name) \(c) loss")
      expectEqual(example.spread(terms.gradient), expected["grad"], "\(name) \(c) grad")
      expectEqual(example.aggregates(terms.loss), expected["aggregate"], "\(name) \(c) aggregate")
      expectEqual(example.share(terms.clipped), expected["clipfrac"], "\(name) \(c) clipfrac")
      if let lower = expected["clipfrac_lower"] {
        expectEqual(example.share(terms.clippedLower), lower, "\(name) \(c) clipfrac_lower")
      }
      if let ratios = expected["ratio"] as? [Double] {
        let got = zip(example.rows, ratios).map { row, x in row.first.map { terms.ratio[$0] } ?? x }
        expectEqual(got, ratios, "\(name) \(c) ratio")
      }
    }
  }

  @Test(arguments: [KLEstimator.k1, .k2, .k3])
  func klEstimators(estimator: KLEstimator) throws {
    for (c, example) in try Self.cases().enumerated() {
      let expected = try #require(example.expected[estimator.rawValue] as? [String: Any])
      let terms = zip(example.logprobs, example.ref).map { estimator.term(logprob: $0, reference: $1) }
      expectEqual(example.spread(terms.map(\.value)), expected["loss"], "\(estimator) \(c) loss")
      expectEqual(example.spread(terms.map(\.gradient)), expected["grad"], "\(estimator) \(c) grad")
      expectEqual(example.aggregates(terms.map(\.value)), expected["aggregate"], "\(estimator) \(c) aggregate")
      // The straight-through form: k3's value, k2's gradient.
      let plus = zip(example.logprobs, example.ref).map { KLEstimator.k3plus.term(logprob: $0, reference: $1) }
      if estimator == .k3 { #expect(plus.map(\.value) == terms.map(\.value)) }
      if estimator == .k2 { #expect(plus.map(\.gradient) == terms.map(\.gradient)) }
    }
  }

  @Test(arguments: ["token-tis", "sequence-tis", "geometric-band", "token-band"])
  func behaviourWeights(name: String) throws {
    let bounds =
      switch name {
      case "token-tis": BehaviourWeights(.token, .truncate(2))
      case "sequence-tis": BehaviourWeights(.sequence, .truncate(5))
      case "geometric-band": BehaviourWeights(.geometric, .mask(0.95...1.05))
      default: BehaviourWeights(.token, .mask(0.5...2))
      }
    for (c, example) in try Self.cases().enumerated() {
      let all = try #require(example.expected["importance"] as? [String: Any])
      let expected = try #require(all[name] as? [String: Any])
      let got = bounds.weights(
        numerator: example.old, behaviour: example.behaviour, rows: example.rows,
        multiplicities: example.rows.map { _ in 1 })
      expectEqual(example.spread(got.weights), expected["weights"], "\(name) \(c) weights")
      let ess = EffectiveSampleSize(got.weights)
      expectEqual(
        [ess.count, ess.share], [expected["ess"], expected["ess_share"]].map { $0 ?? 0 }, "\(name) \(c) ess")
      var rows = example.lossRows
      rows.weights = got.weights
      let loss = Decoupled(PPOClip(ClipRange(low: 0.2, high: 0.2, dual: 3))).terms(rows).loss
      expectEqual(example.aggregates(loss), expected["decoupled_ppo"], "\(name) \(c) decoupled")
    }
  }

  /// A shared token's loss and gradient under soft and hard attribution, through the learner's own parts.
  @Test func softAndHard() throws {
    let cases = try #require(try Self.units()["soft_hard"] as? [[String: Any]])
    #expect(cases.count == 70)
    for (c, row) in cases.enumerated() {
      let advantages = try #require(row["advantages"] as? [Double])
      let ratio = try #require(row["ratio"] as? Double)
      let clip = ClipRange(
        low: try #require(row["low"] as? Double), high: try #require(row["high"] as? Double), dual: row["c"] as? Double)
      let d = advantages.count
      for mode in SharedTokens.allCases {
        var values = advantages
        let rows = (0..<d).map { $0..<($0 + 1) }
        let shares = mode.apply(
          tokens: [Int](repeating: 0, count: d), advantages: &values, rows: rows,
          multiplicities: [Double](repeating: 1, count: d))
        let terms = PPOClip(clip).terms(
          LossRows(
            rows: rows, logprobs: [Double](repeating: log(ratio), count: d),
            anchor: [Double](repeating: 0, count: d), advantages: values))
        let loss = zip(shares, terms.loss).reduce(0) { $0 + $1.0 * $1.1 }
        let gradient = zip(shares, terms.gradient).reduce(0) { $0 + $1.0 * $1.1 } / ratio
        let key = mode == .soft ? "soft" : "hard"
        // Once: the same loss of the mean advantage, not d times.
        let times = mode == .hardOnce ? Double(d) : 1
        expectEqual(times * loss, row[key], "\(c) \(mode)")
        expectEqual(times * gradient, row[key + "_grad"], "\(c) \(mode) gradient")
      }
    }
  }
}
