/// What the findings are judged by.
struct FindingInputs {
  let windows: [Range<Int>]
  let sums: RunSums
  let layout: CellLayout
  let bootstrap: GroupBootstrap

  init(_ windows: [Range<Int>], _ sums: RunSums, _ layout: CellLayout, _ bootstrap: GroupBootstrap) {
    self.windows = windows
    self.sums = sums
    self.layout = layout
    self.bootstrap = bootstrap
  }

  /// The window that findings are judged in: the first 50 tokens, or the longest stretch there is.
  var judged: Int {
    windows.firstIndex(of: 0..<50) ?? windows.indices.max { windows[$0].count < windows[$1].count } ?? 0
  }

  func sums(_ key: RowKey, _ w: Int) -> RowSums { sums.rows[key]?[w] ?? RowSums() }

  func mean(_ key: RowKey, _ w: Int) -> Estimate {
    Estimate(sums(key, w).mean.mean, layout.rows[key].flatMap { bootstrap.interval(layout.mean($0, w)) })
  }

  func delta(_ key: RowKey, _ w: Int) -> Estimate {
    Estimate(sums(key, w).delta.mean, layout.rows[key].flatMap { bootstrap.interval(layout.mean($0, w) + 1) })
  }

  /// Difference of two means, each given by its sum and its cell.
  func difference(_ a: (MeanSum, Int), _ b: (MeanSum, Int)) -> Estimate {
    guard let x = a.0.mean, let y = b.0.mean else { return Estimate() }
    return Estimate(x - y, bootstrap.interval(of: a.1, minus: b.1))
  }
}

private let rise = "entropy rises in the first 10-50 tokens after a tool result"
private let searchAbovePython = "entropy after search results is higher than after python results"
private let aboveInitial = "entropy after a tool result exceeds the trajectory's initial entropy"

/// The three pilot observations of the ARPO paper (section 1, figure 2), held against a run.
///
/// A claim is supported if the 95 % interval of its difference lies above 0, not supported if it lies at or below 0,
/// and else cannot be told.
func pilotFindings(_ inputs: FindingInputs) -> [PilotFinding] {
  guard !inputs.windows.isEmpty else { return undecidedFindings(reason: "no window was asked for") }
  return [riseFinding(inputs), toolFinding(inputs), initialFinding(inputs)]
}

/// The findings of a run without any number.
func undecidedFindings(reason: String) -> [PilotFinding] {
  [(1, rise), (2, searchAbovePython), (3, aboveInitial)].map {
    PilotFinding(number: $0, statement: $1, verdict: .cannotTell, reason: reason, numbers: [])
  }
}

private func riseFinding(_ inputs: FindingInputs) -> PilotFinding {
  var numbers: [FindingNumber] = []
  var judged: [(name: String, estimate: Estimate)] = []
  for (w, window) in inputs.windows.enumerated() {
    let events = inputs.sums(.overall, w).mean
    let row = inputs.layout.rows[.overall] ?? 0
    let control = inputs.difference(
      (events, inputs.layout.mean(row, w)), (inputs.sums.control[w], inputs.layout.control(w)))
    let initial = inputs.delta(.overall, w)
    let label = window.label
    numbers.append(
      FindingNumber(name: "mean of \(label)", estimate: inputs.mean(.overall, w), count: events.count))
    numbers.append(
      FindingNumber(name: "\(label) minus control blocks", estimate: control, count: inputs.sums.control[w].count))
    numbers.append(
      FindingNumber(
        name: "\(label) minus initial", estimate: initial, count: inputs.sums(.overall, w).delta.count))
    if w == inputs.judged { judged = [("the control blocks", control), ("the initial entropy", initial)] }
  }
  let verdict = verdict(judged.map(\.estimate))
  let told = judged.map { "against \($0.name) \(describe($0.estimate))" }.joined(separator: "; ")
  return PilotFinding(
    number: 1, statement: rise, verdict: verdict,
    reason: "tokens \(inputs.windows[inputs.judged].label) after a result: \(told)", numbers: numbers)
}

