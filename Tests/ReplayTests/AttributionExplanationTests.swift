import Foundation
import Replay
import Testing
import TestSupport

/// What an explanation prints is what the strategy reports: every text is evaluated anew.
@Suite struct AttributionExplanationTests {
  @Test func textsAreEvaluated() throws {
    for (text, value) in [
      ("1 - (-2)", 3), ("2 * (3 + 4) / 7", 2), ("(1 - 2)^2 - 1", 0), ("sqrt(2^2 * 4) - 1e-06", 4 - 1e-6),
      ("min(-3, 0) + 1 - 2 - 3", -7), ("8 / 4 / 2", 1), ("8 / (4 / 2)", 4), ("-1.5", -1.5),
    ] as [(String, Double)] {
      #expect(try ArithmeticText.value(text) == value, "\(text)")
    }
    #expect(throws: ArithmeticText.Failure.self) { try ArithmeticText.value("1 +") }
    #expect(throws: ArithmeticText.Failure.self) { try ArithmeticText.value("(1") }
  }

  /// Parentheses stand where they must: random expressions print as what they are worth.
  @Test func textsMeanTheirValues() throws {
    var random = SeededGenerator(seed: 71)
    func expression(_ depth: Int) -> Arithmetic {
      if depth == 0 || Int.random(in: 0..<4, using: &random) == 0 {
        return .number(Double(Int.random(in: -40...40, using: &random)) / 8)
      }
      let (a, b) = (expression(depth - 1), expression(depth - 1))
      return switch Int.random(in: 0..<7, using: &random) {
      case 0: .sum([a, b, expression(depth - 1)])
      case 1: .difference(a, b)
      case 2: .product(a, b)
      case 3: .quotient(a, b)
      case 4: .power(a, Int.random(in: 0...3, using: &random))
      case 5: .root(.power(a, 2))
      default: .smaller(a, b)
      }
    }
    var finite = 0
    for _ in 0..<3000 {
      let e = expression(4)
      guard e.value.isFinite else { continue }
      finite += 1
      #expect(try abs(ArithmeticText.value(e.text) - e.value) <= 1e-12 * max(1, abs(e.value)), "\(e.text)")
    }
    #expect(finite > 1500)
  }

  /// Every strategy, every scored leaf, several tokens of random groups.
  @Test(arguments: AttributionStrategies.all.map(\.name))
  func theLastTermIsTheAdvantage(name: String) throws {
    let strategy = try #require(AttributionStrategies.named(name))
    var random = SeededGenerator(seed: 72)
    var groups: [AttributionGroup] = []
    for i in 0..<16 {
      groups.append(
        try AttributionGroup(
          RandomGroups.group(&random, declared: true, id: "g\(i)", step: i % 2, constant: i % 9 == 0)))
    }
    try check(strategy, groups, &random)
  }

  /// The same on the golden logs, where entropies are.
  @Test(arguments: Goldens.names) func goldenLogsAreExplained(name: String) throws {
    var random = SeededGenerator(seed: 73)
    let groups = try Goldens.groups(name).map { try AttributionGroup($0) }
    let longest = groups.flatMap(\.leaves).map(\.length).max() ?? 0
    for strategy in AttributionStrategies.all + [DAPO(shaping: OverlongShaping(longestResponse: longest))] {
      try check(strategy, groups, &random, tokens: 1)
    }
  }

  private func check(
    _ strategy: any AttributionStrategy, _ groups: [AttributionGroup], _ random: inout SeededGenerator,
    tokens: Int = 3
  ) throws {
    var batches = BatchStatistics()
    for group in groups where group.unmet(strategy.needs).isEmpty { strategy.collect(group, into: &batches) }
    for group in groups {
      let isLacking = !group.unmet(strategy.needs).isEmpty
      let advantages = isLacking ? [] : strategy.advantages(of: group, in: batches)
      for (t, leaf) in group.leaves.enumerated() {
        let indices = leaf.generated.flatMap { Array($0) }
        for index in Set(
          [indices.randomElement(using: &random), indices.first, indices.last].prefix(tokens).compactMap { $0 })
        {
          let explanation = strategy.explain(TokenPlace(leaf: t, index: index), of: group, in: batches)
          let expected = isLacking ? nil : advantages[t].aligned(leaf.generated, length: leaf.length)?[index]
          #expect((explanation.value == nil) == (expected == nil), "\(strategy.name) \(leaf.id) \(index)")
          #expect(expected != nil || !explanation.notes.isEmpty)
          guard let expected, let value = explanation.value else { continue }
          #expect(abs(value - expected) <= 1e-9 * max(1, abs(expected)), "\(strategy.name) \(leaf.id) \(index)")
          for term in explanation.terms {
            let printed = try ArithmeticText.value(term.expression.text)
            let own = term.expression.value
            #expect(abs(printed - own) <= 1e-12 * max(1, abs(own)), "\(term.symbol) = \(term.expression.text)")
          }
          #expect(explanation.terms.last?.symbol == "A")
        }
      }
    }
  }

