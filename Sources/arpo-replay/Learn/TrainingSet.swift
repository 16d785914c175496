import CKernels
import Foundation
import Learner
import RolloutStore

/// The training groups of a run: their rows, and what was counted on the way to them.
final class TrainingSet: TrainingData {
  private(set) var groups: [LearnerGroup] = []
  /// Rows of the training split, in the database's order.
  private(set) var rows: [GroupRow] = []
  private(set) var counts = Counts()
  /// SHA-256 over the training trees.
  private(set) var hash = ""
  private let selection: TrainingSelection

  /// What advantages are, for the record; `nil`: the loss needs none.
  var attributionFormula: String? { selection.attributionFormula }

  /// What a run's data amounts to.
  struct Counts: Sendable {
    var groups: [LearnerGroup.Split: Int] = [:]
    /// Groups dropped and trajectories left out, by reason.
    var dropped: [String: Int] = [:]
    var leftOut: [String: Int] = [:]
    var trajectories = 0
    var trainTrajectories = 0
    var tokensWithoutLogprob = 0
    var trajectoriesWithoutLogprob = 0
    var uniqueTokens = 0
    var flatTokens = 0
    var trainedTokens = 0
    var largestTree = 0
    var longestPath = 0
    var longestResponse = 0
    var largestToken: Int32 = 0
    var temperatures: Set<Double> = []
    /// Ids of the runs.
    var runs: Set<String> = []
  }

  /// Reads the database once.
  ///
  /// - Parameter progress: called with the number of groups seen; throwing ends the pass.
  init(_ selection: TrainingSelection, progress: (Int) throws -> Void) throws {
    self.selection = selection
    var digest = DataDigest()
    try selection.forEach { row, prepared in
      try progress(groups.count)
      groups.append(
        LearnerGroup(
          row: row, split: prepared.split, reason: prepared.reason, trajectories: prepared.tree?.leaves.count ?? 0))
      counts.groups[prepared.split, default: 0] += 1
      counts.trajectories += prepared.trajectories
      if let reason = prepared.reason { counts.dropped[reason, default: 0] += 1 }
      for (reason, n) in prepared.leftOut { counts.leftOut[reason, default: 0] += n }
      guard let tree = prepared.tree, prepared.split == .train else { return }
      rows.append(row)
      counts.add(tree, prepared)
      digest.add(tree)
    }
    hash = digest.hex
  }

  var count: Int { rows.count }

  func tree(_ index: Int) throws -> TrainingTree { try selection.tree(rows[index]) }
}

extension TrainingSet.Counts {
  fileprivate mutating func add(_ tree: TrainingTree, _ prepared: TrainingSelection.Prepared) {
    trainTrajectories += tree.leaves.count
    tokensWithoutLogprob += prepared.tokensWithoutLogprob
    trajectoriesWithoutLogprob += prepared.trajectoriesWithoutLogprob
    uniqueTokens += tree.tokens.count
    flatTokens += tree.flatCount
    trainedTokens += tree.leaves.reduce(0) { $0 + $1.nodes.count }
    largestTree = max(largestTree, tree.tokens.count)
    for leaf in tree.leaves {
      longestPath = max(longestPath, tree.promptCount + leaf.length)
      longestResponse = max(longestResponse, leaf.length)
    }
    largestToken = max(largestToken, tree.tokens.max() ?? 0)
    temperatures.insert(prepared.temperature)
    runs.insert(prepared.run)
  }
}

/// SHA-256 of training trees, in order.
struct DataDigest {
  private var state = arpo_sha256()

  init() { arpo_sha256_begin(&state) }

  mutating func add(_ tree: TrainingTree) {
    add(tree.label)
    add(tree.tokens)
    add(tree.parents)
    for leaf in tree.leaves {
      add(leaf.id)
      add([Int32(clamping: leaf.multiplicity)])
      add(leaf.nodes)
      add(leaf.owned)
      add(leaf.advantages.map(\.bitPattern))
      // Which NaN stands for "absent" is no part of the data.
      add(leaf.behaviour.map { $0.isNaN ? UInt64.max : $0.bitPattern })
    }
  }

  private mutating func add(_ text: String) { add(Array(text.utf8)) }

  private mutating func add<T: FixedWidthInteger>(_ values: [T]) {
    var count = UInt64(values.count).littleEndian
    withUnsafeBytes(of: &count) { arpo_sha256_add(&state, $0.baseAddress, $0.count) }
    values.map(\.littleEndian).withUnsafeBytes { arpo_sha256_add(&state, $0.baseAddress, $0.count) }
  }

  /// Lower-case hexadecimal.
  var hex: String {
    var digest = [UInt8](repeating: 0, count: 32)
    withUnsafePointer(to: state) { arpo_sha256_read($0, &digest) }
    return digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
