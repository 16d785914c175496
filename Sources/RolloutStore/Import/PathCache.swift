import Foundation
import GRDB
import RolloutLogs
import Rollouts

/// What children need to know about trajectories: their place in the tree, and the token columns by which repeated prefixes
/// are checked, read back from the database when one is.
final class PathCache {
  /// A trajectory's place in the tree.
  struct Entry {
    var parent: Int64?
    var branch: Int
    var length: Int
    /// Text-only trajectories have no columns.
    var hasTokens: Bool
  }

  private let db: Database
  private var entries: [Int64: Entry] = [:]
  private var columns: [Int64: TokenColumns] = [:]
  private var order: [Int64] = []
  private var bytes = 0
  private let decoder = ColumnDecoder()
  /// Writes what the writer keeps back.
  var beforeReading: () throws -> Void = {}
  /// Bytes of columns that are kept, and number of entries.
  private static let limit = 8 << 20
  private static let maxEntries = 50_000

  init(_ db: Database) { self.db = db }

  func clear() {
    entries.removeAll()
    columns.removeAll()
    order.removeAll()
    bytes = 0
  }

  func insert(_ id: Int64, _ entry: Entry) {
    if entries.count >= Self.maxEntries { entries.removeAll(keepingCapacity: true) }
    entries[id] = entry
  }

  func entry(_ id: Int64) throws -> Entry? {
    if let entry = entries[id] { return entry }
    guard
      let row = try Row.fetchOne(
        db.cachedStatement(sql: "SELECT parent, branch_index, length, unit FROM trajectory WHERE id = ?"),
        arguments: [id])
    else { return nil }
    let entry = Entry(parent: row[0], branch: row[1], length: row[2], hasTokens: row[3] == "token")
    insert(id, entry)
    return entry
  }

  /// A trajectory's own columns.
  private func columns(of id: Int64) throws -> TokenColumns {
    if let known = columns[id] { return known }
    try beforeReading()
    let read = try TrajectoryColumns.read(id, db, decoder)
    columns[id] = read
    order.append(id)
    bytes += Self.size(read)
    while bytes > Self.limit, order.count > 1 {
      if let old = columns.removeValue(forKey: order.removeFirst()) { bytes -= Self.size(old) }
    }
    return read
  }

  private static func size(_ columns: TokenColumns) -> Int {
    64 + columns.count * 14 + (columns.topLogprobs?.tokenIDs.count ?? 0) * 8
  }

  /// Where a record's repetition of its parent's prefix differs from the parent, in words; `nil` if it does not.
  func disagreement(_ record: TrajectoryRecord, with parent: Int64) throws -> String? {
    if let difference = try columnDisagreement(record, with: parent) { return difference }
    guard !record.repeatedSegments.segments.isEmpty else { return nil }
    return record.repeatedSegments.difference(
      from: try segments(upTo: record.branchIndex, of: parent), branch: record.branchIndex)
  }

  /// The segments of a trajectory's path up to an index, those of its ancestors first.
  private func segments(upTo index: Int, of trajectory: Int64) throws -> [RepeatedSegments.Inherited] {
    var stretches: [[RepeatedSegments.Inherited]] = []
    var owner: Int64? = trajectory
    var end = index
    while let id = owner, let entry = try entry(id) {
      let rows = try Row.fetchAll(
        db.cachedStatement(
          sql: """
            SELECT kind, tool, start_index, end_index, text FROM segment
            WHERE trajectory = ? AND (start_index < ?2 OR (start_index = ?2 AND end_index = ?2)) ORDER BY ordinal
            """), arguments: [id, end])
      stretches.append(
        rows.map { row in
          let stop: Int = row[3]
          return RepeatedSegments.Inherited(
            Segment(
              kind: SegmentKind(rawValue: row[0]) ?? .other, start: row[2], end: min(stop, end), tool: row[1],
              text: row[4]), isCut: stop > end)
        })
      end = min(end, entry.branch)
      owner = entry.parent
    }
    return stretches.reversed().flatMap { $0 }
  }

