public import Rollouts

/// Rollouts of NeMo Gym: a Responses request, the items that the agent produced, and the verifier's reward.
///
/// Training runs put the token ids of the prompt and of the generation on the last item of every model call; without
/// them (empty arrays mean "not captured") a rollout is text only.
public struct NeMoGymLog: LogFormat {
  /// The name in options, messages and the database.
  public static let name = "nemo-gym"
  /// Who writes such logs.
  public static let summary = "rollouts of NVIDIA NeMo Gym (*rollouts.jsonl), with token ids or without"

  /// A reader for one log.
  public init(file: LogFile) {}

  /// True for the first record of such a log.
  public static func recognises(_ record: JSONValue) -> Bool {
    record["responses_create_params"]?.members != nil && record["response"]?.members != nil
  }

  private static let known: Set<String> = [
    "responses_create_params", "response", "reward", "_ng_task_index", "_ng_rollout_index",
  ]

  /// The rollout that the record holds.
  public func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError)
    -> [RolloutRecord]
  {
    let record = try JSONValue.parse(bytes)
    guard let request = record["responses_create_params"], request.members != nil else {
      throw RecordError(.missingField, "no \"responses_create_params\"")
    }
    guard let response = record["response"], response.members != nil else {
      throw RecordError(.missingField, "no \"response\"")
    }
    guard let output = response["output"]?.array else {
      throw RecordError(.wrongType, "response.output is not an array")
    }
    let group = try record.wholeNumber("_ng_task_index").map(String.init) ?? Self.promptHash(request)
    let rollout = try record.wholeNumber("_ng_rollout_index")
    var trajectory = TrajectoryRecord(
      groupID: group, trajectoryID: "\(group)/" + (rollout.map(String.init) ?? "line\(position.line)"))
    trajectory.rolloutIndex = rollout
    trajectory.promptText = Self.promptText(request)
    trajectory.reward = try LoggedReward.scalar(record["reward"], "reward")
    trajectory.rewards = LoggedReward.parts(of: record, except: Self.known, suffixes: ["_reward"])
    trajectory.groundTruth = (record["ground_truth"] ?? record["expected_answer"])?.looseText
    trajectory.dataSource = record["dataset_name"]?.string ?? request["metadata"]?["dataset_name"]?.string
    trajectory.finishReason = response["incomplete_details"]?["reason"]?.string ?? response["status"]?.string
    try NeMoGymReader.read(output, into: &trajectory)
    trajectory.extra = Self.extra(record, request, response)
    return [.trajectory(trajectory)]
  }

  private static func promptHash(_ request: JSONValue) -> String {
    var hash = ContentHash()
    hash.add(request["input"]?.text(sortedKeys: true) ?? "")
    hash.add(request["tools"]?.text(sortedKeys: true) ?? "")
    return hash.short
  }

  /// The request's text: as it is, or the messages with their roles on lines of their own.
  private static func promptText(_ request: JSONValue) -> String? {
    var parts: [String] = []
    if let instructions = request["instructions"]?.string { parts.append("system\n\(instructions)") }
    if let text = request["input"]?.string { return parts.isEmpty ? text : parts[0] + "\nuser\n\(text)" }
    for item in request["input"]?.array ?? [] {
      if let role = item["role"]?.string {
        parts.append("\(role)\n\(ChatTranscript.content(item["content"]).text)")
      } else {
        parts.append(item.text())
      }
    }
    return parts.isEmpty ? nil : parts.joined(separator: "\n")
  }

  private static func extra(_ record: JSONValue, _ request: JSONValue, _ response: JSONValue) -> String? {
    var members = (record.members ?? []).filter { !known.contains($0.key) }
    if case .some(.object) = record["reward"] { members.append(JSONValue.Member("reward", record["reward"] ?? .null)) }
    for key in ["model", "temperature", "top_p"] where !record.has(key) {
      if let value = request[key] ?? response[key] { members.append(JSONValue.Member(key, value)) }
    }
    return JSONValue.object(members).others([])
  }
}
