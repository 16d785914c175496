public import Rollouts

/// What one prompt group says about some columns of advantages: strategies, and the log's own.
///
/// It is made by one thread and merged by another; its size follows the runs of the group.
public struct GroupComparison: Sendable {
  /// What two columns say about the same tokens.
  struct Pair: Sendable {
    var moments = PairMoments()
    var flips = 0
    var delta = 0.0
    var largest = 0.0
    /// Tokens on which they differ by more than rounding.
    var differing = 0
    /// x, y and how many tokens have them; only if ranks are wanted.
    var points: [(x: Double, y: Double, weight: Int)] = []
    var disagreements: [Disagreement] = []
  }

  /// What one column says.
  struct Column: Sendable {
    var tokens = 0
    /// Generated tokens with A = 0.
    var zeros = 0
    var shares = CreditShares()
    var hasValues = false
  }

  let id: String
  let trajectories: Int
  let scored: Int
  let generated: Int
  var columns: [Column]
  var pairs: [Pair]

  /// - Parameters:
  ///   - attribution: the group under the strategies.
  ///   - columns: by column, the advantages of the group's leaves.
  ///   - most: disagreements kept of each pair.
  public init(_ attribution: GroupAttribution, _ columns: [[PathAdvantages]], disagreements most: Int) {
    let group = attribution.group
    id = group.id
    trajectories = group.leaves.count
    scored = group.leaves.count { $0.reward != nil }
    generated = group.leaves.reduce(0) { $0 + $1.generatedCount }
    self.columns = columns.map { rows in
      var column = Column()
      column.shares.add(group, rows)
      for (leaf, row) in zip(group.leaves, rows) {
        column.hasValues = column.hasValues || row != .missing
        row.forEachRun(leaf.generated) { range, value in
          if value.isNaN { return }
          column.tokens += range.count
          if abs(value) <= 1e-12 { column.zeros += range.count }
        }
      }
      return column
    }
    pairs = []
    for b in columns.indices {
      for a in 0..<b {
        pairs.append(Self.pair(attribution, columns[a], columns[b], most))
      }
    }
  }

  private static func pair(
    _ attribution: GroupAttribution, _ a: [PathAdvantages], _ b: [PathAdvantages], _ most: Int
  ) -> Pair {
    var out = Pair()
    var finder = DisagreementFinder(attribution)
    for (t, leaf) in attribution.group.leaves.enumerated() {
      forEachSharedRun(leaf, a[t], b[t]) { range, x, y in
        let n = range.count
        let delta = abs(x - y)
        out.moments.add(x, y, weight: n)
        if haveOppositeSigns(x, y) { out.flips += n }
        out.delta += Double(n) * delta
        out.largest = max(out.largest, delta)
        if delta > 1e-9 * max(1, abs(x), abs(y)) {
          out.differing += n
          if most > 0 { finder.add(t, range, x, y) }
        }
        if let last = out.points.last, last.x == x, last.y == y {
          out.points[out.points.count - 1].weight += n
        } else {
          out.points.append((x, y, n))
        }
      }
    }
    out.disagreements = finder.largest(most)
    return out
  }
}

/// A segment on which two columns of advantages differ.
public struct Disagreement: Sendable, Equatable {
  /// The prompt group.
  public var group: String
  /// Training step of the group.
  public var step: Int?
  /// The trajectory on whose path they differ most.
  public var trajectory: String
  /// Paths through the segment on which they differ.
  public var paths: Int
  /// What the segment is.
  public var kind: SegmentKind
  /// Name of the tool; `nil` where the log names none.
  public var tool: String?
  /// Path indices.
  public var range: Range<Int>
  /// Generated tokens of the segment that have both, on this path.
  public var tokens: Int
  /// Means of the two over these.
  public var first: Double
  /// The other column's.
  public var second: Double
  /// Sum of |A - B| over these tokens and all paths.
  public var totalDelta: Double
  /// The segment's text, cut; `nil` where the log has ids only.
  public var text: String?
  /// Ids of the segment's first tokens; empty where there is a text.
  public var tokenIDs: [Int32]
}

