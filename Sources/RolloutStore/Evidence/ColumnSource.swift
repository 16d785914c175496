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

  /// Number of tokens, token_ids, loss_mask, logprobs, top_logprobs, entropies, top_token_ids, ids of the vocabulary.
  func columns(withProbabilities: Bool, withCandidateIDs: Bool) -> String {
    let tokens =
      self == .retokenized
      ? "coalesce(e.tokens, 0), e.token_ids, NULL" : "s.end_index - s.start_index, t.token_ids, t.loss_mask"
    let table = self == .log ? "t" : "e"
    let probabilities =
      withProbabilities && self != .tokens
      ? "\(table).logprobs, \(table).top_logprobs, \(table).entropies" : "NULL, NULL, NULL"
    // Sets keep the ids beside the logprobs.
    let ids = withProbabilities && withCandidateIDs && self == .log ? "t.top_token_ids" : "NULL"
    return "\(tokens), \(probabilities), \(ids), \(self == .matched ? "e.token_ids" : "NULL")"
  }
}
