import CKernels
import Foundation
import Rollouts

/// Reads a native `trajectory` record in one pass: arrays go straight into columns.
///
/// A record that repeats its parent's prefix is cut in two while it is read: what it owns, and the repetition. The latter is
/// not read at all if the parent's record is at hand and says the same bytes.
struct NativeTrajectoryReader {
  private var cursor: JSONCursor
  private var record = TrajectoryRecord(groupID: "", trajectoryID: "")
  private var groupID: String?
  private var trajectoryID: String?
  private var branchTokenIndex: Int?
  private var branchSegment: Int?
  private var isFull = false
  private var segments: [JSONValue]?
  private var hasReward = false
  /// Bits of the members read so far.
  private var seen: UInt32 = 0
  /// Numbers that JSON does not have, in what is stored as JSON.
  private var notFinite = 0
  private var extra: [String] = []

  /// What the record owns, and what it repeats.
  private var own: Part
  private var prefix = Part(TokenColumns())
  /// The parent's record, while the repetition equals it byte for byte.
  private let parent: RecentRecords.Found?
  /// Tokens at the front that are the repetition, as far as the members read so far tell.
  private var repeated = 0
  private var isRepeatedSettled: Bool
  /// Nulls in the array of reals read last.
  private var missing = 0

  /// Columns while they are read; those that the record lacks are `nil`.
  private struct Part {
    var hasIDs = false
    var hasMask = false
    var columns: TokenColumns
    var logprobs: RealColumn?
    var entropies: RealColumn?
    var top: TopLogprobs?
    /// Storage for reals that are read next.
    var spareLogprobs = RealColumn()
    var spareTop = TopLogprobs()

    init(_ columns: TokenColumns) {
      self.columns = columns
      spareLogprobs = columns.logprobs ?? RealColumn()
      spareTop = columns.topLogprobs ?? TopLogprobs()
      self.columns.logprobs = nil
      self.columns.topLogprobs = nil
      self.columns.entropies = nil
    }
  }

  static func read(_ bytes: UnsafeBufferPointer<UInt8>, with desk: ReadingDesk? = nil) throws(RecordError)
    -> TrajectoryRecord
  {
    if let desk, let recent = desk.recent, let id = parentID(of: bytes) {
      let record = recent.with(trajectory: id) { parent -> TrajectoryRecord? in
        var reader = NativeTrajectoryReader(bytes, desk, parent: parent, repeated: nil)
        // Whatever is wrong is said below, where every element is read.
        do throws(RecordError) { return try reader.finished() ? reader.record : nil } catch { return nil }
      }
      if let record { return record }
    }
    var reader = NativeTrajectoryReader(bytes, desk, parent: nil, repeated: nil)
    if try reader.finished() { return reader.record }
    // The members that tell what is repeated came behind the arrays.
    var again = NativeTrajectoryReader(bytes, desk, parent: nil, repeated: reader.repetition)
    _ = try again.finished()
    return again.record
  }

  private init(
    _ bytes: UnsafeBufferPointer<UInt8>, _ desk: ReadingDesk?, parent: RecentRecords.Found?, repeated: Int?
  ) {
    cursor = JSONCursor(bytes)
    own = Part(desk?.blank() ?? TokenColumns())
    self.parent = parent
    self.repeated = repeated ?? 0
    isRepeatedSettled = repeated != nil
  }

  /// The parent's id if it stands before the arrays, so that one look at the beginning finds it.
  private static func parentID(of bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
    var cursor = JSONCursor(bytes)
    do throws(RecordError) {
      var first = true
      try cursor.expect(UInt8(ascii: "{"))
      while let key = try cursor.nextKey(first: &first) {
        if cursor.bytes(key, equal: "parent_id") {
          guard cursor.peek() == UInt8(ascii: "\"") else { return nil }
          let id = try cursor.stringBytes()
          return id.hasEscapes ? nil : UnsafeBufferPointer(rebasing: bytes[id.start..<id.end])
        }
        if cursor.peek() == UInt8(ascii: "[") { return nil }
        _ = try cursor.skipValue()
      }
    } catch { return nil }
    return nil
  }

