import Policy
import Replay
import Rollouts

/// The tokenizer's part: prompts and responses that a log has as text, and the drift of those that it has as ids.
final class GroupTexts {
  let tokenizer: Tokenizer?
  private var encoder: TokenEncoder?
  private(set) lazy var lookup = tokenizer.map { TokenLookup($0) }

  init(_ tokenizer: Tokenizer?) {
    self.tokenizer = tokenizer
    encoder = tokenizer.map { TokenEncoder($0) }
  }

  /// The prompt's ids, or why there are none.
  ///
  /// A text gets the token that begins a text, where the tokenizer has one, unless it begins with it.
  func prompt(_ prompt: GroupPrompt) -> (ids: [Int32], source: PromptSource, reason: String?) {
    if let ids = prompt.tokenIDs, !ids.isEmpty { return (ids, .logged, nil) }
    guard let text = prompt.text, !text.isEmpty else { return ([], .none, "the log has no prompt") }
    guard let tokenizer, let ids = encoder?.encode(text) else {
      return ([], .none, "the log has the prompt as text only, and the checkpoint has no tokenizer.json")
    }
    let begin = tokenizer.beginning
    return (ids.starts(with: begin) ? ids : begin + ids, .retokenized, nil)
  }

  /// Tokens of each own segment of text-only trajectories, by trajectory; `nil` without a tokenizer.
  ///
  /// Neighbouring generated segments are tokenised as one text, since the policy sampled them so; a new text begins at
  /// tool results and other messages, which the trainer tokenises for itself, and at forks, so that a prefix has the same tokens on all paths.
  func retokenized(_ group: ReplayGroup, _ tree: RolloutTree) -> [[[Int32]]]? {
    guard let tokenizer, var encoder else { return nil }
    defer { self.encoder = encoder }
    var cuts = [Set<Int>](repeating: [], count: group.trajectories.count)
    for path in tree.paths {
      var owner = path.storageParent
      while let t = owner, path.storageBranch <= tree.paths[t].storageBranch { owner = tree.paths[t].storageParent }
      if let t = owner { cuts[t].insert(path.storageBranch) }
    }
    return group.trajectories.enumerated().map { t, trajectory in
      guard trajectory.columns == nil else { return [] }
      var out: [[Int32]] = []
      var pieces: [String] = []
      func flush() {
        out += PiecewiseTokens(pieces, &encoder, tokenizer).ids
        pieces = []
      }
      for (k, segment) in trajectory.segments.enumerated() {
        let isInserted = segment.isInserted
        let follows = k > 0 && trajectory.segments[k - 1].isInserted == isInserted
        if isInserted || !follows || cuts[t].contains(tree.paths[t].storageBranch + k) { flush() }
        pieces.append(segment.text ?? "")
      }
      flush()
      return out
    }
  }

  /// How far the own generated tokens of a trajectory come out again when their text is tokenised.
  func drift(of tree: RolloutTree, _ t: Int) -> TokenDrift? {
    guard let tokenizer, var encoder, let columns = tree.group.trajectories[t].columns else { return nil }
    defer { self.encoder = encoder }
    let branch = tree.paths[t].storageBranch
    var drift = TokenDrift()
    var start = 0
    // Stretches of sampled tokens, cut at ids that the tokenizer does not have.
    let isKnown = columns.tokenIDs.indices.map { columns.lossMask[$0] != 0 && tokenizer.contains(columns.tokenIDs[$0]) }
    while start < columns.count {
      var end = start + 1
      while end < columns.count, isKnown[end] == isKnown[start] { end += 1 }
      if isKnown[start], let same = tokenizer.reproduced(Array(columns.tokenIDs[start..<end]), &encoder) {
        drift.checked += same.count
        for (i, isSame) in same.enumerated() where !isSame {
          drift.differing += 1
          drift.first = drift.first ?? branch + start + i
        }
      }
      start = end
    }
    return drift
  }
}
