import Foundation
import Replay
import Testing
import TestSupport

@Suite struct AttributionGoldenTests {
  private static func units(_ key: String) throws -> [[String: Any]] {
    let units = try GoldenJSON.object(TestPaths.goldens.appending(path: "analysis/units.expected.json"))
    return units[key] as? [[String: Any]] ?? []
  }

  /// Functions of rewards and multiplicities alone.
  @Test func groupAdvantages() throws {
    let rows = try Self.units("group_advantages")
    #expect(rows.count == 17)
    let strategies = AttributionStrategies.all.compactMap { $0 as? any GroupRewardStrategy }
    for row in rows {
      let rewards = try #require(row["rewards"] as? [Double])
      let weights = try #require(row["weights"] as? [Int])
      var seen = 2
      for strategy in strategies {
        guard let expected = row[strategy.name] else { continue }
        let got = strategy.advantages(rewards: rewards, weights: weights).map { $0.map { $0 as Any } ?? NSNull() }
        #expect(GoldenJSON.differences(got, expected, tolerance: 1e-9) == [], "\(strategy.name) of \(rewards)")
        seen += 1
      }
      #expect(seen == row.count)
    }
  }

  @Test func softAndHardLossOfASharedToken() throws {
    let rows = try Self.units("soft_hard")
    #expect(rows.count == 70)
    for row in rows {
      let loss = try SharedTokenLoss(
        advantages: #require(row["advantages"] as? [Double]), ratio: #require(row["ratio"] as? Double),
        low: #require(row["low"] as? Double), high: #require(row["high"] as? Double),
        dualClip: #require(row["c"] as? Double))
      let got = [loss.soft, loss.hard, loss.softGradient, loss.hardGradient]
      let expected = ["soft", "hard", "soft_grad", "hard_grad"].map { row[$0] as Any }
      #expect(GoldenJSON.differences(got, expected, tolerance: 1e-9) == [], "\(row)")
    }
  }

  /// Every strategy of every log, token by token, with groups that are made anew for each phase as in a stream.
  @Test(arguments: Goldens.names)
  func everyStrategy(name: String) throws {
    let expected = try #require(Goldens.expected(name)["advantages"] as? [String: [String: Any]])
    let trees = try Goldens.groups(name).map { try RolloutTree($0) }
    for (strategyName, entry) in expected {
      var strategy = try #require(AttributionStrategies.named(strategyName))
      if strategy is DAPO, let params = entry["params"] as? [String: Double] {
        let cap = Int(try #require(params["cap"]))
        strategy = DAPO(shaping: OverlongShaping(longestResponse: cap))
        #expect(trees.flatMap(\.paths).map(\.length).max() == cap)
      }
      var batches = BatchStatistics()
      for tree in trees.reversed() { strategy.collect(AttributionGroup(tree, needs: strategy.needs), into: &batches) }
      var got: [String: Any] = [:]
      for tree in trees {
        let group = AttributionGroup(tree, needs: strategy.needs)
        for (leaf, a) in zip(group.leaves, strategy.advantages(of: group, in: batches)) {
          switch (strategy.kind, a) {
          case (_, .missing): got[leaf.id] = NSNull()
          case (.leaf, _): got[leaf.id] = a.constant ?? "not one value"
          case (.token, _): got[leaf.id] = tokenValues(a, leaf)
          }
        }
      }
      let values = try #require(entry["values"] as? [String: Any] ?? Self.flattened(entry["runs"]))
      let differences = GoldenJSON.differences(got, values, tolerance: 1e-9, at: strategyName)
      #expect(differences.isEmpty, "\(differences.prefix(5))")
    }
  }

  /// Run lengths to one value a token.
  private static func flattened(_ runs: Any?) -> [String: Any]? {
    (runs as? [String: Any])?.mapValues { row in
      guard let row = row as? [String: [Double]], let counts = row["counts"], let values = row["values"] else {
        return NSNull()
      }
      return zip(counts, values).flatMap { [Double](repeating: $1, count: Int($0)) }
    }
  }

  @Test func namesAreUniqueAndFound() {
    let names = AttributionStrategies.all.map(\.name)
    #expect(Set(names).count == names.count)
    for name in names { #expect(AttributionStrategies.named(name)?.name == name) }
    #expect(AttributionStrategies.named("grpo")?.name == "grpo:verl")
    #expect(AttributionStrategies.named("aepo")?.name == "aepo")
    #expect(AttributionStrategies.named("gr") == nil)
    for pair in AttributionStrategies.pairs { #expect(names.contains(pair.a) && names.contains(pair.b)) }
  }
}

/// One value for each token of a path, inserted ones 0.
func tokenValues(_ advantages: PathAdvantages, _ leaf: AttributionLeaf) -> [Double] {
  var out = [Double](repeating: 0, count: leaf.length)
  advantages.forEachRun(leaf.generated) { range, value in for i in range { out[i] = value } }
  return out
}
