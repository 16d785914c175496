internal import RolloutLogs

// The folder that PEFT's `save_pretrained` makes: adapter_config.json and adapter_model.safetensors.
extension LoRAAdapter {
  static let configName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"
  /// The files of an adapter's folder.
  public static let fileNames = [configName, weightsName]
  private static let prefix = "base_model.model.model."

  /// Reads a PEFT folder for a policy of this shape.
  /// - Throws: ``PolicyError`` that names the file: `unsupported` for DoRA, biases, `modules_to_save`, rank patterns and
  ///   the like; `mismatch` if config, weights and policy do not fit; `malformed`, `unreadable`.
  public init(directory: String, for config: PolicyConfig) throws(PolicyError) {
    let configPath = directory + "/" + Self.configName
    let json = try SmallJSON.read(configPath)
    let modules: [String]
    let settings: LoRASettings
    do throws(PolicyError) {
      settings = try Self.settings(json)
      modules = try settings.targets.modules(in: config)
    } catch {
      throw error.at(configPath)
    }
    let file = try SafetensorsFile(path: directory + "/" + Self.weightsName)
    var factors: [String: Factors] = [:]
    var expected: Set<String> = []
    var elementType = ElementType.f32
    for module in modules {
      let (output, input) = Self.size(of: module, in: config)
      let a = try Self.matrix(Self.name(module, "A"), [settings.rank, input], in: file)
      let b = try Self.matrix(Self.name(module, "B"), [output, settings.rank], in: file)
      expected.formUnion([a.name, b.name])
      elementType = a.elementType
      factors[module] = Factors(a: try a.floats(), b: try b.floats())
    }
    if let other = file.names.first(where: { !expected.contains($0) }) {
      throw PolicyError(
        .mismatch,
        "holds \(SafetensorsHeader.quoted(other)), which \(Self.configName) does not announce for this policy",
        path: file.path)
    }
    self.init(settings: settings, modules: modules, factors: factors, elementType: elementType)
  }

  /// The name of a module's matrix in the weights file.
  /// - Parameter factor: `A` or `B`.
  public static func name(_ module: String, _ factor: String) -> String { "\(prefix)\(module).lora_\(factor).weight" }

  private static func matrix(
    _ name: String, _ shape: [Int], in file: SafetensorsFile
  ) throws(PolicyError) -> StoredTensor {
    let tensor = try file.tensor(named: name)
    guard tensor.shape == shape else {
      throw PolicyError(
        .mismatch, "\(SafetensorsHeader.quoted(name)) is \(tensor.shape); rank and policy imply \(shape)",
        path: file.path)
    }
    guard tensor.elementType.isWeight else {
      throw PolicyError(
        .unsupported, "\(SafetensorsHeader.quoted(name)) is \(tensor.elementType.rawValue)", path: file.path)
    }
    return tensor
  }

  // MARK: adapter_config.json

  // Options that change what the adapter computes, when they are set to anything.
  private static let unknownVariants = [
    "use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern", "exclude_modules",
    "layers_to_transform", "layer_replication", "target_parameters", "trainable_token_indices",
    "alora_invocation_tokens", "arrow_config", "use_qalora", "use_bdlora", "kasa_config", "velora_config",
    "monteclora_config",
  ]

