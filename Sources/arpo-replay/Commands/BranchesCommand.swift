import AdaptiveRollout
import ArgumentParser
import Foundation
import Replay
import RolloutStore

struct BranchesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "branches",
    abstract: "ARPO's branching rule replayed: would it have branched here?",
    discussion: """
        arpo-replay branches runs.db                         # ARPO's code
        arpo-replay branches runs.db --rule paper --tau 0.5  # its paper
        arpo-replay branches runs.db --calls --format csv    # a row a decision
        arpo-replay branches runs.db --sweep beta,k          # other settings
        arpo-replay branches runs.db --sweep tau=0.4:0.6:0.05 --rule paper

      A decision point is a tool result that a trajectory made itself and after which it generates. Rules: code, a coin \
      of probability clip(bp + w dH, 0, 1), with bp as --alpha and w as --beta; paper, branch if alpha + beta dH > tau. \
      Timing: lagged, the segment before the call, as the code decides; post-result, the tokens behind the result, as \
      the paper has it. Beside it stands what the log did, and what its forks were worth. \
      The table of --calls has the columns that fit; csv, json and ndjson have all.

      --sweep NAME, NAME=a,b,c or NAME=from:to:step (alpha, beta, tau, k; repeatable) simulates the rule over the \
      logged trees at each setting, see arpo-replay simulate --help; with --grid at all combinations.

      Exit codes: \(ExitStatus.summary)
      """)

  @OptionGroup var source: DatabaseArguments
  @OptionGroup var values: EvidenceArguments

  @Option(help: "The rule: code or paper.")
  var rule = "code"

  @OptionGroup var ruleOptions: RuleArguments

  @Flag(help: "A row a decision.")
  var calls = false

  @Option(help: "Simulate other values of alpha, beta, tau or k.")
  var sweep: [String] = []

  @Flag(help: "All combinations of the sweeps, not each alone.")
  var grid = false

  @OptionGroup var simulation: SimulationArguments
  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func validate() throws {
    guard let rule = ARPORule(rawValue: rule) else { throw ValidationError("--rule is code or paper, not \(rule)") }
    if rule == .code, ruleOptions.tau != nil {
      throw ValidationError("--tau belongs to --rule paper: the code's rule draws a coin instead of a threshold")
    }
    if rule == .code, ruleOptions.normalizer == EntropyNormalizer.vocabulary.rawValue {
      throw ValidationError("--normalizer V belongs to --rule paper: the code divides by ln V")
    }
    if calls, !sweep.isEmpty { throw ValidationError("--calls and --sweep are two outputs: choose one") }
    if grid, sweep.isEmpty { throw ValidationError("--grid wants --sweep") }
    let points = try sweepPoints(rule)
    if points.count > 10_000 { throw ValidationError("that is \(points.count) settings; 10000 are the most") }
  }

  private var options: BranchingOptions {
    var options = ruleOptions.options(bootstrap)
    options.rule = ARPORule(rawValue: rule) ?? .code
    return options
  }

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var selection = try source.selection(in: store)
      selection.vocabSize = ruleOptions.vocabSize
      try values.apply(to: &selection, store)
      selection.withBranches = true
      if !sweep.isEmpty {
        try runSweep(store, selection)
      } else if calls {
        try printDecisions(store, selection)
      } else {
        try printReport(store, selection)
      }
      return .ok
    }
  }

  private func printDecisions(_ store: Store, _ selection: GroupSelection) throws {
    let options = options
    // A person gets the columns that fit; data has all.
    let shown =
      output.format == .table ? BranchRows.decisionTable(options.rule) : Array(BranchRows.decisionColumns.indices)
    let writer = RowWriter(
      format: output.format, columns: shown.map { BranchRows.decisionColumns[$0] }, traits: output.traits)
    try store.forEachGroup(
      selection, workers: source.threads, transform: { try GroupBranches($0, options: options) },
      consume: { group in
        for point in group.points {
          let row = BranchRows.decision(group, point, options)
          try writer.write(shown.map { row[$0] })
        }
      })
    try writer.finish()
  }

  private func printReport(_ store: Store, _ selection: GroupSelection) throws {
    let options = options
    var audit = BranchAudit(options: options)
    let progress = GroupProgress(of: try store.groupCount(selection), traits: .standardError)
    try store.forEachGroup(
      selection, workers: source.threads, transform: { try GroupBranches($0, options: options) },
      consume: {
        try audit.add($0)
        progress.advance()
      })
    progress.finish()
    let report = try audit.finish()
    let traits = output.traits
    try ReportWriter.write(
      output.format, traits,
      page: {
        report.runs.isEmpty
          ? "nothing to replay: no run was selected\n"
          : report.runs.map { BranchPage(report: report, run: $0, traits: traits).text }.joined(separator: "\n")
      }, document: { BranchDocument(report: report).value }, columns: BranchRows.summaryColumns,
      rows: { report.runs.flatMap { BranchRows.summary($0, options) } })
  }

  private func runSweep(_ store: Store, _ selection: GroupSelection) throws {
    let options = simulation.options(options)
    if rule == ARPORule.code.rawValue,
      sweep.contains(where: { $0.split(separator: ",").contains { $0.hasPrefix("tau") } })
    {
      Talk.warn("tau is left out: the code's rule has no threshold")
    }
    let points = try sweepPoints(options.branching.rule)
    var sweep = BranchSweep(options: options, points: points)
    let progress = GroupProgress(of: try store.groupCount(selection), traits: .standardError)
    try store.forEachGroup(
      selection, workers: source.threads,
      transform: { try BranchSweep.simulate($0, options: options, points: points) },
      consume: {
        sweep.add($0)
        progress.advance()
      })
    progress.finish()
    try SweepOutput(options: options, points: points, reports: sweep.finish(), isGrid: grid)
      .write(output.format, output.traits)
  }
}

