import ArgumentParser
import Foundation
import Replay
import RolloutStore

struct AnalyzeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "analyze",
    abstract: "One log, every analysis, no database.",
    discussion: """
        arpo-replay analyze run.jsonl.zst                # the audit, to read
        arpo-replay analyze run.jsonl.zst --format json  # all in a document
        zstdcat run.zst | arpo-replay analyze - --temperature 1.3

      The log is imported into a temporary database. With --format json the document has the keys that \
      Fixtures/goldens/analysis/README.md describes: unit, trajectories, groups, budget, tree, tree_any, entropy, \
      windows, at_temperature (with --temperature), branching, advantages (by strategy), comparisons, shares. Entropies \
      are in nats.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "A log, or - for standard input.")
  var logFile: String

  @Option(
    parsing: .unconditional, help: "Also rescale the listed logprobs to this sampling temperature (an approximation).")
  var temperature: Double?

  @Option(help: "Vocabulary size, for logs that do not name it.")
  var vocabSize: Int?

  @OptionGroup var log: LogOptions

  @OptionGroup var output: ReportArguments

  func validate() throws {
    if let temperature, !(temperature > 0 && temperature.isFinite) { throw ValidationError("--temperature is above 0") }
    if let vocabSize, vocabSize < 1 { throw ValidationError("--vocab-size is 1 or more") }
  }

  func run() throws {
    try Talk.guarded {
      let reading = LogReading.first(of: [logFile], options: log.options)
      let store = try Store.temporary()
      let progress = ProgressLine(traits: .standardError, quiet: false)
      let importer = Importer(store: store, options: log.options, onProgress: { progress.update($0) })
      let report = try importer.run([logFile], reading: reading)
      progress.finish()
      let status = ImportSummary.status(of: report)
      for file in report.files {
        if let trouble = file.trouble { Talk.warn(Escaping.line(trouble, width: 1400)) }
      }
      for tally in report.quarantine {
        let records = output.traits.counted(tally.count, "record")
        Talk.warn("\(records) quarantined: \(tally.name), first \(Escaping.line(tally.first, width: 300))")
      }
      guard report.counts.trajectories > 0 else {
        if status != .unrecognised { Talk.say("no trajectory to analyze in \(logFile)") }
        return status == .ok ? .unrecognised : status
      }
      var selection = GroupSelection()
      selection.vocabSize = vocabSize
      if output.format == .json {
        try writeDocument(store, selection)
      } else {
        var audit = AuditRun(store: store, selection: selection, traits: output.traits)
        audit.options.temperature = temperature
        try audit.printTable()
      }
      return status
    }
  }

  private func writeDocument(_ store: Store, _ selection: GroupSelection) throws {
    let runs = try store.runs(selection)
    guard let run = runs.first, runs.count == 1 else {
      throw StoreError(
        .failed,
        "the log has \(runs.count) runs (\(runs.map(\.id).joined(separator: ", "))): import it, then audit --run")
    }
    let change = temperature.map { TemperatureChange(from: run.logprobTemperature, to: $0) }
    var document = AnalysisDocument(temperature: change, spill: Spill.factory)
    try store.forEachGroup(selection, transform: { $0 }, consume: { try document.add($0) })
    var out = BufferedOutput()
    let name = URL(filePath: logFile).lastPathComponent
    let head: [(String, DocumentValue)] = [
      ("log", .string(name)), ("run_id", .string(run.id)), ("algorithm", .text(run.algorithm)),
      ("vocab_size", .integer(run.vocabSize)),
    ]
    // A key a line, so that a difference shows which part changed.
    var separator = "{\n"
    for (key, value) in try head + document.finish().map({ ($0.key, $0.value) }) {
      out.write(separator)
      DocumentValue.string(key).write(into: &out)
      out.write(":")
      value.write(into: &out)
      try out.drain()
      separator = ",\n"
    }
    out.write("\n}\n")
    try out.flush()
  }
}

/// Where an analysis keeps what does not fit in memory.
enum Spill {
  static let factory: SpillFactory = { try UnlinkedFile(directory: FileManager.default.temporaryDirectory.path) }
}
