import AdaptiveRollout

/// Which groups are kept out of training, decided for each group by a hash of its run and id.
///
/// All trajectories of a prompt are on one side, and more data never moves a group.
public struct HeldOutSplit: Sendable, Equatable {
  /// Share of the groups that is held out, 0..<1.
  public var fraction: Double
  /// Seed of the hash.
  public var seed: UInt64

  /// A split that holds out a share of the groups.
  public init(fraction: Double, seed: UInt64) {
    self.fraction = fraction
    self.seed = seed
  }

  /// Whether a group is held out.
  ///
  /// - Note: the step is not part of the hash, so a prompt that comes back at another step is on the same side.
  public func holdsOut(run: String, group: String) -> Bool {
    guard fraction > 0 else { return false }
    var stream = SeededStream(seed: seed, stream: "held out \(run.utf8.count) \(run) \(group)")
    return stream.random.unit() < fraction
  }
}
