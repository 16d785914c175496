/// Which cell of a bootstrap holds what: for each row and window the mean and the delta, then those of the whole run.
struct CellLayout {
  let windows: Int
  let rows: RowNumbers

  init(rows: [RowKey], windows: Int) {
    self.windows = windows
    self.rows = RowNumbers(rows)
  }

  var count: Int { control(windows) }

  /// Means of a row's calls; the cell behind it holds the deltas.
  func mean(_ row: Int, _ w: Int) -> Int { 2 * (row * windows + w) }

  /// Initial entropies of the trajectories.
  var baseline: Int { 2 * rows.keys.count * windows }

  /// Means of the trajectories' first segments; the cell behind it holds the deltas.
  func early(_ w: Int) -> Int { baseline + 1 + 2 * w }

  /// Means of the control blocks.
  func control(_ w: Int) -> Int { early(windows) + w }
}

extension RunAccumulator {
  /// Bootstraps some rows over the groups of the run.
  func bootstrap(_ layout: CellLayout, estimator e: Int) throws -> GroupBootstrap {
    var bootstrap = GroupBootstrap(
      cells: layout.count, replicates: options.bootstrapReplicates, seed: options.seed, run: run.id)
    if options.bootstrapReplicates == 0 { return bootstrap }
    var sums = [MeanSum](repeating: MeanSum(), count: layout.count)
    var rows = layout.rows
    try forEachGroup { group in
      for i in sums.indices { sums[i] = MeanSum() }
      for t in group.trajectories { layout.add(t, &rows, estimator: e, to: &sums) }
      for w in 0..<layout.windows { sums[layout.control(w)] = group.control[e][w] }
      bootstrap.add(group: group.id, sums.enumerated().filter { $1.count > 0 }.map { (cell: $0, sum: $1) })
    }
    return bootstrap
  }
}

extension CellLayout {
  fileprivate func add(
    _ t: TrajectoryRecordEntry, _ rows: inout RowNumbers, estimator e: Int, to sums: inout [MeanSum]
  ) {
    let entropy = t.entropy[e]
    sums[baseline].add(entropy.baseline)
    for w in 0..<windows {
      sums[early(w)].add(entropy.early[w].mean)
      sums[early(w) + 1].add(entropy.early[w].mean.flatMap { m in entropy.baseline.map { m - $0 } })
    }
    rows.forEachCall(of: t) { call, of in
      for (w, window) in call.windows[e].enumerated() {
        guard let m = window.mean else { continue }
        let delta = entropy.baseline.map { m - $0 }
        for row in of {
          sums[mean(row, w)].add(m)
          sums[mean(row, w) + 1].add(delta)
        }
      }
    }
  }
}

extension Estimate {
  init(_ value: Double?, _ interval: (low: Double, high: Double)?) {
    self.init(value: value, low: value == nil ? nil : interval?.low, high: value == nil ? nil : interval?.high)
  }
}
