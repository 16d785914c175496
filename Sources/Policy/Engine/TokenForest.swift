/// A run of nodes in which each is the only child of the one before it.
public struct ForestSegment: Sendable, Equatable {
  /// Node indices.
  public var nodes: Range<Int>
  /// The segment that the first node's parent ends, or -1 at a root.
  public var parent: Int
}

/// Token tries in depth-first pre-order, the only batch type of the engine: a batch of sequences is a forest of chains.
///
/// A node sees its ancestors and itself, and its position is its depth; so whatever several sequences share is computed
/// once. As each segment is contiguous, the ancestors of a node are a handful of index ranges.
public struct TokenForest: Sendable, Equatable {
  /// Token ids.
  public let tokens: [Int32]
  /// Index of each node's parent, -1 for a root.
  public let parents: [Int32]
  /// Depth of each node, 0 for a root.
  public let positions: [Int32]
  /// The unary chains, in order of their nodes.
  public let segments: [ForestSegment]

  /// - Parameter parents: Index of each node's parent, -1 for a root, in depth-first pre-order: a node's parent is the
  ///   node before it or one of that node's ancestors.
  /// - Throws: ``PolicyError`` `mismatch` if the lengths differ or the order is another.
  public init(tokens: [Int32], parents: [Int32]) throws(PolicyError) {
    guard tokens.count == parents.count else {
      throw PolicyError(.mismatch, "\(tokens.count) tokens and \(parents.count) parents")
    }
    guard tokens.count <= Int(Int32.max) else { throw PolicyError(.mismatch, "a forest of over 2^31 nodes") }
    var path: [Int32] = []
    var positions: [Int32] = []
    var children = [Int32](repeating: 0, count: tokens.count)
    positions.reserveCapacity(tokens.count)
    for (i, parent) in parents.enumerated() {
      while let last = path.last, last != parent { path.removeLast() }
      guard parent == -1 || !path.isEmpty else {
        throw PolicyError(
          .mismatch, "node \(i) has the parent \(parent), which is not on the path to the node before it")
      }
      if parent >= 0 { children[Int(parent)] += 1 }
      positions.append(Int32(path.count))
      path.append(Int32(i))
    }
    var segments: [ForestSegment] = []
    var segmentOf = [Int](repeating: 0, count: tokens.count)
    for (i, parent) in parents.enumerated() {
      if parent >= 0, Int(parent) == i - 1, children[i - 1] == 1 {
        segments[segments.count - 1].nodes = segments[segments.count - 1].nodes.lowerBound..<(i + 1)
      } else {
        segments.append(ForestSegment(nodes: i..<(i + 1), parent: parent < 0 ? -1 : segmentOf[Int(parent)]))
      }
      segmentOf[i] = segments.count - 1
    }
    self.tokens = tokens
    self.parents = parents
    self.positions = positions
    self.segments = segments
  }

  /// Separate sequences, one chain each.
  public init(sequences: [[Int32]]) throws(PolicyError) {
    var parents: [Int32] = []
    for sequence in sequences {
      let first = Int32(parents.count)
      parents += sequence.indices.map { $0 == 0 ? -1 : first + Int32($0) - 1 }
    }
    try self.init(tokens: sequences.flatMap { $0 }, parents: parents)
  }

  public var count: Int { tokens.count }

  /// The index ranges of all ancestors of a segment's first node, ascending, joined where they touch.
  func ancestors(of segment: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var s = segments[segment].parent
    while s >= 0 {
      let nodes = segments[s].nodes
      if let last = ranges.last, last.lowerBound == nodes.upperBound {
        ranges[ranges.count - 1] = nodes.lowerBound..<last.upperBound
      } else {
        ranges.append(nodes)
      }
      s = segments[s].parent
    }
    return ranges.reversed()
  }
}