  private static func settings(_ json: JSONValue) throws(PolicyError) -> LoRASettings {
    guard json.members != nil else { throw PolicyError(.malformed, "is not a JSON object") }
    func unsupported(_ what: String) -> PolicyError { PolicyError(.unsupported, "not supported: \(what)") }
    let type = json["peft_type"]?.string ?? ""
    guard type == "LORA" else {
      throw unsupported("an adapter of the type \(SafetensorsHeader.quoted(type)): peft_type")
    }
    if let task = json["task_type"]?.string, task != "CAUSAL_LM" {
      throw unsupported("task_type \(SafetensorsHeader.quoted(task))")
    }
    if let bias = json["bias"], bias != .string("none") { throw unsupported("trained biases: bias") }
    for key in unknownVariants {
      guard let value = json[key], value != .bool(false), value.members?.isEmpty != true, value.array?.isEmpty != true
      else { continue }
      throw unsupported(key)
    }
    // These ways to begin change the base weights as well; the adapter alone does not say how.
    let start = json["init_lora_weights"]
    if let name = start?.string, !["gaussian", "eva", "orthogonal"].contains(name) {
      throw unsupported("init_lora_weights = \(SafetensorsHeader.quoted(name))")
    }
    guard case .int(let rank)? = json["r"], (1...65_536).contains(rank) else {
      throw PolicyError(.malformed, "r is not a whole number from 1 to 65536")
    }
    guard let alpha = json["lora_alpha"]?.double, alpha.isFinite else {
      throw PolicyError(.malformed, "lora_alpha is not a number")
    }
    let dropout = json["lora_dropout"]?.double ?? 0
    guard (0...1).contains(dropout) else { throw PolicyError(.malformed, "lora_dropout is not a number from 0 to 1") }
    if let flag = json["use_rslora"], flag.bool == nil {
      throw PolicyError(.malformed, "use_rslora is neither true nor false")
    }
    return LoRASettings(
      rank: Int(rank), alpha: alpha, targets: try targets(json["target_modules"]),
      usesRSLoRA: json["use_rslora"]?.bool ?? false, baseModel: json["base_model_name_or_path"]?.string,
      dropout: dropout)
  }

  private static func targets(_ value: JSONValue?) throws(PolicyError) -> LoRATargets {
    switch value {
    case .string("all-linear")?: return .allLinear
    case .string(let pattern)?: return .pattern(pattern)
    case .array(let elements)?:
      let names = elements.compactMap(\.string)
      guard names.count == elements.count else {
        throw PolicyError(.malformed, "target_modules holds something that is no string")
      }
      return .names(names)
    default: throw PolicyError(.malformed, "target_modules is neither a list of names nor a string")
    }
  }

  // MARK: Writing

  /// Writes a PEFT folder that PEFT and vLLM load.
  /// - Parameter folder: made if it does not exist.
  /// - Throws: ``PolicyError``: `unwritable`, `mismatch` if a matrix does not fit the rank. The config comes last.
  public func write(to folder: String) throws(PolicyError) {
    try Checkpoint.makeFolder(folder)
    var tensors: [SafetensorsWriter.Tensor] = []
    for module in modules {
      guard let pair = factors[module], pair.a.count % settings.rank == 0, pair.b.count % settings.rank == 0 else {
        throw PolicyError(.mismatch, "the matrices of \(module) do not fit rank \(settings.rank)", path: folder)
      }
      let a = [settings.rank, pair.a.count / settings.rank]
      let b = [pair.b.count / settings.rank, settings.rank]
      tensors.append(.init(Self.name(module, "A"), elementType, shape: a, floats: pair.a))
      tensors.append(.init(Self.name(module, "B"), elementType, shape: b, floats: pair.b))
    }
    tensors.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    try SafetensorsWriter.write(tensors, to: folder + "/" + Self.weightsName)
    try AtomicFile.write(Array(configText().utf8), to: folder + "/" + Self.configName)
  }

  // The fields that a reader needs, one a line in the order of their names, as PEFT writes them.
  private func configText() -> String {
    let targets: JSONValue =
      switch settings.targets {
      case .allLinear: .string("all-linear")
      case .pattern(let text): .string(text)
      case .names(let names): .array(names.map { .string($0) })
      }
    let whole = settings.alpha == settings.alpha.rounded() && abs(settings.alpha) < 1e15
    let fields: [JSONValue.Member] = [
      .init("alpha_pattern", .object([])),
      .init("base_model_name_or_path", settings.baseModel.map { .string($0) } ?? .null),
      .init("bias", .string("none")),
      .init("fan_in_fan_out", .bool(false)),
      .init("inference_mode", .bool(true)),
      .init("init_lora_weights", .bool(true)),
      .init("lora_alpha", whole ? .int(Int64(settings.alpha)) : .double(settings.alpha)),
      .init("lora_dropout", .double(settings.dropout)),
      .init("modules_to_save", .null),
      .init("peft_type", .string("LORA")),
      .init("r", .int(Int64(settings.rank))),
      .init("rank_pattern", .object([])),
      .init("target_modules", targets),
      .init("task_type", .string("CAUSAL_LM")),
      .init("use_dora", .bool(false)),
      .init("use_rslora", .bool(settings.usesRSLoRA)),
    ]
    let lines = fields.map { "  \(JSONValue.string($0.key).text()): \($0.value.text())" }
    return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
  }
}
