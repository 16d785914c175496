public import Policy

extension ParameterSet: GradientStore {
  /// The elements of all tensors.
  public func withElements<Result>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> Result) rethrows -> Result {
    try withValues(body)
  }
}

extension PolicyModel: TrainablePolicy {
  /// Number of token ids.
  public var vocabularySize: Int { config.vocabularySize }

  /// The trained tensors, in the layout's order.
  public var tensors: [TrainedTensor] {
    parameters.layout.entries.map { TrainedTensor(name: $0.name, shape: $0.shape, range: $0.range) }
  }

  /// The elements of a tensor, row-major.
  public func withTensor(_ index: Int, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
    let range = parameters.layout.entries[index].range
    try parameters.withValues { try body(UnsafeMutableBufferPointer(rebasing: $0[range])) }
  }

  /// A gradient of zeros.
  public func makeGradient() -> any GradientStore { ParameterSet(zerosLike: parameters) }

  /// Logprobs of nodes given their ancestors.
  public func score(_ forest: TokenForest, nodes: [Int32], options: ScoringOptions) throws -> any ScoredForest {
    let forward = ForwardOptions(
      temperature: Float(options.temperature), entropies: options.entropies,
      keepsForBackward: options.keepsForBackward, activationBudget: options.activationBudget,
      interruption: options.interruption)
    do {
      return EngineScores(try self.forward(forest, scoring: nodes, options: forward), options.interruption)
    } catch let error as PolicyError where error.code == .notFinite {
      throw NotFiniteScore()
    }
  }
}

/// A forward pass of the engine.
private final class EngineScores: ScoredForest {
  private let pass: ForwardPass
  private let interruption: (@Sendable () throws -> Void)?

  init(_ pass: ForwardPass, _ interruption: (@Sendable () throws -> Void)?) {
    self.pass = pass
    self.interruption = interruption
  }

  var logprobs: [Float] { pass.logprobs }
  var entropies: [Float] { pass.entropies ?? [] }

  func backward(logprobGradients: [Float], entropyGradients: [Float], into gradient: any GradientStore) throws {
    guard let set = gradient as? ParameterSet else {
      throw LearnerError("the gradient was made by another policy")
    }
    try pass.backward(
      logprobGradients: logprobGradients, entropyGradients: entropyGradients.isEmpty ? nil : entropyGradients,
      into: set, interruption: interruption)
  }
}
