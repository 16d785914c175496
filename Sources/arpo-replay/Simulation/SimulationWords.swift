import AdaptiveRollout
import Replay

/// Sentences on simulations, for pages and documents.
enum SimulationWords {
  /// The numbers of a group.
  static func group(_ options: SimulationOptions, _ run: ReplayRun) -> String {
    "M \(options.rollouts(of: run)) rollouts, N \(options.initialRollouts(of: run)) of them from the prompt,"
      + " Z \(options.attempts(of: run)), "
      + (options.callLimit(of: run).map { "at most \($0) tool calls a rollout" } ?? "no limit of tool calls")
  }

  /// What an algorithm is.
  static func formula(_ row: SimulationRow) -> String {
    switch row.plan?.strategy {
    case .adaptive(let branching):
      let rule =
        switch branching.rule {
        case .arpoCode(let bp, let w): "coin clip(\(text(bp)) + \(text(w)) dH)"
        case .arpoPaper(let alpha, let beta, let tau): "\(text(alpha)) + \(text(beta)) dH > \(text(tau))"
        case .aepoCode(let bp, let w):
          "coin clip((u + \(text(w)) dH) pf) >= \(text(bp)), pf = 1 - 0.05 l; N by pre-monitoring"
        case .aepoPaper(let alpha, let gamma, let tau, let slope):
          "(\(text(alpha)) + \(text(gamma)) dH)(1 - \(text(slope)) l) > \(text(tau)); N by pre-monitoring"
        }
      return "\(rule), \(branching.timing.rawValue)"
    case .randomExpansion(let e):
      return "\(e.trees) trees, \(e.rounds) x \(e.expansions) random nodes continued, \(e.kept) leaves kept of each"
    case .global: return "every rollout from the prompt"
    case nil: return "the log does not name the vocabulary's size"
    }
  }

  /// Why nothing that needs entropy could be simulated.
  static func missing(_ run: RunSimulation) -> String {
    if run.trajectories == 0 { return "the run has no trajectory" }
    if run.textOnly == run.trajectories { return "the log is text only: no tokens, no logprobs" }
    if run.run.vocabSize == nil { return "the log does not name the vocabulary's size; --vocab-size gives it" }
    return "the log has neither top-k logprobs nor entropies behind its tool calls; --estimator sampled-nll takes"
      + " surprisals, where there are logprobs"
  }

  private static func text(_ x: Double) -> String { CellValue.double(x).csv }
}
