import ArgumentParser

/// What the tool's exit codes mean; `--help` prints the summary.
enum ExitStatus: Int32 {
  case ok = 0
  /// A file or the database cannot be read or written, or a query is wrong.
  case failed = 1
  /// Everything else was done, but some records went to the quarantine.
  case quarantined = 2
  /// Stopped because of --strict or --max-bad.
  case tooManyBad = 3
  /// A log in no format that this version reads; the others were imported.
  case unrecognised = 4
  /// The database is locked by another program.
  case busy = 5
  /// The learner reached a limit (--stop-…), or too many updates in a row were skipped.
  case stoppedByLimit = 6
  /// What the log holds does not allow an estimate; everything else was done.
  case refused = 7
  /// Ctrl-C; the same command goes on where it stopped, but for a pipe, of which what came is there.
  case interrupted = 130

  static let summary = """
    0 done; 1 failed; 2 done, but records are in the quarantine; 3 stopped by --strict or --max-bad; \
    4 a log in no known format; 5 database locked; 6 the learner reached a limit; 7 an estimate was refused; 64 wrong usage; 130 interrupted.
    """

  var code: ExitCode { ExitCode(rawValue) }
}
