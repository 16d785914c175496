import Foundation
public import Rollouts

/// Text dumps of verl's trainers (`rollout_data_dir`, `validation_data_dir`), of ARPO, and of ARPO's evaluation.
///
/// Rows hold decoded text only. Rows of the trainers before v1 have no id at all: rows with the same step, prompt and
/// ground truth are a group, and equal rows are the copies with which a short group is filled up. In v1 a row's
/// `uid` is prompt, sample and part.
public struct VerlLog: LogFormat {
  /// The name in options, messages and the database.
  public static let name = "verl"
  /// Who writes such logs.
  public static let summary = "text dumps of verl and ARPO ({step}.jsonl), and ARPO's evaluation results"

  /// A reader for one log.
  public init(file: LogFile) {}

  /// True for the first record of such a log.
  public static func recognises(_ record: JSONValue) -> Bool {
    if isEvaluation(record) { return true }
    return record["input"]?.string != nil && record["output"]?.string != nil && record.has("score")
      && record.has("step")
  }

  private static func isEvaluation(_ record: JSONValue) -> Bool {
    record["instruction"]?.string != nil && record["input"]?.string != nil && record["output"]?.string != nil
      && record.has("prediction") && record["logs"]?.array != nil
  }

  /// The trainers write a file a step.
  public static func isNamedAfterFolder(_ file: LogFile, isLineBased: Bool) -> Bool {
    !file.stem.isEmpty && file.stem.utf8.allSatisfy { $0 &- 0x30 < 10 }
  }

  /// The copies that a group is filled up with.
  public static let countsEqualRecords = true

