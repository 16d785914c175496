/// Which modules a LoRA adapts, in the three forms of PEFT's `target_modules`.
public enum LoRATargets: Sendable, Equatable, ExpressibleByArrayLiteral {
  /// Modules whose name is one of these or ends in `.` and one of these.
  case names([String])
  /// Modules whose whole name a regular expression matches.
  case pattern(String)
  /// Every linear projection but the LM head: `"all-linear"`.
  case allLinear

  public init(arrayLiteral names: String...) { self = .names(names) }

  /// True if the module of this full name (`model.layers.0.self_attn.q_proj`) is a target.
  /// - Throws: ``PolicyError`` if the pattern is no regular expression that is known here.
  func contains(_ module: String) throws(PolicyError) -> Bool {
    switch self {
    case .allLinear: return module != "lm_head" && !module.hasSuffix("embed_tokens")
    case .names(let names): return names.contains { module == $0 || module.hasSuffix("." + $0) }
    case .pattern(let text): return try ModulePattern(text).matches(module)
    }
  }

  /// The modules of a policy that are targets, as `layers.{i}.self_attn.q_proj`, in the order of the computation.
  /// - Throws: ``PolicyError``: `unsupported` if the LM head or the embedding is a target, `mismatch` if nothing is.
  public func modules(in config: PolicyConfig) throws(PolicyError) -> [String] {
    for other in ["lm_head", "model.embed_tokens"] where try contains(other) {
      throw PolicyError(.unsupported, "not supported: a LoRA on \(other): target_modules")
    }
    var modules: [String] = []
    for layer in 0..<config.layerCount {
      for projection in LoRAAdapter.projections {
        let name = "layers.\(layer).\(projection)"
        if try contains("model." + name) { modules.append(name) }
      }
    }
    guard !modules.isEmpty else {
      throw PolicyError(.mismatch, "target_modules names no projection of the policy")
    }
    return modules
  }
}
