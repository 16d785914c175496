import Rollouts

/// Reads a native `trajectory` record in one pass: arrays go straight into columns.
struct NativeTrajectoryReader {
  private var cursor: JSONCursor
  private var record = TrajectoryRecord(groupID: "", trajectoryID: "")
  private var groupID: String?
  private var trajectoryID: String?
  private var branchTokenIndex: Int?
  private var branchSegment: Int?
  private var isFull = false
  private var tokenIDs: [Int32]?
  private var lossMask: [UInt8]?
  private var logprobs: RealColumn?
  private var topLogprobs: TopLogprobs?
  private var entropies: RealColumn?
  private var segments: [JSONValue]?
  private var hasReward = false
  private var extra: [String] = []

  static func read(_ bytes: UnsafeBufferPointer<UInt8>) throws(RecordError) -> TrajectoryRecord {
    var reader = NativeTrajectoryReader(cursor: JSONCursor(bytes))
    try reader.readMembers()
    try reader.resolve()
    return reader.record
  }

  private init(cursor: JSONCursor) { self.cursor = cursor }

  // MARK: Members

  private mutating func readMembers() throws(RecordError) {
    try cursor.expect(UInt8(ascii: "{"))
    var first = true
    while let key = try cursor.nextKey(first: &first) {
      if cursor.takeNull() {
        // Equal to absent, but for the reward: there null says "unscored" even if there are parts.
        if cursor.bytes(key, equal: "reward") { hasReward = true }
        continue
      }
      try readMember(key)
    }
    try cursor.expectEnd()
    if !extra.isEmpty { record.extra = "{" + extra.joined(separator: ",") + "}" }
  }

  private mutating func readMember(_ key: JSONCursor.StringBytes) throws(RecordError) {
    // By length first: a record has two dozen keys, and most comparisons end there.
    switch key.end - key.start {
    case 4:
      if cursor.bytes(key, equal: "kind") { return _ = try cursor.skipValue() }
      if cursor.bytes(key, equal: "text") { return record.text = try cursor.string() }
      if cursor.bytes(key, equal: "step") { return record.step = try cursor.integer("step") }
    case 6:
      if cursor.bytes(key, equal: "schema") { return try NativeFields.check(schema: cursor.string()) }
      if cursor.bytes(key, equal: "run_id") { return record.runID = try cursor.string() }
      if cursor.bytes(key, equal: "reward") {
        hasReward = true
        return record.reward = try cursor.real("reward")
      }
      if cursor.bytes(key, equal: "prefix") { return try readPrefix() }
      if cursor.bytes(key, equal: "branch") { return record.branch = cursor.text(try cursor.skipObject("branch")) }
    case 7:
      if cursor.bytes(key, equal: "rewards") { return try readRewards() }
    case 8:
      if cursor.bytes(key, equal: "group_id") { return groupID = try cursor.string() }
      if cursor.bytes(key, equal: "logprobs") {
        return logprobs = try readLogprobs("logprobs", expecting: tokenIDs?.count ?? 0)
      }
      if cursor.bytes(key, equal: "segments") {
        guard let array = try cursor.value().array else { throw cursor.fail("segments is not an array", .wrongType) }
        return segments = array
      }
    case 9:
      if cursor.bytes(key, equal: "parent_id") { return record.parentID = try cursor.string() }
      if cursor.bytes(key, equal: "token_ids") {
        var ids: [Int32] = []
        try cursor.integers(into: &ids, "token_ids")
        return tokenIDs = ids
      }
      if cursor.bytes(key, equal: "loss_mask") {
        var mask: [UInt8] = []
        try cursor.mask(into: &mask, "loss_mask")
        return lossMask = mask
      }
      if cursor.bytes(key, equal: "entropies") {
        var scan = JSONCursor.RealScan()
        return entropies = try cursor.reals("entropies", expecting: tokenIDs?.count ?? 0, scan: &scan)
      }
    case 11:
      if cursor.bytes(key, equal: "prompt_text") { return record.promptText = try cursor.string() }
      if cursor.bytes(key, equal: "data_source") { return record.dataSource = try cursor.string() }
    case 12:
      if cursor.bytes(key, equal: "top_logprobs") { return try readTopLogprobs() }
      if cursor.bytes(key, equal: "entropy_kind") { return record.entropyKind = try cursor.string() }
      if cursor.bytes(key, equal: "ground_truth") {
        let value = try cursor.value()
        return record.groundTruth = value.string ?? value.text()
      }
      if cursor.bytes(key, equal: "multiplicity") { return record.multiplicity = try cursor.integer("multiplicity") }
    case 13:
      if cursor.bytes(key, equal: "trajectory_id") { return trajectoryID = try cursor.string() }
      if cursor.bytes(key, equal: "rollout_index") { return record.rolloutIndex = try cursor.integer("rollout_index") }
      if cursor.bytes(key, equal: "finish_reason") { return record.finishReason = try cursor.string() }
    case 14:
      if cursor.bytes(key, equal: "policy_version") {
        return record.policyVersion = try cursor.integer("policy_version")
      }
      if cursor.bytes(key, equal: "branch_segment") { return branchSegment = try cursor.integer("branch_segment") }
    case 16:
      if cursor.bytes(key, equal: "prompt_token_ids") {
        var ids: [Int32] = []
        try cursor.integers(into: &ids, "prompt_token_ids")
        return record.promptTokenIDs = ids
      }
    case 18:
      if cursor.bytes(key, equal: "branch_token_index") {
        return branchTokenIndex = try cursor.integer("branch_token_index")
      }
    default: break
    }
    let name = cursor.text((key.start - 1)..<(key.end + 1))
    extra.append("\(name):\(cursor.text(try cursor.skipValue()))")
  }

