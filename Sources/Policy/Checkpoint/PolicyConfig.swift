/// The shape of a policy: what `config.json` says, as far as it changes a number.
public struct PolicyConfig: Sendable, Equatable {
  /// The model families that are read, by `model_type`.
  public enum Family: String, Sendable, CaseIterable {
    case qwen2, qwen3, llama
  }

  public var family: Family
  public var hiddenSize: Int
  public var layerCount: Int
  /// Query heads.
  public var headCount: Int
  /// Divides `headCount`; each key/value head serves `headCount / keyValueHeadCount` query heads in a row.
  public var keyValueHeadCount: Int
  /// Even; need not be `hiddenSize / headCount`.
  public var headDimension: Int
  /// Width of the gated MLP.
  public var intermediateSize: Int
  public var vocabularySize: Int
  /// Inside the root: `x / sqrt(mean(x²) + ε)`.
  public var rmsNormEpsilon: Float
  /// The LM head is the embedding matrix.
  public var tiesEmbeddings: Bool
  /// Biases on the query, key and value projections.
  public var hasQKVBias: Bool
  /// A bias on the output projection of the attention.
  public var hasOutputBias: Bool
  /// Biases on the gate, up and down projections.
  public var hasMLPBias: Bool
  /// RMSNorm over each head's dimensions of q and k, before RoPE.
  public var hasQKNorm: Bool
  public var rope: RoPESettings
  /// What the model was trained for; nothing breaks behind it.
  public var maxPositions: Int

  public init(
    family: Family, hiddenSize: Int, layerCount: Int, headCount: Int, keyValueHeadCount: Int, headDimension: Int,
    intermediateSize: Int, vocabularySize: Int, rmsNormEpsilon: Float, tiesEmbeddings: Bool, hasQKVBias: Bool,
    hasOutputBias: Bool, hasMLPBias: Bool, hasQKNorm: Bool, rope: RoPESettings, maxPositions: Int
  ) {
    self.family = family
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headDimension = headDimension
    self.intermediateSize = intermediateSize
    self.vocabularySize = vocabularySize
    self.rmsNormEpsilon = rmsNormEpsilon
    self.tiesEmbeddings = tiesEmbeddings
    self.hasQKVBias = hasQKVBias
    self.hasOutputBias = hasOutputBias
    self.hasMLPBias = hasMLPBias
    self.hasQKNorm = hasQKNorm
    self.rope = rope
    self.maxPositions = maxPositions
  }

  /// A tensor that a checkpoint of this shape has.
  public struct Parameter: Sendable, Equatable {
    public var name: String
    public var shape: [Int]
  }

  /// Every tensor of the checkpoint with its shape, in the order of the computation.
  ///
  /// Matrices are `[out, in]`, as `torch.nn.Linear` keeps them. With tied embeddings there is no `lm_head.weight`.
  public var parameters: [Parameter] {
    let queries = headCount * headDimension
    let keys = keyValueHeadCount * headDimension
    var all = [Parameter(name: "model.embed_tokens.weight", shape: [vocabularySize, hiddenSize])]
    func linear(_ name: String, _ output: Int, _ input: Int, bias: Bool) {
      all.append(Parameter(name: "\(name).weight", shape: [output, input]))
      if bias { all.append(Parameter(name: "\(name).bias", shape: [output])) }
    }
    func norm(_ name: String, _ size: Int) { all.append(Parameter(name: "\(name).weight", shape: [size])) }
    for layer in 0..<layerCount {
      let prefix = "model.layers.\(layer)"
      norm("\(prefix).input_layernorm", hiddenSize)
      linear("\(prefix).self_attn.q_proj", queries, hiddenSize, bias: hasQKVBias)
      linear("\(prefix).self_attn.k_proj", keys, hiddenSize, bias: hasQKVBias)
      linear("\(prefix).self_attn.v_proj", keys, hiddenSize, bias: hasQKVBias)
      if hasQKNorm {
        norm("\(prefix).self_attn.q_norm", headDimension)
        norm("\(prefix).self_attn.k_norm", headDimension)
      }
      linear("\(prefix).self_attn.o_proj", hiddenSize, queries, bias: hasOutputBias)
      norm("\(prefix).post_attention_layernorm", hiddenSize)
      linear("\(prefix).mlp.gate_proj", intermediateSize, hiddenSize, bias: hasMLPBias)
      linear("\(prefix).mlp.up_proj", intermediateSize, hiddenSize, bias: hasMLPBias)
      linear("\(prefix).mlp.down_proj", hiddenSize, intermediateSize, bias: hasMLPBias)
    }
    norm("model.norm", hiddenSize)
    if !tiesEmbeddings { linear("lm_head", vocabularySize, hiddenSize, bias: false) }
    return all
  }
}
