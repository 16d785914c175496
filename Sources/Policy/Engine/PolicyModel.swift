internal import CPolicyKernels

/// Which numbers of a policy are trained.
public enum Trainable: Sendable {
  case nothing
  /// The matrices of the adapter; the checkpoint stays as it is stored, BF16 in memory if it is BF16 on disk.
  case adapter
  /// All tensors of the checkpoint, in float32.
  case everything
}

/// A policy that scores token forests and knows the gradients of its scores.
///
/// Results depend on the input and on the number of threads alone. Not safe to use from two threads at once.
public final class PolicyModel {
  public let config: PolicyConfig
  public let trainable: Trainable
  public let threads: Int
  /// The trained numbers, to be changed in place between forward passes; empty if nothing is trained.
  public let parameters: ParameterSet
  let kernels: Kernels
  let weights: Weights
  let rotary: RotaryTable
  private let loraAdapter: LoRAAdapter?
  private let adapterValues: ParameterSet

  /// - Parameters:
  ///   - adapter: A LoRA adapter that is applied, and trained if `training` is `.adapter`.
  ///   - threads: How many threads kernels run on, the caller's included.
  ///   - instructionSet: The kernels to use; the fastest that the processor has if nil.
  /// - Throws: ``PolicyError``: `mismatch` if the parts do not fit or an adapter is missing, `unsupported` if everything
  ///   is to be trained below an adapter or the threads do not start.
  public init(
    _ checkpoint: Checkpoint, adapter: LoRAAdapter? = nil, training: Trainable = .nothing, threads: Int,
    instructionSet: InstructionSet? = nil
  ) throws(PolicyError) {
    config = checkpoint.config
    trainable = training
    self.threads = threads
    loraAdapter = adapter
    guard config.headDimension % 2 == 0 else {
      throw PolicyError(.unsupported, "a head dimension of \(config.headDimension)", path: checkpoint.directory)
    }
    guard config.headCount % config.keyValueHeadCount == 0 else {
      throw PolicyError(
        .mismatch, "\(config.headCount) heads share \(config.keyValueHeadCount) key-value heads",
        path: checkpoint.directory)
    }
    var adapterParameters: [PolicyConfig.Parameter] = []
    if let adapter {
      for module in adapter.modules {
        let (output, input) = LoRAAdapter.size(of: module, in: config)
        let rank = adapter.settings.rank
        adapterParameters.append(.init(name: LoRAAdapter.name(module, "A"), shape: [rank, input]))
        adapterParameters.append(.init(name: LoRAAdapter.name(module, "B"), shape: [output, rank]))
      }
    }
    adapterValues = ParameterSet(ParameterLayout(adapterParameters))
    if let adapter {
      for module in adapter.modules {
        guard let factors = adapter.factors[module] else {
          throw PolicyError(.mismatch, "the adapter has no matrices for \(module)")
        }
        try adapterValues.set(LoRAAdapter.name(module, "A"), to: factors.a)
        try adapterValues.set(LoRAAdapter.name(module, "B"), to: factors.b)
      }
    }
    switch training {
    case .nothing: parameters = ParameterSet(ParameterLayout([]))
    case .adapter:
      guard adapter != nil else { throw PolicyError(.mismatch, "there is no adapter to train") }
      parameters = adapterValues
    case .everything:
      guard adapter == nil else {
        throw PolicyError(.unsupported, "not supported: training everything below an adapter")
      }
      parameters = ParameterSet(ParameterLayout(config.parameters))
      for entry in parameters.layout.entries {
        try parameters.set(entry.name, to: try checkpoint.tensor(named: entry.name).floats())
      }
    }
    kernels = try Kernels(threads: threads, instructionSet: instructionSet ?? .best)
    weights = try WeightReader(
      checkpoint: checkpoint, adapter: adapter, parameters: training == .everything ? parameters : adapterValues,
      trainsEverything: training == .everything, trainsAdapter: training == .adapter
    ).read()
    rotary = RotaryTable(config)
  }

  /// The adapter with its present values, as it is trained; nil if there is none.
  public var adapter: LoRAAdapter? {
    guard var adapter = loraAdapter else { return nil }
    for module in adapter.modules {
      if let a = adapterValues.values(of: LoRAAdapter.name(module, "A")),
        let b = adapterValues.values(of: LoRAAdapter.name(module, "B"))
      {
        adapter.factors[module] = .init(a: a, b: b)
      }
    }
    return adapter
  }

  /// Rank of the adapter, 0 if there is none.
  var loraRank: Int { loraAdapter?.settings.rank ?? 0 }

  /// The instruction set that the kernels use.
  public var instructionSet: InstructionSet { InstructionSet(rawValue: policy_pool_isa(kernels.pool)) ?? .portable }

