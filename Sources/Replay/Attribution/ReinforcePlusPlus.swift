/// REINFORCE++: token returns, whitened over all generated tokens of the scored leaves of a batch.
///
/// The reward is on the last generated token, and backwards G = r_t + gamma G. Inserted tokens: *carry* (current verl)
/// passes G through them without discount; *reset* (older verl, ARPO's copy) sets G to 0 there, so that tokens before the
/// last inserted one get 0. The *baseline* variant has r - group mean (one leaf: r) on every generated token instead.
///
/// Whitening: (x - mu) / sqrt(var + 1e-8), mu = sum x / (N + 1e-8), var = [sum (x - mu)^2 / (N + 1e-8)] N / (N - 1), over
/// tokens and multiplicities. N <= 1, or all values of the batch equal: 0. It shifts by the batch's mean, so a group of
/// equal rewards is not 0. Sources: verl core_algos.py, torch_functional.py masked_whiten.
public struct ReinforcePlusPlus: AttributionStrategy {
  /// What a token has before whitening.
  public enum Returns: Sendable, Hashable {
    /// Discounted by gamma for each generated token, carried over inserted ones.
    case carry(gamma: Double)
    /// Undiscounted, 0 before the last inserted token.
    case reset
    /// The leaf's deviation from its group's mean.
    case baseline
  }

  /// What is whitened.
  public let returns: Returns

  /// REINFORCE++ on some token returns.
  public init(_ returns: Returns = .carry(gamma: 1)) { self.returns = returns }

  public var name: String {
    switch returns {
    case .carry(1): "reinforce++"
    case .carry(let gamma): "reinforce++:gamma\(gamma)"
    case .reset: "reinforce++:reset"
    case .baseline: "reinforce++-baseline"
    }
  }
  public var formula: String {
    let x =
      switch returns {
      case .carry(let gamma): "G = r at the last generated token, G = \(gamma) G before, carried over inserted tokens"
      case .reset: "G = r from the last inserted token on, 0 before"
      case .baseline: "G = r - mean (one leaf: r)"
      }
    return "A = (G - mu) / sqrt(var + 1e-08) over the batch's generated tokens, \(x)"
  }
  public let source = "verl core_algos.py, torch_functional.py masked_whiten"
  public let needs = AttributionNeeds.tokens
  public let scope = AttributionScope.batch
  public let kind = AttributionKind.token
  public var parameters: [AttributionParameter] {
    let whitening = [
      AttributionParameter("epsilon", 1e-8, "added to the variance, under the root"), AttributionParameter.ddof(1),
    ]
    guard case .carry(let gamma) = returns else { return whitening }
    return whitening + [AttributionParameter("gamma", gamma, "discount by generated token", allowed: 0...1)]
  }

  public func setting(_ parameter: String, to value: Double) -> any AttributionStrategy {
    ReinforcePlusPlus(.carry(gamma: value))
  }

  public func collect(_ group: AttributionGroup, into batches: inout BatchStatistics) {
    for (leaf, row) in zip(group.leaves, returnRows(group)) {
      switch row {
      case .missing: break
      case .tokens(let values): batches[leaf.step].add(values, weight: leaf.multiplicity)
      default:
        row.forEachRun(leaf.generated) { batches[leaf.step].add($1, weight: leaf.multiplicity * $0.count) }
      }
    }
  }

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    zip(group.leaves, returnRows(group)).map { leaf, row in
      let whiten = Whitening(batches[leaf.step])
      return switch row {
      case .missing: .missing
      case .constant(let x): .constant(whiten(x))
      case .runs(let runs): .runs(runs.map { AdvantageRun(range: $0.range, value: whiten($0.value)) })
      case .tokens(let values): .tokens(values.map { whiten($0) })
      }
    }
  }

  /// What each leaf's tokens have before whitening.
  private func returnRows(_ group: AttributionGroup) -> [PathAdvantages] {
    if returns == .baseline {
      var out = [Double?](repeating: nil, count: group.leaves.count)
      group.perLeaf(Array(group.leaves.indices), into: &out) { rewards, weights in
        weights.reduce(0, +) == 1 ? rewards : DrGRPO().advantages(rewards: rewards, weights: weights)
      }
      return out.map { PathAdvantages($0) }
    }
    return group.leaves.map { leaf in
      guard let reward = leaf.reward else { return .missing }
      if returns == .reset { return resetReturns(leaf, reward) }
      guard case .carry(let gamma) = returns, gamma != 1 else { return .constant(reward) }
      var values = [Double](repeating: 0, count: leaf.generatedCount)
      var value = reward
      for k in values.indices.reversed() {
        values[k] = value
        value *= gamma
      }
      return .tokens(values)
    }
  }

  /// The reward on the last generated run, which no inserted token follows before the path's last generated one.
  private func resetReturns(_ leaf: AttributionLeaf, _ reward: Double) -> PathAdvantages {
    let last = leaf.generated.count - 1
    return .runs(leaf.generated.enumerated().map { AdvantageRun(range: $1, value: $0 == last ? reward : 0) })
  }
}

