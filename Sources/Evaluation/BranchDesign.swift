public import Replay

/// How a branched group was sampled: what each leaf counts, and what is known of a state from its other continuations.
///
/// Branching samples some states more often than others, so leaves are not alike: at a fork of b continuations each
/// stands for 1/b of the state's future. A leaf's *design weight* is the product of these over the forks of its path; the
/// weights of a group sum to 1, and the weighted mean of the rewards is an unbiased estimate of the behaviour policy's
/// value, where the plain mean over leaves is not. That holds if the decision to branch looks at nothing behind the fork
/// (ARPO's lagged rule does not; a rule on the first tokens behind a result does) and if the forks are the sampler's own:
/// a prefix that two independent rollouts happen to share is no fork.
///
/// Padded copies are no samples, so multiplicity does not enter.
public struct BranchDesign: Sendable {
  /// By leaf, its design weight; 0 for leaves that take no part.
  public let weights: [Double]
  /// By leaf, its forks from the prompt on: the path index and the mean value of the other continuations there.
  ///
  /// Only forks at which others were sampled. The value is independent of the leaf's own continuation.
  public let baselines: [[(index: Int, value: Double)]]

  /// The design of a group as its log declares it; one that declares no fork was sampled rollout by rollout.
  ///
  /// Forks that are only inferred from common prefixes do not count: which baseline a leaf gets would then depend on what
  /// it does itself, and the estimates would be biased.
  ///
  /// - Parameter rewards: by leaf; `nil`: it takes no part, and its siblings share its weight.
  public init(tree: RolloutTree, rewards: [Double?]) {
    let forks =
      tree.declaresForks
      ? tree.forks
      : GroupForks(parents: tree.paths.map { _ in nil }, branches: tree.paths.map { _ in 0 })
    self.init(nodes: tree.nodes(forks), rewards: rewards)
  }

  /// - Parameter nodes: under the sampler's own forks.
  init(nodes tree: NodeTree, rewards: [Double?]) {
    var builder = Builder(tree: tree, rewards: rewards)
    builder.walk()
    weights = builder.weights
    baselines = builder.baselines
  }

  init(weights: [Double], baselines: [[(index: Int, value: Double)]]) {
    self.weights = weights
    self.baselines = baselines
  }

  private struct Builder {
    let tree: NodeTree
    let rewards: [Double?]
    /// By node, its children; the prompt's stand at `tree.nodes.count`.
    var children: [[Int]]
    /// By place, leaves that end there and have a reward.
    var ends: [[Int]]
    /// By place, the mean over its continuations of their values; `nil` where no scored leaf passes.
    var values: [Double?]
    var weights: [Double]
    var baselines: [[(index: Int, value: Double)]]

    init(tree: NodeTree, rewards: [Double?]) {
      self.tree = tree
      self.rewards = rewards
      let root = tree.nodes.count
      children = [[Int]](repeating: [], count: root + 1)
      ends = [[Int]](repeating: [], count: root + 1)
      values = [Double?](repeating: nil, count: root + 1)
      weights = [Double](repeating: 0, count: rewards.count)
      baselines = [[(index: Int, value: Double)]](repeating: [], count: rewards.count)
      for n in tree.nodes.indices {
        children[tree.nodes[n].parent ?? root].append(n)
        ends[n] = tree.nodes[n].ends.filter { rewards[$0] != nil }
      }
      ends[root] = rewards.indices.filter { tree.through[$0].isEmpty && rewards[$0] != nil }
      // Parents stand before their children.
      for place in tree.nodes.indices.reversed() + [root] {
        let continuations = self.continuations(place)
        values[place] =
          continuations.isEmpty ? nil : continuations.reduce(0) { $0 + $1.value } / Double(continuations.count)
      }
    }

    /// What follows a place: nodes, and leaves that end there.
    func continuations(_ place: Int) -> [(node: Int?, leaf: Int?, value: Double)] {
      let nodes = children[place].compactMap { n in values[n].map { (node: Optional(n), leaf: Int?.none, value: $0) } }
      let leaves = ends[place].compactMap { t in rewards[t].map { (node: Int?.none, leaf: Optional(t), value: $0) } }
      return nodes + leaves
    }

    mutating func walk() {
      let root = tree.nodes.count
      var stack = [(place: root, weight: 1.0)]
      while let (place, weight) = stack.popLast() {
        let all = continuations(place)
        guard let mean = values[place] else { continue }
        let count = Double(all.count)
        let index = place == root ? 0 : tree.nodes[place].range.upperBound
        for continuation in all {
          let members = continuation.leaf.map { [$0] } ?? continuation.node.map { tree.nodes[$0].leaves } ?? []
          if all.count > 1 {
            let others = (count * mean - continuation.value) / (count - 1)
            for t in members where rewards[t] != nil {
              baselines[t].append((index: index, value: others))
            }
          }
          if let leaf = continuation.leaf { weights[leaf] = weight / count }
          if let node = continuation.node { stack.append((node, weight / count)) }
        }
      }
      // The walk reaches an inner fork after the outer ones, so each leaf's own are in order.
    }
  }
}
