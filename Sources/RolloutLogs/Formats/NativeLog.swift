import Foundation
public import Rollouts

/// The native format, `arpo-rollout/1`: everything that replay needs, one JSON record a line.
///
/// The trajectory records carry the token arrays and are read in one pass without building a document; the other
/// kinds are rare and small.
public struct NativeLog: LogFormat {
  public static let name = "arpo-rollout"
  public static let summary = "arpo-rollout/1, the native format: token-level branches, top-k, rewards a leaf"
  static let schema = "arpo-rollout/1"
  static let kinds: Set<String> = ["run", "group", "trajectory", "end"]

  public init(file: LogFile) {}

  public static func recognises(_ record: JSONValue) -> Bool {
    if let schema = record["schema"]?.string { return schema.hasPrefix("arpo-rollout/") }
    guard let kind = record["kind"]?.string, kinds.contains(kind) else { return false }
    switch kind {
    case "run": return record["run_id"]?.string != nil
    case "group": return record["group_id"]?.string != nil
    case "trajectory": return record["group_id"]?.string != nil && record["trajectory_id"]?.string != nil
    default: return record.keys.count <= 3
    }
  }

  public func records(in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition) throws(RecordError)
    -> [RolloutRecord]
  {
    try records(in: bytes, at: position, with: ReadingDesk(recent: nil))
  }

  public func records(
    in bytes: UnsafeBufferPointer<UInt8>, at position: RecordPosition, with desk: ReadingDesk
  ) throws(RecordError) -> [RolloutRecord] {
    if try kind(of: bytes) == "trajectory" { return [.trajectory(try NativeTrajectoryReader.read(bytes, with: desk))] }
    let record = try JSONValue.parse(bytes)
    let fields = NativeFields(record)
    try fields.checkSchema()
    switch record["kind"]?.string {
    case "run": return [.run(try run(fields))]
    case "group": return [.group(try group(fields))]
    case "end": return [.end(trajectories: try fields.integer("trajectories"))]
    case .some(let other):
      throw RecordError(.unknownRecord, "kind \"\(other)\" is not one of run, group, trajectory, end")
    case nil: throw RecordError(.missingField, "no \"kind\"")
    }
  }

  /// The record's kind, found without reading what stands behind it.
  private func kind(of bytes: UnsafeBufferPointer<UInt8>) throws(RecordError) -> String? {
    var cursor = JSONCursor(bytes)
    guard cursor.peek() == UInt8(ascii: "{") else {
      _ = try JSONValue.parse(bytes)
      throw cursor.fail("a record is not an object", .wrongType)
    }
    try cursor.expect(UInt8(ascii: "{"))
    var first = true
    while let key = try cursor.nextKey(first: &first) {
      if cursor.bytes(key, equal: "kind") {
        return cursor.peek() == UInt8(ascii: "\"") ? try cursor.string() : nil
      }
      _ = try cursor.skipValue()
    }
    return nil
  }

  public func lostRun(in bytes: UnsafeBufferPointer<UInt8>) -> LostRun? {
    var cursor = JSONCursor(bytes)
    var isRun = false
    var name: String?
    do throws(RecordError) {
      try cursor.expect(UInt8(ascii: "{"))
      var first = true
      while let key = try cursor.nextKey(first: &first) {
        let isString = cursor.peek() == UInt8(ascii: "\"")
        if isString, cursor.bytes(key, equal: "kind") {
          isRun = try cursor.string() == "run"
          if !isRun { return nil }
        } else if isString, cursor.bytes(key, equal: "run_id") {
          let bytes = try cursor.stringBytes()
          if LogText.firstInvalidUTF8(in: cursor.raw(bytes)) == nil { name = try cursor.decoded(bytes) }
        } else {
          _ = try cursor.skipValue()
        }
      }
    } catch {
      // What stands before the error counts.
    }
    return isRun ? name.map(LostRun.named) ?? .unnamed : nil
  }

