/// Which neighbours merge, how early, and into what: a hash table from a pair of ids.
struct MergeTable: Sendable {
  /// What a pair merges into.
  struct Merge {
    /// Lower merges first.
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
  }

  private var keys: [UInt64]
  private var values: [Merge]
  private let mask: Int

  /// - Parameter merges: left, right and merged id, the first of them merging first. Of a repeated pair the last counts,
  ///   as in the reference.
  init(_ merges: [(left: Int32, right: Int32, merged: Int32)]) {
    var capacity = 16
    while capacity < 2 * merges.count { capacity *= 2 }
    mask = capacity - 1
    keys = [UInt64](repeating: .max, count: capacity)
    values = [Merge](repeating: .none, count: capacity)
    for (rank, merge) in merges.enumerated() {
      let key = Self.key(merge.left, merge.right)
      let i = slot(key)
      keys[i] = key
      values[i] = Merge(rank: UInt32(rank), id: merge.merged)
    }
  }

  @inline(__always)
  subscript(left: Int32, right: Int32) -> Merge {
    values[slot(Self.key(left, right))]
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(_ key: UInt64) -> Int {
    var i = Int(truncatingIfNeeded: ByteHash.mix(key)) & mask
    while keys[i] != key, keys[i] != .max { i = (i &+ 1) & mask }
    return i
  }
}
