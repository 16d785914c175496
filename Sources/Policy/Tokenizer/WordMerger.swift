/// Merges the bytes of one word into tokens: always the pair of the lowest rank, the leftmost of equals.
struct WordMerger {
  // Short words by search, long ones with a heap, so that a text without a break stays near linear.
  private static let shortWord = 48

  private var ids: [Int32] = []
  private var merges: [MergeTable.Merge] = []
  private var previous: [Int32] = []
  private var next: [Int32] = []
  private var heap: [Candidate] = []

  private struct Candidate {
    /// Rank in the upper half, position in the lower: the order of merging.
    var key: UInt64
    var id: Int32
  }

  /// Appends the tokens of a word that is not empty.
  mutating func merge(
    _ word: UnsafeBufferPointer<UInt8>, _ table: MergeTable, byteIDs: [Int32], into out: inout [Int32]
  ) {
    ids.removeAll(keepingCapacity: true)
    for byte in word { ids.append(byteIDs[Int(byte)]) }
    if ids.count == 1 {
      out.append(ids[0])
    } else if ids.count <= Self.shortWord {
      mergeShort(table)
      out.append(contentsOf: ids)
    } else {
      mergeLong(table, into: &out)
    }
  }

  private mutating func mergeShort(_ table: MergeTable) {
    merges.removeAll(keepingCapacity: true)
    for i in 0..<(ids.count &- 1) { merges.append(table[ids[i], ids[i &+ 1]]) }
    while true {
      var best = UInt32.max
      var at = 0
      for i in 0..<merges.count where merges[i].rank < best {
        best = merges[i].rank
        at = i
      }
      guard best < .max else { return }
      ids[at] = merges[at].id
      ids.remove(at: at &+ 1)
      merges.remove(at: at)
      if at > 0 { merges[at &- 1] = table[ids[at &- 1], ids[at]] }
      if at < merges.count { merges[at] = table[ids[at], ids[at &+ 1]] }
    }
  }

  private mutating func mergeLong(_ table: MergeTable, into out: inout [Int32]) {
    let count = ids.count
    previous = (0..<count).map { Int32($0 - 1) }
    next = (0..<count).map { Int32($0 + 1 < count ? $0 + 1 : -1) }
    heap.removeAll(keepingCapacity: true)
    for i in 0..<(count &- 1) { push(table[ids[i], ids[i &+ 1]], at: i) }
    while let top = pop() {
      let at = Int(truncatingIfNeeded: top.key & 0xFFFF_FFFF)
      // The pair may be gone: its left half merged into another (-1), or one of the halves grown.
      guard ids[at] >= 0, next[at] >= 0 else { continue }
      let right = Int(next[at])
      let merge = table[ids[at], ids[right]]
      guard merge.id == top.id, merge.rank < .max else { continue }
      ids[at] = top.id
      ids[right] = -1
      next[at] = next[right]
      if next[at] >= 0 { previous[Int(next[at])] = Int32(truncatingIfNeeded: at) }
      if previous[at] >= 0 {
        let left = Int(previous[at])
        push(table[ids[left], ids[at]], at: left)
      }
      if next[at] >= 0 { push(table[ids[at], ids[Int(next[at])]], at: at) }
    }
    for id in ids where id >= 0 { out.append(id) }
  }

  private mutating func push(_ merge: MergeTable.Merge, at position: Int) {
    guard merge.rank < .max else { return }
    let candidate = Candidate(key: UInt64(merge.rank) << 32 | UInt64(UInt32(position)), id: merge.id)
    heap.append(candidate)
    var i = heap.count &- 1
    while i > 0 {
      let parent = (i &- 1) / 2
      guard heap[parent].key > candidate.key else { break }
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = candidate
  }

  private mutating func pop() -> Candidate? {
    guard let top = heap.first else { return nil }
    let last = heap.removeLast()
    if heap.isEmpty { return top }
    var i = 0
    while true {
      var child = 2 &* i &+ 1
      guard child < heap.count else { break }
      if child &+ 1 < heap.count, heap[child &+ 1].key < heap[child].key { child &+= 1 }
      guard heap[child].key < last.key else { break }
      heap[i] = heap[child]
      i = child
    }
    heap[i] = last
    return top
  }
}
