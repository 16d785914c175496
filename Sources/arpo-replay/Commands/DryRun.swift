import Foundation
import RolloutLogs
import RolloutStore
import Rollouts

/// `import --dry-run`: what a log was recognised as, and its first records.
struct DryRun {
  let options: ImportOptions

  func run(_ paths: [String]) throws -> ExitStatus {
    var status = ExitStatus.ok
    for path in paths {
      do {
        let found = try Importer.recognise(path, options: options)
        print(
          "\(Escaping.line(path, width: 400)): \(found.format ?? "?") (\(found.container.rawValue), \(found.layout.rawValue)), run \(Escaping.line(found.runName, width: 80))"
        )
        print("  keys: \(Escaping.line(found.keys.joined(separator: ", "), width: 400))")
        // Standard input cannot be read twice.
        if path == "-" { continue }
        for record in try Importer.preview(path, options: options, limit: 3) { show(record) }
      } catch let error as InputError {
        Talk.warn("\(Escaping.line(path, width: 400)): \(Escaping.line(error.description, width: 1000))")
        status = .unrecognised
      }
    }
    return status
  }

  private func show(_ previewed: PreviewedRecord) {
    let place = "  line \(previewed.position.line), byte \(previewed.position.byteOffset):"
    switch previewed.result {
    case .failure(let error): print("\(place) \(error.reason.rawValue): \(Escaping.line(error.message, width: 300))")
    case .success(let records):
      if records.isEmpty { print("\(place) nothing to import") }
      for record in records { print("\(place) \(Escaping.line(describe(record), width: 600))") }
    }
  }

  private func describe(_ record: RolloutRecord) -> String {
    switch record {
    case .run(let run): "run \(run.runID)\(run.model.map { ", model \($0)" } ?? "")"
    case .group(let group): "group \(group.groupID)\(group.step.map { ", step \($0)" } ?? "")"
    case .end(let count): "end\(count.map { ", announces \($0) trajectories" } ?? "")"
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
