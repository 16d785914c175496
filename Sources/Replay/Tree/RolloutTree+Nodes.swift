/// A node of a group's tree: a maximal run of tokens of one owner through which the same trajectories pass.
public struct TreeNode: Sendable, Hashable {
  /// The trajectory that owns the tokens.
  public var owner: Int
  /// Path indices, the same on every path through the node.
  public var range: Range<Int>
  /// The node before it; `nil` at the top.
  public var parent: Int?
  /// The trajectories that pass through, ascending.
  public var leaves: [Int]
  /// Those of them whose last token is the node's last.
  public var ends: [Int]
}

/// The nodes of a group's tree, and each trajectory's way through them.
public struct NodeTree: Sendable {
  /// In pre-order; siblings in the order of their first trajectories.
  ///
  /// Several top nodes are normal: each root rollout starts one, and so does a child with branch 0.
  public let nodes: [TreeNode]
  /// By trajectory, the nodes it passes through, from the top.
  public let through: [[Int]]

  init(nodes: [TreeNode], count: Int) {
    self.nodes = nodes
    var through = [[Int]](repeating: [], count: count)
    for (n, node) in nodes.enumerated() {
      for t in node.leaves { through[t].append(n) }
    }
    self.through = through
  }
}

extension RolloutTree {
  /// The nodes of the tree under some forks.
  ///
  /// Time and memory follow the number of pieces of all paths, not that of tokens.
  ///
  /// - Parameter forks: `nil` = the effective ones.
  public func nodes(_ forks: GroupForks? = nil) -> NodeTree {
    NodeTree(nodes: NodeBuilder(ownedPieces(forks ?? self.forks)).inPreOrder(), count: count)
  }
}

/// Cuts owners' runs into nodes and links them.
private struct NodeBuilder {
  private struct Place: Hashable {
    var owner: Int
    var end: Int
  }

  /// Each owner's nodes are neighbours, ascending.
  private var nodes: [TreeNode] = []
  private var children: [[Int]] = []
  private var tops: [Int] = []

  init(_ pieces: [[PathPiece]]) {
    // All pieces of an owner start at its branch; they differ in where later forks leave it.
    var passing = [[(end: Int, trajectory: Int)]](repeating: [], count: pieces.count)
    var starts = [Int](repeating: 0, count: pieces.count)
    for (t, path) in pieces.enumerated() {
      for piece in path {
        passing[piece.owner].append((piece.range.upperBound, t))
        starts[piece.owner] = piece.range.lowerBound
      }
    }
    var places: [Place: Int] = [:]
    for owner in pieces.indices {
      var start = starts[owner]
      for end in Set(passing[owner].map(\.end)).sorted() {
        places[Place(owner: owner, end: end)] = nodes.count
        nodes.append(
          TreeNode(
            owner: owner, range: start..<end, parent: nil,
            leaves: passing[owner].filter { $0.end >= end }.map(\.trajectory), ends: []))
        start = end
      }
    }
    children = [[Int]](repeating: [], count: nodes.count)
    for n in nodes.indices {
      let owner = nodes[n].owner
      if n > 0, nodes[n - 1].owner == owner {
        nodes[n].parent = n - 1
      } else if let before = pieces[owner].dropLast().last {
        // The first node of an owner hangs on what the owner itself inherits.
        nodes[n].parent = places[Place(owner: before.owner, end: before.range.upperBound)]
      }
      if let parent = nodes[n].parent { children[parent].append(n) } else { tops.append(n) }
    }
    for (t, path) in pieces.enumerated() {
      guard let last = path.last else { continue }
      if let n = places[Place(owner: last.owner, end: last.range.upperBound)] { nodes[n].ends.append(t) }
    }
  }

  func inPreOrder() -> [TreeNode] {
    // Siblings share no trajectory, so their first ones decide.
    func reversed(_ siblings: [Int]) -> [Int] {
      siblings.sorted { (nodes[$0].leaves.first ?? 0) > (nodes[$1].leaves.first ?? 0) }
    }
    var out: [TreeNode] = []
    var number = [Int](repeating: 0, count: nodes.count)
    var stack = reversed(tops)
    while let n = stack.popLast() {
      number[n] = out.count
      var node = nodes[n]
      node.parent = node.parent.map { number[$0] }
      out.append(node)
      stack += reversed(children[n])
    }
    return out
  }
}
