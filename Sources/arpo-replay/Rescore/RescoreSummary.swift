import RolloutStore

/// What an evidence set covers, a row a run.
enum RescoreSummary {
  static let columns: [OutputColumn] = [
    "run_id", "temperature", OutputColumn("trajectories", isCount: true), OutputColumn("scored", isCount: true),
    OutputColumn("tokens", isCount: true), OutputColumn("missing", isCount: true),
    OutputColumn("matched", isCount: true), OutputColumn("retokenized", isCount: true),
    OutputColumn("prompt_retokenized", isCount: true), OutputColumn("without_prompt", isCount: true),
    "drift_share", OutputColumn("drift_tokens", isCount: true),
  ]

  static func write(_ summaries: [EvidenceSummary], _ format: OutputFormat, _ traits: TerminalTraits) throws {
    let writer = RowWriter(format: format, columns: columns, traits: traits)
    for s in summaries {
      let share = s.driftChecked.flatMap { checked in
        checked > 0 ? Double(s.driftTokens ?? 0) / Double(checked) : nil
      }
      try writer.write([
        .text(s.run), .double(s.temperature), .int(s.trajectories), .int(s.scored), .int(s.tokens), .int(s.missing),
        .int(s.matched), .int(s.retokenized), .int(s.promptRetokenized), .int(s.promptAbsent), .number(share),
        .integer(s.driftTokens),
      ])
    }
    try writer.finish()
  }
}
