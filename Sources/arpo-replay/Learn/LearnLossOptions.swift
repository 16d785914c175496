public import ArgumentParser
import Foundation
public import Learner

extension SharedTokens: ExpressibleByArgument {}
extension Aggregation: ExpressibleByArgument {}
extension KLEstimator: ExpressibleByArgument {}
extension LearningRateSchedule.Shape: ExpressibleByArgument {}

/// What a run minimises.
struct LearnLossOptions: ParsableArguments {
  @Option(help: "\(PolicyLosses.names.joined(separator: ", ")).")
  var loss = "decoupled"

  @Option(help: "Lower end of the clip range is 1 minus this (default: 0.2; gspo: 3e-4).")
  var clipLow: Double?

  @Option(help: "Upper end of the clip range is 1 plus this (default: 0.28; gspo: 4e-4).")
  var clipHigh: Double?

  @Option(help: "Dual clip: the loss of negative advantages is at most -A times this; 0 = none.")
  var clipC = 3.0

  @Option(
    help: ArgumentHelp(
      """
      The policy that wrote the log: its logged logprobs (logged), those of another checkpoint or adapter \
      (recompute:DIR), the starting policy's (start: weights are 1), or no ratio to it at all (none).
      """, valueName: "logged|recompute:DIR|start|none"))
  var behaviour = BehaviourSource.logged

  @Option(help: "pi_old of decoupled losses: the policy at the start of the run (start), or before each update (step).")
  var proximal = ProximalSource.start

  @Option(help: "Importance weights of decoupled losses and reinforce-is: token, sequence, geometric or none.")
  var weights = WeightLevel.token

  @Option(help: "Weights are at most this (truncated importance sampling).")
  var weightCap = 2.0

  @Option(help: ArgumentHelp("Weights outside become 0 (IcePop), instead of a cap.", valueName: "low..high"))
  var weightBand: Band?

  @Option(help: "A trajectory with a token ratio below this has weight 0.")
  var weightVeto: Double?

  @Flag(help: "Divide the weights of an update by their mean.")
  var normaliseWeights = false

  @Option(
    help: """
      Tokens that trajectories share up to a fork: each one's own advantage (soft), their mean once a trajectory (hard), \
      or their mean once (hard-once). Forks are the group's own, as in the attribution arpo-hard.
      """)
  var shared: SharedTokens = .soft

  @Option(help: "\(Aggregation.allCases.map(\.rawValue).joined(separator: ", ")).")
  var aggregation: Aggregation?

  @Option(help: "Tokens by which seq-mean-token-sum-norm divides (default: the longest response).")
  var horizon: Int?

  @Option(help: "KL to the reference policy: k1, k2, k3, k3+ or none.")
  var kl = KLChoice.estimator(.k3)

  @Option(help: "Coefficient of the KL term.")
  var klCoef = 0.001

  @Option(help: "Adapt the coefficient towards this KL, nats a token.")
  var klTarget: Double?

  @Option(help: "Trajectories over which an adaptive coefficient reacts.")
  var klHorizon = 10_000.0

  @Flag(help: "Multiply KL terms by the importance ratio, with its gradient (TRL use_bias_correction_kl).")
  var klCorrection = false

  @Option(
    help: ArgumentHelp(
      "Reference policy: the starting policy (start), the checkpoint without an adapter (base), or another.",
      valueName: "start|base|DIR"))
  var reference = "start"

  @Option(help: "Coefficient of the entropy bonus.")
  var entropyCoef = 0.0

  @Option(parsing: .unconditional, help: "Sampling temperature of the log (default: what its runs say).")
  var temperature: Double?

  func validate() throws {
    guard let policyLoss = PolicyLosses.named(loss) else {
      throw ValidationError("there is no loss \(loss); known: \(PolicyLosses.names.joined(separator: ", "))")
    }
    func positive(_ x: Double?, _ name: String) throws {
      if let x, !(x > 0 && x.isFinite) { throw ValidationError("\(name) is above 0") }
    }
    if let clipLow, !(0...1).contains(clipLow) { throw ValidationError("--clip-low is 0 to 1") }
    if let clipHigh, !(clipHigh >= 0 && clipHigh.isFinite) { throw ValidationError("--clip-high is 0 or more") }
    guard clipC == 0 || clipC > 1 else { throw ValidationError("--clip-c is above 1, or 0 for none") }
    try positive(weightCap, "--weight-cap")
    try positive(weightVeto, "--weight-veto")
    try positive(klTarget, "--kl-target")
    try positive(klHorizon, "--kl-horizon")
    try positive(temperature, "--temperature")
    guard klCoef >= 0, klCoef.isFinite else { throw ValidationError("--kl-coef is 0 or more") }
    guard entropyCoef.isFinite else { throw ValidationError("--entropy-coef is a number") }
    if let horizon, horizon < 1 { throw ValidationError("--horizon is 1 or more") }
    if behaviour == .none, policyLoss.anchor == .behaviour, loss != "topr" {
      throw ValidationError(
        """
        \(loss) takes its ratio against the policy that wrote the log, so --behaviour none leaves nothing to divide by; \
        use --loss decoupled, topr, reinforce-is or sft, or --behaviour start
        """)
    }
    if klCorrection, case .none = kl { throw ValidationError("--kl-correction wants a KL term") }
  }

