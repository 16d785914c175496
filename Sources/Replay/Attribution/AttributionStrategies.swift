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

  /// The pairs that a report compares.
  public static let pairs: [(a: String, b: String)] = [
    ("grpo:verl", "arpo-hard"), ("grpo:verl", "dr-grpo"), ("grpo:verl", "rloo"), ("grpo:verl", "reinforce++"),
    ("grpo:verl", "reinforce++-baseline"), ("grpo:verl", "tree-grpo"), ("grpo:verl", "treerl"),
    ("grpo:verl", "gigpo:mean-std"), ("grpo:verl", "aepo"), ("arpo-hard", "treerl"), ("arpo-hard", "gigpo:mean"),
  ]
}
