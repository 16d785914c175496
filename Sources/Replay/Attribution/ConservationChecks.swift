/// Checks a strategy's advantages group by group.
///
///     var checks = ConservationChecks(strategy)
///     for group in groups { checks.add(group, strategy.advantages(of: group, in: batches)) }
///     for finding in checks.finish() where finding.isViolation { … }
public struct ConservationChecks: Sendable {
  /// The relative difference that counts as rounding.
  public static let tolerance = 1e-9

  private struct Worst: Sendable {
    var value = 0.0
    var group: String?
    var count = 0
    var violations = 0

    mutating func add(_ x: Double, in group: String, count n: Int, isViolation: Bool) {
      count += n
      if isViolation { violations += n }
      if x > value { (value, self.group) = (x, group) }
    }
  }

  private let strategy: any AttributionStrategy
  private var groupSum = Worst()
  private var sharedTokens = Worst()
  private var tokens = 0
  private var net = 0.0
  private var total = 0.0
  private var lengths = PairMoments()

  /// Checks for the results of a strategy.
  public init(_ strategy: any AttributionStrategy) { self.strategy = strategy }

  /// Adds the advantages of a group's leaves.
  public mutating func add(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    addGroupSum(group, advantages)
    addSharedTokens(group, advantages)
    addTokens(group, advantages)
  }

  /// What was found; a number that cannot be had is left out.
  public func finish() -> [ConservationFinding] {
    var out: [ConservationFinding] = []
    func put(_ check: ConservationFinding.Check, _ worst: Worst, _ isRequired: Bool) {
      if worst.count == 0 { return }
      out.append(
        ConservationFinding(
          strategy: strategy.name, check: check, value: worst.value, group: worst.group, count: worst.count,
          violations: worst.violations, isRequired: isRequired))
    }
    put(.groupSum, groupSum, strategy.invariants.contains(.groupSumsToZero))
    put(.sharedTokens, sharedTokens, strategy.invariants.contains(.sharedTokensAgree))
    if total > 0 { put(.tokenBalance, Worst(value: net / total, count: tokens), false) }
    if let correlation = lengths.pearson {
      put(.lengthCorrelation, Worst(value: correlation, count: lengths.count), false)
    }
    return out
  }

  private mutating func addGroupSum(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    guard strategy.kind == .leaf else { return }
    var (sum, size, leaves) = (0.0, 0.0, 0)
    for (leaf, a) in zip(group.leaves, advantages) {
      guard let a = a.constant else { continue }
      sum += a * Double(leaf.multiplicity)
      size += abs(a) * Double(leaf.multiplicity)
      leaves += leaf.multiplicity
    }
    if leaves < 2 { return }
    let relative = abs(sum) / max(1, size)
    groupSum.add(relative, in: group.id, count: 1, isViolation: relative > Self.tolerance)
  }

  private mutating func addSharedTokens(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    for node in group.tree.nodes where node.leaves.count > 1 {
      var span: [ValueSpan]?
      var paths = 0
      for t in node.leaves {
        if case .missing = advantages[t] { continue }
        let runs = valueSpans(advantages[t], group.leaves[t].generated, in: node.range)
        span = span.map { merge($0, runs) } ?? runs
        paths += 1
      }
      if paths < 2 { continue }
      for s in span ?? [] {
        let relative = (s.high - s.low) / max(1, abs(s.high), abs(s.low))
        sharedTokens.add(relative, in: group.id, count: s.range.count, isViolation: relative > Self.tolerance)
      }
    }
  }

  private mutating func addTokens(_ group: AttributionGroup, _ advantages: [PathAdvantages]) {
    var rows: [(length: Double, mean: Double, weight: Int)] = []
    for (leaf, a) in zip(group.leaves, advantages) {
      if case .missing = a { continue }
      if leaf.generatedCount == 0 { continue }
      var sum = 0.0
      let weight = Double(leaf.multiplicity)
      a.forEachRun(leaf.generated) { range, value in
        sum += value * Double(range.count)
        total += abs(value) * Double(range.count) * weight
      }
      net += sum * weight
      tokens += leaf.generatedCount * leaf.multiplicity
      rows.append((Double(leaf.generatedCount), sum / Double(leaf.generatedCount), leaf.multiplicity))
    }
    if rows.isEmpty { return }
    let mean = weightedMeanStd(rows.map(\.length), rows.map(\.weight), divisorLess: 0).mean
    for row in rows { lengths.add(row.length - mean, row.mean, weight: row.weight) }
  }
}

/// Tokens of several paths, and the smallest and largest value any of the paths has there.
private struct ValueSpan {
  var range: Range<Int>
  var low: Double
  var high: Double
}

private func valueSpans(
  _ advantages: PathAdvantages, _ generated: [Range<Int>], in node: Range<Int>
) -> [ValueSpan] {
  var out: [ValueSpan] = []
  advantages.forEachRun(generated) { range, value in
    let part = range.clamped(to: node)
    if !part.isEmpty { out.append(ValueSpan(range: part, low: value, high: value)) }
  }
  return out
}

/// The spans of two lists on the tokens that both have.
private func merge(_ a: [ValueSpan], _ b: [ValueSpan]) -> [ValueSpan] {
  var out: [ValueSpan] = []
  var (i, j) = (0, 0)
  while i < a.count, j < b.count {
    let common = a[i].range.clamped(to: b[j].range)
    if !common.isEmpty {
      out.append(ValueSpan(range: common, low: min(a[i].low, b[j].low), high: max(a[i].high, b[j].high)))
    }
    if a[i].range.upperBound < b[j].range.upperBound { i += 1 } else { j += 1 }
  }
  return out
}
