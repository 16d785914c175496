public import Replay

/// A prompt group as the learner computes it: each distinct token once, and what each trajectory trains on.
///
/// Nodes are tokens in depth-first pre-order, the prompt first. Sharing is found on token ids, whatever forks the log
/// declares. Only trajectories that are trained on have nodes.
public struct TrainingTree: Sendable {
  /// What the group is called in messages.
  public var label: String
  /// By node, its token.
  public var tokens: [Int32]
  /// By node, the node before it; -1 for the first token.
  public var parents: [Int32]
  /// Nodes of the prompt, which come first.
  public var promptCount: Int
  /// The trajectories.
  public var leaves: [TrainingLeaf]

  /// A tree of these parts.
  public init(label: String, tokens: [Int32], parents: [Int32], promptCount: Int, leaves: [TrainingLeaf]) {
    self.label = label
    self.tokens = tokens
    self.parents = parents
    self.promptCount = promptCount
    self.leaves = leaves
  }

  /// Tokens that a batch without sharing would compute.
  public var flatCount: Int { leaves.reduce(0) { $0 + promptCount + $1.length } }

  /// The nodes that any trajectory trains on, ascending.
  public var trainedNodes: [Int32] {
    var isTrained = [Bool](repeating: false, count: tokens.count)
    for leaf in leaves { for n in leaf.nodes { isTrained[Int(n)] = true } }
    return isTrained.indices.compactMap { isTrained[$0] ? Int32($0) : nil }
  }
}

/// A trajectory of a training tree.
public struct TrainingLeaf: Sendable {
  /// The trajectory's id.
  public var id: String
  /// How many equal trajectories it stands for.
  public var multiplicity: Int
  /// `nil` = unscored.
  public var reward: Double?
  /// Response tokens.
  public var length: Int
  /// Whether the log says that generation ended at a length limit.
  public var isCutOff: Bool
  /// The node of its last token.
  public var end: Int32
  /// By trained token, its node, ascending.
  public var nodes: [Int32]
  /// By trained token, its number in the tree under the group's own forks: only tokens before a fork are shared there.
  public var owned: [Int32]
  /// By trained token.
  public var advantages: [Double]
  /// By trained token, log mu; `NaN` where it is not known.
  public var behaviour: [Double]

  /// A trajectory of these parts.
  ///
  /// - Parameter owned: `nil`: all common prefixes are the group's own.
  public init(
    id: String, multiplicity: Int, reward: Double?, length: Int, isCutOff: Bool = false, end: Int32, nodes: [Int32],
    owned: [Int32]? = nil, advantages: [Double], behaviour: [Double]
  ) {
    self.id = id
    self.multiplicity = multiplicity
    self.reward = reward
    self.length = length
    self.isCutOff = isCutOff
    self.end = end
    self.nodes = nodes
    self.owned = owned ?? nodes
    self.advantages = advantages
    self.behaviour = behaviour
  }
}

extension TrainingTree {
  /// The tree of a group's trajectories.
  ///
  /// - Parameters:
  ///   - label: what messages call the group.
  ///   - prompt: its token ids, at least one: the first response token is predicted from it.
  ///   - tree: the group, with token columns.
  ///   - leaves: positions of the trajectories to train on.
  ///   - advantages: of every trajectory of the group; missing: none of its tokens is trained.
  public init(label: String, prompt: [Int32], tree: RolloutTree, leaves: [Int], advantages: [PathAdvantages]) {
    let shared = tree.nodes(tree.anyForks())
    let own = tree.nodes()
    // By node of the group's own tree, the number of its first token.
    var numbers: [Int] = []
    var count = 0
    for node in own.nodes {
      numbers.append(count)
      count += node.range.count
    }
    let isKept = Set(leaves)
    var starts = [Int](repeating: -1, count: shared.nodes.count)
    var tokens = prompt
    var parents = prompt.indices.map { Int32($0) - 1 }
    for (n, node) in shared.nodes.enumerated() where node.leaves.contains(where: isKept.contains) {
      starts[n] = tokens.count
      let before = node.parent.map { starts[$0] + shared.nodes[$0].range.count } ?? prompt.count
      for i in 0..<node.range.count { parents.append(Int32(i == 0 ? before - 1 : tokens.count + i - 1)) }
      tokens += tree.tokenIDs(of: node.owner, node.range) ?? []
    }
    self.init(label: label, tokens: tokens, parents: parents, promptCount: prompt.count, leaves: [])
    self.leaves = leaves.map { t in
      let path = tree.paths[t]
      let trajectory = tree.group.trajectories[t]
      let through = shared.through[t]
      let last = through.last.map { starts[$0] + shared.nodes[$0].range.count } ?? prompt.count
      var leaf = TrainingLeaf(
        id: trajectory.id, multiplicity: trajectory.multiplicity, reward: trajectory.reward, length: path.length,
        isCutOff: trajectory.finishReason == "length", end: Int32(last - 1), nodes: [], advantages: [], behaviour: [])
      var step = 0
      var ownStep = 0
      let ownNodes = own.through[t]
      advantages[t].forEachRun(path.generation) { range, value in
        leaf.behaviour += tree.logprobs(of: t, range) ?? []
        leaf.advantages += repeatElement(value, count: range.count)
        for i in range {
          while shared.nodes[through[step]].range.upperBound <= i { step += 1 }
          leaf.nodes.append(Int32(starts[through[step]] + i - shared.nodes[through[step]].range.lowerBound))
          while own.nodes[ownNodes[ownStep]].range.upperBound <= i { ownStep += 1 }
          leaf.owned.append(
            Int32(numbers[ownNodes[ownStep]] + i - own.nodes[ownNodes[ownStep]].range.lowerBound))
        }
      }
      return leaf
    }
  }
}
