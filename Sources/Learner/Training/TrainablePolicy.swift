public import Policy

/// Trained tensors that can be read and changed in place.
public protocol ParameterStore: AnyObject {
  /// In one order that never changes; ranges follow each other without gaps.
  var tensors: [TrainedTensor] { get }

  /// The elements of a tensor, row-major.
  func withTensor(_ index: Int, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows
}

extension ParameterStore {
  /// Trained scalars.
  public var parameterCount: Int { tensors.last?.range.upperBound ?? 0 }
}

/// A gradient of a policy's trained tensors, in their flat layout.
public protocol GradientStore: AnyObject {
  /// The elements.
  func withElements<Result>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> Result) rethrows -> Result
}

extension GradientStore {
  /// Sets all elements to 0.
  public func clear() { withElements { $0.update(repeating: 0) } }
}

extension ParameterBuffer: GradientStore {
  /// The elements.
  public func withElements<Result>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> Result) rethrows -> Result {
    try body(elements)
  }
}

/// A logprob that is infinite or not a number, found while a forest was scored.
public struct NotFiniteScore: Error {
  /// The error.
  public init() {}
}

/// A policy as the learner sees it: logprobs of tokens in a forest, and their gradients.
public protocol TrainablePolicy: ParameterStore {
  /// Number of token ids.
  var vocabularySize: Int { get }

  /// A gradient of zeros.
  func makeGradient() -> any GradientStore

  /// Logprobs of nodes given their ancestors.
  ///
  /// A policy that notices numbers that are not finite may throw ``NotFiniteScore`` instead of returning them.
  ///
  /// - Parameters:
  ///   - forest: the tokens.
  ///   - nodes: what to score, ascending, no roots.
  ///   - options: see ``ScoringOptions``.
  func score(_ forest: TokenForest, nodes: [Int32], options: ScoringOptions) throws -> any ScoredForest
}

/// What a forward pass is asked for.
public struct ScoringOptions: Sendable {
  /// Logits are divided by this.
  public var temperature = 1.0
  /// Whether entropies are wanted.
  public var entropies = false
  /// Whether a backward pass follows.
  public var keepsForBackward = false
  /// Bytes that may be kept between the passes; `nil` = as much as it takes.
  public var activationBudget: Int?
  /// Called now and then; what it throws ends the pass.
  public var interruption: (@Sendable () throws -> Void)?

  /// Plain logprobs.
  public init(
    temperature: Double = 1, entropies: Bool = false, keepsForBackward: Bool = false, activationBudget: Int? = nil
  ) {
    self.temperature = temperature
    self.entropies = entropies
    self.keepsForBackward = keepsForBackward
    self.activationBudget = activationBudget
  }
}

/// The result of a forward pass.
public protocol ScoredForest: AnyObject {
  /// By scored node, the natural logarithm of its probability.
  var logprobs: [Float] { get }
  /// By scored node, the entropy in nats of the distribution that it was drawn from; empty if not asked for.
  var entropies: [Float] { get }

  /// Adds the derivative of a loss with respect to every trained parameter.
  ///
  /// - Parameters:
  ///   - logprobGradients: by scored node, the loss's derivative with respect to its logprob.
  ///   - entropyGradients: the same for entropies; empty: zeros.
  ///   - gradient: made by the policy.
  func backward(logprobGradients: [Float], entropyGradients: [Float], into gradient: any GradientStore) throws
}
