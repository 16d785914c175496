import ArgumentParser
import Replay
import RolloutStore

struct TreeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree",
    abstract: "Draws a prompt group's rollout tree.",
    discussion: """
        arpo-replay tree runs.db p7                       # forks, rewards
        arpo-replay tree runs.db p7 --step 12 --strategy arpo-hard,treerl
        arpo-replay tree runs.db p7 --shared-prefix any   # every common prefix
        arpo-replay tree runs.db p7 --explain --trajectory p7/3 --token 40
        arpo-replay tree runs.db p7 --format json

      A node is a stretch of tokens that the same leaves share. Forks are those that the log declares; where a group \
      declares none, prefixes are shared up to the ends of equal tool results. Long trees are folded by level.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Argument(help: "Id of the group.")
  var group: String

  @Option(name: .customLong("run"), help: "The group's run, where several runs have it.")
  var runID: String?

  @Option(help: "The group's step, where it comes at several.")
  var step: Int?

  @Option(name: .sharedPrefix, help: "own: the group's forks; any: every common token prefix.")
  var sharedPrefix: SharedPrefix = .own

  @OptionGroup var strategy: StrategyOptions
  @OptionGroup var values: EvidenceArguments
  @OptionGroup var explain: ExplainOptions

  @Option(help: "Lines of the drawing at the most; 0 for all.")
  var rows = 60

  @Option(help: "Levels of the drawing (default: as many as --rows allows).")
  var depth: Int?

  @OptionGroup var output: OutputArguments

  func validate() throws {
    _ = try strategies()
    if rows < 0 { throw ValidationError("--rows is 0 or more") }
    if let depth, depth < 0 { throw ValidationError("--depth is 0 or more") }
  }

  private func strategies() throws -> [any AttributionStrategy] {
    try strategy.chosen(otherwise: ["arpo-hard", "grpo"])
  }

  func run() throws {
    try Talk.guarded {
      let store = try Store.open(database, for: .reading)
      var selection = try GroupChoice(group: group, run: runID, step: step).selection(in: store)
      try values.apply(to: &selection, store)
      var pass = AttributionPass(
        store: store, selection: selection, strategies: try strategies(), withTexts: true, withProbabilities: true)
      if sharedPrefix == .any { pass.alsoNeeds = .anyTree }
      if explain.isAsked {
        try ExplanationRun(pass: pass, options: explain, traits: output.traits).write(output.format)
        return .ok
      }
      for run in try pass.runs() {
        let batches = try pass.batches(of: run)
        let names = pass.strategies.map(\.name)
        let sharing: ARPOHard.Tree = sharedPrefix == .any ? .any : .own
        try pass.forEachGroup(
          of: run, batches, transform: { TreeReport($0, names: names, sharing: sharing) }, consume: { try write($0) })
      }
      return .ok
    }
  }

  private func write(_ report: TreeReport) throws {
    let (format, traits) = (output.format, output.traits)
    let isAny = sharedPrefix == .any
    let document = TreeDocument(report: report, isAny: isAny)
    if format == .ndjson || format == .csv {
      let writer = RowWriter(format: format, columns: document.columns)
      for row in document.rows { try writer.write(row) }
      return try writer.finish()
    }
    let page = BufferedOutput()
    if format == .json {
      page.write(DocumentText.json(document.value) + "\n")
    } else {
      let isText = report.tree.paths.contains { $0.unit == .segment }
      let sharing =
        isAny && !isText
        ? "every common token prefix"
        : report.tree.declaresForks
          ? "forks that the log declares"
          : isText ? "inferred at equal tool results, by their text" : "inferred at equal tool results, by their tokens"
      page.write(
        TreePage(report: report, traits: traits, rows: rows == 0 ? nil : rows, depth: depth, sharing: sharing).text)
      if isAny, isText { Talk.warn("the group has text only: --shared-prefix any needs token ids") }
    }
    try page.flush()
  }
}

/// One group by its id, told apart from others of the same id by run and step.
struct GroupChoice {
  let group: String
  let run: String?
  let step: Int?

  /// A selection of this group alone.
  func selection(in store: Store) throws -> GroupSelection {
    var selection = GroupSelection()
    if let run { selection.runs = [run] }
    selection.groups = [group]
    selection.step = step
    let found = try store.groupKeys(selection, limit: 21)
    if found.isEmpty { throw try store.noGroup(group) }
    guard found.count == 1, let only = found.first else {
      let list = found.prefix(20).map { key in
        "  --run \(key.run)" + (key.step.map { " --step \($0)" } ?? "") + "   "
          + TerminalTraits.standardError.counted(key.trajectories, "trajectory", "trajectories")
      }
      throw StoreError(
        .failed,
        "group \(group) is there \(found.count > 20 ? "more than 20" : "\(found.count)") times; say which:\n"
          + list.joined(separator: "\n"))
    }
    selection.runs = [only.run]
    return selection
  }
}
