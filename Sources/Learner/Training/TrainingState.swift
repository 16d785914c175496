/// Where a run is: with the parameters and the optimiser's moments, all that it needs to go on.
///
/// Random numbers come from counters (seed, epoch), so the number of updates is their state too.
public struct TrainingState: Codable, Sendable, Equatable {
  /// Updates done, skipped ones included: the position in the data.
  public var update = 0
  /// Steps of the optimiser.
  public var optimiserSteps = 0
  /// Updates that were not applied because of numbers that are not finite.
  public var skipped = 0
  /// The last of them in a row.
  public var skippedInARow = 0
  /// Numbers that were not finite.
  public var notFinite = 0
  /// Tokens trained on, without sharing.
  public var tokens = 0
  /// The KL coefficient.
  public var kl: KLController
  /// Gradient norms of the last updates.
  public var recentNorms: [Double] = []
  /// By kind, how many updates had a finding.
  public var warnings: [String: Int] = [:]
  /// Bytes of metrics.jsonl that belong to these updates.
  public var metricsBytes = 0

  /// The start.
  public init(kl: KLController) { self.kl = kl }
}
