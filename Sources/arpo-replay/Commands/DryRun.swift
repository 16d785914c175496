import Foundation
import Replay
import RolloutLogs
import RolloutStore
import Rollouts

/// `import --dry-run`: what each log was recognised as, and its first records.
struct DryRun {
  let options: ImportOptions
  let database: String

  private static let limit = 3

  /// - Returns: what the import would end with, as far as the first records tell.
  func run(_ paths: [String], _ format: OutputFormat) throws -> ExitStatus {
    var files: [FileReport] = []
    var hasBadRecords = false
    var documents: [DocumentValue] = []
    let output = BufferedOutput()
    try Importer.previews(of: paths, database: database, options: options, limit: Self.limit) { preview in
      files.append(preview.file)
      if let trouble = preview.file.trouble { Talk.warn(Escaping.line(trouble, width: 1400)) }
      hasBadRecords = hasBadRecords || preview.records.contains { if case .failure = $0.result { true } else { false } }
      if format == .json {
        documents.append(document(preview))
      } else {
        output.write(text(preview))
        try output.drain()
      }
    }
    if format == .json {
      let members = [("schema", DocumentValue.string("arpo-replay/import-preview/1")), ("files", .array(documents))]
      output.write(DocumentText.json(.object(members)) + "\n")
    }
    try output.flush()
    return ImportSummary.status(of: files, hasBadRecords: hasBadRecords)
  }

  private func text(_ preview: LogPreview) -> String {
    guard let found = preview.recognition else { return "" }
    let path = Escaping.line(found.path, width: 400)
    var out = "\(path): \(found.format ?? "?") (\(found.container.rawValue), \(found.layout.rawValue)), "
    out += "run \(Escaping.line(found.runName, width: 80))\n"
    out += "  keys: \(Escaping.line(found.keys.joined(separator: ", "), width: 400))\n"
    for record in preview.records {
      let place = "  line \(record.position.line), byte \(record.position.byteOffset):"
      switch record.result {
      case .failure(let error):
        out += "\(place) \(error.reason.rawValue): \(Escaping.line(error.message, width: 300))\n"
      case .success(let records):
        if records.isEmpty { out += "\(place) nothing to import\n" }
        for record in records { out += "\(place) \(Escaping.line(describe(record), width: 600))\n" }
      }
    }
    return out
  }

  private func document(_ preview: LogPreview) -> DocumentValue {
    let found = preview.recognition
    let records = preview.records.map { record in
      let (error, contents): (DocumentValue, [RolloutRecord]) =
        switch record.result {
        case .failure(let error):
          (.object([("reason", .string(error.reason.rawValue)), ("message", .string(error.message))]), [])
        case .success(let records): (.null, records)
        }
      return DocumentValue.object([
        ("line", .int(record.position.line)), ("byte_offset", .int(record.position.byteOffset)), ("error", error),
        ("contents", .array(contents.map { .string(describe($0)) })),
      ])
    }
    return .object([
      ("path", .string(preview.file.path)), ("status", .string(status(preview.file))),
      ("message", .text(preview.file.message)), ("format", .text(found?.format)),
      ("container", .text(found?.container.rawValue)), ("layout", .text(found?.layout.rawValue)),
      ("run", .text(found?.runName)), ("keys", .array((found?.keys ?? []).map(DocumentValue.string))),
      ("records", .array(records)),
    ])
  }

  /// Nothing is imported by looking at it.
  private func status(_ file: FileReport) -> String { file.status == .imported ? "recognised" : file.status.rawValue }

  private func describe(_ record: RolloutRecord) -> String {
    switch record {
    case .run(let run): "run \(run.runID)\(run.model.map { ", model \($0)" } ?? "")"
    case .group(let group): "group \(group.groupID)\(group.step.map { ", step \($0)" } ?? "")"
    case .end(let count):
      "end\(count.map { ", announces " + TerminalTraits.standardOutput.counted($0, "trajectory", "trajectories") } ?? "")"
    case .trajectory(let t):
      "trajectory \(t.trajectoryID) of group \(t.groupID), \(describe(t.columns)), \(describe(t.segments)), reward \(t.reward.map { "\($0)" } ?? "none")"
    case .call(let call):
      "call \(call.responseID), \(call.messages.count) messages, \(describe(call.columns)), \(describe(call.segments))"
    }
  }

  private func describe(_ columns: TokenColumns?) -> String {
    guard let columns else { return "text only" }
    var parts = ["\(columns.count) tokens"]
    parts.append(columns.strings == nil ? "ids" : "token texts")
    if columns.logprobs != nil { parts.append("logprobs") }
    if let top = columns.topLogprobs { parts.append("top-\(top.counts.max() ?? 0)") }
    if columns.entropies != nil { parts.append("entropies") }
    return parts.joined(separator: ", ")
  }

  private func describe(_ segments: [Segment]) -> String {
    segments.isEmpty
      ? "no segments" : segments.map { $0.kind.rawValue + ($0.tool.map { ":\($0)" } ?? "") }.joined(separator: " ")
  }
}
