internal import CPolicyKernels

/// The scores of a forest's nodes, and what their gradients need.
///
/// Uses the model's memory and threads: finish with one pass before the parameters change.
public final class ForwardPass {
  /// A likely token.
  public struct Candidate: Sendable, Equatable {
    public var token: Int32
    public var logprob: Float
  }

  /// ln p(token of the node | its ancestors), for each scored node.
  public let logprobs: [Float]
  /// Entropy in nats of the distribution that each scored node's token was drawn from, if asked for.
  public let entropies: [Float]?
  /// The likeliest tokens of that distribution, likeliest first, if asked for.
  public let candidates: [[Candidate]]?

  private let model: PolicyModel
  private let forest: TokenForest
  private let head: Head
  private let values: Head.Values
  private let plan: AttentionPlan
  private var layers: [Kept]

  /// What is kept of a layer.
  private enum Kept {
    case everything(LayerActivations)
    /// Its input; the rest is computed again.
    case input(FloatBuffer)
  }

  init(_ model: PolicyModel, _ forest: TokenForest, _ nodes: [Int32], _ options: ForwardOptions) throws {
    let config = model.config
    try Self.check(model, forest, options)
    let edges = try ScoredEdges(forest, nodes)
    self.model = model
    self.forest = forest
    plan = AttentionPlan(forest)
    let checkpointed = options.keepsForBackward ? Self.checkpointed(model, forest.count, options.activationBudget) : 0
    var layers: [Kept] = []
    let x = try model.hiddenStates(
      forest, plan, keepsFrom: options.keepsForBackward ? checkpointed : nil, interruption: options.interruption
    ) { input, activations in
      layers.append(activations.map { .everything($0) } ?? .input(input))
    }
    self.layers = layers
    head = Head(
      config: config, kernels: model.kernels, norm: model.weights.norm, weight: model.weights.head, edges: edges,
      temperature: options.temperature)
    values = try head.forward(
      x, topK: options.topK, keepsExpected: options.keepsForBackward && model.weights.head.gradient == nil,
      interruption: options.interruption)
    logprobs = values.logprobs
    if let bad = logprobs.firstIndex(where: { !$0.isFinite }) {
      throw PolicyError(.notFinite, "the log-probability of node \(nodes[bad]) is \(logprobs[bad])")
    }
    let rows = edges.rows
    entropies = options.entropies ? rows.map { [values] in values.entropies[$0] } : nil
    let k = options.topK
    candidates =
      k == 0
      ? nil
      : rows.map { [values] row in
        (row * k..<(row + 1) * k).filter { values.topIDs[$0] >= 0 }
          .map { Candidate(token: values.topIDs[$0], logprob: values.topLogprobs[$0]) }
      }
  }

  private static func check(
    _ model: PolicyModel, _ forest: TokenForest, _ options: ForwardOptions
  ) throws(PolicyError) {
    guard options.temperature > 0, options.temperature.isFinite else {
      throw PolicyError(.unsupported, "a temperature of \(options.temperature)")
    }
    guard options.topK >= 0 else { throw PolicyError(.unsupported, "the top \(options.topK) tokens") }
    if options.keepsForBackward, model.trainable == .nothing {
      throw PolicyError(.mismatch, "gradients of a policy in which nothing is trained")
    }
  }

  /// How many of the first layers keep their input alone.
  private static func checkpointed(_ model: PolicyModel, _ rows: Int, _ budget: Int?) -> Int {
    guard let budget else { return 0 }
    let bytes = Layer.bytes(model.config, rows: rows, loraRank: model.loraRank)
    let count = model.config.layerCount
    let whole = (budget - count * bytes.input) / max(1, bytes.all - bytes.input)
    return count - min(count, max(0, whole))
  }

  /// Adds d loss / d parameter to `gradients`, given d loss / d log-probability and d loss / d entropy of each scored
  /// node.
  ///
  /// Can be called once, as it uses up what the forward pass kept.
  /// - Throws: ``PolicyError`` `mismatch` if lengths or layouts differ or nothing was kept; and whatever `interruption`
  ///   throws, which is called between layers, after which the gradients are incomplete.
  public func backward(
    logprobGradients: [Float], entropyGradients: [Float]? = nil, into gradients: GradientBuffer,
    interruption: (() throws -> Void)? = nil
  ) throws {
    guard logprobGradients.count == logprobs.count, (entropyGradients ?? logprobGradients).count == logprobs.count
    else {
      throw PolicyError(.mismatch, "\(logprobGradients.count) gradients for \(logprobs.count) scored nodes")
    }
    guard gradients.layout == model.parameters.layout else {
      throw PolicyError(.mismatch, "the gradients are laid out for other parameters")
    }
    guard layers.count == model.config.layerCount else {
      throw PolicyError(.mismatch, "the forward pass kept nothing for a backward pass, or it is used up")
    }
    let place = gradients.buffer.pointer
    let d = try head.backward(
      values, logprobs: logprobGradients, entropies: entropyGradients, nodeCount: forest.count, into: place,
      interruption: interruption)
    let embedding = model.weights.embedding.gradient
    while let kept = layers.popLast() {
      try interruption?()
      let index = layers.count
      let layer = model.layer(index, forest, plan)
      switch kept {
      case .everything(let activations):
        layer.backward(d, activations, into: place, needsInput: index > 0 || embedding != nil)
      case .input(let input):
        layer.backward(d, layer.forward(input).activations, into: place, needsInput: index > 0 || embedding != nil)
      }
    }
    if let embedding {
      policy_scatter_add(
        model.kernels.pool, d.pointer, forest.tokens, Int64(forest.count), Int64(model.config.hiddenSize),
        place + embedding)
    }
  }
}