  /// The rows that the record holds: one, or those of an array.
  public func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError)
    -> [RolloutRecord]
  {
    let record = try JSONValue.parse(bytes)
    var records: [RolloutRecord] = []
    for row in record.array ?? [record] {
      records.append(.trajectory(try Self.isEvaluation(row) ? Self.evaluation(row) : Self.row(row)))
    }
    return records
  }

  // MARK: Trainers

  private static let columns: Set<String> = ["input", "output", "gts", "score", "step", "uid", "data_source"]

  private static func row(_ row: JSONValue) throws(RecordError) -> TrajectoryRecord {
    let input = try text(row, "input")
    let output = try text(row, "output")
    let (score, isScored) = try score(row)
    let step = try row.wholeNumber("step")
    var trajectory: TrajectoryRecord
    if let uid = row["uid"]?.string.flatMap(VerlUID.init) {
      trajectory = TrajectoryRecord(groupID: uid.prompt, trajectoryID: "\(uid.prompt)_\(uid.session)")
      trajectory.rolloutIndex = uid.session
      trajectory.part = uid.part
    } else {
      // A uid in another shape is the prompt's.
      let group = row["uid"]?.looseText ?? hash([row["step"]?.text() ?? "", input, row["gts"]?.text() ?? ""])
      trajectory = TrajectoryRecord(groupID: group, trajectoryID: hash([row.text()]))
      trajectory.copiesArePadding = true
    }
    trajectory.step = step
    trajectory.groundTruth = row["gts"]?.looseText
    trajectory.dataSource = row["data_source"]?.string
    trajectory.reward = score
    trajectory.rewards = LoggedReward.parts(of: row, except: columns, suffixes: ["_reward", "_score"])
    trajectory.text = output
    trajectory.segments = TaggedText.segments(of: output)
    var extra = (row.members ?? []).filter { !columns.contains($0.key) || ($0.key == "score" && !isScored) }
    if trajectory.part == 0 {
      trajectory.promptText = input
    } else {
      // The context of a later part is no longer the group's prompt.
      extra.append(JSONValue.Member("input", .string(input)))
    }
    finish(&trajectory, extra: extra)
    return trajectory
  }

  /// The scalar reward, and whether it says all that was logged as `score`.
  private static func score(_ row: JSONValue) throws(RecordError) -> (Double?, Bool) {
    guard let value = row["score"] else { return (try LoggedReward.scalar(row["reward"], "reward"), true) }
    let score = try LoggedReward.scalar(value, "score")
    return (score, score != nil && value.members == nil)
  }

  private static func text(_ row: JSONValue, _ key: String) throws(RecordError) -> String {
    guard let value = row[key] else { throw RecordError(.missingField, "no \"\(key)\"") }
    guard let text = value.string else { throw RecordError(.wrongType, "\(key) is not a string") }
    return text
  }

  private static func hash(_ parts: [String]) -> String {
    var hash = ContentHash()
    for part in parts { hash.add(part) }
    return hash.short
  }

  private static func finish(_ trajectory: inout TrajectoryRecord, extra: [JSONValue.Member]) {
    let rest = JSONValue.object(extra)
    trajectory.extra = rest.others([])
    trajectory.findings.append(Finding(.unknownTokens, count: trajectory.segments.count))
    let notFinite = rest.notFiniteCount
    if notFinite > 0 { trajectory.findings.append(Finding(.notFinite, count: notFinite, note: "beside the score")) }
  }

  // MARK: ARPO's evaluation

  private static let evaluationColumns: Set<String> = ["instruction", "input", "output", "logs"]

  private static func evaluation(_ row: JSONValue) throws(RecordError) -> TrajectoryRecord {
    let instruction = try text(row, "instruction")
    let input = try text(row, "input")
    let output = try text(row, "output")
    var trajectory = TrajectoryRecord(groupID: hash([instruction, input]), trajectoryID: hash([row.text()]))
    trajectory.copiesArePadding = true
    trajectory.promptText = instruction.isEmpty ? input : "\(instruction)\n\(input)"
    trajectory.groundTruth = (row["answer"] ?? row["gts"])?.looseText
    trajectory.reward = try score(row).0
    trajectory.text = output
    trajectory.segments = logged(row["logs"]?.array ?? [], output) ?? TaggedText.segments(of: output)
    let extra = (row.members ?? []).filter { !evaluationColumns.contains($0.key) }
    finish(&trajectory, extra: extra + [JSONValue.Member("instruction", .string(instruction))])
    return trajectory
  }

  /// Segments whose boundaries the log itself gives: model text and results in turn; `nil` if they are not the output.
  private static func logged(_ logs: [JSONValue], _ output: String) -> [Segment]? {
    let texts = logs.compactMap(\.string)
    guard texts.count == logs.count, !texts.isEmpty, texts.joined().utf8.elementsEqual(output.utf8) else { return nil }
    var segments: [Segment] = []
    for text in texts {
      if text.trimmingCharacters(in: .whitespacesAndNewlines).hasPrefix("<result>") {
        let tool = segments.last?.kind == .toolCall ? segments.last?.tool : nil
        let isError = TaggedText.segments(of: text).first?.status
        segments.append(Segment(kind: .toolResult, start: 0, end: 0, tool: tool, status: isError, text: text))
      } else {
        segments += TaggedText.segments(of: text)
      }
    }
    for i in segments.indices {
      segments[i].start = i
      segments[i].end = i + 1
      // What a piece that ends in a call says before is no answer, whatever it looks like on its own.
      if segments[i].kind == .answer, segments[i].text?.contains("<answer>") != true, i < segments.count - 1 {
        segments[i].kind = .reasoning
      }
    }
    return segments
  }
}

/// `{uid}_{session}_{index}`: a prompt, one of its samples, and one of the outputs that make the sample.
struct VerlUID {
  var prompt: String
  var session: Int
  var part: Int

  init?(_ text: String) {
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count >= 3, let part = Self.number(parts[parts.count - 1]),
      let session = Self.number(parts[parts.count - 2])
    else { return nil }
    prompt = parts.dropLast(2).joined(separator: "_")
    if prompt.isEmpty { return nil }
    self.session = session
    self.part = part
  }

  /// Digits only, and no more than an `Int32` holds.
  private static func number(_ text: Substring) -> Int? {
    text.utf8.allSatisfy { $0 &- 0x30 < 10 } ? Int32(text).map(Int.init) : nil
  }
}
