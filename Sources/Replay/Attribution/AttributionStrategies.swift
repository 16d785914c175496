/// The strategies by name.
public enum AttributionStrategies {
  /// All of them, with the parameters of the published code; a new one is added here.
  ///
  /// DAPO's measures of a long response depend on the training, so its shaping is off.
  public static let all: [any AttributionStrategy] = [
    GRPO(.verl), GRPO(.trl), GRPO(.rllm), GRPO(.openrlhf), GRPO(.prime), GRPO(.nemo), BatchScaledGRPO(),
    DrGRPO(),
    RLOO(.verl), RLOO(.trl),
    ARPOSoft(), ARPOHard(.own), ARPOHard(.any),
    TreeGRPO(),
    TreeRL(.plain), TreeRL(.code),
    DAPO(),
    GiGPO(.mean), GiGPO(.meanStd),
    ReinforcePlusPlus(), ReinforcePlusPlus(.reset), ReinforcePlusPlus(.carry(gamma: 0.99)),
    ReinforcePlusPlus(.baseline),
    AEPO(), AEPO(exact: true),
  ]

  /// The strategy of a name such as `grpo:trl`; a family's bare name is its first strategy (`grpo` is `grpo:verl`).
  public static func named(_ name: String) -> (any AttributionStrategy)? {
    all.first { $0.name == name } ?? all.first { $0.name.hasPrefix(name + ":") }
  }

  /// The strategies of some names, with parameters such as `dapo.cap` set; each once, in the order asked for.
  ///
  /// - Parameters:
  ///   - names: as ``named(_:)`` takes them.
  ///   - settings: strategy, parameter and value; a strategy that was not asked for is an error.
  /// - Throws: ``AttributionChoiceError`` or ``AttributionParameterError``.
  public static func chosen(
    _ names: [String], settings: [(strategy: String, parameter: String, value: Double)] = []
  ) throws -> [any AttributionStrategy] {
    var out: [any AttributionStrategy] = []
    for name in names {
      guard let found = named(name) else { throw AttributionChoiceError.unknown(name) }
      if !out.contains(where: { $0.name == found.name }) { out.append(found) }
    }
    let asked = out.map(\.name)
    for setting in settings {
      guard let name = named(setting.strategy)?.name else { throw AttributionChoiceError.unknown(setting.strategy) }
      // A strategy's name may follow its parameters, so it is found by the name it was asked for.
      guard let at = asked.firstIndex(of: name) else { throw AttributionChoiceError.notChosen(setting.strategy) }
      out[at] = try out[at].with(setting.parameter, setting.value)
    }
    return out
  }

  /// The pairs that a report compares.
  public static let pairs: [(a: String, b: String)] = [
    ("grpo:verl", "arpo-hard"), ("grpo:verl", "dr-grpo"), ("grpo:verl", "rloo"), ("grpo:verl", "reinforce++"),
    ("grpo:verl", "reinforce++-baseline"), ("grpo:verl", "tree-grpo"), ("grpo:verl", "treerl"),
    ("grpo:verl", "gigpo:mean-std"), ("grpo:verl", "aepo"), ("arpo-hard", "treerl"), ("arpo-hard", "gigpo:mean"),
  ]
}

/// A strategy that there is not, or that was not asked for.
public enum AttributionChoiceError: Error, Equatable, CustomStringConvertible {
  /// No strategy has the name.
  case unknown(String)
  /// A parameter of a strategy that was not asked for.
  case notChosen(String)

  /// The mistake as a sentence.
  public var description: String {
    switch self {
    case .unknown(let name):
      "there is no strategy \(name); known: \(AttributionStrategies.all.map(\.name).joined(separator: ", "))"
    case .notChosen(let name): "a parameter of \(name) is set, but \(name) is not among the strategies"
    }
  }
}
