import ArgumentParser
import Replay
import RolloutStore

struct AttributeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribute",
    abstract: "Advantages of every token under a strategy, kept by name.",
    discussion: """
        arpo-replay attribute runs.db --strategy arpo-hard   # by segment
        arpo-replay attribute runs.db --strategy arpo-hard,grpo --summary
        arpo-replay attribute runs.db --strategy gigpo --per-token --format ndjson
        arpo-replay attribute runs.db --strategy dapo --param dapo.cap=20480
        arpo-replay attribute runs.db --strategy treerl --explain
        arpo-replay attribute --list-strategies              # names, formulas

      Results stay in the database under a name: the strategy's, or --name (several strategies: NAME/STRATEGY). The \
      same again does nothing; other numbers under the same name are refused without --replace. SQL sees them in the \
      views attributions, advantages and segment_advantages.

      By segment: mean, smallest and largest advantage of the segment's generated tokens. --per-token: a record a \
      trajectory, one number a response token, inserted ones 0. A leaf without a reward has no advantage and takes no \
      part in any mean. Strategies whose statistics run over a step read the groups twice.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String?

  @OptionGroup var strategy: StrategyOptions
  @OptionGroup var selected: SelectionArguments
  @OptionGroup var explain: ExplainOptions
  @OptionGroup var values: EvidenceArguments

  @Option(help: "Name of the results (default: the strategy's).")
  var name: String?

  @Flag(help: "Overwrite results of the same name that were made with other numbers.")
  var replace = false

  @Flag(help: "A record a trajectory, aligned with its response tokens.")
  var perToken = false

  @Flag(help: "A row a strategy instead of rows by segment.")
  var summary = false

  @Flag(help: "All strategies with formula, source, needs and parameters.")
  var listStrategies = false

  @OptionGroup var output: OutputArguments
  @OptionGroup var threads: ThreadArguments

  func validate() throws {
    if listStrategies { return }
    guard database != nil else { throw ValidationError("Missing expected argument '<database>'") }
    let kept = [("--name", name != nil), ("--replace", replace), ("--per-token", perToken), ("--summary", summary)]
    if explain.isAsked, let ignored = kept.first(where: \.1)?.0 {
      throw ValidationError("--explain shows one token's numbers and keeps nothing: \(ignored) has no meaning with it")
    }
    if perToken, summary { throw ValidationError("--per-token and --summary are two outputs: choose one") }
    if strategy.names.isEmpty {
      throw ValidationError("give --strategy; arpo-replay attribute --list-strategies shows them")
    }
    _ = try strategy.chosen(otherwise: [])
  }

  func run() throws {
    if listStrategies { return try StrategyList.write(output.format, traits: output.traits) }
    try Talk.guarded {
      let strategies = try strategy.chosen(otherwise: [])
      let store = try Store.open(database ?? "", for: .reading)
      var selection = try selected.selection(in: store)
      // Results are kept by the units of the log: text stays text.
      selection.retokenizes = false
      try values.apply(to: &selection, store)
      if explain.isAsked {
        var pass = AttributionPass(store: store, selection: selection, strategies: strategies)
        pass.threads = threads.count
        try ExplanationRun(pass: pass, options: explain, traits: output.traits).write(output.format)
        return .ok
      }
      let run = try AttributeRun(
        path: database ?? "", entries: strategies.map { AttributionWriter.Entry(entryName($0, strategies), $0) },
        selection: selection, replace: replace, threads: threads.count)
      return try run.execute(perToken ? .tokens : summary ? .summary : .segments, output.format, output.traits)
    }
  }

  private func entryName(_ strategy: any AttributionStrategy, _ all: [any AttributionStrategy]) -> String {
    guard let name else { return strategy.name }
    return all.count == 1 ? name : "\(name)/\(strategy.name)"
  }
}
