internal import CPolicyKernels

/// Numbers of a checkpoint as a kernel reads them: where they are stored, or in the trained parameters.
struct Weight {
  let matrix: Matrix  // [rows, columns], row-major
  let rows: Int
  let columns: Int
  /// Where its gradient goes in the gradient buffer; nil if it is frozen.
  let gradient: Int?
  /// Keeps the memory in place.
  let owner: AnyObject?
  let stored: StoredTensor?

  /// Rows that begin at `first`.
  func from(_ first: Int) -> Matrix {
    var m = matrix
    let size = m.type == Int32(POLICY_F32) ? 4 : 2
    m.data += first * columns * size
    return m
  }
}

/// A vector of floats: a norm's weight or a bias.
struct Vector {
  let pointer: UnsafeMutablePointer<Float>
  let gradient: Int?
  let owner: AnyObject
}

/// The adapter of one projection.
struct LoRAFactors {
  let a: Weight
  let b: Weight
  let scale: Float
}

/// y = W x + b, and an adapter's part.
struct Linear {
  let weight: Weight
  let bias: Vector?
  let lora: LoRAFactors?

  var output: Int { weight.rows }
  var input: Int { weight.columns }
}

struct LayerWeights {
  let inputNorm: Vector
  let q: Linear
  let k: Linear
  let v: Linear
  let qNorm: Vector?
  let kNorm: Vector?
  let o: Linear
  let postNorm: Vector
  let gate: Linear
  let up: Linear
  let down: Linear
}

/// All weights of a policy.
struct Weights {
  let embedding: Weight
  let layers: [LayerWeights]
  let norm: Vector
  /// The embedding itself where the two are tied.
  let head: Weight
}

/// Finds the weights of a checkpoint, an adapter and the trained parameters by name.
struct WeightReader {
  let checkpoint: Checkpoint
  let adapter: LoRAAdapter?
  /// Trained numbers; for an adapter that is not trained its matrices.
  let parameters: ParameterSet
  let trainsEverything: Bool
  let trainsAdapter: Bool

  func read() throws(PolicyError) -> Weights {
    let config = checkpoint.config
    let embedding = try weight("model.embed_tokens.weight")
    var layers: [LayerWeights] = []
    for i in 0..<config.layerCount {
      let name = "model.layers.\(i)."
      layers.append(
        LayerWeights(
          inputNorm: try vector(name + "input_layernorm.weight"),
          q: try linear(name + "self_attn.q_proj", bias: config.hasQKVBias),
          k: try linear(name + "self_attn.k_proj", bias: config.hasQKVBias),
          v: try linear(name + "self_attn.v_proj", bias: config.hasQKVBias),
          qNorm: config.hasQKNorm ? try vector(name + "self_attn.q_norm.weight") : nil,
          kNorm: config.hasQKNorm ? try vector(name + "self_attn.k_norm.weight") : nil,
          o: try linear(name + "self_attn.o_proj", bias: config.hasOutputBias),
          postNorm: try vector(name + "post_attention_layernorm.weight"),
          gate: try linear(name + "mlp.gate_proj", bias: config.hasMLPBias),
          up: try linear(name + "mlp.up_proj", bias: config.hasMLPBias),
          down: try linear(name + "mlp.down_proj", bias: config.hasMLPBias)))
    }
    return Weights(
      embedding: embedding, layers: layers, norm: try vector("model.norm.weight"),
      head: config.tiesEmbeddings ? embedding : try weight("lm_head.weight"))
  }

  private func linear(_ name: String, bias: Bool) throws(PolicyError) -> Linear {
    let module = String(name.dropFirst("model.".count))
    var lora: LoRAFactors?
    if let adapter, adapter.factors[module] != nil {
      func factor(_ letter: String) throws(PolicyError) -> Weight {
        guard let weight = parameter(LoRAAdapter.name(module, letter), trained: trainsAdapter) else {
          throw PolicyError(.mismatch, "the adapter has no \(letter) of \(module)")
        }
        return weight
      }
      lora = LoRAFactors(a: try factor("A"), b: try factor("B"), scale: Float(adapter.settings.scale))
    }
    return Linear(weight: try weight(name + ".weight"), bias: bias ? try vector(name + ".bias") : nil, lora: lora)
  }

  /// A matrix among the parameters.
  private func parameter(_ name: String, trained: Bool) -> Weight? {
    guard let entry = parameters.layout.entry(named: name), entry.shape.count == 2 else { return nil }
    return Weight(
      matrix: Matrix(parameters.buffer.pointer + entry.range.lowerBound, columns: entry.shape[1]),
      rows: entry.shape[0], columns: entry.shape[1], gradient: trained ? entry.range.lowerBound : nil,
      owner: parameters, stored: nil)
  }

  private func weight(_ name: String) throws(PolicyError) -> Weight {
    if trainsEverything, let weight = parameter(name, trained: true) { return weight }
    let tensor = try checkpoint.tensor(named: name)
    let type =
      switch tensor.elementType {
      case .f32: POLICY_F32
      case .bf16: POLICY_BF16
      case .f16: POLICY_F16
      default:
        throw PolicyError(.unsupported, "\(name) is \(tensor.elementType.rawValue)", path: checkpoint.directory)
      }
    guard tensor.shape.count == 2, let base = tensor.withBytes({ $0.baseAddress }) else {
      throw PolicyError(.mismatch, "\(name) is \(tensor.shape), not a matrix", path: checkpoint.directory)
    }
    // The address is that of the memory map, which the tensor keeps.
    return Weight(
      matrix: Matrix(data: base, type: Int32(type), rows: Int64(tensor.shape[1]), columns: 1),
      rows: tensor.shape[0], columns: tensor.shape[1], gradient: nil, owner: nil, stored: tensor)
  }

  private func vector(_ name: String) throws(PolicyError) -> Vector {
    if trainsEverything, let entry = parameters.layout.entry(named: name) {
      return Vector(
        pointer: parameters.buffer.pointer + entry.range.lowerBound, gradient: entry.range.lowerBound,
        owner: parameters)
    }
    let floats = try checkpoint.tensor(named: name).floats()
    let copy = Workspace().buffer(floats.count)
    for (i, value) in floats.enumerated() { copy.pointer[i] = value }
    return Vector(pointer: copy.pointer, gradient: nil, owner: copy)
  }
}
