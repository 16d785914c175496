import Rollouts

/// Records that hold a whole trajectory: `turns` of completions and tool messages, with group and reward.
extension OpenAILog {
  static func isTurns(_ record: JSONValue) -> Bool {
    guard let turns = record["turns"]?.array, record["trajectory_id"] != nil else { return false }
    return turns.contains(where: Exchange.isCompletion)
  }

  func turns(_ record: JSONValue) throws(RecordError) -> TrajectoryRecord {
    guard let group = record["group_id"].map(\.looseText) else { throw RecordError(.missingField, "no \"group_id\"") }
    guard let id = record["trajectory_id"].map(\.looseText) else {
      throw RecordError(.missingField, "no \"trajectory_id\"")
    }
    var trajectory = TrajectoryRecord(groupID: group, trajectoryID: id)
    var tokens = SampledTokens()
    var withoutTokens = 0
    var tools: [String: String] = [:]
    for (i, turn) in (record["turns"]?.array ?? []).enumerated() {
      let path = "turns[\(i)]"
      if Exchange.isCompletion(turn) {
        let reply = try LoggedReply(turn)
        guard let choice = reply.choices.first, reply.choices.count == 1 else {
          throw RecordError(.unknownRecord, "\(path) has \(reply.choices.count) choices; a trajectory has one a turn")
        }
        let first = tokens.count
        withoutTokens += try add(choice, of: turn, to: &tokens, &trajectory)
        for call in choice.message.toolCalls { if let id = call.id, let name = call.name { tools[id] = name } }
        trajectory.finishReason = choice.finishReason ?? trajectory.finishReason
        if first == 0, trajectory.promptTokenIDs == nil {
          trajectory.promptTokenIDs = choice.promptTokenIDs ?? reply.promptTokenIDs
        }
      } else if turn["role"]?.string == "tool" {
        let callID = turn["tool_call_id"]?.string
        let tool = callID.flatMap { tools[$0] } ?? turn["name"]?.string
        // A call written as text does not name its tool; the result behind it does.
        if let last = trajectory.segments.indices.last, trajectory.segments[last].kind == .toolCall {
          trajectory.segments[last].tool = trajectory.segments[last].tool ?? tool
        }
        trajectory.segments.append(
          Segment(
            kind: .toolResult, start: tokens.count, end: tokens.count, tool: tool, toolCallID: callID,
            text: ChatTranscript.content(turn["content"]).text))
        withoutTokens += 1
      } else {
        throw RecordError(.unknownRecord, "\(path) is neither a completion nor a tool message")
      }
    }
    trajectory.columns = tokens.columns
    trajectory.findings = tokens.findings
    if withoutTokens > 0 { trajectory.findings.append(Finding(.unknownTokens, count: withoutTokens)) }
    if trajectory.columns == nil { numberSegments(&trajectory) }
    try addHead(record, to: &trajectory)
    return trajectory
  }

  /// Adds a turn's tokens and segments; returns how many segments have no tokens.
  private func add(
    _ choice: LoggedChoice, of turn: JSONValue, to tokens: inout SampledTokens, _ trajectory: inout TrajectoryRecord
  ) throws(RecordError) -> Int {
    let first = tokens.count
    let message = try choice.addTokens(to: &tokens, request: nil, usage: turn["usage"], choices: 1)
    let count = tokens.count - first
    var segments = ReplySegments(message).covering(count, from: first, texts: tokens.texts(from: first))
    // The writer's own word for what the turn is.
    if let kind = turn["choices"]?.array?.first?["message"]?["kind"]?.string.flatMap(SegmentKind.init(rawValue:)),
      count > 0, segments.count == 1
    {
      segments[0].kind = kind
    }
    trajectory.segments += segments
    return count == 0 ? segments.count : 0
  }

  /// In a trajectory without tokens the unit is the segment.
  private func numberSegments(_ trajectory: inout TrajectoryRecord) {
    for i in trajectory.segments.indices {
      trajectory.segments[i].start = i
      trajectory.segments[i].end = i + 1
    }
  }

  private func addHead(_ record: JSONValue, to trajectory: inout TrajectoryRecord) throws(RecordError) {
    trajectory.reward = try LoggedReward.scalar(record["reward"], "reward")
    trajectory.rolloutIndex = try record.wholeNumber("rollout_index")
    trajectory.step = try record.wholeNumber("step")
    trajectory.dataSource = record["data_source"]?.string
    trajectory.groundTruth = record["ground_truth"]?.looseText
    if let prompt = record["prompt"] {
      trajectory.promptText = (prompt.string ?? prompt["text"]?.string) ?? prompt["question"]?.string
      trajectory.dataSource = trajectory.dataSource ?? prompt["data_source"]?.string
      trajectory.groundTruth = trajectory.groundTruth ?? prompt["ground_truth"]?.looseText
      if let ids = prompt["token_ids"] { trajectory.promptTokenIDs = try ids.tokenIDs("prompt.token_ids") }
    }
    // `parent_id` and a branch counted in all tokens stay here: the tokens of the tool results are not in such a log.
    trajectory.extra = record.others([
      "group_id", "trajectory_id", "turns", "reward", "rollout_index", "step", "data_source", "ground_truth", "prompt",
    ])
  }
}
