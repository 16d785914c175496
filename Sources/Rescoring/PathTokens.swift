import Policy
import Replay
import Rollouts

/// A trajectory's tokens as the policy is to see them.
struct PathTokens {
  var ids = IDSource.logged
  var prompt = PromptSource.none
  /// Ids of the prompt.
  var context: [Int32] = []
  /// Ids of the whole path, as far as it is known.
  var response: [Int32] = []
  /// Where the trajectory's own tokens stand in the path; they may end behind what is known.
  var own = 0..<0
  /// By own token: 1 = sampled by the policy.
  var mask: [UInt8] = []
  /// Tokens of each of the own segments.
  var segmentCounts: [Int] = []
  /// Why tokens have no values.
  var reason: String?
  var isScorable = false
  var withInserted = true
  var drift: TokenDrift?

  func isWanted(_ index: Int) -> Bool { withInserted || mask[index - own.lowerBound] != 0 }

  /// The results for the trajectory.
  /// - Parameter nodes: of the response's tokens, in a trie with these scores.
  func rescored(_ nodes: [Int32], _ scores: TrieScores) -> RescoredTrajectory {
    var out = RescoredTrajectory(ids: ids, prompt: prompt, reason: reason, drift: drift)
    let known = own.clamped(to: 0..<nodes.count)
    let values = own.map { i in known.contains(i) ? scores.logprobs[Int(nodes[i])] : .nan }
    out.scored = values.count { !$0.isNaN }
    out.missing = zip(values, mask).count { $0.isNaN && $1 != 0 }
    guard out.scored > 0 else { return out }
    var at = own.lowerBound
    for (ordinal, count) in segmentCounts.enumerated() where count > 0 {
      let range = at..<(at + count)
      at += count
      let part = range.map { known.contains($0) ? Int(nodes[$0]) : nil }
      var top: TopLogprobs?
      if scores.topK > 0 {
        var column = TopLogprobs()
        for node in part {
          let isScored = node.map { !scores.logprobs[$0].isNaN } ?? false
          column.counts.append(isScored ? Int32(scores.topK) : 0)
          guard isScored, let node else { continue }
          let flat = (node * scores.topK)..<((node + 1) * scores.topK)
          column.tokenIDs += scores.candidateIDs[flat]
          column.logprobs.floats += scores.candidateLogprobs[flat]
        }
        top = column
      }
      out.segments.append(
        RescoredSegment(
          ordinal: ordinal, count: count,
          tokenIDs: ids == .logged ? nil : range.map { $0 < response.count ? response[$0] : -1 },
          logprobs: part.map { $0.map { scores.logprobs[$0] } ?? .nan },
          entropies: part.map { $0.map { scores.entropies[$0] } ?? .nan }, topLogprobs: top))
    }
    return out
  }

  // MARK: Out of a group

  static func paths(
    of group: ReplayGroup, _ prompt: GroupPrompt, _ texts: GroupTexts, _ options: RescoreOptions, vocabulary: Int,
    _ tokenTexts: (Int32) throws -> [UInt8]?
  ) throws -> [PathTokens] {
    let tree = try RolloutTree(group)
    let context = texts.prompt(prompt)
    let retokenized = texts.retokenized(group, tree)
    var matched: [Int32: Int32] = [:]
    var paths: [PathTokens] = []
    for t in group.trajectories.indices {
      var path = PathTokens()
      path.withInserted = options.withInserted
      path.prompt = context.source
      path.context = context.ids
      if group.trajectories[t].columns != nil {
        try path.takeLogged(t, tree, texts, tokenTexts, &matched)
      } else {
        path.takeText(t, tree, retokenized)
      }
      path.cutUnknownText(t, tree)
      path.judge(options, vocabulary, context.reason)
      paths.append(path)
    }
    // Indices of text-only trajectories count segments until their tokens are known, so they are all known or none.
    if let bad = paths.first(where: { $0.ids == .retokenized && !$0.isScorable }) {
      for t in paths.indices where paths[t].ids == .retokenized {
        paths[t].isScorable = false
        paths[t].reason = paths[t].reason ?? bad.reason
      }
    }
    return paths
  }

  private mutating func takeLogged(
    _ t: Int, _ tree: RolloutTree, _ texts: GroupTexts, _ tokenTexts: (Int32) throws -> [UInt8]?,
    _ matched: inout [Int32: Int32]
  ) throws {
    let trajectory = tree.group.trajectories[t]
    let columns = trajectory.columns ?? TokenColumns()
    own = tree.paths[t].storageBranch..<(tree.paths[t].storageBranch + columns.count)
    mask = columns.lossMask
    segmentCounts = trajectory.segments.map(\.count)
    response = tree.tokenIDs(of: t, 0..<tree.paths[t].length) ?? []
    if trajectory.evidence.contains(.tokenIDs) {
      drift = texts.drift(of: tree, t)
      return
    }
    ids = .matched
    guard texts.tokenizer != nil else {
      reason = "the log names tokens by their texts, and the checkpoint has no tokenizer.json"
      response = []
      return
    }
    for i in response.indices {
      let number = response[i]
      if let id = matched[number] {
        response[i] = id
      } else if let bytes = try tokenTexts(number), let id = texts.lookup?.id(of: bytes) {
        matched[number] = id
        response[i] = id
      } else {
        reason = "the logged token at response index \(i) is not in the vocabulary"
        response.removeSubrange(i...)
        return
      }
    }
  }

  private mutating func takeText(_ t: Int, _ tree: RolloutTree, _ retokenized: [[[Int32]]]?) {
    ids = .retokenized
    guard let retokenized else {
      reason = "the log has text only, and the checkpoint has no tokenizer.json"
      return
    }
    for piece in tree.paths[t].pieces {
      let offset = tree.paths[piece.owner].storageBranch
      for i in piece.range {
        let tokens = retokenized[piece.owner][i - offset]
        if piece.owner == t {
          if own.isEmpty { own = response.count..<response.count }
          let sampled: UInt8 = tree.group.trajectories[t].segments[i - offset].isInserted ? 0 : 1
          mask += tokens.map { _ in sampled }
          segmentCounts.append(tokens.count)
        }
        response += tokens
        if piece.owner == t { own = own.lowerBound..<response.count }
      }
    }
  }

  // A segment with text and no tokens stood in the policy's context, but which tokens is not in the log.
  private mutating func cutUnknownText(_ t: Int, _ tree: RolloutTree) {
    guard ids != .retokenized, reason == nil else { return }
    guard let start = tree.unknownTexts(of: t).first, start < response.count else { return }
    reason = "from response index \(start) on the context holds text whose tokens are not in the log"
    response.removeSubrange(start...)
  }

  private mutating func judge(_ options: RescoreOptions, _ vocabulary: Int, _ noPrompt: String?) {
    guard !response.isEmpty, reason == nil || !own.clamped(to: 0..<response.count).isEmpty else {
      reason = reason ?? "no tokens"
      return
    }
    if let noPrompt {
      guard options.allowsNoPrompt else {
        reason = noPrompt
        return
      }
      prompt = .none
      reason = reason ?? "scored without a prompt: the first token has no value, the others only what is before them"
    }
    if let i = context.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
      reason = "the prompt's id \(context[i]) is outside the vocabulary of \(vocabulary)"
      return
    }
    if let i = response.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
      reason = "the id \(response[i]) at response index \(i) is outside the vocabulary of \(vocabulary)"
      // What stands before it is as good as ever.
      response.removeSubrange(i...)
      guard ids != .retokenized, own.lowerBound < response.count else { return }
    }
    isScorable = true
  }
}
