/// GiGPO: an episode advantage plus a step advantage, one value for all tokens of a model call.
///
/// One row for each scored leaf and step (model call), leaves counting by multiplicity. Episode: R - mean over all rows
/// of the group, so that long trajectories weigh more; exactly one row: mean 0, standard deviation 1. Step s of S has the
/// return gamma^(S - 1 - s) R; rows with equal anchors (what was inserted before the call) form a cluster: return -
/// cluster mean; a cluster of one row: 0. Mode mean-std divides both by (std + 1e-6), divisor N - 1. Equal values: exactly
/// 0. A = episode + omega step. Source: verl-agent gigpo/core_gigpo.py.
public struct GiGPO: AttributionStrategy {
  /// Whether deviations are divided by standard deviations.
  public enum Mode: String, Sendable, Hashable {
    /// mean_norm: no.
    case mean
    /// mean_std_norm: yes.
    case meanStd = "mean-std"
  }

  /// How rows are normalised.
  public let mode: Mode
  /// Weight of the step advantage (step_advantage_w).
  public let omega: Double
  /// Discount of a return by step.
  public let gamma: Double

  /// GiGPO with the scripts' parameters, or others.
  public init(_ mode: Mode, omega: Double = 1, gamma: Double = 0.95) {
    self.mode = mode
    self.omega = omega
    self.gamma = gamma
  }

  public var name: String { "gigpo:\(mode.rawValue)" }
  public var formula: String {
    let divisor = mode == .mean ? "" : ", both divided by (std + 1e-06)"
    return "A = (R - mean over steps) + \(omega) (\(gamma)^k R - mean over steps after the same insertion)\(divisor)"
  }
  public let source = "verl-agent gigpo/core_gigpo.py"
  public let needs = AttributionNeeds.anchors
  public let kind = AttributionKind.token
  public var parameters: [AttributionParameter] {
    (mode == .mean ? [] : [.epsilon(1e-6), .ddof(1)]) + [
      AttributionParameter("omega", omega, "weight of the step advantage", allowed: 0...1e6),
      AttributionParameter("gamma", gamma, "discount of a return by step", allowed: 0...1),
    ]
  }

  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy {
    parameter == "omega"
      ? GiGPO(mode, omega: value, gamma: gamma) : GiGPO(mode, omega: omega, gamma: value)
  }

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    guard group.unmet(.anchors).isEmpty else { return group.leaves.map { _ in .missing } }
    var rows: [Row] = []
    var runs = [[AdvantageRun]](repeating: [], count: group.leaves.count)
    for (t, leaf) in group.leaves.enumerated() {
      guard let reward = leaf.reward else { continue }
      // Powers of the discount from the last step, which has none.
      var discounted = reward
      var own: [Row] = []
      for step in group.steps[t].reversed() {
        own.append(
          Row(leaf: t, step: step, reward: reward, discounted: discounted, weight: leaf.multiplicity))
        discounted *= gamma
      }
      rows += own.reversed()
    }
    let single = mode == .mean ? 1 : 1 + 1e-6
    let episode = centred(rows.map(\.reward), rows.map(\.weight)) { $0 / single }
    var ofStep = [Double](repeating: 0, count: rows.count)
    for members in Dictionary(grouping: rows.indices, by: { rows[$0].step.anchor }).values {
      let values = centred(members.map { rows[$0].discounted }, members.map { rows[$0].weight }) { _ in 0 }
      for (row, value) in zip(members, values) { ofStep[row] = value }
    }
    for (j, row) in rows.enumerated() {
      runs[row.leaf].append(AdvantageRun(range: row.step.range, value: episode[j] + omega * ofStep[j]))
    }
    return group.leaves.indices.map { group.leaves[$0].reward == nil ? .missing : .runs(runs[$0]) }
  }

  private func centred(_ values: [Double], _ weights: [Int], single: (Double) -> Double) -> [Double] {
    if weights.reduce(0, +) == 1 { return values.map(single) }
    if areEqual(values) { return values.map { _ in 0 } }
    let (mean, std) = weightedMeanStd(values, weights, divisorLess: 1)
    let divisor = mode == .mean ? 1 : (std ?? 0) + 1e-6
    return values.map { ($0 - mean) / divisor }
  }
}

/// A step of a leaf.
private struct Row {
  var leaf: Int
  var step: AttributionStep
  var reward: Double
  var discounted: Double
  var weight: Int
}

extension GiGPO {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let steps = group.steps[token.leaf]
    guard let s = steps.firstIndex(where: { $0.range.contains(token.index) }) else {
      return .undefined("the token is in no model call")
    }
    // One row a step: the leaf's reward counts as often as it has steps.
    let scored = group.scored
    let episode = normalised(
      "episode", "R", "of all steps of the group", scored.compactMap { group.leaves[$0].reward },
      scored.map { group.leaves[$0].multiplicity * group.steps[$0].count }, scored.firstIndex(of: token.leaf) ?? 0,
      single: { mode == .mean ? $0 : $0 / (1 + 1e-6) }, &out)
    var returns: [Double] = []
    var weights: [Int] = []
    var at = 0
    for t in scored {
      for (k, step) in group.steps[t].enumerated() where step.anchor == steps[s].anchor {
        if t == token.leaf, k == s { at = returns.count }
        // As the strategy has it: multiplied step by step from the end.
        returns.append((k + 1..<group.steps[t].count).reduce(group.leaves[t].reward ?? 0) { x, _ in x * gamma })
        weights.append(group.leaves[t].multiplicity)
      }
    }
    out.define(
      "return", "R discounted by gamma for each later step",
      (s + 1..<steps.count).reduce(.number(group.leaves[token.leaf].reward ?? 0)) { x, _ in x * .number(gamma) })
    let step = normalised(
      "step", "return", "of the \(returns.count) steps after the same insertion", returns, weights, at,
      single: { _ in 0 }, &out)
    out.define("A", "episode + omega step", episode + .number(omega) * step)
    return out
  }

  private func normalised(
    _ symbol: String, _ name: String, _ words: String, _ values: [Double], _ weights: [Int], _ at: Int,
    single: (Arithmetic) -> Arithmetic, _ out: inout Explanation
  ) -> Arithmetic {
    let x = Arithmetic.number(values[at])
    if weights.reduce(0, +) == 1 { return out.define(symbol, "\(name) alone", single(x)) }
    if areEqual(values) { return out.define(symbol, "\(name) \(words): all equal", 0) }
    let mean = out.mean("mean \(name)", words, values, weights)
    if mode == .mean { return out.define(symbol, "\(name) - mean", x - mean) }
    let std = out.deviation("std \(name)", words + ", divisor N - 1", values, weights, mean: mean, divisorLess: 1)
    return out.define(symbol, "(\(name) - mean) / (std + epsilon)", (x - mean) / (std + 1e-6))
  }
}
