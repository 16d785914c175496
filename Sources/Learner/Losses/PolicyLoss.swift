/// A policy loss on replayed tokens.
///
/// Values and gradients are in double precision; gradients are with respect to the logprobs, and where the loss itself
/// is defined with stopped gradients (GSPO's token form, CISPO, TOPR), so are they.
public protocol PolicyLoss: Sendable {
  /// The name by which it is asked for, such as `ppo-clip`.
  var name: String { get }
  /// The token's loss as a report prints it.
  var formula: String { get }
  /// Paper or code that the formula is taken from.
  var source: String { get }
  /// The policy that the ratio is taken against.
  var anchor: RatioAnchor { get }
  /// The importance weights that multiply it.
  var weighting: LossWeighting { get }

  /// Loss and gradient of every token.
  func terms(_ rows: LossRows) -> LossTerms
}

extension PolicyLoss {
  /// None.
  public var weighting: LossWeighting { .none }
}

/// What a ratio is taken against.
public enum RatioAnchor: String, Sendable {
  /// No ratio.
  case none
  /// The policy that wrote the log, mu.
  case behaviour
  /// The policy at the start of the update, pi_old.
  case proximal
}

/// Which policies make the importance weights of a loss.
public enum LossWeighting: String, Sendable {
  case none
  /// pi_old / mu, known before the update.
  case proximalOverBehaviour
  /// pi / mu, of the policy that is trained, with its gradient stopped.
  case currentOverBehaviour
}

/// The losses by name.
public enum PolicyLosses {
  /// Every name.
  public static let names = [
    "decoupled", "ppo-clip", "aepo", "gspo", "cispo", "topr", "reinforce-is", "sft", "decoupled:aepo",
    "decoupled:gspo", "decoupled:cispo",
  ]

  /// The loss of a name with these clip bounds; `nil` for an unknown name.
  ///
  /// - Parameter clip: `nil` = the loss's own defaults.
  public static func named(_ name: String, clip: ClipRange? = nil) -> (any PolicyLoss)? {
    switch name {
    case "decoupled": Decoupled(PPOClip(clip ?? .ppo))
    case "ppo-clip": PPOClip(clip ?? .ppo)
    case "aepo": AEPOClip(clip ?? .ppo)
    case "gspo": GSPO(clip ?? .gspo)
    case "cispo": CISPO(clip ?? .ppo)
    case "topr": TOPR()
    case "reinforce-is": ReinforceIS()
    case "sft": SupervisedLoss()
    case "decoupled:aepo": Decoupled(AEPOClip(clip ?? .ppo))
    case "decoupled:gspo": Decoupled(GSPO(clip ?? .gspo))
    case "decoupled:cispo": Decoupled(CISPO(clip ?? .ppo))
    default: nil
    }
  }
}

/// The bounds of a clipped ratio.
public struct ClipRange: Sendable, Equatable {
  /// The lower end is 1 - low.
  public var low: Double
  /// The upper end is 1 + high.
  public var high: Double
  /// Bound of the loss of negative advantages, -A c; `nil` = no dual clip.
  public var dual: Double?

  /// 1 - low to 1 + high.
  public init(low: Double, high: Double, dual: Double? = nil) {
    self.low = low
    self.high = high
    self.dual = dual
  }

  /// 0.2 and 0.28 (DAPO's asymmetry) with dual clip at 3.
  public static let ppo = ClipRange(low: 0.2, high: 0.28, dual: 3)
  /// 3e-4 and 4e-4, of the GSPO paper.
  public static let gspo = ClipRange(low: 3e-4, high: 4e-4)

  @inline(__always)
  func clamped(_ ratio: Double) -> Double { min(max(ratio, 1 - low), 1 + high) }
}