  @Test func insertedTokensAndUnscoredLeaves() throws {
    let group = try AttributionGroup(
      madeGroup([
        madeTrajectory("a", [.think([1]), .result([2], "search"), .think([3])], reward: 1),
        madeTrajectory("b", [.think([1])]),
      ]))
    for strategy in AttributionStrategies.all where group.unmet(strategy.needs).isEmpty {
      var batches = BatchStatistics()
      strategy.collect(group, into: &batches)
      let inserted = strategy.explain(TokenPlace(leaf: 0, index: 1), of: group, in: batches)
      #expect(inserted.value == 0 && inserted.notes.joined().contains("inserted"))
      let unscored = strategy.explain(TokenPlace(leaf: 1, index: 0), of: group, in: batches)
      #expect(unscored.value == nil && unscored.notes.joined().contains("no reward"))
    }
  }

  /// An example to read: the numbers of one group by hand.
  @Test func anExample() throws {
    let group = try AttributionGroup(
      madeGroup([
        madeTrajectory("a", [.think([1, 2])], reward: 1), madeTrajectory("b", [.think([3])], reward: 0),
      ]))
    let explanation = GRPO(.prime).explain(TokenPlace(leaf: 0, index: 0), of: group, in: BatchStatistics())
    #expect(
      explanation.terms.map { "\($0.symbol) = \($0.expression.text)" } == [
        "r = 1", "mean = (1 + 0) / 2", "A = 1 - 0.5",
      ])
    #expect(explanation["mean"] == 0.5 && explanation.value == 0.5)
  }
}

/// A reader of the texts of ``Arithmetic``, written for the tests alone.
struct ArithmeticText {
  struct Failure: Error {}

  private var rest: Substring

  static func value(_ text: String) throws -> Double {
    var reader = ArithmeticText(rest: Substring(text.filter { $0 != " " }))
    let value = try reader.sum()
    guard reader.rest.isEmpty else { throw Failure() }
    return value
  }

  private init(rest: Substring) { self.rest = rest }

  private mutating func take(_ c: Character) -> Bool {
    guard rest.first == c else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func expect(_ c: Character) throws { guard take(c) else { throw Failure() } }

  private mutating func sum() throws -> Double {
    var value = try product()
    while true {
      if take("+") { value += try product() } else if take("-") { value -= try product() } else { return value }
    }
  }

  private mutating func product() throws -> Double {
    var value = try power()
    while true {
      if take("*") { value *= try power() } else if take("/") { value /= try power() } else { return value }
    }
  }

  private mutating func power() throws -> Double {
    let base = try atom()
    guard take("^") else { return base }
    let n = rest.prefix { $0.isNumber }
    rest.removeFirst(n.count)
    guard let exponent = Int(n) else { throw Failure() }
    return (0..<exponent).reduce(1) { x, _ in x * base }
  }

  private mutating func atom() throws -> Double {
    if take("(") {
      let value = try sum()
      try expect(")")
      return value
    }
    for (name, isPair) in [("sqrt(", false), ("min(", true)] where rest.hasPrefix(name) {
      rest.removeFirst(name.count)
      let a = try sum()
      var b = a
      if isPair {
        try expect(",")
        b = try sum()
      }
      try expect(")")
      return isPair ? min(a, b) : a.squareRoot()
    }
    guard let match = rest.prefixMatch(of: /-?\d+(\.\d+)?(e[-+]?\d+)?/), let value = Double(match.0) else {
      throw Failure()
    }
    rest = rest[match.range.upperBound...]
    return value
  }
}