  private mutating func readPrefix() throws(RecordError) {
    switch try cursor.string() {
    case "delta": isFull = false
    case "full": isFull = true
    case let other: throw cursor.fail("prefix is \"\(other)\", not delta or full", .wrongType)
    }
  }

  private mutating func readLogprobs(_ what: StaticString, expecting expected: Int) throws(RecordError) -> RealColumn {
    var scan = JSONCursor.RealScan()
    let start = cursor.at
    let column = try cursor.reals(what, expecting: expected, scan: &scan)
    if scan.largest > 0 {
      let index = (0..<column.count).first { (column[$0] ?? -1) > 0 } ?? 0
      throw RecordError(
        .positiveLogprob, "\(what)[\(index)] is \(column[index] ?? 0); a log-probability is at most 0", at: start)
    }
    return column
  }

  private mutating func readTopLogprobs() throws(RecordError) {
    var top = TopLogprobs()
    guard cursor.take(UInt8(ascii: "{")) else { throw cursor.fail("top_logprobs is not an object", .wrongType) }
    var first = true
    var seen = 0
    var expected = 0
    while let key = try cursor.nextKey(first: &first) {
      if cursor.bytes(key, equal: "counts") {
        try cursor.integers(into: &top.counts, "top_logprobs.counts", expecting: tokenIDs?.count ?? 0)
        expected = top.counts.reduce(0) { $0 + Int($1) }
        seen |= 1
      } else if cursor.bytes(key, equal: "token_ids") {
        try cursor.integers(into: &top.tokenIDs, "top_logprobs.token_ids", expecting: expected)
        seen |= 2
      } else if cursor.bytes(key, equal: "logprobs") {
        top.logprobs = try readLogprobs("top_logprobs.logprobs", expecting: expected)

        seen |= 4
      } else {
        _ = try cursor.skipValue()
      }
    }
    guard seen == 7 else { throw cursor.fail("top_logprobs lacks counts, token_ids or logprobs", .missingField) }
    var total = 0
    for count in top.counts { total += Int(count) }
    guard total == top.tokenIDs.count, total == top.logprobs.count else {
      throw cursor.fail(
        "top_logprobs: counts add up to \(total), token_ids has \(top.tokenIDs.count), logprobs \(top.logprobs.count)",
        .lengthMismatch)
    }
    if top.logprobs.floats.contains(where: \.isNaN) || top.logprobs.doubles.contains(where: \.isNaN) {
      throw cursor.fail("top_logprobs.logprobs has a null", .wrongType)
    }
    topLogprobs = top
  }