/// verl's masked_whiten of a batch.
private struct Whitening {
  private var mean = 0.0
  private var scale = 0.0

  init(_ moments: WeightedMoments) {
    guard moments.count > 1, !moments.isEqual, let plain = moments.mean else { return }
    let n = Double(moments.count)
    mean = plain * n / (n + 1e-8)
    let variance = moments.squares(around: mean) / (n + 1e-8) * n / (n - 1)
    scale = 1 / (variance + 1e-8).squareRoot()
  }

  func callAsFunction(_ x: Double) -> Double { scale == 0 ? 0 : (x - mean) * scale }
}

extension ReinforcePlusPlus {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let leaf = group.leaves[token.leaf]
    let x = explainReturn(token, group, &out)
    let moments = batches[leaf.step]
    guard moments.count > 1, !moments.isEqual, let plain = moments.mean else {
      out.define("A", "the batch has one token, or equal values only", 0)
      return out
    }
    let n = out.given("N", "generated tokens of the step's scored leaves, by multiplicity", Double(moments.count))
    let sum = out.given("mean G", "over these tokens", plain)
    let mu = out.define("mu", "mean G N / (N + 1e-8)", sum * n / (n + 1e-8))
    let squares = out.given("S", "sum of (G - mu)^2 over these tokens", moments.squares(around: mu.value))
    let variance = out.define("var", "S / (N + 1e-8) N / (N - 1)", squares / (n + 1e-8) * n / (n - 1))
    out.define("A", "(G - mu) / sqrt(var + epsilon)", (x - mu) / .root(variance + 1e-8))
    return out
  }

  /// The token's value before whitening.
  private func explainReturn(_ token: TokenPlace, _ group: AttributionGroup, _ out: inout Explanation) -> Arithmetic {
    let leaf = group.leaves[token.leaf]
    let r = out.given("r", "the leaf's reward", leaf.reward ?? .nan)
    switch returns {
    case .baseline:
      let (rewards, weights, _) = group.scoredRewards(Array(group.leaves.indices), leaf: token.leaf)
      if weights.reduce(0, +) == 1 { return out.define("G", "the only scored leaf: r", r) }
      if areEqual(rewards) { return out.define("G", "the rewards of the group are equal", 0) }
      return out.define("G", "r - mean", r - out.mean("mean", "of the group's scored leaves", rewards, weights))
    case .reset:
      let isLast = leaf.generated.last?.contains(token.index) ?? false
      return out.define("G", isLast ? "r: no inserted token follows" : "0: an inserted token follows", isLast ? r : 0)
    case .carry(let gamma):
      let later = leaf.generated.reduce(0) { $0 + $1.clamped(to: (token.index + 1)..<(leaf.length + 1)).count }
      if gamma == 1 { return out.define("G", "r, not discounted", r) }
      return out.define("G", "r gamma^k, k = \(later) later generated tokens", r * .power(.number(gamma), later))
    }
  }
}
