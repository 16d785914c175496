/// Rows whose replicates are in memory at a time: two numbers a cell and replicate.
private let rowsPerPass = 64

extension RunSummary {
  /// Fills in what needs the calls of the whole run: rows, intervals, findings.
  func summarise(_ e: Int, _ control: [ControlStatistics], into out: inout RunAudit) throws {
    let rows = try accumulator.rowSums(e, control: control)
    let whole = try wholeRun(e, control)
    out.baselineTrajectories = whole.baseline.count
    out.control = try controlSummaries(e, control, sums: whole.control)

    // The rows that findings compare stand in the first pass, with the cells of the whole run.
    let first = CellLayout(
      rows: [.overall, .toolClass(.search), .toolClass(.python)], windows: options.windows.count)
    let bootstrap = try accumulator.bootstrap(first, estimator: e)
    out.baseline = Estimate(whole.baseline.mean, bootstrap.interval(first.baseline))
    out.earlyReasoning = options.windows.indices.map { w in
      summary(whole.early[w], w, first.early(w), bootstrap)
    }
    out.overall = summaries(.overall, rows, first, bootstrap)
    out.findings = pilotFindings(
      FindingInputs(
        windows: options.windows, rows: rows, early: whole.early, baseline: whole.baseline, control: whole.control,
        layout: first, bootstrap: bootstrap))
    out.tables = try tables(e, rows)
  }

  /// The tables, their intervals computed for some rows at a time so that memory stays bounded.
  private func tables(_ e: Int, _ rows: [RowKey: [RowSums]]) throws -> [DimensionTable] {
    var byDimension: [AuditDimension: [String]] = [:]
    for key in rows.keys { if case .value(let dimension, let name) = key { byDimension[dimension, default: []].append(name) } }
    var tables = AuditDimension.allCases.map { dimension in
      DimensionTable(
        dimension: dimension,
        rows: sortedRowKeys(byDimension[dimension] ?? []).map { DimensionRow(key: $0, windows: []) })
    }
    let places = tables.indices.flatMap { t in tables[t].rows.indices.map { (table: t, row: $0) } }
    for start in stride(from: 0, to: places.count, by: rowsPerPass) {
      let part = places[start..<min(start + rowsPerPass, places.count)]
      let keys = part.map { RowKey.value(tables[$0.table].dimension, tables[$0.table].rows[$0.row].key) }
      let layout = CellLayout(rows: keys, windows: options.windows.count)
      let bootstrap = try accumulator.bootstrap(layout, estimator: e)
      for (place, key) in zip(part, keys) {
        tables[place.table].rows[place.row].windows = summaries(key, rows, layout, bootstrap)
      }
    }
    return tables
  }

  private func summaries(
    _ key: RowKey, _ rows: [RowKey: [RowSums]], _ layout: CellLayout, _ bootstrap: GroupBootstrap
  ) -> [WindowSummary] {
    guard let sums = rows[key], let row = layout.rows[key] else { return [] }
    return options.windows.indices.map { w in summary(sums[w], w, layout.mean(row, w), bootstrap) }
  }

  private func summary(_ sums: RowSums, _ w: Int, _ cell: Int, _ bootstrap: GroupBootstrap) -> WindowSummary {
    WindowSummary(
      window: options.windows[w], events: sums.mean.count,
      eventMean: Estimate(sums.mean.mean, bootstrap.interval(cell)),
      eventDelta: Estimate(sums.delta.mean, bootstrap.interval(cell + 1)), spikes: sums.spikes, scored: sums.scored,
      spikeShare: sums.scored > 0 ? Double(sums.spikes) / Double(sums.scored) : nil, tokens: sums.tokens.count,
      tokenMean: sums.tokens.mean, tokenMax: sums.tokens.maximum, lowerMean: sums.lower.mean,
      upperMean: sums.upper.mean)
  }

  private func controlSummaries(
    _ e: Int, _ control: [ControlStatistics], sums: [MeanSum]
  ) throws -> [ControlSummary] {
    try options.windows.indices.map { w in
      var spikes = 0
      var scored = 0
      try accumulator.control[e][w].forEachChunk { means in
        for mean in means {
          guard let z = control[w].z(mean) else { continue }
          scored += 1
          if z > spikeThreshold { spikes += 1 }
        }
      }
      return ControlSummary(
        window: options.windows[w], blocks: control[w].blocks, median: control[w].median, mad: control[w].mad,
        mean: sums[w].mean, spikeShare: scored > 0 ? Double(spikes) / Double(scored) : nil)
    }
  }

  /// Sums that no row has: initial entropies, first segments, control blocks.
  private func wholeRun(
    _ e: Int, _ control: [ControlStatistics]
  ) throws -> (baseline: MeanSum, early: [RowSums], control: [MeanSum]) {
    var baseline = MeanSum()
    var early = options.windows.map { _ in RowSums() }
    var blocks = options.windows.map { _ in MeanSum() }
    try accumulator.forEachGroup { group in
      for t in group.trajectories {
        baseline.add(t.entropy[e].baseline)
        for w in early.indices {
          early[w].add(t.entropy[e].early[w], baseline: t.entropy[e].baseline, control: control[w])
        }
      }
      for w in blocks.indices {
        blocks[w].sum += group.control[e][w].sum
        blocks[w].count += group.control[e][w].count
      }
    }
    return (baseline, early, blocks)
  }
}
