/// Rows whose replicates are in memory at a time: per row, window and replicate four numbers.
private let rowsPerPass = 64

extension RunSummary {
  /// Fills in what needs the calls of the whole run: rows, intervals, findings.
  ///
  /// Intervals are computed for some rows at a time, so that memory stays bounded.
  func summarise(_ e: Int, _ control: [ControlStatistics], into out: inout RunAudit) throws {
    let sums = try accumulator.sums(e, control: control)
    out.baselineTrajectories = sums.baseline.count
    out.control = try controlSummaries(e, control, sums: sums.control)

    var tables: [(dimension: AuditDimension, names: [RowName])] = []
    for dimension in AuditDimension.allCases {
      let names = sums.rows.keys.compactMap { if case .value(dimension, let name) = $0 { name } else { nil } }
      tables.append((dimension, names.sorted()))
    }
    // The rows that findings compare stand in the first pass, with the cells of the whole run.
    let compared: [RowKey] = [.overall, .toolClass(.search), .toolClass(.python)]
    let keys = compared + tables.flatMap { table in table.names.map { .value(table.dimension, $0) } }
    var summaries: [RowKey: [WindowSummary]] = [:]
    for start in stride(from: 0, to: keys.count, by: rowsPerPass) {
      let part = keys[start..<min(start + rowsPerPass, keys.count)]
      let layout = CellLayout(rows: Array(part), windows: options.windows.count)
      let bootstrap = try accumulator.bootstrap(layout, estimator: e)
      for key in part { summaries[key] = self.summaries(key, sums.rows, layout, bootstrap) }
      if start == 0 { addWholeRun(FindingInputs(options.windows, sums, layout, bootstrap), into: &out) }
    }
    out.overall = summaries[.overall] ?? []
    out.tables = tables.map { table in
      DimensionTable(
        dimension: table.dimension,
        rows: table.names.map {
          DimensionRow(key: $0.text, windows: summaries[.value(table.dimension, $0)] ?? [])
        })
    }
  }

  private func addWholeRun(_ inputs: FindingInputs, into out: inout RunAudit) {
    let layout = inputs.layout
    out.baseline = Estimate(inputs.sums.baseline.mean, inputs.bootstrap.interval(layout.baseline))
    out.earlyReasoning = options.windows.indices.map { w in
      summary(inputs.sums.early[w], w, layout.early(w), inputs.bootstrap)
    }
    out.findings = pilotFindings(inputs)
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
}
