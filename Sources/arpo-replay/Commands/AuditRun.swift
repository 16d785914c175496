import Foundation
import Replay
import RolloutStore

/// An audit of a database, printed one way or another.
struct AuditRun {
  let store: Store
  let selection: GroupSelection
  var options = AuditOptions()
  /// What to split by; empty: the page by tool, data by everything.
  var dimensions: [AuditDimension] = []
  var threads = max(2, ProcessInfo.processInfo.activeProcessorCount)
  private let traits: TerminalTraits

  init(store: Store, selection: GroupSelection, traits: TerminalTraits) {
    self.store = store
    self.traits = traits
    var selection = selection
    selection.withTexts = false
    selection.withCandidateIDs = false
    self.selection = selection
    options.spill = Spill.factory
  }

  private func audit() throws -> EntropyAudit {
    var audit = EntropyAudit(options: options)
    let options = options
    try store.forEachGroup(
      selection, workers: threads, transform: { try EntropyAudit.analyse($0, options: options) },
      consume: { try audit.add($0) })
    return audit
  }

  /// The audit as a person wants to read it.
  func printTable() throws {
    let output = BufferedOutput()
    output.write(
      AuditRenderer(report: try audit().finish(), traits: traits).table(by: dimensions, curve: true))
    try output.flush()
  }

  /// Every number of the report; of the dimensions those that were asked for, or all.
  func printData(_ format: OutputFormat) throws {
    var report = try audit().finish()
    if !dimensions.isEmpty {
      for r in report.runs.indices { report.runs[r].tables.removeAll { !dimensions.contains($0.dimension) } }
    }
    let renderer = AuditRenderer(report: report, traits: traits)
    if format == .json {
      let output = BufferedOutput()
      output.write(DocumentText.json(renderer.document) + "\n")
      return try output.flush()
    }
    let writer = RowWriter(format: format, columns: AuditRenderer.columns, traits: traits)
    for row in renderer.rows { try writer.write(row) }
    try writer.finish()
  }

  /// A row a tool call.
  func printCalls(_ format: OutputFormat) throws {
    let writer = RowWriter(format: format, columns: AuditRenderer.callColumns(options.windows), traits: traits)
    _ = try audit().finish { try writer.write(AuditRenderer.callRow($0, estimator: $0.estimator)) }
    try writer.finish()
  }

  /// Mean entropy by offset, by tool.
  func printCurve(_ format: OutputFormat) throws {
    let renderer = AuditRenderer(report: try audit().finish(), traits: traits)
    let writer = RowWriter(format: format, columns: AuditRenderer.curveColumns, traits: traits)
    for row in renderer.curveRows { try writer.write(row) }
    try writer.finish()
  }
}
