public import Foundation
public import Rollouts

/// A native log of one run, read the simple and slow way: Foundation's JSON, no streaming, no checks.
///
/// It exists so that analyses can be tested without the importer.
public struct GoldenLog {
  /// The run record.
  public var run = RunRecord(runID: "")
  /// The run record's `branching` object.
  public var branching: [String: Any] = [:]
  /// Group records by id.
  public var groups: [String: GroupRecord] = [:]
  /// In file order.
  ///
  /// Columns hold own tokens only: the parent's prefix, where a record repeats it, is cut off.
  public var trajectories: [TrajectoryRecord] = []

  /// Reads a plain, gzip or zstd file.
  public init(_ url: URL) throws {
    for line in try Self.read(url).split(separator: UInt8(ascii: "\n")) where line.contains(where: { $0 > 0x20 }) {
      guard let record = try JSONSerialization.jsonObject(with: line) as? [String: Any] else { continue }
      switch record["kind"] as? String {
      case "run": readRun(record)
      case "group": readGroup(record)
      case "trajectory": trajectories.append(Self.trajectory(record))
      default: break
      }
    }
  }

  /// The bytes of a file, decompressed by the program for it.
  public static func read(_ url: URL) throws -> Data {
    let program = ["zst": "zstd", "gz": "gzip"][url.pathExtension]
    guard let program else { return try Data(contentsOf: url) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program, "-dc", url.path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CocoaError(.fileReadCorruptFile) }
    return data
  }

  private mutating func readRun(_ record: [String: Any]) {
    run = RunRecord(runID: record["run_id"] as? String ?? "")
    run.algorithm = record["algorithm"] as? String
    run.vocabSize = (record["tokenizer"] as? [String: Any])?["vocab_size"] as? Int
    branching = record["branching"] as? [String: Any] ?? [:]
  }

  private mutating func readGroup(_ record: [String: Any]) {
    var group = GroupRecord(groupID: record["group_id"] as? String ?? "")
    group.step = record["step"] as? Int
    group.dataSource = record["data_source"] as? String
    group.policyVersion = record["policy_version"] as? Int
    groups[group.groupID] = group
  }

  private static func trajectory(_ record: [String: Any]) -> TrajectoryRecord {
    var t = TrajectoryRecord(
      groupID: record["group_id"] as? String ?? "", trajectoryID: record["trajectory_id"] as? String ?? "")
    t.rolloutIndex = record["rollout_index"] as? Int
    t.parentID = record["parent_id"] as? String
    t.branchIndex = t.parentID == nil ? 0 : record["branch_token_index"] as? Int ?? 0
    t.multiplicity = record["multiplicity"] as? Int ?? 1
    t.step = record["step"] as? Int
    t.dataSource = record["data_source"] as? String
    t.policyVersion = record["policy_version"] as? Int
    t.finishReason = record["finish_reason"] as? String
    t.entropyKind = record["entropy_kind"] as? String
    if record.keys.contains("reward") {
      t.reward = record["reward"] as? Double
    } else if let parts = record["rewards"] as? [String: [String: Any]], !parts.isEmpty {
      t.reward = parts.sorted { $0.key < $1.key }.reduce(0) { sum, part in
        sum + (part.value["score"] as? Double ?? .nan) * (part.value["weight"] as? Double ?? 1)
      }
    }
    let segments = record["segments"] as? [[String: Any]] ?? []
    guard let tokens = record["token_ids"] as? [Int] else {
      t.segments = segments.enumerated().map { segment($1, start: $0, end: $0 + 1) }
      return t
    }
    let repeatsPrefix = t.parentID != nil && record["prefix"] as? String == "full"
    let first = repeatsPrefix ? 0 : t.branchIndex
    let cut = t.branchIndex - first
    let all = segments.map { segment($0, start: $0["start"] as? Int ?? 0, end: $0["end"] as? Int ?? 0) }
    let mask = (record["loss_mask"] as? [Int])?.map(UInt8.init) ?? derivedMask(all, from: first, count: tokens.count)
    let columns = TokenColumns(
      tokenIDs: tokens.map(Int32.init), lossMask: mask, logprobs: column(record["logprobs"]),
      topLogprobs: candidates(record["top_logprobs"]), entropies: column(record["entropies"]))
    t.columns = suffix(columns, from: cut)
    t.firstIndex = t.branchIndex
    t.segments = all.filter { $0.end > t.branchIndex }.map {
      var s = $0
      s.start = max(s.start, t.branchIndex)
      return s
    }
    return t
  }

  private static func segment(_ s: [String: Any], start: Int, end: Int) -> Segment {
    Segment(
      kind: SegmentKind(rawValue: s["kind"] as? String ?? "") ?? .other, start: start, end: end,
      tool: s["tool"] as? String, toolCallID: s["tool_call_id"] as? String, text: s["text"] as? String)
  }

  private static func derivedMask(_ segments: [Segment], from first: Int, count: Int) -> [UInt8] {
    var mask = [UInt8](repeating: 1, count: count)
    for s in segments where s.kind == .toolResult { for i in s.start..<s.end { mask[i - first] = 0 } }
    return mask
  }

  /// A column of reals, as float32 if that loses nothing.
  private static func column(_ values: Any?) -> RealColumn? {
    guard let values = values as? [Any] else { return nil }
    let reals = values.map { $0 as? Double ?? .nan }
    let floats = reals.map(Float.init)
    let isExact = zip(reals, floats).allSatisfy { $0.isNaN || Double($1) == $0 }
    return isExact ? RealColumn(floats: floats) : RealColumn(doubles: reals)
  }

  private static func candidates(_ top: Any?) -> TopLogprobs? {
    guard let top = top as? [String: Any], let counts = top["counts"] as? [Int], let ids = top["token_ids"] as? [Int],
      let logprobs = column(top["logprobs"])
    else { return nil }
    return TopLogprobs(counts: counts.map(Int32.init), tokenIDs: ids.map(Int32.init), logprobs: logprobs)
  }

  private static func suffix(_ columns: TokenColumns, from cut: Int) -> TokenColumns {
    if cut == 0 { return columns }
    let range = cut..<columns.count
    var out = TokenColumns(tokenIDs: Array(columns.tokenIDs[range]), lossMask: Array(columns.lossMask[range]))
    out.logprobs = columns.logprobs?.slice(range)
    out.entropies = columns.entropies?.slice(range)
    if let top = columns.topLogprobs {
      out.topLogprobs = top.slice(range, from: top.counts[..<cut].reduce(0) { $0 + Int($1) }).0
    }
    return out
  }
}