  /// Reads the record; false if it repeats another number of tokens than was assumed, or other bytes than the parent's.
  private mutating func finished() throws(RecordError) -> Bool {
    try readMembers()
    guard repetition == repeated, try resolve() else { return false }
    if notFinite > 0 { record.findings.append(Finding(.notFinite, count: notFinite, note: "beside the tokens")) }
    return true
  }

  /// Opens an array of the tokens; all are cut at the same place, which the members before the first of them tell.
  private mutating func open(_ what: StaticString) throws(RecordError) -> Bool {
    if !isRepeatedSettled {
      repeated = repetition
      isRepeatedSettled = true
    }
    return try cursor.openArray(what)
  }

  /// Tokens at the front that are the repetition, by the members read so far.
  private var repetition: Int {
    guard isFull, record.parentID != nil, let branch = branchTokenIndex, branch > 0, branch <= Int(Int32.max) else {
      return 0
    }
    return branch
  }

  // MARK: Members

  private mutating func readMembers() throws(RecordError) {
    try cursor.expect(UInt8(ascii: "{"))
    var first = true
    while let key = try cursor.nextKey(first: &first) {
      let member = NativeMember(key, cursor)
      if let member {
        // Of a key that comes again the first one counts, as in every other record.
        if seen & member.bit != 0 {
          try passOver()
          continue
        }
        seen |= member.bit
      }
      if cursor.takeNull() {
        // Equal to absent, but for the reward: there null says "unscored" even if there are parts.
        if member == .reward { hasReward = true }
        continue
      }
      if let member { try read(member) } else { extra.append(try unknownMember(key)) }
    }
    try cursor.expectEnd()
    if !extra.isEmpty { record.extra = "{" + extra.joined(separator: ",") + "}" }
  }

  private mutating func read(_ member: NativeMember) throws(RecordError) {
    switch member {
    case .kind: try passOver()
    case .text: record.text = try cursor.string()
    case .step: record.step = try cursor.integer("step")
    case .schema: try NativeFields.check(schema: cursor.string())
    case .runID: record.runID = try cursor.string()
    case .reward:
      hasReward = true
      record.reward = try cursor.real("reward")
    case .prefix: try readPrefix()
    case .branch:
      guard cursor.peek() == UInt8(ascii: "{") else { throw cursor.fail("branch is not an object", .wrongType) }
      record.branch = try checkedText()
    case .rewards: try readRewards()
    case .groupID: groupID = try cursor.string()
    case .logprobs:
      var spare = own.spareLogprobs
      own.spareLogprobs = RealColumn()
      let before = try readReals(.logprobs, "logprobs", &spare, isLogprob: true)
      own.logprobs = spare
      prefix.logprobs = before
    case .segments:
      let value = try cursor.value()
      guard let array = value.array else { throw cursor.fail("segments is not an array", .wrongType) }
      notFinite += value.notFiniteCount
      segments = array
    case .parentID: record.parentID = try cursor.string()
    case .tokenIDs: try readTokenIDs()
    case .lossMask: try readMask()
    case .entropies:
      var column = RealColumn()
      prefix.entropies = try readReals(.entropies, "entropies", &column, isLogprob: false)
      own.entropies = column
    case .promptText: record.promptText = try cursor.string()
    case .dataSource: record.dataSource = try cursor.string()
    case .topLogprobs: try readTopLogprobs()
    case .entropyKind: record.entropyKind = try cursor.string()
    case .groundTruth:
      let value = try cursor.value()
      notFinite += value.notFiniteCount
      record.groundTruth = value.string ?? value.text()
    case .multiplicity: record.multiplicity = try cursor.integer("multiplicity")
    case .trajectoryID: trajectoryID = try cursor.string()
    case .rolloutIndex: record.rolloutIndex = try cursor.integer("rollout_index")
    case .finishReason: record.finishReason = try cursor.string()
    case .policyVersion: record.policyVersion = try cursor.integer("policy_version")
    case .branchSegment: branchSegment = try cursor.integer("branch_segment")
    case .promptTokenIDs:
      var ids: [Int32] = []
      try cursor.integers(into: &ids, "prompt_token_ids")
      record.promptTokenIDs = ids
    case .branchTokenIndex: branchTokenIndex = try cursor.integer("branch_token_index")
    }
  }

