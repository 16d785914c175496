import Rollouts

extension RolloutTree {
  /// Sets the effective forks of a group that declares none.
  ///
  /// Two paths share their first e tokens, where e is the last position at which both have a tool result that ends and
  /// up to which their tokens are equal (text-only: kind, tool and text of whole segments). A trajectory's parent is the
  /// earlier one in canonical order it shares most with, the earliest of several. Nothing shared: no parent. Longer equal
  /// stretches that do not end at a tool result stay separate tokens.
  ///
  /// Linear in the group's tokens: prefixes that end at a tool result are classed by a hash, and a class is entered
  /// only after its tokens were compared.
  mutating func inferForks() {
    var index = PrefixIndex()
    for t in paths.indices {
      let sequence = PrefixSequence(
        path: paths[t], trajectory: group.trajectories[t], interner: &index.texts)
      guard let shared = index.insert(sequence), shared.end > 0 else { continue }
      paths[t].parent = shared.owner
      paths[t].branch = shared.end
      paths[t].sharedResults = shared.results
    }
  }
}

/// Interned descriptions of segments, so that a text-only unit compares like a token.
private struct SegmentInterner {
  private struct Key: Hashable {
    var kind: SegmentKind
    var tool: String?
    var text: String?
  }

  private var ids: [Key: Int32] = [:]

  mutating func id(of s: Segment) -> Int32 {
    let key = Key(kind: s.kind, tool: s.tool, text: s.text)
    if let id = ids[key] { return id }
    let id = Int32(ids.count)
    ids[key] = id
    return id
  }
}

/// What has to be equal for two paths to share a prefix: the token ids, with each empty segment's id standing between
/// them (as a negative number, which no token id is).
///
/// The path is stored by one trajectory, as no parent is declared.
private struct PrefixSequence {
  /// A place at which a tool result ends.
  struct End {
    /// Path index.
    var end: Int
    /// Length of the sequence up to and including the result.
    var length: Int
    /// Results of the path up to here.
    var results: Int
  }

  var items: [Int32]
  var ends: [End] = []

  init(path: RolloutPath, trajectory: ReplayTrajectory, interner: inout SegmentInterner) {
    let tokens = trajectory.columns?.tokenIDs ?? trajectory.segments.map { interner.id(of: $0) }
    let empties = trajectory.columns == nil ? [] : trajectory.segments.filter { $0.start == $0.end }
    if empties.isEmpty {
      items = tokens
      for (r, result) in path.results.enumerated() {
        ends.append(End(end: result.end, length: result.end, results: r + 1))
      }
      return
    }
    items = []
    items.reserveCapacity(tokens.count + empties.count)
    var results = 0
    var done = 0
    for s in trajectory.segments {
      let end = min(max(s.end, done), tokens.count)
      items += tokens[done..<end]
      done = end
      if s.start == s.end { items.append(-1 - interner.id(of: s)) }
      if s.kind == .toolResult {
        results += 1
        ends.append(End(end: s.end, length: items.count, results: results))
      }
    }
    items += tokens[done...]
  }
}

/// Classes of equal prefixes over the trajectories seen so far.
private struct PrefixIndex {
  /// A class of prefixes with equal items.
  private struct Class {
    /// The first sequence that has it.
    var owner: Int
    var end: Int
    var length: Int
    var results: Int
  }

  private struct Key: Hashable {
    var length: Int
    var hash: UInt64
  }

  private var classes: [Class] = []
  private var byKey: [Key: [Int]] = [:]
  private var sequences: [[Int32]] = []
  /// For each sequence, its classes by length of the prefix, ascending.
  private var classesOf: [[(length: Int, number: Int)]] = []
  var texts = SegmentInterner()

  /// Adds the next sequence and returns the longest prefix it shares with an earlier one.
  mutating func insert(_ sequence: PrefixSequence) -> (owner: Int, end: Int, results: Int)? {
    let me = sequences.count
    sequences.append(sequence.items)
    var mine: [(length: Int, number: Int)] = []
    var shared: (owner: Int, end: Int, results: Int)?
    var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
    var done = 0
    var previous: (length: Int, number: Int)?
    for end in sequence.ends {
      hash = sequence.items.withUnsafeBufferPointer { items in
        var h = hash
        for i in done..<end.length {
          h = (h ^ UInt64(UInt32(bitPattern: items[i]))) &* 0xD6E8_FEB8_6659_FD93
          h ^= h >> 32
        }
        return h
      }
      done = end.length
      let key = Key(length: end.length, hash: hash)
      let found = byKey[key]?.first { isEqual(me, classes[$0], from: previous) }
      let number = found ?? classes.count
      if let found {
        // Later ends are longer, so the last class found is the longest.
        shared = (classes[found].owner, end.end, end.results)
      } else {
        classes.append(Class(owner: me, end: end.end, length: end.length, results: end.results))
        byKey[key, default: []].append(number)
      }
      previous = (end.length, number)
      mine.append((end.length, number))
    }
    classesOf.append(mine)
    return shared
  }

  /// Whether a sequence begins with the items of a class.
  ///
  /// What lies before `previous`, a prefix already classed, need not be compared again if the class's owner has that
  /// very prefix class too.
  private func isEqual(_ me: Int, _ other: Class, from previous: (length: Int, number: Int)?) -> Bool {
    var start = 0
    if let previous, other.owner < classesOf.count,
      classesOf[other.owner].contains(where: { $0 == previous })
    {
      start = previous.length
    }
    return sequences[me].withUnsafeBufferPointer { a in
      sequences[other.owner].withUnsafeBufferPointer { b in
        for i in start..<other.length where a[i] != b[i] { return false }
        return true
      }
    }
  }
}