private func toolFinding(_ inputs: FindingInputs) -> PilotFinding {
  let w = inputs.judged
  let search = inputs.sums(.toolClass(.search), w).mean
  let python = inputs.sums(.toolClass(.python), w).mean
  let cells = (inputs.layout.rows[.toolClass(.search)] ?? 0, inputs.layout.rows[.toolClass(.python)] ?? 0)
  let difference = inputs.difference(
    (search, inputs.layout.mean(cells.0, w)), (python, inputs.layout.mean(cells.1, w)))
  let label = inputs.windows[w].label
  let numbers = [
    FindingNumber(
      name: "search, mean of \(label)", estimate: inputs.mean(.toolClass(.search), w), count: search.count),
    FindingNumber(
      name: "python, mean of \(label)", estimate: inputs.mean(.toolClass(.python), w), count: python.count),
    FindingNumber(name: "search minus python", estimate: difference, count: search.count + python.count),
  ]
  let missing = [(search, "search"), (python, "python")].filter { $0.0.count == 0 }.map(\.1)
  let reason =
    missing.isEmpty
    ? "search minus python, tokens \(label): \(describe(difference))"
    : "no \(missing.joined(separator: " and no ")) result has a value behind it"
  return PilotFinding(
    number: 2, statement: searchAbovePython, verdict: verdict([difference]), reason: reason, numbers: numbers)
}

private func initialFinding(_ inputs: FindingInputs) -> PilotFinding {
  let w = inputs.judged
  let delta = inputs.delta(.overall, w)
  let label = inputs.windows[w].label
  let row = inputs.layout.rows[.overall] ?? 0
  let events = inputs.sums(.overall, w).mean
  let early = inputs.sums.early[w].mean
  let overEarly = inputs.difference((events, inputs.layout.mean(row, w)), (early, inputs.layout.early(w)))
  let numbers = [
    FindingNumber(
      name: "initial entropy",
      estimate: Estimate(inputs.sums.baseline.mean, inputs.bootstrap.interval(inputs.layout.baseline)),
      count: inputs.sums.baseline.count),
    FindingNumber(
      name: "\(label) after a result minus initial", estimate: delta, count: inputs.sums(.overall, w).delta.count),
    FindingNumber(
      name: "\(label) after a result minus \(label) of the first segment", estimate: overEarly, count: events.count),
  ]
  let reason =
    delta.value.map { value in
      "tokens \(label) after a result are on average \(value > 0 ? "above" : "below or at") the initial entropy: "
        + describe(delta)
    } ?? "no trajectory has an initial entropy and a value in tokens \(label) after a result"
  return PilotFinding(
    number: 3, statement: aboveInitial, verdict: verdict([delta]), reason: reason, numbers: numbers)
}

/// Supported if every difference lies above 0, not supported if one lies at or below 0.
private func verdict(_ differences: [Estimate]) -> PilotFinding.Verdict {
  if differences.isEmpty { return .cannotTell }
  if differences.contains(where: { $0.high.map { $0 <= 0 } ?? false }) { return .notSupported }
  return differences.allSatisfy { $0.low.map { $0 > 0 } ?? false } ? .supported : .cannotTell
}

private func describe(_ x: Estimate) -> String {
  guard let value = x.value else { return "no value" }
  guard let low = x.low, let high = x.high else {
    return "\(decimals(value)) nats, no interval (fewer than two prompt groups, or no replicates)"
  }
  let told = low > 0 ? "" : high <= 0 ? "" : ", which includes 0"
  return "\(decimals(value)) nats, 95 % interval \(decimals(low)) to \(decimals(high))\(told)"
}

/// Four decimals, which is what an interval of a thousand replicates can bear; numbers beyond any entropy as they are.
private func decimals(_ x: Double) -> String {
  guard abs(x) < 1e10 else { return "\(x)" }
  let scaled = Int((abs(x) * 10_000).rounded())
  let fraction = String(scaled % 10_000)
  let digits = String(repeating: "0", count: 4 - fraction.utf8.count) + fraction
  return (x < 0 && scaled > 0 ? "-" : "") + "\(scaled / 10_000).\(digits)"
}
