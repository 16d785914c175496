internal import RolloutLogs

// Fields, defaults and what they do: transformers 4 and 5, `configuration_{qwen2,qwen3,llama}.py`. Transformers 4 wrote
// `rope_theta` and `rope_scaling`, 5 writes `rope_parameters`; both are read.
extension PolicyConfig {
  /// Reads a checkpoint's `config.json`.
  /// - Throws: ``PolicyError``: `malformed` for wrong values, `unsupported` for what this engine does not compute, by name.
  public init(path: String) throws(PolicyError) {
    let json = try SmallJSON.read(path)
    do throws(PolicyError) {
      self = try Self.read(json)
    } catch {
      throw error.at(path)
    }
  }

  static func read(_ json: JSONValue) throws(PolicyError) -> PolicyConfig {
    guard json.members != nil else { throw PolicyError(.malformed, "is not a JSON object") }
    let family = try family(json)
    try refuseVariants(json)
    let hidden = try size(json, "hidden_size")
    let heads = try size(json, "num_attention_heads")
    let keyValueHeads = try optionalSize(json, "num_key_value_heads") ?? heads
    guard heads % keyValueHeads == 0 else {
      throw PolicyError(.malformed, "num_key_value_heads \(keyValueHeads) does not divide num_attention_heads \(heads)")
    }
    let headDimension: Int
    if let given = try optionalSize(json, "head_dim") {
      headDimension = given
    } else if family == .qwen3 {
      headDimension = 128
    } else {
      guard hidden % heads == 0 else {
        throw PolicyError(.malformed, "num_attention_heads \(heads) does not divide hidden_size \(hidden)")
      }
      headDimension = hidden / heads
    }
    guard headDimension % 2 == 0 else {
      throw PolicyError(.unsupported, "an odd head_dim, \(headDimension): rotary embedding needs pairs")
    }
    let attentionBias = try flag(json, "attention_bias") ?? false
    return PolicyConfig(
      family: family, hiddenSize: hidden, layerCount: try size(json, "num_hidden_layers"), headCount: heads,
      keyValueHeadCount: keyValueHeads, headDimension: headDimension,
      intermediateSize: try size(json, "intermediate_size"), vocabularySize: try size(json, "vocab_size"),
      rmsNormEpsilon: try positive(json, "rms_norm_eps") ?? 1e-6,
      tiesEmbeddings: try flag(json, "tie_word_embeddings") ?? false,
      // Qwen2 always has these three biases and never the fourth, whatever attention_bias says.
      hasQKVBias: family == .qwen2 || attentionBias, hasOutputBias: family != .qwen2 && attentionBias,
      hasMLPBias: family == .llama ? try flag(json, "mlp_bias") ?? false : false, hasQKNorm: family == .qwen3,
      rope: try rope(json), maxPositions: try optionalSize(json, "max_position_embeddings") ?? 2048)
  }

  // MARK: What is refused

  private static func family(_ json: JSONValue) throws(PolicyError) -> Family {
    guard let type = json["model_type"]?.string else { throw PolicyError(.malformed, "has no model_type") }
    guard let family = Family(rawValue: type) else {
      throw unsupported("the model type \(SafetensorsHeader.quoted(type)); known are qwen2, qwen3 and llama")
    }
    let expected = ["qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"][type]
    if let architecture = json["architectures"]?.array?.first?.string, architecture != expected {
      throw unsupported("the architecture \(SafetensorsHeader.quoted(architecture))")
    }
    return family
  }

  private static func refuseVariants(_ json: JSONValue) throws(PolicyError) {
    if let activation = json["hidden_act"], activation != .string("silu") {
      throw unsupported("the activation hidden_act = \(shown(activation)); known is silu")
    }
    if json.has("quantization_config"), json["quantization_config"] != nil {
      let method = json["quantization_config"]?["quant_method"].map { " (\(shown($0)))" } ?? ""
      throw unsupported("a quantised checkpoint\(method): quantization_config")
    }
    for key in ["num_experts", "num_local_experts", "n_routed_experts"] {
      if let experts = json[key], experts != .int(0) { throw unsupported("a mixture of experts: \(key)") }
    }
    if try flag(json, "use_sliding_window") ?? false {
      throw unsupported("sliding-window attention: use_sliding_window")
    }
    if let types = json["layer_types"]?.array, let other = types.first(where: { $0 != .string("full_attention") }) {
      throw unsupported("layers of the type \(shown(other)): layer_types")
    }
    if let part = json["partial_rotary_factor"]?.double, part != 1 {
      throw unsupported("rotary embedding of a part of each head: partial_rotary_factor")
    }
  }

