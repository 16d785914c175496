/// A rule that says whether a rollout branches, given how the policy's entropy has changed.
///
/// ARPO's paper and code are different rules, and so are AEPO's: each is offered under its own name.
public enum BranchRule: Sendable, Hashable {
  /// ARPO's code: clip(u - w dH, 0, 1) <= bp, with u uniform on [0, 1) (vllm_rollout_with_tools.py).
  case arpoCode(branchProbability: Double, entropyWeight: Double)
  /// ARPO's paper: alpha + beta dH > tau (equation 5). No coin.
  case arpoPaper(alpha: Double, beta: Double, tau: Double)
  /// AEPO's code: clip((u + w dH) pf, 0, 1) >= bp, with pf = max(0, 1 - 0.05 l) after l branchings in a row.
  case aepoCode(branchProbability: Double, entropyWeight: Double)
  /// AEPO's paper: (alpha + gamma dH)(1 - slope l) > tau, the second factor not below 0.
  ///
  /// The paper says that the penalty grows linearly with l; 0.05 is the slope of its code.
  case aepoPaper(alpha: Double, gamma: Double, tau: Double, slope: Double)

  /// Whether the decision takes a random draw.
  public var hasCoin: Bool {
    switch self {
    case .arpoCode, .aepoCode: true
    case .arpoPaper, .aepoPaper: false
    }
  }

  /// Whether dH is the paper's: position by position against the trajectory's first tokens (equation 4).
  ///
  /// The codes compare sums, against the rollout's own first segment.
  public var isPaper: Bool { !hasCoin }

  /// P: for a rule with a coin the probability that it branches; for the others the value that is held against tau, not
  /// clipped.
  ///
  /// - Parameters:
  ///   - deltaH: dH, normalised.
  ///   - consecutive: l, which ARPO's rules do not look at.
  public func probability(deltaH: Double, consecutive l: Int = 0) -> Double {
    switch self {
    case .arpoCode(let bp, let w): arpoBranchProbability(deltaH: deltaH, branchProbability: bp, entropyWeight: w)
    case .arpoPaper(let alpha, let beta, _): alpha + beta * deltaH
    case .aepoCode(let bp, let w):
      aepoBranchProbability(deltaH: deltaH, branchProbability: bp, entropyWeight: w, consecutive: l)
    case .aepoPaper(let alpha, let gamma, _, let slope): (alpha + gamma * deltaH) * max(0, 1 - slope * Double(l))
    }
  }

  /// The probability that the rule branches: 0 or 1 for a rule without a coin.
  public func branchProbability(deltaH: Double, consecutive l: Int = 0) -> Double {
    let p = probability(deltaH: deltaH, consecutive: l)
    switch self {
    case .arpoCode, .aepoCode: return p
    case .arpoPaper(_, _, let tau), .aepoPaper(_, _, let tau, _): return p > tau ? 1 : 0
    }
  }

  /// Whether it branches.
  ///
  /// - Parameter draw: uniform on [0, 1); rules without a coin ignore it.
  public func branches(deltaH: Double, consecutive l: Int = 0, draw u: Double) -> Bool {
    switch self {
    case .arpoCode(let bp, let w): return min(1, max(0, u - w * deltaH)) <= bp
    case .aepoCode(let bp, let w):
      return min(1, max(0, (u + w * deltaH) * max(0, 1 - 0.05 * Double(l)))) >= bp
    case .arpoPaper(_, _, let tau), .aepoPaper(_, _, let tau, _):
      return probability(deltaH: deltaH, consecutive: l) > tau
    }
  }
}

/// ARPO's code branches iff clip(u - w dH, 0, 1) <= bp with u uniform on [0, 1).
///
/// Returns the probability of that: clip(bp + w dH, 0, 1) for 0 <= bp < 1; 1 for bp >= 1; 0 for bp < 0.
public func arpoBranchProbability(deltaH: Double, branchProbability bp: Double, entropyWeight w: Double) -> Double {
  if bp >= 1 { return 1 }
  if bp < 0 { return 0 }
  return min(1, max(0, bp + w * deltaH))
}

/// AEPO's code branches iff clip((u + w dH) pf, 0, 1) >= bp, pf = max(0, 1 - 0.05 l), with l branchings of the prompt in
/// a row before.
///
/// Returns the probability of that: clip(1 - bp / pf + w dH, 0, 1) for 0 < bp <= 1; 1 for bp <= 0; 0 for bp > 1 or pf = 0.
public func aepoBranchProbability(
  deltaH: Double, branchProbability bp: Double, entropyWeight w: Double, consecutive l: Int
) -> Double {
  let factor = max(0, 1 - 0.05 * Double(l))
  if bp <= 0 { return 1 }
  if bp > 1 || factor == 0 { return 0 }
  return min(1, max(0, 1 - bp / factor + w * deltaH))
}
