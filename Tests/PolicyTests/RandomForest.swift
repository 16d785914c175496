@testable import Policy

/// Random tries, with long and short segments and several roots.
enum RandomForest {
  static func make(
    nodes: Int, using generator: inout some RandomNumberGenerator, vocabulary: Int
  ) throws -> TokenForest {
    var parents: [Int32] = []
    var path: [Int32] = []
    for node in 0..<nodes {
      // Mostly on from the last node; now and then back to one of its ancestors, or a new root.
      if Int.random(in: 0..<6, using: &generator) == 0 {
        path.removeLast(Int.random(in: 0...path.count, using: &generator))
      }
      parents.append(path.last ?? -1)
      path.append(Int32(node))
    }
    let tokens = (0..<nodes).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &generator) }
    return try TokenForest(tokens: tokens, parents: parents)
  }
}
