import ArgumentParser
import Replay
import RolloutStore

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "How strategies differ on one log: correlation, signs, credit.",
    discussion: """
        arpo-replay compare runs.db          # ARPO hard and soft, GRPO, Tree-GRPO
        arpo-replay compare runs.db --strategies arpo-hard,treerl,gigpo:mean-std
        arpo-replay compare runs.db --format csv --rows shares  # credit by part
        arpo-replay compare runs.db --strategies dapo,grpo --explain

      Over generated tokens, each path by itself: Pearson and Spearman of every pair, share of opposite signs, mean \
      |A - B|; share of each strategy's |A| by segment kind, tool and depth in the tree; share of tokens without signal. \
      95 % intervals by a Poisson bootstrap over prompt groups. Advantages that the log itself has are one more column, \
      logged: the deviation from each recomputed strategy is reported.

      Spearman is exact: values are sorted, beyond a million runs of equal values in temporary files.

      Exit codes: \(ExitStatus.summary)
      """)

  /// What data formats have rows of.
  enum Rows: String, ExpressibleByArgument, CaseIterable {
    case pairs, shares, segments
  }

  @OptionGroup var source: DatabaseArguments
  @OptionGroup var strategy: StrategyOptions
  @OptionGroup var values: EvidenceArguments
  @OptionGroup var explain: ExplainOptions

  @Option(help: "Rows of csv and ndjson: pairs, shares or segments (where pairs disagree most).")
  var rows: Rows = .pairs

  @Option(help: "Segments shown of each pair.")
  var top = 3

  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func validate() throws {
    _ = try strategies()
    if top < 0 || top > 1000 { throw ValidationError("--top is 0 to 1000") }
  }

  private func strategies() throws -> [any AttributionStrategy] {
    try strategy.chosen(otherwise: ["arpo-hard", "arpo-soft", "grpo", "tree-grpo"])
  }

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var selection = try source.selection(in: store)
      // The units are those of the log, as in attribute: text stays text.
      selection.retokenizes = false
      try values.apply(to: &selection, store)
      var pass = AttributionPass(
        store: store, selection: selection, strategies: try strategies(), withTexts: top > 0, withOutcomes: true)
      pass.threads = source.threads
      let (format, traits) = (output.format, output.traits)
      if explain.isAsked {
        try ExplanationRun(pass: pass, options: explain, traits: traits).write(format)
        return .ok
      }
      var comparison = CompareRun(pass: pass)
      comparison.replicates = bootstrap.replicates
      comparison.seed = bootstrap.seed
      comparison.top = top
      let results = try comparison.results()
      let renderer = ComparisonRenderer(results: results, traits: traits)
      switch format {
      case .table, .json:
        let page = BufferedOutput()
        page.write(format == .table ? renderer.text : DocumentText.json(renderer.document) + "\n")
        try page.flush()
      case .ndjson, .csv:
        let writer = RowWriter(format: format, columns: ComparisonRows.columns(rows))
        for result in results { for row in ComparisonRows.rows(rows, result) { try writer.write(row) } }
        try writer.finish()
      }
      return .ok
    }
  }
}
