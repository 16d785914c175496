/// A point of a plane that counts several times, and the prompt group it is from.
struct GroupedPoint: Sendable, Equatable, BitwiseCopyable {
  var x: Double
  var y: Double
  var weight: Double
  /// ``GroupDraw/rawValue``.
  var group: UInt64
}

/// Points that come out in the order of one of their numbers, however many there are: sorted stretches are written to a
/// temporary file and merged.
struct SortedPoints {
  /// What the order goes by.
  enum Order {
    case x, y, group
  }

  private let order: Order
  private let limit: Int
  private let makeStorage: SpillFactory?
  private var memory: [GroupedPoint] = []
  private var storage: (any SpillStorage)?
  /// Sorted stretches of the storage, in points.
  private var stretches: [Range<Int>] = []

  /// Points of a stretch that are read at once.
  private static let readAhead = 512

  /// - Parameters:
  ///   - limit: points kept in memory before they are written out.
  ///   - spill: makes the storage; `nil`: everything stays in memory.
  init(by order: Order, limit: Int, spill: SpillFactory?) {
    self.order = order
    self.limit = max(1, limit)
    makeStorage = spill
  }

  /// Adds a point, to the last one where it is the same.
  mutating func append(_ point: GroupedPoint) throws {
    if let last = memory.last, last.x == point.x, last.y == point.y, last.group == point.group {
      memory[memory.count - 1].weight += point.weight
      return
    }
    memory.append(point)
    if memory.count >= limit, makeStorage != nil { try writeOut() }
  }

  /// No more points come.
  mutating func sort() { memory = sorted(memory) }

  /// Calls the body with all points in order; may be repeated.
  ///
  /// ``sort()`` comes before.
  func forEach(_ body: (GroupedPoint) throws -> Void) throws {
    guard let storage else { return try memory.forEach(body) }
    var readers = stretches.map { Reader(storage: storage, left: $0, buffer: []) }
    readers.append(Reader(storage: storage, left: 0..<0, buffer: memory))
    var heads: [GroupedPoint?] = []
    for i in readers.indices { heads.append(try readers[i].next()) }
    // A heap of stretches by their first points; equal ones by their number, so that the order is the same each time.
    let key = key
    func isBefore(_ a: Int, _ b: Int) -> Bool {
      guard let p = heads[a], let q = heads[b] else { return false }
      return key(p) == key(q) ? a < b : key(p) < key(q)
    }
    var heap = MinimumHeap(readers.indices.filter { heads[$0] != nil }, isBefore)
    while let i = heap.first, let point = heads[i] {
      try body(point)
      heads[i] = try readers[i].next()
      heap.replaceFirst(isEmpty: heads[i] == nil, isBefore)
    }
  }

  private var key: (GroupedPoint) -> UInt64 {
    switch order {
    case .x: { sortKey($0.x) }
    case .y: { sortKey($0.y) }
    case .group: { $0.group }
    }
  }

  private func sorted(_ points: [GroupedPoint]) -> [GroupedPoint] {
    switch order {
    case .x: ascending(points.map(\.x)).map { points[Int($0.position)] }
    case .y: ascending(points.map(\.y)).map { points[Int($0.position)] }
    case .group:
      points.enumerated().sorted { ($0.element.group, $0.offset) < ($1.element.group, $1.offset) }.map(\.element)
    }
  }

  private mutating func writeOut() throws {
    let target = try storage ?? makeStorage?()
    guard let target else { return }
    storage = target
    let start = stretches.last?.upperBound ?? 0
    try sorted(memory).withUnsafeBytes { try target.append($0) }
    stretches.append(start..<(start + memory.count))
    memory.removeAll(keepingCapacity: true)
  }

  private struct Reader {
    let storage: any SpillStorage
    var left: Range<Int>
    var buffer: [GroupedPoint]
    var at = 0

    mutating func next() throws -> GroupedPoint? {
      if at == buffer.count {
        if left.isEmpty { return nil }
        let part = left.prefix(SortedPoints.readAhead)
        let empty = GroupedPoint(x: 0, y: 0, weight: 0, group: 0)
        buffer = [GroupedPoint](repeating: empty, count: part.count)
        try buffer.withUnsafeMutableBytes {
          try storage.fill($0, from: part.lowerBound * MemoryLayout<GroupedPoint>.stride)
        }
        left = part.upperBound..<left.upperBound
        at = 0
      }
      at += 1
      return buffer[at - 1]
    }
  }
}

/// Numbers in a heap, the first by some order at its top.
private struct MinimumHeap {
  private var items: [Int]

  init(_ items: [Int], _ isBefore: (Int, Int) -> Bool) {
    self.items = items
    for i in (0..<items.count / 2).reversed() { sift(i, isBefore) }
  }

  var first: Int? { items.first }

  /// Puts the top where it belongs now, or takes it out.
  mutating func replaceFirst(isEmpty: Bool, _ isBefore: (Int, Int) -> Bool) {
    if isEmpty {
      items.swapAt(0, items.count - 1)
      items.removeLast()
    }
    sift(0, isBefore)
  }

  private mutating func sift(_ start: Int, _ isBefore: (Int, Int) -> Bool) {
    var i = start
    while true {
      var least = i
      for child in [2 * i + 1, 2 * i + 2] where child < items.count && isBefore(items[child], items[least]) {
        least = child
      }
      if least == i { return }
      items.swapAt(i, least)
      i = least
    }
  }
}
