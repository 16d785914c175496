/// The windows of a run under every estimator that has a value in it.
func windowsDocument(_ accumulator: RunAccumulator) throws -> DocumentValue {
  var out: [(String, DocumentValue)] = []
  for estimator in [Estimator.topk, .sampledNLL, .exact] {
    guard let e = accumulator.options.estimators.firstIndex(of: estimator), accumulator.covered[e] > 0 else { continue }
    out.append((estimator.rawValue, try windowsDocument(accumulator, e)))
  }
  return .object(out)
}

private func windowsDocument(_ accumulator: RunAccumulator, _ e: Int) throws -> DocumentValue {
  let windows = accumulator.options.windows
  let control = try accumulator.controlStatistics(e)
  var events: [DocumentValue] = []
  try accumulator.forEachGroup { group in
    for t in group.trajectories {
      for call in t.calls where !call.windows.isEmpty {
        events.append(eventDocument(t, call, e, windows, control))
      }
    }
  }
  var lengths: [(String, DocumentValue)] = []
  for (window, statistics) in zip(windows, control) where !lengths.contains(where: { $0.0 == String(window.count) }) {
    lengths.append(
      (
        String(window.count),
        .object([
          ("blocks", .int(statistics.blocks)), ("median", .number(statistics.median)), ("mad", .number(statistics.mad)),
        ])
      ))
  }
  var out: [(String, DocumentValue)] = [("events", .array(events)), ("control", .object(lengths))]
  let rows = try accumulator.sums(e, control: control).rows
  let dimensions: [(String, AuditDimension)] = [
    ("by_tool", .tool), ("by_source", .dataSource), ("by_step", .step), ("by_policy_version", .policyVersion),
  ]
  for (name, dimension) in dimensions {
    var byKey: [RowName: [RowSums]] = [:]
    for (row, sums) in rows { if case .value(dimension, let key) = row { byKey[key] = sums } }
    if byKey.isEmpty { continue }
    out.append((name, .object(byKey.keys.sorted().map { ($0.text, rowDocument(byKey[$0] ?? [], windows)) })))
  }
  return .object(out)
}

private func eventDocument(
  _ t: TrajectoryRecordEntry, _ call: CallEntry, _ e: Int, _ windows: [Range<Int>], _ control: [ControlStatistics]
) -> DocumentValue {
  let baseline = t.entropy[e].baseline
  let cells = windows.indices.map { w in
    let value = WindowValue(call.windows[e][w], baseline: baseline, control: control[w])
    return (
      windows[w].label,
      DocumentValue.object([
        ("n", .int(value.count)), ("mean", .number(value.mean)), ("max", .number(value.max)),
        ("delta", .number(value.delta)), ("z", .number(value.z)), ("spike", value.spike.map { .bool($0) } ?? .null),
      ])
    )
  }
  return .object([
    ("trajectory", .string(t.id)), ("result", .int(call.result)), ("tool", .string(call.tool)),
    ("start", .integer(call.start)), ("baseline", .number(baseline)), ("windows", .object(cells)),
  ])
}

private func rowDocument(_ sums: [RowSums], _ windows: [Range<Int>]) -> DocumentValue {
  .object(
    zip(windows, sums).map { window, sums in
      (
        window.label,
        .object([
          ("events", .int(sums.mean.count)), ("event_mean", .number(sums.mean.mean)),
          ("event_delta", .number(sums.delta.mean)), ("spikes", .int(sums.spikes)),
          ("tokens", .int(sums.tokens.count)), ("token_mean", .number(sums.tokens.mean)),
          ("token_max", .number(sums.tokens.maximum)),
        ])
      )
    })
}