  private func run(_ fields: NativeFields) throws(RecordError) -> RunRecord {
    var run = RunRecord(runID: try fields.requiredString("run_id"))
    run.algorithm = try fields.string("algorithm")
    run.model = try fields.string("model")
    run.logprobsMode = try fields.string("logprobs_mode")
    if let tokenizer = try fields.object("tokenizer") {
      run.tokenizerName = try tokenizer.string("name")
      run.tokenizerSHA256 = try tokenizer.string("sha256")
      run.vocabSize = try tokenizer.integer("vocab_size")
      if let size = run.vocabSize, size < 1 {
        throw RecordError(.outOfRange, "tokenizer.vocab_size is \(size)")
      }
    }
    if let sampling = try fields.object("sampling") {
      run.temperature = try sampling.real("temperature")
      run.topP = try sampling.real("top_p")
      run.topK = try sampling.integer("top_k")
    }
    run.branching = try fields.object("branching")?.record.text()
    run.extra = fields.others([
      "schema", "kind", "run_id", "algorithm", "model", "tokenizer", "sampling", "logprobs_mode", "branching",
    ])
    return run
  }

  private func group(_ fields: NativeFields) throws(RecordError) -> GroupRecord {
    var group = GroupRecord(groupID: try fields.requiredString("group_id"))
    group.runID = try fields.string("run_id")
    group.step = try fields.integer("step")
    group.dataSource = try fields.string("data_source")
    group.policyVersion = try fields.integer("policy_version")
    group.promptText = try fields.string("prompt_text")
    group.groundTruth = fields.looseText("ground_truth")
    if let ids = fields.record["prompt_token_ids"] {
      guard let array = ids.array else { throw RecordError(.wrongType, "prompt_token_ids is not an array") }
      var tokens: [Int32] = []
      for element in array {
        guard let value = element.int, let id = Int32(exactly: value), id >= 0 else {
          throw RecordError(.outOfRange, "an element of prompt_token_ids is not a token id")
        }
        tokens.append(id)
      }
      group.promptTokenIDs = tokens
    }
    group.extra = fields.others([
      "schema", "kind", "group_id", "run_id", "step", "data_source", "policy_version", "prompt_text", "ground_truth",
      "prompt_token_ids",
    ])
    return group
  }
}

/// Typed access to the keys of a small native record; a wrong type is an error that names the key.
struct NativeFields {
  let record: JSONValue

  init(_ record: JSONValue) { self.record = record }

  func checkSchema() throws(RecordError) {
    guard let schema = record["schema"] else { return }
    guard let text = schema.string else { throw RecordError(.wrongType, "schema is not a string") }
    try Self.check(schema: text)
  }

  static func check(schema: String) throws(RecordError) {
    guard schema == NativeLog.schema || schema.hasPrefix(NativeLog.schema + ".") else {
      throw RecordError(.unsupportedSchema, "schema \"\(schema)\"; this version reads \(NativeLog.schema)")
    }
  }

  func string(_ key: String) throws(RecordError) -> String? {
    guard let value = record[key] else { return nil }
    guard let text = value.string else { throw RecordError(.wrongType, "\(key) is not a string") }
    return text
  }

  func requiredString(_ key: String) throws(RecordError) -> String {
    guard let text = try string(key) else { throw RecordError(.missingField, "no \"\(key)\"") }
    return text
  }

  func integer(_ key: String) throws(RecordError) -> Int? {
    guard let value = record[key] else { return nil }
    guard let number = value.int else { throw RecordError(.wrongType, "\(key) is not a whole number") }
    return number
  }

  func real(_ key: String) throws(RecordError) -> Double? {
    guard let value = record[key] else { return nil }
    guard let number = value.double else { throw RecordError(.wrongType, "\(key) is not a number") }
    guard number.isFinite else { throw RecordError(.notFinite, "\(key) is not finite") }
    return number
  }

  func object(_ key: String) throws(RecordError) -> NativeFields? {
    guard let value = record[key] else { return nil }
    guard value.members != nil else { throw RecordError(.wrongType, "\(key) is not an object") }
    return NativeFields(value)
  }

  /// A string as it is, anything else as JSON text: ground truths come in every shape.
  func looseText(_ key: String) -> String? {
    guard let value = record[key] else { return nil }
    return value.string ?? value.text()
  }

  /// The members with other keys, as the text of a JSON object.
  func others(_ known: Set<String>) -> String? {
    let rest = (record.members ?? []).filter { !known.contains($0.key) && $0.value != .null }
    return rest.isEmpty ? nil : JSONValue.object(rest).text()
  }
}
