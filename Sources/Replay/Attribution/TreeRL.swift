/// TreeRL: a token's advantage is its node's value above the parent's, plus the node's value itself.
///
/// Leaf value x = R - mean of the others' R. A node n has acc(n) = sum of x over the L(n) leaves through it, and len(n)
/// generated tokens; the virtual root (the prompt) has all leaves and len 0. Recentring subtracts mu L(n) from acc(n), mu
/// = sum acc len / sum L len over all nodes. V = acc / L, and A = V(n) - V(parent) + V(n). Scored leaves only, by
/// multiplicity. No epsilon, no standard deviation. One leaf, or equal rewards: exactly 0. Sources: TreeRL tree_node.py,
/// parallel_mcts.py.
public struct TreeRL: AttributionStrategy {
  /// The formula, or what the published script makes of it.
  public enum Variant: Sendable, Hashable {
    /// As above.
    case plain
    /// acc is divided by sqrt(L) after recentring, and from the second node of a path on a step |V(n) - V(parent)| below
    /// 1e-8 is replaced by the previous node's.
    case code
  }

  /// Which of them.
  public let variant: Variant

  /// TreeRL by the formula or by the script.
  public init(_ variant: Variant = .plain) { self.variant = variant }

  public var name: String { variant == .plain ? "treerl" : "treerl:code" }
  public var formula: String {
    let value = variant == .plain ? "acc / L" : "acc / L^1.5"
    return "A = V(n) - V(parent) + V(n), V = \(value), acc = recentred sum of R - mean of the others over L leaves"
  }
  public let source = "TreeRL tree_node.py, parallel_mcts.py"
  public let needs = AttributionNeeds.tokens
  public let kind = AttributionKind.token
  public let invariants = AttributionInvariants.sharedTokensAgree

  public func advantages(of group: AttributionGroup, in batches: BatchStatistics) -> [PathAdvantages] {
    let scored = group.scored
    let rewards = scored.compactMap { group.leaves[$0].reward }
    let n = scored.reduce(0) { $0 + group.leaves[$1].multiplicity }
    if n <= 1 || areEqual(rewards) { return group.leaves.map { $0.reward == nil ? .missing : .constant(0) } }
    var total = 0.0
    for (t, reward) in zip(scored, rewards) { total += reward * Double(group.leaves[t].multiplicity) }
    var x = [Double](repeating: 0, count: group.leaves.count)
    for (t, reward) in zip(scored, rewards) { x[t] = reward - (total - reward) / Double(n - 1) }
    let values = nodeValues(group, x)
    return group.leaves.indices.map { t in
      group.leaves[t].reward == nil ? .missing : group.spread(values, over: group.tree, leaf: t)
    }
  }

  /// The advantage of each node's tokens.
  private func nodeValues(_ group: AttributionGroup, _ x: [Double]) -> [Double] {
    let nodes = group.tree.nodes
    var root = NodeSum(group, group.scored, x, tokens: 0)
    var sums = nodes.map { node in
      let tokens = group.leaves[node.owner].generated.reduce(0) { $0 + $1.clamped(to: node.range).count }
      return NodeSum(group, node.leaves, x, tokens: tokens)
    }
    let divisor = sums.reduce(0.0) { $0 + $1.leaves * $1.tokens }
    let mu = divisor == 0 ? 0 : sums.reduce(0.0) { $0 + $1.total * $1.tokens } / divisor
    root.settle(mu, variant)
    for n in sums.indices { sums[n].settle(mu, variant) }
    // Parents stand before their children.
    var local = [Double](repeating: 0, count: nodes.count)
    for n in nodes.indices where sums[n].leaves > 0 {
      let parent = nodes[n].parent
      local[n] = sums[n].value - (parent.map { sums[$0].value } ?? root.value)
      if variant == .code, let parent, abs(local[n]) < 1e-8 { local[n] = local[parent] }
    }
    return nodes.indices.map { local[$0] + sums[$0].value }
  }
}

/// A node's leaves, and what they sum to.
struct NodeSum {
  var total = 0.0
  var leaves = 0.0
  var tokens: Double
  var value = 0.0

