/// Sums over prompt groups under names, and intervals of what is made of them, by a seeded Poisson bootstrap over groups.
///
///     var sums = GroupSums<String>(replicates: 1000, seed: 0, run: "r1")
///     for group in groups { try sums.add(group: group.id, [("credit", x), ("total", y)]) }
///     sums.ratio("credit", over: "total")
///
/// Names may come at any time. The replicates of the first ones are summed as groups come; what groups add to later ones is
/// kept in a temporary file and summed for a few of them at a time, see ``forEach(_:of:_:)``: so memory grows neither with
/// groups nor with the replicates of names. The numbers are the same bit for bit.
public struct GroupSums<Name: Hashable & Sendable> {
  /// Bytes of replicates in memory.
  private static var replicateBytes: Int { 32 << 20 }

  private let source: BootstrapWeights
  /// Cells whose replicates are summed at once.
  private let limit: Int
  private var cells: [Name: Int] = [:]
  private var totals: [Double] = []
  /// Of the cells up to the limit, the weighted sum of each replicate.
  private var sums: [[Double]] = []
  /// Of the other cells: a group's draw, then pairs of cell and value.
  private var others: SpillingRecords
  /// The same of some of them, and which these are.
  private var loadedSums: [[Double]] = []
  private var loaded: [Int: Int] = [:]
  /// By cell, the first group that added more than 0 to it, and whether another did.
  private var seen: [(first: UInt64?, areSeveral: Bool)] = []
  private var weights: [Double]

  /// - Parameters:
  ///   - replicates: of the bootstrap; 0: no intervals.
  ///   - run: goes into the draws, as the groups' ids do.
  ///   - spill: where goes what does not fit in memory; `nil`: all of it stays.
  public init(replicates: Int, seed: UInt64, run: String, spill: SpillFactory? = nil) {
    self.init(replicates: replicates, seed: seed, run: run, cellsInMemory: nil, spill: spill)
  }

  /// - Parameter cellsInMemory: `nil`: as many as there is room for.
  init(replicates: Int, seed: UInt64, run: String, cellsInMemory: Int?, spill: SpillFactory?) {
    source = BootstrapWeights(replicates: replicates, seed: seed, run: run)
    // Without replicates there is nothing that takes room.
    limit =
      spill == nil || replicates == 0 ? .max : cellsInMemory ?? max(64, Self.replicateBytes / (8 * replicates))
    others = SpillingRecords(limit: 1 << 20, spill: spill)
    weights = [Double](repeating: 0, count: replicates)
  }

  /// The names that something was added to.
  public var names: [Name] { Array(cells.keys) }