  private static func rope(_ json: JSONValue) throws(PolicyError) -> RoPESettings {
    let key = json["rope_parameters"] != nil ? "rope_parameters" : "rope_scaling"
    guard let settings = json[key] else {
      return RoPESettings(theta: try positive(json, "rope_theta") ?? 10_000)
    }
    guard settings.members != nil else { throw PolicyError(.malformed, "\(key) is not an object") }
    let inside = try positive(settings, "rope_theta", in: key)
    let outside = try positive(json, "rope_theta")
    let theta = inside ?? outside ?? 10_000
    if let part = settings["partial_rotary_factor"]?.double, part != 1 {
      throw unsupported("rotary embedding of a part of each head: partial_rotary_factor")
    }
    switch (settings["rope_type"] ?? settings["type"])?.string {
    case "default": return RoPESettings(theta: theta)
    // Transformers 5 leaves the type out of a plain {"rope_theta": …}.
    case nil where settings["factor"] == nil: return RoPESettings(theta: theta)
    case "linear":
      return RoPESettings(theta: theta, scaling: .linear(factor: try needed(settings, "factor", key)))
    case "llama3":
      let low = try needed(settings, "low_freq_factor", key)
      let high = try needed(settings, "high_freq_factor", key)
      guard high > low else { throw PolicyError(.malformed, "\(key) has high_freq_factor ≤ low_freq_factor") }
      return RoPESettings(
        theta: theta,
        scaling: .llama3(
          factor: try needed(settings, "factor", key), lowFrequencyFactor: low, highFrequencyFactor: high,
          originalMaxPositions: try size(settings, "original_max_position_embeddings")))
    case let other:
      let name = other.map(SafetensorsHeader.quoted) ?? "without a name"
      throw unsupported("rotary embedding scaled by \(name); known are default, linear and llama3")
    }
  }

  // MARK: Values

  private static func unsupported(_ what: String) -> PolicyError { PolicyError(.unsupported, "not supported: \(what)") }

  private static func shown(_ value: JSONValue) -> String { SafetensorsHeader.quoted(value.string ?? value.text()) }

  private static func size(_ json: JSONValue, _ key: String) throws(PolicyError) -> Int {
    guard let value = try optionalSize(json, key) else { throw PolicyError(.malformed, "has no \(key)") }
    return value
  }

  // The limit keeps every product of two sizes and an element's size far from an overflow.
  private static func optionalSize(_ json: JSONValue, _ key: String) throws(PolicyError) -> Int? {
    guard let value = json[key] else { return nil }
    guard case .int(let number) = value, (1...(1 << 28)).contains(number) else {
      throw PolicyError(.malformed, "\(key) is not a whole number from 1 to 2^28")
    }
    return Int(number)
  }

  private static func flag(_ json: JSONValue, _ key: String) throws(PolicyError) -> Bool? {
    guard let value = json[key] else { return nil }
    guard let flag = value.bool else { throw PolicyError(.malformed, "\(key) is neither true nor false") }
    return flag
  }

  private static func positive(
    _ json: JSONValue, _ key: String, in object: String? = nil
  ) throws(PolicyError) -> Float? {
    guard let value = json[key] else { return nil }
    guard let number = value.double, number > 0, Float(number).isFinite, Float(number) > 0 else {
      throw PolicyError(.malformed, "\(object.map { "\($0)." } ?? "")\(key) is not a positive number")
    }
    return Float(number)
  }

  private static func needed(_ json: JSONValue, _ key: String, _ object: String) throws(PolicyError) -> Float {
    guard let value = try positive(json, key, in: object) else {
      throw PolicyError(.malformed, "\(object) has no \(key)")
    }
    return value
  }
}