  private func columnDisagreement(_ record: TrajectoryRecord, with parent: Int64) throws -> String? {
    guard case .columns(let columns) = record.repeated else { return nil }
    var owner: Int64? = parent
    var end = record.branchIndex
    while end > record.firstIndex, let id = owner, let entry = try entry(id) {
      let start = max(record.firstIndex, min(entry.branch, end))
      if start < end {
        guard entry.hasTokens else { return "the parent is text-only" }
        let own = try self.columns(of: id)
        let difference = columns.firstDifference(
          from: own, mine: (start - record.firstIndex)..<(end - record.firstIndex), theirs: start - entry.branch)
        if let difference {
          return "\(difference.column) differs from the parent's at response index \(start + difference.index)"
        }
      }
      end = start
      owner = entry.parent
    }
    return nil
  }
}

extension TokenColumns {
  /// The first place where a range of these columns contradicts another's from `theirs` on.
  ///
  /// What one of the two does not have contradicts nothing, except that a number which only the repetition has would be
  /// lost.
  func firstDifference(from other: TokenColumns, mine: Range<Int>, theirs: Int) -> (column: String, index: Int)? {
    let shift = theirs - mine.lowerBound
    func at(_ i: Int) -> Int { i - mine.lowerBound }
    func same<T: Equatable>(_ a: [T], _ b: [T]) -> Int? {
      if a[mine] == b[(mine.lowerBound + shift)..<(mine.upperBound + shift)] { return nil }
      return mine.first { a[$0] != b[$0 + shift] }
    }
    if let i = same(tokenIDs, other.tokenIDs) { return ("token_ids", at(i)) }
    if let i = same(lossMask, other.lossMask) { return ("loss_mask", at(i)) }
    for (name, a, b) in [("logprobs", logprobs, other.logprobs), ("entropies", entropies, other.entropies)] {
      guard let a else { continue }
      if let b, a.isBitwiseEqual(b, mine, shift) { continue }
      if let i = mine.first(where: { i in a[i] != nil && !a.hasSameValue(i, b, i + shift) }) { return (name, at(i)) }
    }
    if let i = topDifference(other, mine, shift) { return ("top_logprobs", at(i)) }
    return nil
  }

  private func topDifference(_ other: TokenColumns, _ mine: Range<Int>, _ shift: Int) -> Int? {
    guard let a = topLogprobs else { return nil }
    guard let b = other.topLogprobs else { return mine.first { a.counts[$0] > 0 } }
    var p = a.counts[..<mine.lowerBound].reduce(0) { $0 + Int($1) }
    var q = b.counts[..<(mine.lowerBound + shift)].reduce(0) { $0 + Int($1) }
    let n = a.counts[mine].reduce(0) { $0 + Int($1) }
    if a.counts[mine] == b.counts[(mine.lowerBound + shift)..<(mine.upperBound + shift)],
      a.tokenIDs[p..<(p + n)] == b.tokenIDs[q..<(q + n)], a.logprobs.isBitwiseEqual(b.logprobs, p..<(p + n), q - p)
    {
      return nil
    }
    for i in mine {
      let k = Int(a.counts[i])
      let l = Int(b.counts[i + shift])
      if k > 0, k != l || a.tokenIDs[p..<(p + k)] != b.tokenIDs[q..<(q + l)] { return i }
      for j in 0..<k where !a.logprobs.hasSameValue(p + j, b.logprobs, q + j) { return i }
      p += k
      q += l
    }
    return nil
  }
}

extension RealColumn {
  /// Whether the same decimal can stand behind two values: one column may be wide because of other numbers in it.
  func hasSameValue(_ i: Int, _ other: RealColumn?, _ j: Int) -> Bool {
    guard let x = self[i], let other, let y = other[j] else { return self[i] == nil && other?[j] == nil }
    return (precision == .float64) == (other.precision == .float64) ? x == y : Float(x) == Float(y)
  }

  /// Whether a range equals another column's, shifted; false if they are of different widths.
  func isBitwiseEqual(_ other: RealColumn, _ range: Range<Int>, _ shift: Int) -> Bool {
    guard precision != .float64, other.precision != .float64, range.lowerBound + shift >= 0,
      range.upperBound + shift <= other.floats.count
    else { return false }
    return floats.withUnsafeBufferPointer { a in
      other.floats.withUnsafeBufferPointer { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return range.isEmpty }
        return memcmp(a + range.lowerBound, b + range.lowerBound + shift, range.count * 4) == 0
      }
    }
  }
}
