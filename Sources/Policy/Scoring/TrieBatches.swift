/// Cuts a trie into batches that memory has room for, by repeating the paths above.
///
/// Whole subtrees are packed together while they fit. A larger one is cut below a fork, and each part gets the path from
/// the root to it again: that costs its computation once more, but no exactness. A path alone may be longer than the
/// budget; below it a batch may then hold as many nodes again, so that no path is repeated for a few nodes.
struct TrieBatches {
  private let trie: SequenceTrie
  private let order: [Int32]
  /// By place in `order`.
  private var parents: [Int] = []
  private var sizes: [Int] = []
  private let budget: Int

  init(_ trie: SequenceTrie, budget: Int) {
    self.trie = trie
    self.budget = budget
    order = trie.preorder()
    var place = [Int](repeating: -1, count: trie.count)
    for (i, node) in order.enumerated() { place[Int(node)] = i }
    parents = order.map { node in
      let parent = trie.parents[Int(node)]
      return parent < 0 ? -1 : place[Int(parent)]
    }
    sizes = [Int](repeating: 1, count: order.count)
    for i in order.indices.reversed() where parents[i] >= 0 { sizes[parents[i]] += sizes[i] }
  }

  /// Hands over one batch after the other: nodes of the trie in pre-order, and each one's parent by place in the batch.
  func forEach(_ body: (_ nodes: [Int32], _ parents: [Int32]) throws -> Void) throws {
    var local = [Int32](repeating: -1, count: order.count)
    try pack(children(of: -1), below: []) { places in
      for (k, i) in places.enumerated() { local[i] = Int32(k) }
      try body(places.map { order[$0] }, places.map { parents[$0] < 0 ? -1 : local[parents[$0]] })
    }
  }

  private func children(of place: Int) -> [Int] {
    var out: [Int] = []
    let end = place < 0 ? order.count : place + sizes[place]
    var child = place + 1
    while child < end {
      out.append(child)
      child += sizes[child]
    }
    return out
  }

  private func pack(_ siblings: [Int], below path: [Int], _ emit: ([Int]) throws -> Void) throws {
    let limit = max(budget, 2 * path.count)
    var places = path
    for sibling in siblings {
      if path.count + sizes[sibling] <= limit {
        if places.count + sizes[sibling] > limit {
          try emit(places)
          places = path
        }
        places += sibling..<(sibling + sizes[sibling])
        continue
      }
      if places.count > path.count { try emit(places) }
      places = path
      var chain = path
      var place = sibling
      var below: [Int] = []
      while true {
        chain.append(place)
        below = children(of: place)
        guard below.count == 1 else { break }
        place = below[0]
      }
      if below.isEmpty { try emit(chain) } else { try pack(below, below: chain, emit) }
    }
    if places.count > path.count { try emit(places) }
  }
}
