/// Which prefix each trajectory of a group shares, and with whom.
public struct GroupForks: Sendable, Equatable {
  /// By trajectory, the one it shares its prefix with.
  public var parents: [Int?]
  /// By trajectory, the first index it owns; 0 without a parent.
  public var branches: [Int]

  /// Forks of these parents and branches.
  public init(parents: [Int?], branches: [Int]) {
    self.parents = parents
    self.branches = branches
  }
}

extension RolloutTree {
  /// The effective forks: declared, or inferred where the group declares none.
  public var forks: GroupForks { GroupForks(parents: paths.map(\.parent), branches: paths.map(\.branch)) }

  /// Every path as runs of tokens by the trajectory that owns them under some forks, empty runs left out.
  ///
  /// Owner and storage are not the same: an inferred fork's shared tokens are stored by each trajectory and owned by
  /// one.
  public func ownedPieces(_ forks: GroupForks) -> [[PathPiece]] {
    var out = [[PathPiece]?](repeating: nil, count: count)
    for t in paths.indices {
      var chain: [Int] = []
      var next: Int? = t
      while let u = next, out[u] == nil {
        chain.append(u)
        next = forks.parents[u]
      }
      for u in chain.reversed() {
        let branch = forks.branches[u]
        var pieces: [PathPiece] = []
        for piece in forks.parents[u].flatMap({ out[$0] }) ?? [] where piece.range.lowerBound < branch {
          pieces.append(PathPiece(owner: piece.owner, range: piece.range.clamped(to: 0..<branch)))
        }
        if branch < paths[u].length { pieces.append(PathPiece(owner: u, range: branch..<paths[u].length)) }
        out[u] = pieces
      }
    }
    return out.map { $0 ?? [] }
  }
}
