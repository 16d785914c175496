/// How a program computes GRPO's advantage.
public struct GRPOPreset: Sendable, Hashable {
  /// What the deviation from the mean is divided by.
  public enum Scale: Sendable, Hashable {
    /// The standard deviation of the group.
    case group
    /// Nothing.
    case none
    /// The standard deviation of the other leaves; the mean is theirs too.
    case others
  }

  /// What a group of one scored leaf gets.
  public enum Singleton: Sendable, Hashable {
    /// Mean 0 and standard deviation 1: r / (1 + epsilon).
    case raw
    /// 0.
    case zero
    /// No number (NaN in the program).
    case undefined

    func value(_ reward: Double, epsilon: Double) -> Double? {
      switch self {
      case .raw: reward / (1 + epsilon)
      case .zero: 0
      case .undefined: nil
      }
    }
  }

  /// The program's short name.
  public var name: String
  /// N - ddof divides the squared deviations.
  public var ddof: Int
  /// Added to the standard deviation.
  public var epsilon: Double
  /// What divides.
  public var scale: Scale
  /// The rule for one leaf.
  public var singleton: Singleton
  /// The code it was read from.
  public var source: String

  /// The formula as a report prints it.
  var formula: String {
    let divisor = ddof == 1 ? "N - 1" : "N"
    let one =
      switch singleton {
      case .raw: "r / (1 + epsilon)"
      case .zero: "0"
      case .undefined: "undefined"
      }
    let text =
      switch scale {
      case .group: "A = (r - mean) / (std + \(epsilon)), std with divisor \(divisor)"
      case .none: "A = r - mean"
      case .others: "A = (r - mean of the others) / (std of the others + \(epsilon)), not divided if that std is 0"
      }
    return "\(text); one leaf: \(one)"
  }

  /// verl, and with it ARPO, Tree-GRPO and GiGPO: Bessel's divisor, epsilon 1e-6, one leaf keeps its reward.
  public static let verl = GRPOPreset(
    name: "verl", ddof: 1, epsilon: 1e-6, scale: .group, singleton: .raw,
    source: "verl core_algos.py compute_grpo_outcome_advantage")
  /// TRL with scale_rewards "group": Bessel's divisor, epsilon 1e-4, one leaf gets 0.
  public static let trl = GRPOPreset(
    name: "trl", ddof: 1, epsilon: 1e-4, scale: .group, singleton: .zero, source: "TRL grpo_trainer.py")
  /// rLLM: population divisor, epsilon 1e-6, one leaf keeps its reward.
  public static let rllm = GRPOPreset(
    name: "rllm", ddof: 0, epsilon: 1e-6, scale: .group, singleton: .raw, source: "rLLM rl_algo.py")
  /// OpenRLHF group_norm: Bessel's divisor, epsilon 1e-9, one leaf undefined.
  public static let openrlhf = GRPOPreset(
    name: "openrlhf", ddof: 1, epsilon: 1e-9, scale: .group, singleton: .undefined,
    source: "OpenRLHF experience_maker.py group_norm")
  /// prime-rl: the deviation from the mean, not divided; one leaf gets 0.
  public static let prime = GRPOPreset(
    name: "prime", ddof: 1, epsilon: 0, scale: .none, singleton: .zero, source: "prime-rl algo/grpo.py")
  /// NeMo-RL: mean and Bessel's standard deviation of the other leaves, epsilon 1e-6, one leaf gets 0.
  public static let nemo = GRPOPreset(
    name: "nemo", ddof: 1, epsilon: 1e-6, scale: .others, singleton: .zero,
    source: "NeMo-RL advantage_estimator.py, utils.py")
}
