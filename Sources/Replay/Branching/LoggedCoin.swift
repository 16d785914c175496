import AdaptiveRollout

/// The coin that a run's own branchings were decided by, as far as its name tells.
///
/// The branching's `algorithm` counts before the trainer's: ARPO is trained as `grpo`. A run that names none has the coin
/// that the format's `branch` object is made for, ARPO's.
enum LoggedCoin: Sendable, Hashable {
  /// A low draw branches: clip(u - w dH, 0, 1) <= bp.
  case arpo
  /// A high draw branches: clip((u + w dH) pf, 0, 1) >= bp.
  case aepo

  /// `nil`: another algorithm, or a paper's rule, which draws nothing.
  init?(of run: ReplayRun) {
    switch (run.branching.algorithm ?? run.algorithm)?.lowercased() {
    case nil, "arpo", "arpo:code": self = .arpo
    case "aepo", "aepo:code": self = .aepo
    default: return nil
    }
  }

  /// The rule with a run's parameters.
  func rule(_ settings: BranchingSettings) -> BranchRule {
    let (bp, w) = (settings.branchProbability, settings.entropyWeight)
    return self == .arpo
      ? .arpoCode(branchProbability: bp, entropyWeight: w) : .aepoCode(branchProbability: bp, entropyWeight: w)
  }

  /// Whether a draw branches, given the probability that it does.
  func branches(draw: Double, probability: Double) -> Bool {
    self == .arpo ? draw <= probability : draw >= 1 - probability
  }
}
