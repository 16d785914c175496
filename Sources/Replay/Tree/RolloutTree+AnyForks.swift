import Rollouts

extension RolloutTree {
  /// The forks of the tree in which every common token prefix is shared, whatever is declared.
  ///
  /// A trajectory's parent is the earlier one with the longest common prefix, the earliest of several; nothing in
  /// common: no parent. Text-only: equal kind, tool and text of whole segments. Paths enter a trie that compares their
  /// tokens, so time is linear in the tokens of all paths.
  public func anyForks() -> GroupForks {
    var items = PathItems(self)
    var trie = PrefixTrie()
    var forks = GroupForks(parents: [], branches: [])
    for t in paths.indices {
      let shared = trie.insert(items.items(of: t, 0..<paths[t].length))
      forks.parents.append(shared?.owner)
      forks.branches.append(shared?.length ?? 0)
    }
    return forks
  }
}

/// The units of paths as numbers that are equal if the units are: token ids, or negative numbers given to segments of
/// text.
struct PathItems {
  private struct Key: Hashable {
    var kind: SegmentKind
    var tool: String?
    var text: String?
  }

  private let tree: RolloutTree
  private var ids: [Key: Int32] = [:]
  /// By trajectory, the items it stores; tokens are read in place.
  private var texts: [[Int32]?]

  init(_ tree: RolloutTree) {
    self.tree = tree
    texts = [[Int32]?](repeating: nil, count: tree.count)
  }

  /// The items in a range of a path.
  mutating func items(of t: Int, _ range: Range<Int>) -> [Int32] {
    var out: [Int32] = []
    out.reserveCapacity(range.count)
    for piece in tree.paths[t].pieces {
      let part = piece.range.clamped(to: range)
      if part.isEmpty { continue }
      let offset = tree.paths[piece.owner].storageBranch
      let stored = (part.lowerBound - offset)..<(part.upperBound - offset)
      if let columns = tree.group.trajectories[piece.owner].columns {
        out += columns.tokenIDs[stored]
      } else {
        out += textItems(piece.owner)[stored]
      }
    }
    return out
  }

  /// The number of a segment's text.
  mutating func id(of s: Segment) -> Int32 {
    let key = Key(kind: s.kind, tool: s.tool, text: s.text)
    if let id = ids[key] { return id }
    let id = -1 - Int32(ids.count)
    ids[key] = id
    return id
  }

  private mutating func textItems(_ t: Int) -> [Int32] {
    if let known = texts[t] { return known }
    let items = tree.group.trajectories[t].segments.map { id(of: $0) }
    texts[t] = items
    return items
  }
}

/// A radix trie over sequences; each edge knows the first sequence that has it.
private struct PrefixTrie {
  private struct Edge {
    var owner: Int
    /// Positions in the owner's sequence.
    var range: Range<Int>
    var children: [Int32: Int] = [:]
  }

  private var sequences: [[Int32]] = []
  private var edges = [Edge(owner: 0, range: 0..<0)]

  /// Adds a sequence and returns the longest prefix it has in common with an earlier one, and the first that has it.
  mutating func insert(_ sequence: [Int32]) -> (owner: Int, length: Int)? {
    let me = sequences.count
    sequences.append(sequence)
    var at = 0
    while true {
      let depth = edges[at].range.upperBound
      let shared = depth > 0 ? (owner: edges[at].owner, length: depth) : nil
      if depth == sequence.count { return shared }
      guard let child = edges[at].children[sequence[depth]] else {
        edges[at].children[sequence[depth]] = edges.count
        edges.append(Edge(owner: me, range: depth..<sequence.count))
        return shared
      }
      let end = edges[child].range.upperBound
      let common = commonEnd(sequence, sequences[edges[child].owner], depth..<min(end, sequence.count))
      if common < end { split(child, of: at, at: common) }
      at = common < end ? edges.count - 1 : child
    }
  }

  /// Puts a new edge with the first items of an edge before it.
  private mutating func split(_ child: Int, of parent: Int, at position: Int) {
    let owner = edges[child].owner
    let start = edges[child].range.lowerBound
    edges[parent].children[sequences[owner][start]] = edges.count
    edges.append(
      Edge(owner: owner, range: start..<position, children: [sequences[owner][position]: child]))
    edges[child].range = position..<edges[child].range.upperBound
  }

  /// The first position of the range at which two sequences differ, or its end.
  private func commonEnd(_ a: [Int32], _ b: [Int32], _ range: Range<Int>) -> Int {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        for i in range where a[i] != b[i] { return i }
        return range.upperBound
      }
    }
  }
}
