import ArgumentParser
import Replay
import RolloutStore

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Token entropy after tool calls, by tool, against the initial entropy.",
    discussion: """
        arpo-replay audit runs.db                     # by tool, with the curve
        arpo-replay audit runs.db --by data_source --by step  # otherwise too
        arpo-replay audit runs.db --calls --format csv        # a row a call
        arpo-replay audit runs.db --format json               # every number
        arpo-replay audit runs.db --evidence NAME   # recomputed by a checkpoint

      Windows count generated tokens from the end of a tool result; entropies are in nats. Estimators: exact (logged), \
      topk, topk-renormalized, lower and upper bounds of the true entropy, sampled-nll. Without --estimator the best \
      that each run's log allows is used, and the output says which. Intervals: 95 %, Poisson bootstrap over prompt \
      groups.

      Exit codes: \(ExitStatus.summary)
      """)

  @OptionGroup var source: DatabaseArguments
  @OptionGroup var values: EvidenceArguments

  @Option(help: "exact, topk, topk-renormalized, lower, upper or sampled-nll (default: the best the log allows).")
  var estimator: String?

  @Option(parsing: .unconditional, help: "Rescale the listed logprobs to this sampling temperature (an approximation).")
  var temperature: Double?

  @Option(help: "Windows after a tool result, as start-end in generated tokens.")
  var windows = "0-10,10-50,0-20,0-50"

  @Option(parsing: .unconditional, help: "First generated tokens of a trajectory that make its initial entropy.")
  var baseline = 20

  @Option(
    help: """
      Split by tool, data_source, step, call_number, outcome or policy_version; repeatable (default: the page by tool, \
      data by all of them).
      """)
  var by: [String] = []

  @Option(help: "Vocabulary size, for logs that do not name it (the upper bound and ARPO's values need it).")
  var vocabSize: Int?

  @Flag(help: "A row a tool call.")
  var calls = false

  @Flag(help: "The curve of mean entropy after the result, as data.")
  var curve = false

  @OptionGroup var bootstrap: BootstrapArguments
  @OptionGroup var output: OutputArguments

  func validate() throws {
    _ = try WindowList.parse(windows)
    _ = try dimensions()
    if let estimator, Estimator(rawValue: estimator) == nil {
      throw ValidationError(
        "there is no estimator \(estimator); known: \(Estimator.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    if let temperature, !(temperature > 0 && temperature.isFinite) { throw ValidationError("--temperature is above 0") }
    if let vocabSize, vocabSize < 1 { throw ValidationError("--vocab-size is 1 or more") }
    guard baseline > 0 else { throw ValidationError("--baseline is 1 or more") }
    if calls, curve { throw ValidationError("--calls and --curve are two outputs: choose one") }
    if calls || curve, !by.isEmpty {
      throw ValidationError("--by splits the summaries: with --\(calls ? "calls" : "curve") there are none")
    }
  }

  private func dimensions() throws -> [AuditDimension] {
    try by.flatMap { $0.split(separator: ",") }.map { name in
      guard let dimension = AuditDimension(rawValue: String(name)) else {
        throw ValidationError(
          "--by \(name): known are \(AuditDimension.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return dimension
    }
  }

  func run() throws {
    try Talk.guarded {
      let store = try source.open()
      var selection = try source.selection(in: store)
      selection.vocabSize = vocabSize
      try values.apply(to: &selection, store)
      var audit = AuditRun(store: store, selection: selection, traits: output.traits)
      audit.options.windows = try WindowList.parse(windows)
      audit.options.baselineTokens = baseline
      audit.options.estimator = estimator.flatMap(Estimator.init)
      audit.options.temperature = temperature
      audit.options.bootstrapReplicates = bootstrap.replicates
      audit.options.seed = bootstrap.seed
      audit.threads = source.threads
      audit.dimensions = try dimensions()
      if calls {
        try audit.printCalls(output.format)
      } else if curve {
        try audit.printCurve(output.format)
      } else if output.format == .table {
        try audit.printTable()
      } else {
        try audit.printData(output.format)
      }
      return .ok
    }
  }
}