  private mutating func readRewards() throws(RecordError) {
    guard let members = try cursor.value().members else { throw cursor.fail("rewards is not an object", .wrongType) }
    for member in members where member.value != .null {
      let fields = NativeFields(member.value)
      guard member.value.members != nil else {
        throw cursor.fail("rewards.\(member.key) is not an object", .wrongType)
      }
      record.rewards.append(
        RewardPart(name: member.key, score: try fields.real("score"), weight: try fields.real("weight") ?? 1))
    }
  }

  // MARK: Rules

  /// Checks the record against the rules that it can be held to alone; those about its parent are the store's.
  private mutating func resolve() throws(RecordError) {
    guard let groupID else { throw RecordError(.missingField, "no \"group_id\"") }
    guard let trajectoryID else { throw RecordError(.missingField, "no \"trajectory_id\"") }
    record.groupID = groupID
    record.trajectoryID = trajectoryID
    guard record.multiplicity >= 1, record.multiplicity <= Int(Int32.max) else {
      throw RecordError(.outOfRange, "multiplicity is \(record.multiplicity)")
    }
    if !hasReward, !record.rewards.isEmpty {
      // A part without a score leaves the sum unknown.
      record.reward = record.rewards.reduce(Double?(0)) { sum, part in
        part.score.flatMap { score in sum.map { $0 + score * part.weight } }
      }
    }
    try tokenIDs == nil ? resolveText() : resolveTokens()
  }

  private mutating func resolveTokens() throws(RecordError) {
    guard let ids = tokenIDs else { return }
    let n = ids.count
    if record.parentID != nil {
      guard let branch = branchTokenIndex else {
        throw RecordError(.missingField, "parent_id without branch_token_index")
      }
      record.branchIndex = branch
      record.firstIndex = isFull ? 0 : branch
      guard branch >= 0, branch <= Int(Int32.max), !isFull || branch <= n else {
        throw RecordError(.badBranch, "branch_token_index is \(branch)")
      }
    }
    try checkLength("loss_mask", lossMask?.count, n)
    try checkLength("logprobs", logprobs?.count, n)
    try checkLength("entropies", entropies?.count, n)
    try checkLength("top_logprobs.counts", topLogprobs?.counts.count, n)
    if let segments {
      record.segments = try tokenSegments(segments, count: n)
    } else {
      record.segments = DerivedSegments.fromMask(
        lossMask ?? [UInt8](repeating: 1, count: n), first: record.firstIndex, text: record.text)
    }
    var mask = lossMask ?? []
    if lossMask == nil {
      mask = [UInt8](repeating: 1, count: n)
      for s in record.segments where s.kind == .toolResult {
        for i in (s.start - record.firstIndex)..<(s.end - record.firstIndex) { mask[i] = 0 }
      }
    }
    let columns = TokenColumns(
      tokenIDs: ids, lossMask: mask, logprobs: logprobs, topLogprobs: topLogprobs, entropies: entropies)
    record.findings = Forensics.findings(columns, firstIndex: record.firstIndex)
    record.columns = columns
  }

