/// Ratios of sums by key, with intervals over prompt groups: for tables whose rows are found on the way.
///
/// Each key has some cells; see ``GroupBootstrap`` for the intervals.
struct KeyedBootstrap<Key: Hashable> {
  private let cells: Int
  private let replicates: Int
  private let seed: UInt64
  private let run: String
  private var rows: [Key: (sums: [MeanSum], bootstrap: GroupBootstrap)] = [:]

  init(cells: Int, replicates: Int, seed: UInt64, run: String) {
    self.cells = cells
    self.replicates = replicates
    self.seed = seed
    self.run = run
  }

  var keys: [Key] { Array(rows.keys) }

  /// Adds what one group contributes to a key, one entry a cell; a count of 0 adds nothing.
  mutating func add(group: String, _ key: Key, _ contributions: [MeanSum]) {
    var row =
      rows.removeValue(forKey: key)
      ?? (
        [MeanSum](repeating: MeanSum(), count: cells),
        GroupBootstrap(cells: cells, replicates: replicates, seed: seed, run: run)
      )
    // A sum over nothing is in no ratio: neither in the value nor in its interval.
    let known = contributions.enumerated().filter { $1.count > 0 }.map { (cell: $0, sum: $1) }
    for (cell, x) in known {
      row.sums[cell].sum += x.sum
      row.sums[cell].count += x.count
    }
    row.bootstrap.add(group: group, known)
    rows[key] = row
  }

  /// Sum and count of a cell.
  func sums(_ key: Key, _ cell: Int) -> MeanSum { rows[key]?.sums[cell] ?? MeanSum() }

  /// A cell's ratio with its interval.
  func estimate(_ key: Key, _ cell: Int) -> Estimate {
    guard let row = rows[key] else { return Estimate() }
    return Estimate(row.sums[cell].mean, row.bootstrap.interval(cell))
  }

  /// The difference of two cells of a key.
  func difference(_ key: Key, _ a: Int, minus b: Int) -> Estimate {
    guard let row = rows[key], let x = row.sums[a].mean, let y = row.sums[b].mean else { return Estimate() }
    return Estimate(x - y, row.bootstrap.interval(of: a, minus: b))
  }
}