  /// A member that means nothing here, as it is kept.
  private mutating func unknownMember(_ key: JSONCursor.StringBytes) throws(RecordError) -> String {
    try cursor.check(key)
    return "\(cursor.text((key.start - 1)..<(key.end + 1))):\(try checkedText())"
  }

  /// The text of the next value, which is JSON: as it stands, but with null for what JSON does not have.
  private mutating func checkedText() throws(RecordError) -> String {
    var strange = 0
    let range = try cursor.checkedValue(notFinite: &strange)
    if strange == 0 { return cursor.text(range) }
    notFinite += strange
    cursor.move(to: range.lowerBound)
    return try cursor.value().text()
  }

  /// Passes over a value that says nothing; it must be JSON all the same.
  private mutating func passOver() throws(RecordError) {
    var ignored = 0
    _ = try cursor.checkedValue(notFinite: &ignored)
  }

  private mutating func readPrefix() throws(RecordError) {
    switch try cursor.string() {
    case "delta": isFull = false
    case "full": isFull = true
    case let other: throw cursor.fail("prefix is \"\(other)\", not delta or full", .wrongType)
    }
  }

  // MARK: Arrays

  /// Thrown where the repetition does not equal the parent's bytes, or the parent has none: the record is read again.
  private static let differs = RecordError(.invalidJSON, "not the parent's bytes")

  /// Passes over the first `count` elements of an array that has just been opened, which must stand in the parent's array
  /// too.
  ///
  /// Returns whether more elements follow.
  private mutating func passParents(_ column: NativeOutline.Column, _ count: Int) throws(RecordError) -> Bool {
    guard let parent, let theirs = parent.outline[column], let base = parent.bytes.baseAddress else {
      throw Self.differs
    }
    var commas = count
    let n = arpo_common_elements(
      cursor.base + cursor.at, cursor.end - cursor.at, base + theirs.lowerBound, theirs.count, &commas)
    if commas == count {
      cursor.move(to: cursor.at + n)
      return true
    }
    // The last element of this array: the parent's goes on, or ends here too.
    guard commas == count - 1 else { throw Self.differs }
    let isWhole = n == theirs.count
    guard
      isWhole || (cursor.base[cursor.at + n] == UInt8(ascii: "]") && base[theirs.lowerBound + n] == UInt8(ascii: ","))
    else { throw Self.differs }
    cursor.move(to: cursor.at + n + (isWhole ? 0 : 1))
    return false
  }

  private mutating func readTokenIDs() throws(RecordError) {
    own.hasIDs = true
    own.columns.tokenIDs.removeAll(keepingCapacity: true)
    prefix.columns.tokenIDs = []
    var goesOn = try open("token_ids")
    if goesOn, repeated > 0 {
      if parent != nil {
        goesOn = try passParents(.tokenIDs, repeated)
      } else {
        goesOn = try cursor.readIntegers(into: &prefix.columns.tokenIDs, "token_ids", upTo: repeated)
      }
    }
    if goesOn { _ = try cursor.readIntegers(into: &own.columns.tokenIDs, "token_ids") }
  }

  private mutating func readMask() throws(RecordError) {
    own.hasMask = true
    own.columns.lossMask.removeAll(keepingCapacity: true)
    prefix.columns.lossMask = []
    var goesOn = try open("loss_mask")
    if goesOn, repeated > 0 {
      if parent != nil {
        goesOn = try passParents(.lossMask, repeated)
      } else {
        goesOn = try cursor.readMask(into: &prefix.columns.lossMask, "loss_mask", upTo: repeated)
      }
    }
    if goesOn { _ = try cursor.readMask(into: &own.columns.lossMask, "loss_mask") }
  }