  /// The clip range, the loss's own where nothing is said.
  private var clip: ClipRange {
    let base: ClipRange = loss.hasSuffix("gspo") ? .gspo : .ppo
    return ClipRange(low: clipLow ?? base.low, high: clipHigh ?? base.high, dual: clipC == 0 ? nil : clipC)
  }

  var policyLoss: any PolicyLoss { PolicyLosses.named(loss, clip: clip) ?? Decoupled(PPOClip(clip)) }

  /// Whether training needs the behaviour policy's logprobs, and the log is to have them.
  var needsLogged: Bool { needsBehaviour && behaviour == .logged }

  /// Whether the loss reads the behaviour policy's logprobs.
  var needsBehaviour: Bool {
    if behaviour == .none { return false }
    let loss = policyLoss
    return loss.anchor == .behaviour || (loss.weighting != .none && weights != .none) || klCorrection
  }

  /// Whether advantages matter.
  var needsAdvantages: Bool { loss != "sft" }

  /// Whether the starting policy's logprobs are pi_old.
  var needsProximal: Bool { policyLoss.anchor == .proximal && proximal == .start }

  func objective(horizon longest: Int) -> Objective {
    var objective = Objective(loss: policyLoss, usesBehaviour: needsBehaviour)
    if let level = weights.level {
      objective.weights = BehaviourWeights(
        level, weightBand.map { .mask($0.range) } ?? .truncate(weightCap), veto: weightVeto,
        isNormalised: normaliseWeights)
    }
    objective.shared = shared
    objective.aggregation = aggregation ?? (loss.hasSuffix("gspo") ? .sequenceMeanTokenMean : .tokenMean)
    objective.horizon = Double(horizon ?? longest)
    if case .estimator(let estimator) = kl, klCoef > 0 || klTarget != nil { objective.kl = estimator }
    objective.correctsKL = klCorrection
    objective.entropyCoefficient = entropyCoef
    return objective
  }
}

/// Where log mu comes from.
enum BehaviourSource: Equatable, Sendable, ExpressibleByArgument {
  case logged
  case recompute(String)
  case start
  case none

  init?(argument: String) {
    switch argument {
    case "logged": self = .logged
    case "start": self = .start
    case "none": self = .none
    default:
      guard argument.hasPrefix("recompute:"), argument.count > 10 else { return nil }
      self = .recompute(String(argument.dropFirst(10)))
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .logged: "logged"
    case .recompute(let folder): "recompute:\(folder)"
    case .start: "start"
    case .none: "none"
    }
  }
}

/// Where log pi_old comes from.
enum ProximalSource: String, CaseIterable, Sendable, ExpressibleByArgument {
  case start
  case step
}

/// The level of importance weights, or none.
enum WeightLevel: String, CaseIterable, Sendable, ExpressibleByArgument {
  case token
  case sequence
  case geometric
  case none

  var level: BehaviourWeights.Level? { BehaviourWeights.Level(rawValue: rawValue) }
}

/// A KL estimator, or none.
enum KLChoice: Equatable, Sendable, ExpressibleByArgument {
  case estimator(KLEstimator)
  case none

  init?(argument: String) {
    if argument == "none" {
      self = .none
    } else if let estimator = KLEstimator(rawValue: argument) {
      self = .estimator(estimator)
    } else {
      return nil
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .estimator(let estimator): estimator.rawValue
    case .none: "none"
    }
  }

  static var allValueStrings: [String] { KLEstimator.allCases.map(\.rawValue) + ["none"] }
}

/// Two bounds, as `0.5..2`.
struct Band: Equatable, Sendable, ExpressibleByArgument {
  var range: ClosedRange<Double>

  init?(argument: String) {
    guard let dots = argument.range(of: ".."), let low = Double(argument[..<dots.lowerBound]),
      let high = Double(argument[dots.upperBound...]), low >= 0, low < high, high.isFinite
    else { return nil }
    range = low...high
  }

  var defaultValueDescription: String { "\(range.lowerBound)..\(range.upperBound)" }
}
