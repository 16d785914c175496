public import Policy

/// What a run may keep in memory, worked out from the shape of the policy before anything is computed.
///
/// The figures are sums of the arrays that the engine and the optimiser hold; they do not count the operating system's
/// copies of mapped files beyond the weights themselves.
public struct MemoryPlan: Sendable, Equatable {
  /// Weights as they stay in memory: stored ones of a frozen policy, float32 of a trained one.
  public var weights: Int
  /// Gradient and both moments of AdamW.
  public var training: Int
  /// Buffers that a forest needs whatever is kept of it.
  public var working: Int
  /// What may be kept for the backward pass; layers that do not fit are computed twice.
  public var activations: Int
  /// Most tokens of a forest.
  public var tokens: Int

  /// All of it, with the quarter more of working and kept buffers that the engine holds ready.
  public var total: Int { weights + training + Self.held(working + activations) }

  private static func held(_ bytes: Int) -> Int { bytes + bytes / 4 }

  /// The process without any policy.
  private static let process = 64 << 20

  /// Fits a run into a limit.
  ///
  /// - Parameters:
  ///   - stored: bytes of the checkpoint's weights.
  ///   - trained: trained scalars.
  ///   - rank: of the adapter, 0 without one.
  ///   - trainsEverything: weights are float32 then.
  ///   - limit: bytes; `nil` = none.
  ///   - wanted: tokens of a forest, as many as fit at the most.
  ///   - longest: tokens of the longest path, which cannot be cut.
  /// - Throws: ``LearnerError`` where even the longest path does not fit.
  public init(
    config: PolicyConfig, stored: Int, trained: Int, rank: Int, trainsEverything: Bool, limit: Int?, wanted: Int,
    longest: Int
  ) throws {
    let queries = config.headCount * config.headDimension
    let keys = config.keyValueHeadCount * config.headDimension
    let layer =
      2 * config.hiddenSize + 2 * queries + 2 * keys + 2 * config.intermediateSize + config.headCount + 2
      + (config.hasQKNorm ? queries + 2 * keys : 0) + 7 * rank
    // A layer on its way back, and the head's states beside it.
    let scratch = layer + 6 * config.hiddenSize + queries + 2 * keys + 3 * config.intermediateSize
    weights = trainsEverything ? 4 * trained : stored + 4 * trained
    training = 12 * trained
    let inputs = config.layerCount * config.hiddenSize
    let everything = config.layerCount * layer
    let tokens = max(wanted, longest)
    guard let limit else {
      self.tokens = tokens
      working = Self.process + 4 * tokens * scratch
      activations = 4 * tokens * everything
      return
    }
    let left = max(0, limit - weights - training) / 5 * 4
    let most = (left - Self.process) / (4 * (scratch + inputs))
    guard most >= longest else {
      let needed = weights + training + Self.held(Self.process + 4 * longest * (scratch + inputs))
      throw LearnerError(
        """
        the longest path has \(longest) tokens and needs about \(Self.text(needed)): weights \(Self.text(weights)), \
        gradient and moments \(Self.text(training)), the rest for the path; the limit is \(Self.text(limit))
        """)
    }
    self.tokens = min(tokens, most)
    working = Self.process + 4 * self.tokens * scratch
    activations = min(4 * self.tokens * everything, left - working)
  }

  /// Bytes as `1.4 GB`.
  public static func text(_ bytes: Int) -> String {
    let (scale, unit) = bytes >= 1_000_000_000 ? (1e9, "GB") : (1e6, "MB")
    return "\((Double(bytes) / scale * 10).rounded() / 10) \(unit)"
  }
}
