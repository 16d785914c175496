import ArgumentParser
import Foundation
import Replay
import RolloutStore

/// One `attribute`: strategies over a database, their results kept in it and written out.
struct AttributeRun {
  /// What goes to standard output.
  enum Output { case segments, tokens, summary }

  private let entries: [AttributionWriter.Entry]
  private let writer: AttributionWriter
  private let pass: AttributionPass
  private let selection: GroupSelection

  init(
    path: String, entries: [AttributionWriter.Entry], selection: GroupSelection, replace: Bool, threads: Int
  ) throws {
    guard FileManager.default.fileExists(atPath: path) else { throw Store.noDatabase(path) }
    // Writing brings the schema up to date, so it is opened first; reading goes on beside it.
    let target = try Store.open(path, for: .writing)
    let source = try Store.open(path, for: .reading)
    _ = try source.runs(selection)
    self.entries = entries
    self.selection = selection
    writer = try AttributionWriter(target, entries, selection: selection, replace: replace)
    var pass = AttributionPass(store: source, selection: selection, strategies: entries.map(\.strategy))
    pass.threads = threads
    self.pass = pass
  }

  func execute(_ output: Output, _ format: OutputFormat, _ traits: TerminalTraits) throws -> ExitStatus {
    let interruption = Interruption()
    let progress = GroupProgress(of: try pass.store.groupCount(selection), traits: .standardError)
    do {
      let summaries = try attribute(output, format, traits) {
        progress.advance()
        if interruption.isRequested { throw ExitStatus.interrupted.code }
      }
      progress.finish()
      try writer.finish(checks: summaries.map { $0.checksDocument })
      if output == .summary { try AttributionSummary.write(summaries, entries, writer.states, format, traits) }
      talk(summaries)
      return .ok
    } catch {
      progress.finish()
      try? writer.discard()
      throw error
    }
  }

  private func attribute(
    _ output: Output, _ format: OutputFormat, _ traits: TerminalTraits, tick: () throws -> Void
  ) throws -> [AttributionSummary] {
    var summaries = entries.map { AttributionSummary($0.strategy) }
    let isPage = output == .segments && format == .table
    let columns =
      isPage
      ? AttributionRows.pageColumns(entries)
      : output == .tokens ? AttributionRows.tokenColumns : AttributionRows.segmentColumns
    let rows = output == .summary ? nil : RowWriter(format: format, columns: columns, traits: traits)
    // The results are kept even if nobody reads the rows to their end.
    var isRead = rows != nil
    func write(_ lines: [[CellValue]]) throws {
      do { for line in lines { try rows?.write(line) } } catch let code as ExitCode where code == .success {
        isRead = false
      }
    }
    for run in try pass.runs() {
      let batches = try pass.batches(of: run, tick: tick)
      try pass.forEachGroup(of: run, batches, transform: { $0 }) { attribution in
        try writer.add(attribution)
        for (e, entry) in entries.enumerated() {
          summaries[e].add(attribution, e)
          guard isRead, !isPage else { continue }
          try write(
            output == .tokens
              ? AttributionRows.tokens(entry, e, attribution) : AttributionRows.segments(entry, e, attribution))
        }
        if isRead, isPage { try write(AttributionRows.page(entries, attribution)) }
        try tick()
      }
    }
    if isRead { do { try rows?.finish() } catch let code as ExitCode where code == .success {} }
    return summaries
  }

  /// What a person should know of the results.
  private func talk(_ summaries: [AttributionSummary]) {
    let traits = TerminalTraits.standardError
    for (e, entry) in entries.enumerated() {
      var text = "\(entry.name): \(traits.counted(summaries[e].trajectories, "trajectory", "trajectories"))"
      if summaries[e].unscored > 0 { text += ", \(summaries[e].unscored) unscored and left out" }
      switch writer.states[e] {
      case .unchanged: text += "; in the database already"
      case .writing(let replaced): text += replaced ? "; replaced in the database" : "; kept in the database"
      }
      Talk.say(text)
      for warning in summaries[e].warnings { Talk.warn("\(entry.name): \(warning)") }
    }
  }
}

extension Store {
  /// A database that a command expects and that is not there.
  static func noDatabase(_ path: String) -> StoreError {
    StoreError(.missing, "there is no database \(path); make one with: arpo-replay import \(path) LOG…")
  }
}