  /// Adds one group's contributions.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func add(group: String, _ values: [(name: Name, value: Double)]) throws {
    try add(source.draw(of: group), values)
  }

  /// The number under which a group can be added later.
  func draw(of group: String) -> GroupDraw { source.draw(of: group) }

  mutating func add(_ draw: GroupDraw, _ values: [(name: Name, value: Double)]) throws {
    if values.isEmpty { return }
    source.fill(&weights, draw)
    var kept = RecordWriter()
    for (name, value) in values {
      let cell = cell(name)
      // A group with nothing to add does not make an interval of another one's.
      if value == 0 { continue }
      totals[cell] += value
      if let first = seen[cell].first, first != draw.rawValue { seen[cell].areSeveral = true }
      seen[cell].first = seen[cell].first ?? draw.rawValue
      if cell < limit {
        sums[cell].add(value, times: weights)
      } else {
        if kept.bytes.isEmpty { kept.write(Int(bitPattern: UInt(draw.rawValue))) }
        kept.write(cell)
        kept.write(value)
      }
    }
    if !kept.bytes.isEmpty { try others.append(kept.bytes) }
  }

  private mutating func cell(_ name: Name) -> Int {
    if let known = cells[name] { return known }
    let new = totals.count
    cells[name] = new
    totals.append(0)
    seen.append((nil, false))
    if new < limit { sums.append([Double](repeating: 0, count: source.replicates)) }
    return new
  }

  /// Calls the body for each item while the sums of its names can be asked for.
  ///
  /// - Parameters:
  ///   - names: those that an item's estimates take; more than fit in memory are loaded for one item, but not for several.
  ///   - body: takes the item and the sums.
  /// - Throws: what the spill storage throws.
  public mutating func forEach<Item>(
    _ items: [Item], of names: (Item) -> [Name], _ body: (Item, GroupSums<Name>) throws -> Void
  ) throws {
    var next = 0
    while next < items.count {
      var wanted: Set<Int> = []
      var end = next
      while end < items.count {
        let more = wanted.union(names(items[end]).compactMap { cells[$0] }.filter { $0 >= limit })
        if more.count > limit, end > next { break }
        wanted = more
        end += 1
      }
      try load(wanted)
      for item in items[next..<end] { try body(item, self) }
      next = end
    }
  }

  /// Sums the replicates of some cells beyond the limit, in the place of those that were loaded before.
  private mutating func load(_ wanted: Set<Int>) throws {
    if wanted.isSubset(of: loaded.keys) { return }
    loaded = Dictionary(uniqueKeysWithValues: wanted.enumerated().map { ($1, $0) })
    loadedSums = wanted.map { _ in [Double](repeating: 0, count: source.replicates) }
    try others.forEach { bytes in
      var reader = RecordReader(bytes)
      let draw = GroupDraw(rawValue: UInt64(UInt(bitPattern: reader.int())))
      var isDrawn = false
      for _ in 0..<((bytes.count - 8) / 16) {
        let (cell, value) = (reader.int(), reader.double())
        guard let place = loaded[cell] else { continue }
        if !isDrawn { source.fill(&weights, draw) }
        isDrawn = true
        loadedSums[place].add(value, times: weights)
      }
    }
  }

  private func sums(of cell: Int) -> [Double] {
    if cell < limit { return sums[cell] }
    guard let place = loaded[cell] else { preconditionFailure("sums are asked for that were not loaded") }
    return loadedSums[place]
  }

  /// The sum under a name, 0 where nothing was added.
  public func total(_ name: Name) -> Double { cells[name].map { totals[$0] } ?? 0 }

  /// One sum over another; `nil` where that is 0, no interval with fewer than two groups that add to it.
  public func ratio(_ name: Name, over divisor: Name) -> Estimate {
    let of = total(divisor)
    return estimate(of == 0 ? nil : total(name) / of, of: [name, divisor], needing: [divisor]) { sums in
      sums[1] == 0 ? nil : sums[0] / sums[1]
    }
  }

  /// A value with the interval of a statistic of some sums.
  ///
  /// - Parameters:
  ///   - value: the statistic of all groups.
  ///   - names: the sums that the statistic takes, in their order.
  ///   - needed: the names that two groups or more must each have added to; else there is no interval.
  ///   - statistic: `nil` in a replicate in which it cannot be had.
  public func estimate(
    _ value: Double?, of names: [Name], needing needed: [Name], _ statistic: ([Double]) -> Double?
  ) -> Estimate {
    let isSpread = needed.allSatisfy { name in cells[name].map { seen[$0].areSeveral } ?? false }
    guard let value, isSpread else { return Estimate(value, nil) }
    let sums = names.map { cells[$0].map(self.sums(of:)) }
    let replicates = (0..<source.replicates).compactMap { b in
      statistic(sums.map { $0?[b] ?? 0 })
    }
    return Estimate(value, percentiles(replicates))
  }
}

extension [Double] {
  /// Adds a value to each number, as often as the weight in its place says.
  fileprivate mutating func add(_ value: Double, times weights: [Double]) {
    weights.withUnsafeBufferPointer { w in
      withUnsafeMutableBufferPointer { for b in w.indices { $0[b] += w[b] * value } }
    }
  }
}
