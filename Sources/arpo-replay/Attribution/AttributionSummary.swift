import Replay
import RolloutStore

/// What a strategy did to all groups: counts, and its conservation checks.
struct AttributionSummary {
  let strategy: any AttributionStrategy
  private(set) var groups = 0
  private(set) var trajectories = 0
  /// Trajectories without a reward.
  private(set) var unscored = 0
  /// Trajectories without an advantage.
  private(set) var missing = 0
  /// Groups in which no token has any advantage but 0.
  private(set) var groupsWithoutSignal = 0
  private var unmet: [(needs: AttributionNeeds, groups: Int)] = []
  private var checks: ConservationChecks

  init(_ strategy: any AttributionStrategy) {
    self.strategy = strategy
    checks = ConservationChecks(strategy)
  }

  mutating func add(_ attribution: GroupAttribution, _ s: Int) {
    let advantages = attribution.advantages[s]
    groups += 1
    trajectories += advantages.count
    unscored += attribution.group.leaves.count { $0.reward == nil }
    missing += advantages.count { $0 == .missing }
    let lacking = attribution.unmet[s]
    if !lacking.isEmpty {
      if let at = unmet.firstIndex(where: { $0.needs == lacking }) {
        unmet[at].groups += 1
      } else {
        unmet.append((lacking, 1))
      }
    } else if !zip(attribution.group.leaves, advantages).contains(where: { $1.hasSignal($0) }) {
      groupsWithoutSignal += 1
    }
    checks.add(attribution.group, advantages)
  }

  /// The checks as they are kept in the database.
  var checksDocument: DocumentValue { .array(checks.finish().map(\.document)) }

  /// What makes the results doubtful.
  var warnings: [String] {
    unmet.map { "\($0.groups) of \(groups) groups have no \($0.needs.lacking): no advantages there" }
      + checks.finish().filter(\.isViolation).map { finding in
        "check \(finding.check.rawValue) fails: \(finding.violations) of \(finding.count), by "
          + "\(decimals(finding.value)) at the most, in group \(finding.group ?? "?")"
      }
  }

  static let columns: [OutputColumn] = [
    "name", "strategy", "parameters", "evidence", OutputColumn("groups", isCount: true),
    OutputColumn("no_signal", isCount: true), OutputColumn("trajectories", isCount: true),
    OutputColumn("unscored", isCount: true), OutputColumn("missing", isCount: true), "group_sum", "shared_tokens",
    "token_balance", "length_correlation", "violations", "stored",
  ]

  /// A row a strategy.
  static func write(
    _ summaries: [AttributionSummary], _ entries: [AttributionWriter.Entry], _ states: [AttributionWriter.State],
    _ format: OutputFormat, _ traits: TerminalTraits
  ) throws {
    // What a person does not look for first is left to the data formats.
    let shown = columns.indices.filter {
      format != .table
        || !["strategy", "parameters", "evidence", "groups", "unscored", "violations"].contains(columns[$0].name)
    }
    let writer = RowWriter(format: format, columns: shown.map { columns[$0] }, traits: traits)
    for (e, summary) in summaries.enumerated() {
      let findings = summary.checks.finish()
      let values = ConservationFinding.Check.allCases.map { check in
        CellValue.number(findings.first { $0.check == check }?.value)
      }
      let stored =
        switch states[e] {
        case .unchanged: "unchanged"
        case .writing(let replaced): replaced ? "replaced" : "new"
        }
      let row: [CellValue] =
        [
          .text(entries[e].name), .text(summary.strategy.name), .text(StrategyList.parameters(summary.strategy)),
          .text(summary.strategy.needs.evidence.joined(separator: ",")), .int(summary.groups),
          .int(summary.groupsWithoutSignal), .int(summary.trajectories), .int(summary.unscored), .int(summary.missing),
        ] + values + [.int(findings.reduce(0) { $0 + ($1.isViolation ? $1.violations : 0) }), .text(stored)]
      try writer.write(shown.map { row[$0] })
    }
    try writer.finish()
  }
}

extension AttributionNeeds {
  /// What is missing, in words.
  var lacking: String {
    var parts: [String] = []
    if contains(.tokens) || contains(.anyTree) { parts.append("token ids") }
    if contains(.topkEntropy) { parts.append("candidate logprobs") }
    if contains(.exactEntropy) { parts.append("logged entropies") }
    if contains(.anchors) { parts.append("model calls") }
    return parts.joined(separator: " and no ")
  }
}

extension PathAdvantages {
  /// Whether any generated token has an advantage other than 0 (|A| > 1e-12).
  func hasSignal(_ leaf: AttributionLeaf) -> Bool {
    var found = false
    forEachRun(leaf.generated) { _, value in found = found || abs(value) > 1e-12 }
    return found
  }
}
