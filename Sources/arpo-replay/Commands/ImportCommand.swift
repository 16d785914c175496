import ArgumentParser
import Foundation
import RolloutLogs
import RolloutStore
import Rollouts

/// How logs are read; shared by `import` and `analyze`.
struct LogOptions: ParsableArguments {
  @Option(help: "Log format instead of recognising it: \(LogFormats.all.map { $0.name }.joined(separator: ", ")).")
  var logFormat: String?

  @Option(
    help: """
      Name of the run, for logs that name none (default: the file's name; for verl's {step}.jsonl and for OpenAI files \
      of one document the folder's, after its parent's if the folder is called rollout, logs, val or the like).
      """)
  var run: String?

  @Option(help: "Longest record in MiB.")
  var maxRecord = 256

  @Option(help: ArgumentHelp("Threads that parse.", visibility: .hidden))
  var threads = LogOptions.processors

  @Option(help: ArgumentHelp("Uncompressed bytes between two commits.", visibility: .hidden))
  var commitBytes = ImportOptions().commitBytes

  @Option(help: ArgumentHelp("Bytes that are cut into records at once.", visibility: .hidden))
  var blockBytes = ImportOptions().blockBytes

  /// Asked once: options are made several times while the command line is read.
  private static let processors = max(2, ProcessInfo.processInfo.activeProcessorCount)

  func validate() throws {
    if let logFormat, LogFormats.named(logFormat) == nil {
      throw ValidationError(
        "there is no log format \(logFormat); known: \(LogFormats.all.map { $0.name }.joined(separator: ", "))")
    }
    guard maxRecord > 0, maxRecord <= 4096 else { throw ValidationError("--max-record is 1 to 4096 MiB") }
    guard threads > 0, threads <= 64 else { throw ValidationError("--threads is 1 to 64") }
    guard commitBytes > 0, blockBytes > 0 else { throw ValidationError("--commit-bytes and --block-bytes are above 0") }
  }

  var options: ImportOptions {
    var options = ImportOptions()
    options.format = logFormat
    options.runName = run
    options.maxRecordBytes = maxRecord << 20
    options.workers = threads
    options.commitBytes = commitBytes
    options.blockBytes = blockBytes
    return options
  }
}

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Reads logs into a database.",
    discussion: """
        arpo-replay import runs.db logs/             # a folder, all its logs
        arpo-replay import runs.db a.jsonl.zst b.gz  # told by content
        zstdcat a.zst | arpo-replay import runs.db - # standard input
        arpo-replay import runs.db log --dry-run     # what would be read

      The same file again adds nothing; a file that has grown adds what is new; an import that was interrupted goes on \
      where it stopped. Records that cannot be read go to the quarantine with their line, byte offset and reason \
      (arpo-replay query runs.db quarantine), and everything else is imported.

      Formats:
      \(LogFormats.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database; made if it is not there.")
  var database: String

  @Argument(help: "Logs: files, folders, or - for standard input.")
  var logs: [String]

  @OptionGroup var log: LogOptions

  @Flag(
    help: "Show what was recognised and the first records; write nothing. The exit code is what these would lead to.")
  var dryRun = false

  @Flag(help: "Stop at the first bad record.")
  var strict = false

  @Option(parsing: .unconditional, help: "Stop when more records than this are bad.")
  var maxBad: Int?

  @OptionGroup var output: ReportArguments

  @Flag(help: "No progress.")
  var quiet = false

  func validate() throws {
    guard !logs.isEmpty else { throw ValidationError("name at least one log, folder, or -") }
    if let maxBad, maxBad < 0 { throw ValidationError("--max-bad is 0 or more") }
    if dryRun, strict || maxBad != nil {
      throw ValidationError("--dry-run looks at the first records only: --strict and --max-bad belong to the import")
    }
    if logs.contains("-"), isatty(0) != 0 {
      throw ValidationError("- reads standard input, which is a terminal: pipe a log into it")
    }
  }

  func run() throws {
    try Talk.guarded {
      if dryRun { return try DryRun(options: log.options, database: database).run(logs, output.format) }
      var options = log.options
      options.maxBad = strict ? 0 : maxBad
      let interruption = Interruption()
      // The database is made while the log is read, and not at all if there is none.
      let reading = LogReading.first(of: logs, options: options, isCancelled: { interruption.isRequested })
      let isWanted =
        try !canBeMade || Importer.mayHaveLog(among: logs, database: database, options: options, reading: reading)
      let store = try isWanted ? Store.open(database, for: .writing) : Store.temporary()
      let progress = ProgressLine(traits: .standardError, quiet: quiet)
      let importer = Importer(
        store: store, options: options, onProgress: { progress.update($0) },
        onWait: { Talk.say("another import (process \($0)) is writing \(database); waiting for it") },
        isCancelled: { interruption.isRequested })
      let report = try importer.run(logs, reading: reading)
      progress.finish()
      try ImportSummary(report: report, database: database, traits: output.traits).print(output.format)
      let status = ImportSummary.status(of: report)
      // Records whose parents never came are only known to be bad at the end.
      let bad = report.quarantine.reduce(0) { $0 + $1.count }
      if status == .quarantined, let limit = options.maxBad, bad > limit { return .tooManyBad }
      return status
    }
  }

  /// Whether the database is not there and could be; what stands in its way is told before anything about the logs.
  private var canBeMade: Bool {
    let folder = URL(filePath: database).deletingLastPathComponent().path
    return !FileManager.default.fileExists(atPath: database) && access(folder, W_OK | X_OK) == 0
  }
}