  /// Reads an array of reals: the elements of the repetition are returned, those behind replace `column`.
  /// - Parameter count: elements of the repetition, if not one a token.
  private mutating func readReals(
    _ place: NativeOutline.Column, _ what: StaticString, _ column: inout RealColumn, count: Int? = nil, isLogprob: Bool
  ) throws(RecordError) -> RealColumn {
    let start = cursor.at
    var scan = JSONCursor.RealScan()
    var before = RealColumn()
    var goesOn = try open(what)
    let count = count ?? repeated
    if goesOn, count > 0 {
      if parent != nil {
        goesOn = try passParents(place, count)
      } else {
        goesOn = try cursor.readReals(into: &before, what, upTo: count, scan: &scan)
      }
    }
    if goesOn {
      _ = try cursor.readReals(into: &column, what, scan: &scan)
    } else {
      column.floats.removeAll(keepingCapacity: true)
      column.precision = .float32
      column.doubles = []
    }
    missing = scan.missing
    if isLogprob, scan.hasPositive {
      let all = before.widened() + column.widened()
      let index = all.firstIndex { $0 > 0 } ?? 0
      throw RecordError(
        .positiveLogprob, "\(what)[\(index)] is \(all[index]); a log-probability is at most 0", at: start)
    }
    return before
  }

  private mutating func readTopLogprobs() throws(RecordError) {
    var top = own.spareTop
    var before = TopLogprobs()
    own.spareTop = TopLogprobs()
    guard cursor.take(UInt8(ascii: "{")) else { throw cursor.fail("top_logprobs is not an object", .wrongType) }
    var first = true
    var seen = 0
    var others: [String] = []
    var nulls = 0
    // Candidates of the repetition.
    var shared = 0
    while let key = try cursor.nextKey(first: &first) {
      let part =
        cursor.bytes(key, equal: "counts")
        ? 1 : cursor.bytes(key, equal: "token_ids") ? 2 : cursor.bytes(key, equal: "logprobs") ? 4 : 0
      if seen & part != 0 {
        try passOver()
        continue
      }
      switch part {
      case 1:
        try readCounts(into: &top.counts, &before.counts)
        shared = before.counts.reduce(0) { $0 + Int($1) }
      case 2:
        guard seen & 1 != 0 || repeated == 0 else { throw outOfOrder }
        top.tokenIDs.removeAll(keepingCapacity: true)
        before.tokenIDs = []
        var goesOn = try open("top_logprobs.token_ids")
        if goesOn, shared > 0 {
          if parent != nil {
            goesOn = try passParents(.topTokenIDs, shared)
          } else {
            goesOn = try cursor.readIntegers(into: &before.tokenIDs, "top_logprobs.token_ids", upTo: shared)
          }
        }
        if goesOn { _ = try cursor.readIntegers(into: &top.tokenIDs, "top_logprobs.token_ids") }
      case 4:
        guard seen & 1 != 0 || repeated == 0 else { throw outOfOrder }
        before.logprobs = try readReals(
          .topLogprobs, "top_logprobs.logprobs", &top.logprobs, count: shared, isLogprob: true)
        nulls = missing
      default: others.append(try unknownMember(key))
      }
      seen |= part
    }
    if !others.isEmpty { extra.append("\"top_logprobs\":{\(others.joined(separator: ","))}") }
    guard seen == 7 else { throw cursor.fail("top_logprobs lacks counts, token_ids or logprobs", .missingField) }
    // A repetition that equals the parent's bytes is as long as it says.
    let isRead = parent == nil
    let total = top.counts.reduce(isRead ? shared : 0) { $0 + Int($1) }
    let ids = before.tokenIDs.count + top.tokenIDs.count
    let logprobs = before.logprobs.count + top.logprobs.count
    guard total == ids, total == logprobs else {
      throw cursor.fail(
        "top_logprobs: counts add up to \(total), token_ids has \(ids), logprobs \(logprobs)", .lengthMismatch)
    }
    if nulls > 0 { throw cursor.fail("top_logprobs.logprobs has a null", .wrongType) }
    own.top = top
    prefix.top = before
  }

