import Replay

/// Which nodes of a long tree are drawn, and how many each of them hides.
struct TreeFolding {
  /// By node: whether it is drawn.
  let isShown: [Bool]
  /// By node: nodes below it that are not drawn.
  let hidden: [Int]
  /// Top nodes that are not drawn, as there are too many.
  let hiddenTops: [Int]

  /// Shows whole levels as long as they fit.
  ///
  /// - Parameters:
  ///   - rows: lines at the most, at least 1; `nil`: all nodes.
  ///   - depth: nodes deeper than this are hidden; `nil`: as many levels as fit.
  init(_ nodes: [NodeReport], rows: Int?, depth: Int?) {
    let deepest = nodes.map(\.depth).max() ?? 0
    var byDepth = [Int](repeating: 0, count: deepest + 1)
    for node in nodes { byDepth[node.depth] += 1 }
    var limit = depth ?? deepest
    if let rows, depth == nil {
      var total = 0
      limit = -1
      for d in 0...deepest {
        total += byDepth[d]
        if total > rows { break }
        limit = d
      }
      limit = max(limit, 0)
    }
    var shown = nodes.map { $0.depth <= limit }
    var tops: [Int] = []
    if let rows, byDepth[0] > rows {
      let all = nodes.indices.filter { nodes[$0].depth == 0 }
      tops = Array(all.dropFirst(rows))
      let cut = tops.first ?? nodes.count
      for n in nodes.indices where n >= cut { shown[n] = false }
    }
    var hidden = [Int](repeating: 0, count: nodes.count)
    for n in nodes.indices where !shown[n] {
      var at = nodes[n].node.parent
      while let up = at, !shown[up] { at = nodes[up].node.parent }
      if let at { hidden[at] += 1 }
    }
    isShown = shown
    self.hidden = hidden
    hiddenTops = tops
  }
}
