/// The settings of a LoRA adapter: y = W x + b + scale · B (A x).
public struct LoRASettings: Sendable, Equatable {
  /// Rows of A and columns of B.
  public var rank: Int
  public var alpha: Double
  /// Which projections are adapted.
  public var targets: LoRATargets
  /// Rank-stabilised (arXiv 2312.03732): the scale is alpha / √rank.
  public var usesRSLoRA: Bool
  /// What `base_model_name_or_path` says.
  public var baseModel: String?
  /// Share of A's inputs that training sets to zero; nothing outside training.
  public var dropout: Double

  public init(
    rank: Int, alpha: Double, targets: LoRATargets = .allLinear, usesRSLoRA: Bool = false, baseModel: String? = nil,
    dropout: Double = 0
  ) {
    self.rank = rank
    self.alpha = alpha
    self.targets = targets
    self.usesRSLoRA = usesRSLoRA
    self.baseModel = baseModel
    self.dropout = dropout
  }

  /// What B (A x) is multiplied by.
  public var scale: Double { usesRSLoRA ? alpha / Double(rank).squareRoot() : alpha / Double(rank) }
}