  /// The counts are read even where they equal the parent's: they tell how many candidates the repetition has.
  private mutating func readCounts(into counts: inout [Int32], _ before: inout [Int32]) throws(RecordError) {
    counts.removeAll(keepingCapacity: true)
    before = []
    var goesOn = try open("top_logprobs.counts")
    if goesOn, repeated > 0 {
      let start = cursor.at
      goesOn = try cursor.readIntegers(into: &before, "top_logprobs.counts", upTo: repeated)
      if parent != nil {
        let end = cursor.at
        cursor.move(to: start)
        guard try passParents(.topCounts, repeated) == goesOn, cursor.at <= end else { throw Self.differs }
        cursor.move(to: end)
      }
    }
    if goesOn { _ = try cursor.readIntegers(into: &counts, "top_logprobs.counts") }
  }

  /// Candidates before their counts, in a record that repeats a prefix: nothing tells where to cut them.
  private var outOfOrder: RecordError {
    cursor.fail(
      "top_logprobs.counts must stand before the candidates in a record with \"prefix\": \"full\"", .missingField)
  }

  private mutating func readRewards() throws(RecordError) {
    guard let members = try cursor.value().members else { throw cursor.fail("rewards is not an object", .wrongType) }
    for (i, member) in members.enumerated() where member.value != .null {
      if members[..<i].contains(where: { $0.key.utf8.elementsEqual(member.key.utf8) }) { continue }
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
  ///
  /// Returns false where the parent's bytes do not tell what the record repeats.
  private mutating func resolve() throws(RecordError) -> Bool {
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
    if own.hasIDs { return try resolveTokens() }
    try resolveText()
    return true
  }

  /// False if the repetition's segments, or the mask that they tell, are not the parent's.
  private mutating func resolveTokens() throws(RecordError) -> Bool {
    let n = own.columns.tokenIDs.count + (parent == nil ? prefix.columns.tokenIDs.count : repeated)
    if record.parentID != nil {
      guard let branch = branchTokenIndex else {
        throw RecordError(.missingField, "parent_id without branch_token_index")
      }
      record.branchIndex = branch
      record.firstIndex = isFull ? 0 : branch
      guard branch >= 0, branch <= Int(Int32.max) else {
        throw RecordError(.badBranch, "branch_token_index is \(branch), which is no position")
      }
      guard !isFull || branch <= n else {
        throw RecordError(
          .badBranch, "branch_token_index is \(branch), but with prefix full the record has \(n) tokens in all")
      }
    }
    try checkLength("loss_mask", own.hasMask ? own.columns.lossMask.count : nil, prefix.columns.lossMask.count, n)
    try checkLength("logprobs", own.logprobs?.count, prefix.logprobs?.count, n)
    try checkLength("entropies", own.entropies?.count, prefix.entropies?.count, n)
    try checkLength("top_logprobs.counts", own.top?.counts.count, parent == nil ? prefix.top?.counts.count : nil, n)
    if let segments {
      record.segments = try tokenSegments(segments, count: n)
      if isFull { noteRepeatedSegments(areStated: true) }
    } else {
      // The repetition's mask is not read where it equals the parent's.
      guard parent == nil else { return false }
      let mask = own.hasMask ? prefix.columns.lossMask + own.columns.lossMask : [UInt8](repeating: 1, count: n)
      record.segments = DerivedSegments.fromMask(mask, first: record.firstIndex, text: record.text)
    }
    if !own.hasMask {
      let results = Self.toolResults(record.segments)
      own.columns.lossMask = NativeSegments.mask(results, record.branchIndex..<(record.firstIndex + n))
      prefix.columns.lossMask = NativeSegments.mask(results, record.firstIndex..<record.branchIndex)
    }
    own.columns.logprobs = own.logprobs
    own.columns.entropies = own.entropies
    own.columns.topLogprobs = own.top
    record.findings = Forensics.findings(&own.columns, firstIndex: record.branchIndex)
    record.columns = own.columns
    guard repeated > 0 else { return true }
    if let parent {
      let theirs = parent.outline.segments
      let isSameMask =
        own.hasMask
        || parent.outline[.lossMask] == nil
          && theirs.map { NativeSegments.mask(Self.toolResults($0), 0..<repeated) } == prefix.columns.lossMask
      guard isSameMask, let theirs else { return false }
      let path = theirs.map { RepeatedSegments.Inherited($0, isCut: $0.start < repeated && $0.end > repeated) }
      guard record.repeatedSegments.difference(from: path, branch: repeated) == nil else { return false }
      record.repeatedSegments = RepeatedSegments()
      record.repeated = .sameAsRecord(byteOffset: parent.slice.position.byteOffset)
    } else {
      prefix.columns.logprobs = prefix.logprobs
      prefix.columns.entropies = prefix.entropies
      prefix.columns.topLogprobs = prefix.top
      _ = Forensics.takeSentinels(from: &prefix.columns)
      record.repeated = .columns(prefix.columns)
    }
    return true
  }

  private static func toolResults(_ segments: [Segment]) -> [Range<Int>] {
    segments.filter { $0.kind == .toolResult }.map { $0.start..<$0.end }
  }

  private mutating func noteRepeatedSegments(areStated: Bool) {
    let branch = record.branchIndex
    record.repeatedSegments = RepeatedSegments(
      record.segments.filter { $0.start < branch || ($0.count == 0 && $0.start == branch && branch > 0) },
      areStated: areStated)
  }

  private mutating func resolveText() throws(RecordError) {
    for (name, present) in [
      ("loss_mask", own.hasMask), ("logprobs", own.logprobs != nil), ("top_logprobs", own.top != nil),
      ("entropies", own.entropies != nil),
    ] where present {
      throw RecordError(.missingField, "\(name) without token_ids")
    }
    var first = 0
    if record.parentID != nil {
      guard let branch = branchSegment else { throw RecordError(.missingField, "parent_id without branch_segment") }
      guard branch >= 0, branch <= Int(Int32.max) else {
        throw RecordError(.badBranch, "branch_segment is \(branch), which is no position")
      }
      record.branchIndex = branch
      first = isFull ? 0 : branch
      record.firstIndex = first
    }
    if let segments {
      for (i, value) in segments.enumerated() {
        var segment = try NativeSegments.fields(value, i)
        guard segment.text != nil else {
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
    if isFull {
      guard record.branchIndex <= record.segments.count else {
        throw RecordError(.badBranch, "branch_segment \(record.branchIndex) is behind the record's own segments")
      }
      noteRepeatedSegments(areStated: segments != nil)
    }
    record.findings = [Finding(.unknownTokens, count: record.segments.count)]
  }

  private func checkLength(_ what: String, _ own: Int?, _ before: Int?, _ n: Int) throws(RecordError) {
    guard let own else { return }
    // A repetition that equals the parent's bytes has as many elements in every array.
    let count = own + (parent == nil ? before ?? 0 : repeated)
    if count != n { throw RecordError(.lengthMismatch, "\(what) has \(count) elements, token_ids has \(n)") }
  }

  private func tokenSegments(_ values: [JSONValue], count n: Int) throws(RecordError) -> [Segment] {
    var out: [Segment] = []
    out.reserveCapacity(values.count)
    var at = record.firstIndex
    for (i, value) in values.enumerated() {
      var segment = try NativeSegments.fields(value, i)
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
}