  var heads: policy_heads {
    policy_heads(
      heads: Int32(config.headCount), groups: Int32(config.keyValueHeadCount), width: Int32(config.headDimension))
  }

  /// Scores edges of a forest: for every node in `nodes` the log-probability of its token given its ancestors.
  /// - Parameter nodes: Indices of nodes that are no roots, in any order; each counts for itself.
  /// - Throws: ``PolicyError``: `mismatch` if a token is not in the vocabulary, a node is out of range or a root, or
  ///   gradients are asked for where nothing is trained; `notFinite` if a score is no finite number. And whatever
  ///   `options.interruption` throws.
  public func forward(
    _ forest: TokenForest, scoring nodes: [Int32], options: ForwardOptions = ForwardOptions()
  ) throws -> ForwardPass {
    try ForwardPass(self, forest, nodes, options)
  }

  /// Logits [nodes, vocabulary] of the tokens that could follow each of the nodes: a matrix as large as it sounds, for a
  /// few nodes.
  /// - Throws: ``PolicyError`` `mismatch` if a token is not in the vocabulary or a node is out of range.
  public func logits(
    _ forest: TokenForest, after nodes: [Int32], interruption: (() throws -> Void)? = nil
  ) throws -> [Float] {
    if let node = nodes.first(where: { $0 < 0 || Int($0) >= forest.count }) {
      throw PolicyError(.mismatch, "node \(node) is not one of \(forest.count)")
    }
    let x = try hiddenStates(forest, AttentionPlan(forest), keepsFrom: nil, interruption: interruption) { _, _ in }
    return logits(x, rows: nodes)
  }

  /// Logits of some rows of the last layer's output.
  func logits(_ x: FloatBuffer, rows: [Int32]) -> [Float] {
    let (hidden, vocabulary, count) = (config.hiddenSize, config.vocabularySize, Int64(rows.count))
    let states = kernels.workspace.buffer(rows.count * hidden)
    let normed = kernels.workspace.buffer(rows.count * hidden)
    let rms = kernels.workspace.buffer(rows.count)
    policy_gather(
      kernels.pool, x.pointer, Int32(POLICY_F32), Int64(hidden), rows, count, states.pointer)
    policy_rms_norm(
      kernels.pool, states.pointer, weights.norm.pointer, config.rmsNormEpsilon, count, Int64(hidden),
      normed.pointer, rms.pointer)
    var logits = [Float](repeating: 0, count: rows.count * vocabulary)
    logits.withUnsafeMutableBufferPointer { out in
      guard let out = out.baseAddress else { return }
      kernels.multiply(
        rows.count, hidden, Matrix(normed.pointer, columns: hidden),
        .init(b: weights.head.matrix.transposed, n: vocabulary, c: out, ldc: vocabulary))
    }
    return logits
  }

  func layer(_ index: Int, _ forest: TokenForest, _ plan: AttentionPlan) -> Layer {
    Layer(
      config: config, kernels: kernels, weights: weights.layers[index], plan: plan, positions: forest.positions,
      rotary: rotary)
  }

  /// Embeddings of tokens [tokens, hidden].
  func embeddings(_ tokens: [Int32]) throws(PolicyError) -> FloatBuffer {
    if let i = tokens.firstIndex(where: { $0 < 0 || Int($0) >= config.vocabularySize }) {
      throw PolicyError(
        .mismatch, "token \(tokens[i]), number \(i), is not in the vocabulary of \(config.vocabularySize)")
    }
    let x = kernels.workspace.buffer(tokens.count * config.hiddenSize)
    policy_gather(
      kernels.pool, weights.embedding.matrix.data, weights.embedding.matrix.type, Int64(config.hiddenSize), tokens,
      Int64(tokens.count), x.pointer)
    return x
  }

  /// The last layer's output [nodes, hidden].
  /// - Parameters:
  ///   - first: The first layer whose activations are kept; nil if nothing is.
  ///   - keep: Unless nothing is kept, is given each layer's input and, from `first` on, its activations.
  func hiddenStates(
    _ forest: TokenForest, _ plan: AttentionPlan, keepsFrom first: Int?, interruption: (() throws -> Void)?,
    keep: (FloatBuffer, LayerActivations?) -> Void
  ) throws -> FloatBuffer {
    rotary.cover(Int(forest.positions.max() ?? 0) + 1)
    var x = try embeddings(forest.tokens)
    for i in 0..<config.layerCount {
      try interruption?()
      let layer = layer(i, forest, plan)
      if let first, i >= first {
        let (output, activations) = layer.forward(x)
        keep(x, activations)
        x = output
      } else {
        if first != nil { keep(x, nil) }
        x = layer.output(x)
      }
    }
    return x
  }
}
