/// The members of a native trajectory record that mean something.
enum NativeMember: Int {
  case kind, schema, runID, groupID, trajectoryID, rolloutIndex, step, policyVersion
  case parentID, branchTokenIndex, branchSegment, prefix, branch
  case promptText, promptTokenIDs, groundTruth
  case tokenIDs, lossMask, logprobs, topLogprobs, entropies, entropyKind
  case segments, text, reward, rewards, dataSource, finishReason, multiplicity

  /// One bit for each, to tell which were there.
  var bit: UInt32 { 1 << UInt32(rawValue) }

  /// The member of that key; `nil` if the key means nothing.
  init?(_ key: JSONCursor.StringBytes, _ cursor: JSONCursor) {
    guard let member = Self.named(key, cursor) else { return nil }
    self = member
  }

  private static func named(_ key: JSONCursor.StringBytes, _ cursor: JSONCursor) -> NativeMember? {
    // By length first: a record has two dozen keys, and most comparisons end there.
    switch key.end - key.start {
    case 4:
      if cursor.bytes(key, equal: "kind") { return .kind }
      if cursor.bytes(key, equal: "text") { return .text }
      if cursor.bytes(key, equal: "step") { return .step }
    case 6:
      if cursor.bytes(key, equal: "schema") { return .schema }
      if cursor.bytes(key, equal: "run_id") { return .runID }
      if cursor.bytes(key, equal: "reward") { return .reward }
      if cursor.bytes(key, equal: "prefix") { return .prefix }
      if cursor.bytes(key, equal: "branch") { return .branch }
    case 7:
      if cursor.bytes(key, equal: "rewards") { return .rewards }
    case 8:
      if cursor.bytes(key, equal: "group_id") { return .groupID }
      if cursor.bytes(key, equal: "logprobs") { return .logprobs }
      if cursor.bytes(key, equal: "segments") { return .segments }
    case 9:
      if cursor.bytes(key, equal: "parent_id") { return .parentID }
      if cursor.bytes(key, equal: "token_ids") { return .tokenIDs }
      if cursor.bytes(key, equal: "loss_mask") { return .lossMask }
      if cursor.bytes(key, equal: "entropies") { return .entropies }
    case 11:
      if cursor.bytes(key, equal: "prompt_text") { return .promptText }
      if cursor.bytes(key, equal: "data_source") { return .dataSource }
    case 12:
      if cursor.bytes(key, equal: "top_logprobs") { return .topLogprobs }
      if cursor.bytes(key, equal: "entropy_kind") { return .entropyKind }
      if cursor.bytes(key, equal: "ground_truth") { return .groundTruth }
      if cursor.bytes(key, equal: "multiplicity") { return .multiplicity }
    case 13:
      if cursor.bytes(key, equal: "trajectory_id") { return .trajectoryID }
      if cursor.bytes(key, equal: "rollout_index") { return .rolloutIndex }
      if cursor.bytes(key, equal: "finish_reason") { return .finishReason }
    case 14:
      if cursor.bytes(key, equal: "policy_version") { return .policyVersion }
      if cursor.bytes(key, equal: "branch_segment") { return .branchSegment }
    case 16:
      if cursor.bytes(key, equal: "prompt_token_ids") { return .promptTokenIDs }
    case 18:
      if cursor.bytes(key, equal: "branch_token_index") { return .branchTokenIndex }
    default: break
    }
    return nil
  }
}
