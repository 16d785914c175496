/// Which rows of the LM head a scored set of nodes needs: a row predicts all children of a node at once.
struct ScoredEdges {
  /// The distinct parents of scored nodes, ascending.
  private(set) var parents: [Int32] = []
  /// For each scored node its row, an index into `parents`.
  private(set) var rows: [Int] = []
  /// For each scored node its token.
  private(set) var tokens: [Int32] = []
  /// The scored nodes' indices in order of their rows, and where each row's begin.
  private(set) var byRow: [Int] = []
  private(set) var firstOfRow: [Int] = []

  init(_ forest: TokenForest, _ nodes: [Int32]) throws(PolicyError) {
    var isParent = [Bool](repeating: false, count: forest.count)
    for node in nodes {
      guard node >= 0, Int(node) < forest.count else {
        throw PolicyError(.mismatch, "node \(node) is not one of \(forest.count)")
      }
      let parent = forest.parents[Int(node)]
      guard parent >= 0 else {
        throw PolicyError(.mismatch, "node \(node) is a root: nothing predicts it")
      }
      isParent[Int(parent)] = true
    }
    var rowOf = [Int](repeating: -1, count: forest.count)
    for node in isParent.indices where isParent[node] {
      rowOf[node] = parents.count
      parents.append(Int32(node))
    }
    rows = nodes.map { rowOf[Int(forest.parents[Int($0)])] }
    tokens = nodes.map { forest.tokens[Int($0)] }
    firstOfRow = [Int](repeating: 0, count: parents.count + 1)
    for row in rows { firstOfRow[row + 1] += 1 }
    for row in parents.indices { firstOfRow[row + 1] += firstOfRow[row] }
    var next = firstOfRow
    byRow = [Int](repeating: 0, count: nodes.count)
    for (i, row) in rows.enumerated() {
      byRow[next[row]] = i
      next[row] += 1
    }
  }

  /// Indices of the scored nodes whose rows are in the range.
  func nodes(inRows range: Range<Int>) -> ArraySlice<Int> {
    byRow[firstOfRow[range.lowerBound]..<firstOfRow[range.upperBound]]
  }
}
