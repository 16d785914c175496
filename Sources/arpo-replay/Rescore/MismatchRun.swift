import ArgumentParser
import Policy
import Replay
import Rescoring
import RolloutStore

/// One comparison of logged logprobs with an evidence set, read once and written one way or another.
struct MismatchRun {
  /// What a row of ndjson and csv is.
  enum Rows: String, ExpressibleByArgument, CaseIterable { case run, turn, token }

  let store: Store
  let evidence: String
  let selection: GroupSelection
  var tokenizer: Tokenizer?
  let traits: TerminalTraits

  func write(_ format: OutputFormat, rows: Rows, worst: Int) throws {
    let reader = try store.evidenceReader(evidence)
    let page = MismatchPage(record: reader.record, tokenizer: tokenizer, traits: traits)
    if format == .table || format == .json {
      let runs = try compare(reader, worst: worst) { _, _ in }
      let output = BufferedOutput()
      output.write(format == .table ? page.table(runs) : DocumentText.json(page.document(runs)) + "\n")
      return try output.flush()
    }
    let writer = RowWriter(format: format, columns: MismatchPage.columns(rows), traits: traits)
    let runs = try compare(reader, worst: worst) { run, token in
      if rows == .token { try writer.write(page.row(token, of: run.run.id)) }
    }
    for run in runs where rows == .run { try writer.write(MismatchPage.row(run)) }
    for run in runs where rows == .turn {
      for (turn, statistics) in run.turns.enumerated() where statistics.tokens > 0 {
        try writer.write([.text(run.run.id), .int(turn)] + MismatchPage.values(statistics))
      }
    }
    try writer.finish()
  }

  private func compare(
    _ reader: EvidenceReader, worst: Int, _ body: (RunMismatch, MismatchToken) throws -> Void
  ) throws -> [RunMismatch] {
    let temperatures = Dictionary(
      try store.summary(of: evidence).map { ($0.run, $0.temperature) }, uniquingKeysWith: { first, _ in first })
    var selection = selection
    selection.withTexts = false
    var runs: [RunMismatch] = []
    try store.forEachGroup(
      selection, workers: 1, transform: { group in (group, try reader.values(of: group)) }
    ) { group, values in
      if runs.last?.run != group.run {
        runs.append(RunMismatch(group.run, temperature: temperatures[group.run.id] ?? .nan, worst: worst))
      }
      var run = runs.removeLast()
      let recomputed = values.map { value in
        value.map { RunMismatch.Recomputed(logprobs: $0.logprobs, tokenIDs: $0.tokenIDs, prompt: $0.prompt) }
      }
      let before = run
      try run.add(group, recomputed) { try body(before, $0) }
      runs.append(run)
    }
    return runs
  }
}
