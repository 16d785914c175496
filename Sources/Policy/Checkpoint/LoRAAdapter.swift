/// A LoRA adapter in memory: two matrices for each adapted projection.
public struct LoRAAdapter: Sendable, Equatable {
  /// The two factors of one projection's change, `B · A` times the scale.
  public struct Factors: Sendable, Equatable {
    /// `[rank, input]`, row-major.
    public var a: [Float]
    /// `[output, rank]`, row-major.
    public var b: [Float]

    public init(a: [Float], b: [Float]) {
      self.a = a
      self.b = b
    }
  }

  /// The projections of a layer that can be adapted, in the order of the computation.
  public static let projections = [
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj",
  ]

  public var settings: LoRASettings
  /// Names of the adapted modules (`layers.{i}.self_attn.q_proj`), in the order of the computation.
  public let modules: [String]
  /// By module name.
  public var factors: [String: Factors]
  /// The type that the matrices are stored in.
  public var elementType: ElementType

  /// A new adapter as PEFT makes it: A uniform in ±1/√input (Kaiming with a = √5), B zero, so that it changes nothing.
  /// - Parameter generator: draws A, module by module in their order.
  public init(
    fresh settings: LoRASettings, for config: PolicyConfig, using generator: inout some RandomNumberGenerator
  ) throws(PolicyError) {
    self.settings = settings
    elementType = .f32
    modules = try settings.targets.modules(in: config)
    factors = [:]
    for module in modules {
      let (output, input) = Self.size(of: module, in: config)
      let bound = 1 / Float(input).squareRoot()
      let a = (0..<(settings.rank * input)).map { _ in 2 * bound * uniform(&generator) - bound }
      factors[module] = Factors(a: a, b: [Float](repeating: 0, count: output * settings.rank))
    }
  }

  init(settings: LoRASettings, modules: [String], factors: [String: Factors], elementType: ElementType) {
    self.settings = settings
    self.modules = modules
    self.factors = factors
    self.elementType = elementType
  }

  /// Rows and columns of a module's weight.
  public static func size(of module: String, in config: PolicyConfig) -> (output: Int, input: Int) {
    switch module.split(separator: ".").last {
    case "q_proj": (config.headCount * config.headDimension, config.hiddenSize)
    case "k_proj", "v_proj": (config.keyValueHeadCount * config.headDimension, config.hiddenSize)
    case "o_proj": (config.hiddenSize, config.headCount * config.headDimension)
    case "down_proj": (config.hiddenSize, config.intermediateSize)
    default: (config.intermediateSize, config.hiddenSize)
    }
  }
}

/// Uniform on [0, 1], in steps of 2^-24.
///
/// One of 2^24 + 1 numbers, without bias (Lemire 2019). The standard library does not promise that its random floats stay
/// what they are; adapters of a seed have to.
private func uniform(_ generator: inout some RandomNumberGenerator) -> Float {
  let count: UInt32 = 1 << 24 + 1
  let least = (0 &- count) % count
  var product = UInt32(truncatingIfNeeded: generator.next()).multipliedFullWidth(by: count)
  while product.low < least { product = UInt32(truncatingIfNeeded: generator.next()).multipliedFullWidth(by: count) }
  return Float(product.high) * 0x1p-24
}