  private mutating func resolveText() throws(RecordError) {
    for (name, present) in [
      ("loss_mask", lossMask != nil), ("logprobs", logprobs != nil), ("top_logprobs", topLogprobs != nil),
      ("entropies", entropies != nil),
    ] where present {
      throw RecordError(.missingField, "\(name) without token_ids")
    }
    var first = 0
    if record.parentID != nil {
      guard let branch = branchSegment else { throw RecordError(.missingField, "parent_id without branch_segment") }
      guard branch >= 0, branch <= Int(Int32.max) else { throw RecordError(.badBranch, "branch_segment is \(branch)") }
      record.branchIndex = branch
      first = isFull ? 0 : branch
      record.firstIndex = first
    }
    if let segments {
      for (i, value) in segments.enumerated() {
        var segment = try segmentFields(value, i)
        guard segment.text != nil || segments.isEmpty else {
          throw RecordError(.missingField, "segments[\(i)] has no text, and there are no token_ids")
        }
        segment.start = first + i
        segment.end = first + i + 1
        record.segments.append(segment)
      }
    } else if let text = record.text {
      record.segments = TaggedText.segments(of: text).enumerated().map { i, s in
        var s = s
        s.start = first + i
        s.end = first + i + 1
        return s
      }
    } else {
      throw RecordError(.missingField, "neither token_ids nor text nor segments")
    }
    if isFull, record.branchIndex > record.segments.count {
      throw RecordError(.badBranch, "branch_segment \(record.branchIndex) is behind the record's own segments")
    }
    record.findings = [Finding(.unknownTokens, count: record.segments.count)]
  }

  private func checkLength(_ what: String, _ count: Int?, _ n: Int) throws(RecordError) {
    if let count, count != n { throw RecordError(.lengthMismatch, "\(what) has \(count) elements, token_ids has \(n)") }
  }

  private func tokenSegments(_ values: [JSONValue], count n: Int) throws(RecordError) -> [Segment] {
    var out: [Segment] = []
    out.reserveCapacity(values.count)
    var at = record.firstIndex
    for (i, value) in values.enumerated() {
      var segment = try segmentFields(value, i)
      guard let start = value["start"]?.int, let end = value["end"]?.int else {
        throw RecordError(.missingField, "segments[\(i)] has no whole start and end")
      }
      guard start == at, end >= start, end <= record.firstIndex + n else {
        throw RecordError(
          .badSegments,
          "segments[\(i)] is \(start)..<\(end); the one before ends at \(at), the tokens at \(record.firstIndex + n)")
      }
      segment.start = start
      segment.end = end
      at = end
      out.append(segment)
    }
    guard at == record.firstIndex + n else {
      throw RecordError(.badSegments, "the segments end at \(at), the tokens at \(record.firstIndex + n)")
    }
    return out
  }

  private static let segmentKeys: Set<String> = [
    "kind", "start", "end", "tool", "tool_call_id", "status", "latency_s", "arguments", "text",
  ]

  private func segmentFields(_ value: JSONValue, _ i: Int) throws(RecordError) -> Segment {
    let fields = NativeFields(value)
    guard value.members != nil else { throw RecordError(.wrongType, "segments[\(i)] is not an object") }
    guard let name = try fields.string("kind") else { throw RecordError(.missingField, "segments[\(i)] has no kind") }
    guard let kind = SegmentKind(rawValue: name) else {
      throw RecordError(.badSegments, "segments[\(i)].kind is \"\(name)\"")
    }
    return Segment(
      kind: kind, start: 0, end: 0, tool: try fields.string("tool"), toolCallID: try fields.string("tool_call_id"),
      status: try fields.string("status"), latency: try fields.real("latency_s"),
      arguments: fields.looseText("arguments"), text: try fields.string("text"),
      extra: fields.others(Self.segmentKeys))
  }
}

extension JSONCursor {
  /// Takes an object and returns the range of its bytes.
  mutating func skipObject(_ what: String) throws(RecordError) -> Range<Int> {
    guard peek() == UInt8(ascii: "{") else { throw fail("\(what) is not an object", .wrongType) }
    return try skipValue()
  }
}
