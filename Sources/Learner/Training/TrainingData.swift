/// The groups that a run trains on.
public protocol TrainingData: AnyObject {
  /// Number of groups.
  var count: Int { get }

  /// A group; asked for again each time it is needed, so that only an update's groups are in memory.
  func tree(_ index: Int) throws -> TrainingTree
}
