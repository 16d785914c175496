import Replay
public import Rollouts

/// Writes records as lines of the native format `arpo-rollout/1`, which `import` reads back as the same records.
public enum NativeLogWriter {
  /// A run and how it was sampled.
  public static func line(_ run: RunRecord) -> String {
    var line = JSONLine(kind: "run")
    line.add("run_id", .string(run.runID))
    line.add("algorithm", .text(run.algorithm))
    line.add("model", .text(run.model))
    line.add(
      "tokenizer",
      object: [
        ("name", .text(run.tokenizerName)), ("vocab_size", .integer(run.vocabSize)),
        ("sha256", .text(run.tokenizerSHA256)),
      ])
    line.add(
      "sampling",
      object: [
        ("temperature", .number(run.temperature)), ("top_p", .number(run.topP)), ("top_k", .integer(run.topK)),
      ])
    line.add("logprobs_mode", .text(run.logprobsMode))
    line.add("branching", json: run.branching)
    line.add(members: run.extra)
    return line.finish()
  }

  /// A prompt group.
  public static func line(_ group: GroupRecord) -> String {
    var line = JSONLine(kind: "group")
    line.add("run_id", .text(group.runID))
    line.add("group_id", .string(group.groupID))
    line.add("step", .integer(group.step))
    line.add("data_source", .text(group.dataSource))
    line.add("policy_version", .integer(group.policyVersion))
    line.add("prompt_text", .text(group.promptText))
    line.add("prompt_token_ids", integers: group.promptTokenIDs)
    line.add("ground_truth", .text(group.groundTruth))
    line.add(members: group.extra)
    return line.finish()
  }

  /// A trajectory with the tokens that its record stores.
  public static func line(_ trajectory: TrajectoryRecord) -> String {
    var line = JSONLine(kind: "trajectory")
    line.add("run_id", .text(trajectory.runID))
    line.add("group_id", .string(trajectory.groupID))
    line.add("trajectory_id", .string(trajectory.trajectoryID))
    line.add("rollout_index", .integer(trajectory.rolloutIndex))
    line.add("step", .integer(trajectory.step))
    if let parent = trajectory.parentID {
      line.add("parent_id", .string(parent))
      let isText = trajectory.columns == nil
      line.add(isText ? "branch_segment" : "branch_token_index", .int(trajectory.branchIndex))
      if trajectory.firstIndex < trajectory.branchIndex { line.add("prefix", .string("full")) }
      line.add("branch", json: trajectory.branch)
    }
    line.add("prompt_text", .text(trajectory.promptText))
    line.add("prompt_token_ids", integers: trajectory.promptTokenIDs)
    line.add("ground_truth", .text(trajectory.groundTruth))
    if let columns = trajectory.columns {
      line.add("token_ids", integers: columns.tokenIDs)
      line.add("loss_mask", integers: columns.lossMask)
      line.add("logprobs", reals: columns.logprobs)
      if let top = columns.topLogprobs {
        line.add("top_logprobs") { out in
          out += "{\"counts\":"
          out.appendArray(top.counts.lazy.map(String.init))
          out += ",\"token_ids\":"
          out.appendArray(top.tokenIDs.lazy.map(String.init))
          out += ",\"logprobs\":"
          out.appendArray(top.logprobs.jsonElements)
          out += "}"
        }
      }
      line.add("entropies", reals: columns.entropies)
      line.add("entropy_kind", .text(trajectory.entropyKind))
    }
    line.add("text", .text(trajectory.text))
    if !trajectory.segments.isEmpty {
      line.add("segments", .array(trajectory.segments.map { segment($0, hasTokens: trajectory.columns != nil) }))
    }
    line.add("reward", .number(trajectory.reward))
    if !trajectory.rewards.isEmpty {
      line.add(
        "rewards",
        .object(
          trajectory.rewards.map {
            ($0.name, .object([("score", .number($0.score)), ("weight", .double($0.weight))]))
          }))
    }
    line.add("data_source", .text(trajectory.dataSource))
    line.add("policy_version", .integer(trajectory.policyVersion))
    line.add("finish_reason", .text(trajectory.finishReason))
    if trajectory.multiplicity != 1 { line.add("multiplicity", .int(trajectory.multiplicity)) }
    line.add(members: trajectory.extra)
    return line.finish()
  }

  /// The end of a log: how many trajectories it holds.
  public static func end(trajectories: Int) -> String {
    var line = JSONLine(kind: "end")
    line.add("trajectories", .int(trajectories))
    return line.finish()
  }

  private static func segment(_ segment: Segment, hasTokens: Bool) -> DocumentValue {
    var members: [(String, DocumentValue)] = [("kind", .string(segment.kind.rawValue))]
    if hasTokens { members += [("start", .int(segment.start)), ("end", .int(segment.end))] }
    let more: [(String, DocumentValue)] = [
      ("tool", .text(segment.tool)), ("tool_call_id", .text(segment.toolCallID)), ("status", .text(segment.status)),
      ("latency_s", .number(segment.latency)), ("arguments", .text(segment.arguments)), ("text", .text(segment.text)),
    ]
    return .object(members + more.filter { $0.1 != .null })
  }
}

/// One JSON object on its way to a line; what is null is left out, as the format has it.
private struct JSONLine {
  private var text: String

  init(kind: String) {
    text = kind == "run" ? "{\"schema\":\"arpo-rollout/1\",\"kind\":\"run\"" : "{\"kind\":\"\(kind)\""
  }

  mutating func add(_ key: String, _ write: (inout String) -> Void) {
    text += ",\"\(key)\":"
    write(&text)
  }

  mutating func add(_ key: String, _ value: DocumentValue) {
    if value == .null { return }
    add(key) { value.write(into: &$0) }
  }

  mutating func add(_ key: String, object members: [(String, DocumentValue)]) {
    let kept = members.filter { $0.1 != .null }
    if !kept.isEmpty { add(key, .object(kept)) }
  }

  mutating func add(_ key: String, json: String?) {
    if let json { add(key) { $0 += json } }
  }

  /// The members of a JSON object that is given as text.
  mutating func add(members json: String?) {
    guard let json, json.hasPrefix("{"), json.hasSuffix("}"), json.utf8.count > 2 else { return }
    text += "," + json.dropFirst().dropLast()
  }

  mutating func add(_ key: String, integers: [some BinaryInteger]?) {
    if let integers { add(key) { $0.appendArray(integers.lazy.map { String($0) }) } }
  }

  mutating func add(_ key: String, reals: RealColumn?) {
    if let reals { add(key) { $0.appendArray(reals.jsonElements) } }
  }

  func finish() -> String { text + "}" }
}

extension String {
  fileprivate mutating func appendArray(_ elements: some Sequence<String>) {
    self += "["
    var separator = ""
    for element in elements {
      self += separator
      self += element
      separator = ","
    }
    self += "]"
  }
}

extension RealColumn {
  /// JSON numbers that read back as the same values, `null` where there is none.
  fileprivate var jsonElements: [String] {
    precision == .float64
      ? doubles.map { $0.isFinite ? $0.description : "null" } : floats.map { $0.isFinite ? $0.description : "null" }
  }
}
