/// Where the token columns of a trajectory's segments are read from.
enum ColumnSource: Hashable {
  /// All of them from the log.
  case log
  /// Tokens from the log, and no probabilities.
  case tokens
  /// Tokens from the log, probabilities from an evidence set.
  case scored
  /// The same, where the log's ids are numbers of texts and the set says which ids of the vocabulary it took them for.
  case matched
  /// All of them from an evidence set, which made tokens of the text.
  case retokenized

  /// Joins the set's rows: `e`, where ?2 is the set.
  var join: String {
    switch self {
    case .log, .tokens: ""
    case .scored, .matched, .retokenized:
      " LEFT JOIN rescored_tokens e ON e.segment = s.id AND e.evidence_set = ?2"
    }
  }

  /// Whether anything is read from an evidence set.
  var usesEvidence: Bool { !join.isEmpty }

  /// What is read of the log's columns; `nil`: nothing.
  func partOfBlock(withProbabilities: Bool, withCandidateIDs: Bool) -> TokenBlockReader.Part? {
    switch self {
    case .log where withProbabilities: withCandidateIDs ? .all : .withoutCandidateIDs
    case .log, .tokens, .scored, .matched: .tokens
    case .retokenized: nil
    }
  }

  /// Number of tokens, where it is not that of the log; token_ids, loss_mask, logprobs, top_logprobs, entropies,
  /// top_token_ids, ids of the vocabulary.
  /// - Parameter hasRows: whether the log's tokens may stand in rows of their own: `t`.
  func columns(hasRows: Bool, withProbabilities: Bool, withCandidateIDs: Bool) -> [String] {
    func of(_ table: String?, _ names: String...) -> [String] {
      names.map { name in table.map { "\($0).\(name)" } ?? "NULL" }
    }
    let rows = hasRows ? "t" : nil
    let tokens =
      self == .retokenized
      ? ["coalesce(e.tokens, 0)", "e.token_ids", "NULL"] : ["NULL"] + of(rows, "token_ids", "loss_mask")
    let probabilities: String? =
      switch self {
      case .log: rows
      case .tokens: nil
      case .scored, .matched, .retokenized: "e"
      }
    return tokens + of(withProbabilities ? probabilities : nil, "logprobs", "top_logprobs", "entropies")
      // Sets keep the ids beside the logprobs.
      + of(withProbabilities && withCandidateIDs && self == .log ? rows : nil, "top_token_ids")
      + of(self == .matched ? "e" : nil, "token_ids")
  }
}
