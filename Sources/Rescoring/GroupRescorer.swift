public import Policy
public import Replay
import Rollouts

/// Scores the tokens of one group after the other with a policy.
///
/// All paths of a group become one trie of token ids, prompt first, so that what trajectories share is computed once,
/// whether their log says that they share it or not.
public final class GroupRescorer {
  private let scorer: any EdgeScorer
  private let options: RescoreOptions
  private let texts: GroupTexts
  /// Nodes that went through the policy so far, repeated paths included.
  public private(set) var computedTokens = 0
  /// Tokens of the longest path so far, its prompt included.
  public private(set) var longestPath = 0

  /// - Parameters:
  ///   - tokenizer: the checkpoint's, for logs without ids; `nil`: those are left out.
  public init(scorer: any EdgeScorer, tokenizer: Tokenizer?, options: RescoreOptions) {
    self.scorer = scorer
    self.options = options
    texts = GroupTexts(tokenizer)
  }

  /// Scores a group.
  ///
  /// - Parameters:
  ///   - tokenTexts: the bytes of the tokens, for a run whose log names tokens by their texts.
  ///   - interruption: called now and then; what it throws ends the work.
  /// - Throws: what the tree or the scorer throw. A trajectory that cannot be scored is no error: its result says why.
  public func rescore(
    _ group: ReplayGroup, prompt: GroupPrompt, tokenTexts: (Int32) throws -> [UInt8]?,
    interruption: @escaping () throws -> Void = {}
  ) throws -> RescoredGroup {
    let temperature = options.temperature ?? group.run.logprobTemperature
    let paths = try PathTokens.paths(of: group, prompt, texts, options, vocabulary: scorer.vocabularySize, tokenTexts)
    var trie = SequenceTrie()
    let nodes = paths.map { path in
      path.isScorable ? Array(trie.insert(path.context + path.response).dropFirst(path.context.count)) : []
    }
    var wanted = [Bool](repeating: false, count: trie.count)
    for (path, nodes) in zip(paths, nodes) where path.isScorable {
      for i in path.own.clamped(to: 0..<nodes.count) where path.isWanted(i) { wanted[Int(nodes[i])] = true }
    }
    let scores = try TrieScores(
      of: trie, wanted: wanted, temperature: Float(temperature), topK: options.topK, budget: options.batchTokens,
      by: scorer, interruption: interruption)
    computedTokens += scores.computed
    for path in paths where path.isScorable {
      longestPath = max(longestPath, path.context.count + path.response.count)
    }
    return RescoredGroup(
      temperature: temperature, trajectories: zip(paths, nodes).map { $0.rescored($1, scores) })
  }
}
