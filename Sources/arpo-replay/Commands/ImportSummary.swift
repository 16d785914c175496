import Foundation
import Replay
import RolloutStore
import Rollouts

/// The closing summary of an import.
struct ImportSummary {
  let report: ImportReport
  let database: String
  let traits: TerminalTraits

  /// Refused files count only if they were given by name: a folder may hold other things.
  static func status(of report: ImportReport) -> ExitStatus {
    status(of: report.files, hasBadRecords: !report.quarantine.isEmpty)
  }

  static func status(of files: [FileReport], hasBadRecords: Bool) -> ExitStatus {
    if files.contains(where: { $0.status == .interrupted }) { return .interrupted }
    if files.contains(where: { $0.status == .stopped }) { return .tooManyBad }
    if files.contains(where: { $0.status == .unreadable }) { return .failed }
    let imported = files.contains { ![.refused, .unreadable].contains($0.status) }
    if files.contains(where: { $0.status == .refused && $0.isExplicit }) || !imported { return .unrecognised }
    return hasBadRecords ? .quarantined : .ok
  }

  func print(_ format: OutputFormat) throws {
    for file in report.files {
      let path = Escaping.line(file.path, width: 400)
      if let trouble = file.trouble, [.refused, .unreadable].contains(file.status) {
        Talk.warn(Escaping.line(trouble, width: 1400))
      }
      if let announced = file.announced {
        let count = traits.counted(announced.trajectories, "trajectory", "trajectories")
        Talk.warn(
          "\(path): its end record announces \(count), the database has \(traits.grouped(announced.held)) of them")
      }
      switch file.status {
      case .interrupted where !file.canGoOn:
        Talk.say(
          "interrupted, which ends \(file.path == "-" ? "standard input" : path); the records that came whole are "
            + "imported, and are known if they come again")
      case .interrupted: Talk.say("interrupted; the same command goes on behind what is imported")
      case .stopped: Talk.say("stopped: too many bad records (--strict, --max-bad); what came before is imported")
      default: break
      }
    }
    for run in report.sharedRuns {
      let name = Escaping.line(run.name, width: 80)
      let folders = run.folders.prefix(4).map { Escaping.line($0, width: 200) } + (run.folders.count > 4 ? ["…"] : [])
      Talk.warn(
        "run \(name) is named after its files' path, and has files of \(run.folders.count) folders: "
          + "\(folders.joined(separator: ", ")); if they are several runs, import each with --run NAME into a new database"
      )
    }
    let output = BufferedOutput()
    output.write(format == .json ? DocumentText.json(json) + "\n" : table)
    try output.flush()
  }

  private var table: String {
    let number = { (title: String) in TextTable.Column(title: title, isNumeric: true) }
    let hasCalls = report.counts.calls > 0
    var rows = TextTable(
      columns: [TextTable.Column(title: "log", keepsEnd: true), TextTable.Column(title: "format"), number("records")]
        + (hasCalls ? [number("calls")] : []) + [
          number("trajectories"), number("tokens"), number("tool calls"), number("bad"), number("s"), number("MB/s"),
          TextTable.Column(title: ""),
        ])
    for file in report.files where file.isExplicit || file.status != .refused {
      let rate = file.seconds > 0 ? Double(file.uncompressedBytes) / file.seconds / 1e6 : 0
      let c = file.counts
      rows.add(
        [
          TextTable.Cell(file.path), TextTable.Cell(file.format ?? ""), TextTable.Cell(traits.grouped(c.records)),
        ] + (hasCalls ? [TextTable.Cell(traits.grouped(c.calls))] : []) + [
          TextTable.Cell(traits.grouped(c.trajectories)), TextTable.Cell(traits.grouped(c.tokens)),
          TextTable.Cell(traits.grouped(c.toolCalls)),
          TextTable.Cell(traits.grouped(c.quarantined), c.quarantined > 0 ? .red : .plain),
          TextTable.Cell(file.seconds < 0.01 ? "<0.01" : decimals(file.seconds, 2)),
          TextTable.Cell(rate > 0 ? decimals(rate, 0) : ""),
          TextTable.Cell(note(file), .dim),
        ])
    }
    var out = rows.render(traits)
    for (evidence, trajectories) in report.evidence {
      out += "\(traits.counted(trajectories, "trajectory", "trajectories")) with \(evidence.description)\n"
    }
    if !report.quarantine.isEmpty {
      out += "\nquarantined (arpo-replay query \(database) quarantine):\n"
      for tally in report.quarantine {
        out += "  \(tally.count) \(tally.name), first \(Escaping.line(tally.first, width: 200))\n"
      }
    }
    if !report.findings.isEmpty {
      out += "\nto know before trusting the numbers:\n"
      for tally in report.findings {
        let found = FindingText.counted(tally.count, tally.name, traits)
        let trajectories = traits.counted(tally.trajectories, "trajectory", "trajectories")
        // Of copies that were folded into a row, the place of that row is known.
        let first = tally.name == Finding.Check.duplicateRow.rawValue ? "first repeats" : "first"
        out += "  \(found) in \(trajectories), \(first) \(Escaping.line(tally.first, width: 200))\n"
      }
    }
    let isAnyThere = report.files.contains { ![.refused, .unreadable].contains($0.status) }
    if traits.isTTY, isAnyThere { out += "\nnext: arpo-replay audit \(database)\n" }
    return out
  }