extension BranchesCommand {
  /// The settings to simulate.
  fileprivate func sweepPoints(_ rule: ARPORule) throws -> [SweepPoint] {
    var sweeps: [(SweepParameter, [Double])] = []
    for text in sweep {
      // A list of names has commas, and so has a list of values.
      let parts =
        text.contains("=") ? [text] : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      for part in parts { sweeps.append(try SweepText.parse(part)) }
    }
    for (i, sweep) in sweeps.enumerated() where sweeps[..<i].contains(where: { $0.0 == sweep.0 }) {
      throw ValidationError("--sweep names \(sweep.0.rawValue) twice")
    }
    if rule == .code, sweeps.contains(where: { $0.0 == .tau }) {
      if sweeps.count == 1 {
        throw ValidationError("--sweep tau belongs to --rule paper: the code's rule has no threshold")
      }
      sweeps.removeAll { $0.0 == .tau }
    }
    if sweeps.isEmpty { return [] }
    return grid ? SweepPoint.grid(sweeps) : SweepPoint.alone(sweeps)
  }
}

/// Reads what `--sweep` is given.
enum SweepText {
  /// NAME, NAME=a,b,c or NAME=from:to:step.
  static func parse(_ text: String) throws -> (SweepParameter, [Double]) {
    let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let aliases = ["bp": "alpha", "w": "beta"]
    guard let parameter = SweepParameter(rawValue: aliases[sides[0]] ?? sides[0]) else {
      throw ValidationError(
        "--sweep \(sides[0]): known are \(SweepParameter.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    if sides.count == 1 { return (parameter, parameter.defaults) }
    let values =
      try sides[1].contains(":")
      ? range(sides[1]) : sides[1].split(separator: ",", omittingEmptySubsequences: false).map(number)
    guard !values.isEmpty, Set(values).count == values.count else {
      throw ValidationError("--sweep \(text) names no value, or one twice")
    }
    if parameter == .k, !values.allSatisfy({ $0 >= 1 && $0 == $0.rounded() && $0 <= 1e6 }) {
      throw ValidationError("--sweep k wants whole numbers from 1 on")
    }
    return (parameter, values)
  }

  private static func number(_ text: Substring) throws -> Double {
    guard let x = Double(text), x.isFinite else { throw ValidationError("--sweep: \(text) is no number") }
    return x
  }

  private static func range(_ text: String) throws -> [Double] {
    let ends = try text.split(separator: ":", omittingEmptySubsequences: false).map(number)
    guard ends.count == 3, ends[2] > 0, ends[1] >= ends[0] else {
      throw ValidationError("--sweep wants from:to:step with a step above 0, not \(text)")
    }
    // A last step that misses the end by rounding only still counts.
    let count = ((ends[1] - ends[0]) / ends[2] + 1e-9).rounded(.down)
    guard count < 10_000 else { throw ValidationError("--sweep \(text) has too many values") }
    // Decimal steps stay decimal: 0.1 + 2 x 0.1 is 0.3.
    return (0...Int(count)).map { ((ends[0] + Double($0) * ends[2]) * 1e12).rounded() / 1e12 }
  }
}