/// Adds up differences by segment, those of a shared segment once.
private struct DisagreementFinder {
  private struct Key: Hashable {
    var owner: Int
    var start: Int
  }

  private struct Part {
    var tokens = 0
    var first = 0.0
    var second = 0.0
    var delta = 0.0
  }

  private let attribution: GroupAttribution
  /// By leaf and segment.
  private var parts: [[Int: Part]]

  init(_ attribution: GroupAttribution) {
    self.attribution = attribution
    parts = [[Int: Part]](repeating: [:], count: attribution.group.leaves.count)
  }

  mutating func add(_ t: Int, _ range: Range<Int>, _ x: Double, _ y: Double) {
    let segments = attribution.group.leaves[t].segments
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].end <= range.lowerBound { low = middle + 1 } else { high = middle }
    }
    while low < segments.count, segments[low].start < range.upperBound {
      let n = (segments[low].start..<segments[low].end).clamped(to: range).count
      if n > 0 {
        var part = parts[t][low] ?? Part()
        part.tokens += n
        part.first += Double(n) * x
        part.second += Double(n) * y
        part.delta += Double(n) * abs(x - y)
        parts[t][low] = part
      }
      low += 1
    }
  }

  /// The segments with the largest sums.
  func largest(_ most: Int) -> [Disagreement] {
    if most == 0 { return [] }
    let group = attribution.group
    var byOwner: [Key: (leaf: Int, segment: Int, part: Part, total: Double, paths: Int)] = [:]
    for (t, found) in parts.enumerated() {
      for s in found.keys.sorted() {
        guard let part = found[s] else { continue }
        let start = group.leaves[t].segments[s].start
        let node = group.tree.through[t].first { group.tree.nodes[$0].range.contains(start) }
        let key = Key(owner: node.map { group.tree.nodes[$0].owner } ?? t, start: start)
        guard let known = byOwner[key] else {
          byOwner[key] = (t, s, part, part.delta, 1)
          continue
        }
        let isLarger = part.delta > known.part.delta
        byOwner[key] = (
          isLarger ? t : known.leaf, isLarger ? s : known.segment, isLarger ? part : known.part,
          known.total + part.delta, known.paths + 1
        )
      }
    }
    let sorted = byOwner.values.sorted { a, b in
      a.total != b.total ? a.total > b.total : (a.leaf, a.segment) < (b.leaf, b.segment)
    }
    return sorted.prefix(most).map { found in
      let segment = group.leaves[found.leaf].segments[found.segment]
      let content = SegmentContent(attribution.tree, found.leaf, segment)
      return Disagreement(
        group: group.id, step: attribution.tree.group.step, trajectory: group.leaves[found.leaf].id,
        paths: found.paths, kind: segment.kind, tool: segment.tool, range: segment.start..<segment.end,
        tokens: found.part.tokens, first: found.part.first / Double(found.part.tokens),
        second: found.part.second / Double(found.part.tokens), totalDelta: found.total, text: content.text,
        tokenIDs: content.tokenIDs)
    }
  }
}

/// What a segment says: its text, or the ids of its first tokens.
struct SegmentContent: Sendable, Equatable {
  /// Characters of a text that are kept.
  static let characters = 240
  /// Tokens that are kept.
  static let tokens = 48

  var text: String?
  var tokenIDs: [Int32] = []

  init(_ tree: RolloutTree, _ t: Int, _ segment: PathSegment) {
    let stored = tree.group.trajectories[segment.storedBy]
    let found = stored.segments.first {
      $0.end == segment.end && $0.kind == segment.kind && $0.tool == segment.tool && $0.start <= segment.end
    }
    // The text of a stretch that a fork cut is not all of it: only a whole segment's is shown.
    let isWhole = found.map { $0.start == segment.start } ?? false
    let words = [found?.arguments, found?.text].compactMap { $0 }.first { !$0.isEmpty }
    if isWhole, let words {
      text = String(words.prefix(Self.characters))
      return
    }
    guard tree.paths[t].unit == .token else {
      text = words.map { String($0.prefix(Self.characters)) }
      return
    }
    var items = PathItems(tree)
    tokenIDs = items.items(of: t, segment.start..<min(segment.end, segment.start + Self.tokens))
  }
}