  private func note(_ file: FileReport) -> String {
    var parts: [String] = []
    if file.status == .known {
      parts.append("already there")
    } else if file.status != .imported {
      parts.append(file.status.rawValue)
    }
    if file.counts.duplicates > 0 { parts.append(traits.counted(file.counts.duplicates, "duplicate")) }
    if file.counts.copies > 0 { parts.append(traits.counted(file.counts.copies, "padded copy", "padded copies")) }
    return parts.joined(separator: ", ")
  }

  private var json: DocumentValue {
    func tallies(_ list: [ImportReport.Tally]) -> DocumentValue {
      .array(
        list.map {
          .object([
            ("name", .string($0.name)), ("count", .int($0.count)), ("trajectories", .int($0.trajectories)),
            ("first", .string($0.first)),
          ])
        })
    }
    func counts(_ c: ImportCounts) -> [(String, DocumentValue)] {
      [
        ("records", .int(c.records)), ("calls", .int(c.calls)), ("trajectories", .int(c.trajectories)),
        ("tokens", .int(c.tokens)),
        ("tool_calls", .int(c.toolCalls)), ("duplicates", .int(c.duplicates)), ("copies", .int(c.copies)),
        ("quarantined", .int(c.quarantined)),
      ]
    }
    let files = report.files.map { file in
      DocumentValue.object(
        [
          ("path", .string(file.path)), ("status", .string(file.status.rawValue)),
          ("format", file.format.map(DocumentValue.string) ?? .null),
          ("container", file.container.map(DocumentValue.string) ?? .null),
          ("message", file.message.map(DocumentValue.string) ?? .null),
        ] + counts(file.counts) + [
          ("bytes", .int(file.bytes)), ("uncompressed_bytes", .int(file.uncompressedBytes)),
          ("seconds", .double(file.seconds)),
          ("mb_per_s", file.seconds > 0 ? .double(Double(file.uncompressedBytes) / file.seconds / 1e6) : .null),
        ])
    }
    return .object(
      [("schema", .string("arpo-replay/import/1")), ("database", .string(database)), ("files", .array(files))]
        + counts(report.counts) + [
          (
            "shared_runs",
            .array(
              report.sharedRuns.map {
                .object([("run", .string($0.name)), ("folders", .array($0.folders.map(DocumentValue.string)))])
              })
          ), ("quarantine", tallies(report.quarantine)), ("findings", tallies(report.findings)),
          (
            "evidence",
            .array(
              report.evidence.map {
                .object([
                  ("evidence", .array($0.evidence.labels.map(DocumentValue.string))),
                  ("trajectories", .int($0.trajectories)),
                ])
              })
          ), ("seconds", .double(report.seconds)), ("database_bytes", .int(report.databaseBytes)),
        ])
  }
}

extension FileReport {
  /// What is wrong with the file, its path before it.
  var trouble: String? { message.map { $0.hasPrefix(path + ": ") ? $0 : "\(path): \($0)" } }
}

/// What the forensic checks mean, in words.
enum FindingText {
  /// For one and for several.
  private static let meaning: [String: (one: String, many: String)] = [
    "zero_logprob_run": (
      "generated token in a run of logprob exactly 0.0 (a placeholder for missing?)",
      "generated tokens in runs of logprob exactly 0.0 (a placeholder for missing?)"
    ),
    "sentinel_logprob": (
      "logprob of -9999 or less (a server's clamp of minus infinity), read as missing",
      "logprobs of -9999 or less (a server's clamp of minus infinity), read as missing"
    ),
    "negative_entropy": (
      "logged entropy below 0, which no distribution has", "logged entropies below 0, which no distribution has"
    ),
    "not_finite": ("number that is not finite, read as missing", "numbers that are not finite, read as missing"),
    "prompt_disagrees": (
      "trajectory of a group id that has another prompt elsewhere: a group of its own",
      "trajectories of a group id that has another prompt elsewhere: groups of their own"
    ),
    "sampled_not_in_top_k": (
      "sampled token that is not in its own top-k list", "sampled tokens that are not in their own top-k list"
    ),
    "tokens_unknown": ("segment of text whose token ids are unknown", "segments of text whose token ids are unknown"),
    "context_rewritten": (
      "turn whose prompt does not repeat the tokens before it",
      "turns whose prompt does not repeat the tokens before it"
    ),
    "duplicate_row": (
      "row that repeats another row of its group (padding?)", "rows that repeat another row of their group (padding?)"
    ),
  ]

  /// So many findings of a check.
  static func counted(_ count: Int, _ check: String, _ traits: TerminalTraits) -> String {
    let words = meaning[check] ?? (check, check)
    return traits.counted(count, words.one, words.many)
  }
}
