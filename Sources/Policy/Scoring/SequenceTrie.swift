/// Token sequences merged on their common prefixes: what several share is one node.
public struct SequenceTrie: Sendable {
  private(set) var tokens: [Int32] = []
  /// -1: a root.
  private(set) var parents: [Int32] = []
  private var firstChild: [Int32] = []
  private var lastChild: [Int32] = []
  private var nextSibling: [Int32] = []
  private var firstRoot: Int32 = -1
  private var lastRoot: Int32 = -1

  public init() {}

  public var count: Int { tokens.count }

  /// Adds a sequence.
  /// - Returns: the node of each of its tokens.
  public mutating func insert(_ ids: some Collection<Int32>) -> [Int32] {
    var nodes: [Int32] = []
    nodes.reserveCapacity(ids.count)
    var parent: Int32 = -1
    for id in ids {
      let node = child(of: parent, id) ?? append(id, to: parent)
      nodes.append(node)
      parent = node
    }
    return nodes
  }

  private func child(of parent: Int32, _ id: Int32) -> Int32? {
    var node = parent < 0 ? firstRoot : firstChild[Int(parent)]
    while node >= 0, tokens[Int(node)] != id { node = nextSibling[Int(node)] }
    return node < 0 ? nil : node
  }

  private mutating func append(_ id: Int32, to parent: Int32) -> Int32 {
    let node = Int32(tokens.count)
    tokens.append(id)
    parents.append(parent)
    firstChild.append(-1)
    lastChild.append(-1)
    nextSibling.append(-1)
    let last = parent < 0 ? lastRoot : lastChild[Int(parent)]
    if last >= 0 { nextSibling[Int(last)] = node }
    if parent < 0 {
      if firstRoot < 0 { firstRoot = node }
      lastRoot = node
    } else {
      if firstChild[Int(parent)] < 0 { firstChild[Int(parent)] = node }
      lastChild[Int(parent)] = node
    }
    return node
  }

  /// The nodes in depth-first pre-order.
  func preorder() -> [Int32] {
    var order: [Int32] = []
    order.reserveCapacity(count)
    var node = firstRoot
    while node >= 0 {
      order.append(node)
      var next = firstChild[Int(node)]
      var at = node
      while next < 0, at >= 0 {
        next = nextSibling[Int(at)]
        at = parents[Int(at)]
      }
      node = next
    }
    return order
  }
}
