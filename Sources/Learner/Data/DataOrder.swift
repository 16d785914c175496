import AdaptiveRollout

/// The order in which an offline run sees its groups: each epoch a permutation that depends on seed and epoch only.
///
/// The position is a single number, so a resumed run needs nothing else.
public struct DataOrder: Sendable {
  /// Groups of the training split.
  public let count: Int
  /// Groups of an update.
  public let batch: Int
  /// Seed of the permutations.
  public let seed: UInt64
  /// Without shuffling, epochs go through the groups in the database's order.
  public let isShuffled: Bool

  /// An order over `count` groups.
  public init(count: Int, batch: Int, seed: UInt64, isShuffled: Bool = true) {
    self.count = count
    self.batch = max(1, min(batch, max(1, count)))
    self.seed = seed
    self.isShuffled = isShuffled
  }

  /// Updates of an epoch; the last one may have fewer groups.
  public var updatesPerEpoch: Int { (count + batch - 1) / batch }

  /// The groups of an update, counted from 0 over all epochs.
  ///
  /// - Complexity: O(count), for the epoch's permutation.
  public func groups(ofUpdate update: Int) -> [Int] {
    let epoch = update / updatesPerEpoch
    let first = update % updatesPerEpoch * batch
    let order = permutation(epoch: epoch)
    return Array(order[first..<min(first + batch, count)])
  }

  /// The groups in the order of an epoch.
  public func permutation(epoch: Int) -> [Int] {
    guard isShuffled else { return Array(0..<count) }
    var stream = SeededStream(seed: seed, stream: "data order", counter: UInt64(epoch))
    return stream.random.shuffled(Array(0..<count))
  }
}