  init(_ group: AttributionGroup, _ members: [Int], _ x: [Double], tokens: Int) {
    self.tokens = Double(tokens)
    for t in members where group.leaves[t].reward != nil {
      total += x[t] * Double(group.leaves[t].multiplicity)
      leaves += Double(group.leaves[t].multiplicity)
    }
  }

  /// Recentres the sum and sets the value; a node without scored leaves keeps 0.
  mutating func settle(_ mu: Double, _ variant: TreeRL.Variant) {
    if leaves == 0 { return }
    total -= mu * leaves
    if variant == .code { total /= leaves.squareRoot() }
    value = total / leaves
  }
}

extension TreeRL {
  public func explain(_ token: TokenPlace, of group: AttributionGroup, in batches: BatchStatistics) -> Explanation {
    if let nothing = nothingToExplain(token, group) { return nothing }
    var out = Explanation()
    let (rewards, weights, _) = group.scoredRewards(Array(group.leaves.indices), leaf: token.leaf)
    let n = weights.reduce(0, +)
    if n <= 1 || areEqual(rewards) {
      out.define("A", "the rewards of the group are equal, or there is one only", 0)
      return out
    }
    let count = Arithmetic(n)
    let total = out.define(
      "total", "sum of the rewards of the group's scored leaves",
      .sum(zip(rewards, weights).map { $1 == 1 ? .number($0) : Arithmetic($1) * .number($0) }))
    var x = [Double](repeating: 0, count: group.leaves.count)
    for t in group.scored {
      let r = Arithmetic.number(group.leaves[t].reward ?? 0)
      x[t] = out.define("x(\(group.leaves[t].id))", "R - mean of the others", r - (total - r) / (count - 1)).value
    }
    let nodes = group.tree.nodes
    let sums = nodes.map { node in
      NodeSum(
        group, node.leaves, x,
        tokens: group.leaves[node.owner].generated.reduce(0) { $0 + $1.clamped(to: node.range).count })
    }
    let divisor = Arithmetic.sum(sums.map { .number($0.leaves) * .number($0.tokens) })
    let mu =
      divisor.value == 0
      ? out.define("mu", "no node has generated tokens", 0)
      : out.define(
        "mu", "sum of acc len over sum of L len, over the nodes",
        .sum(sums.map { .number($0.total) * .number($0.tokens) }) / divisor)
    guard let at = group.tree.through[token.leaf].firstIndex(where: { nodes[$0].range.contains(token.index) }) else {
      return .undefined("the token is on no node of the tree")
    }
    // The code's rule for small steps looks back along the path.
    let path = Array(group.tree.through[token.leaf].prefix(at + 1))
    var above = out.nodeValue(
      "V(prompt)", NodeSum(group, group.scored, x, tokens: 0), group.scored, x, mu, variant, group)
    var local: Arithmetic = 0
    var value: Arithmetic = 0
    for (depth, node) in path.enumerated() {
      value = out.nodeValue("V(node \(depth + 1))", sums[node], nodes[node].leaves, x, mu, variant, group)
      let step = value - above
      if variant == .code, depth > 0, abs(step.value) < 1e-8 {
        out.note("node \(depth + 1) keeps the step of the node before: its own is below 1e-8")
      } else {
        local = out.define("step \(depth + 1)", "V(node \(depth + 1)) - V of the node before", step)
      }
      above = value
    }
    out.define("A", "step + V of the token's node, node \(path.count) of its path", local + value)
    return out
  }
}

extension Explanation {
  fileprivate mutating func nodeValue(
    _ symbol: String, _ sum: NodeSum, _ members: [Int], _ x: [Double], _ mu: Arithmetic, _ variant: TreeRL.Variant,
    _ group: AttributionGroup
  ) -> Arithmetic {
    let leaves = Arithmetic.number(sum.leaves)
    let terms = members.filter { group.leaves[$0].reward != nil }.map { t in
      let weight = group.leaves[t].multiplicity
      return weight == 1 ? Arithmetic.number(x[t]) : Arithmetic(weight) * .number(x[t])
    }
    let centred = Arithmetic.sum(terms) - mu * leaves
    let isCode = variant == .code
    return define(
      symbol, "(sum of x over L = \(DocumentValue.decimal(sum.leaves)) leaves - mu L) / L\(isCode ? "^1.5" : "")",
      isCode ? centred / .root(leaves) / leaves : centred / leaves)
  }
}
