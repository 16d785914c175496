import RolloutLogs
public import Rollouts

/// GRDB has a type of that name too; here it is always the log's.
typealias RecordError = RolloutLogs.RecordError

/// How to import.
public struct ImportOptions: Sendable {
  /// Name of the log format; `nil` recognises it from the first records.
  public var format: String?
  /// Name of the run for records that name none; `nil` takes the file's or the folder's name.
  public var runName: String?
  /// Stop when more records than this are bad; 0 is `--strict`, `nil` goes on.
  public var maxBad: Int?
  /// Longest record in bytes.
  public var maxRecordBytes = 256 << 20
  /// Longest bad record in bytes that is kept in the quarantine, and longest record that can wait for its parent there.
  public var keptRecordBytes = 64 << 20
  /// Uncompressed bytes that are parsed at once.
  public var blockBytes = 2 << 20
  /// Bytes of the log that are kept for a while, so that forks that repeat their parent's tokens need not be parsed.
  ///
  /// Never changes what is stored.
  public var recentBytes = 16 << 20
  /// Threads that parse and encode.
  public var workers = 2
  /// Uncompressed bytes between two commits, and the longest time in seconds.
  public var commitBytes = 8 << 20
  public var commitSeconds = 2.0

  public init() {}
}

/// What an import has done so far.
public struct ImportCounts: Sendable, Equatable {
  public var records = 0
  /// Model calls, in logs of calls; several can make one trajectory.
  public var calls = 0
  public var trajectories = 0
  /// Tokens stored (shared prefixes once).
  public var tokens = 0
  public var toolCalls = 0
  public var duplicates = 0
  public var copies = 0
  public var parts = 0
  public var quarantined = 0
  /// Trajectories that the database has from another log.
  var knownElsewhere = 0

  public init() {}
}

/// For a progress bar.
public struct ImportProgress: Sendable {
  public var path: String
  public var file: Int
  public var files: Int
  /// Stored bytes read of this file, and its size.
  public var bytesRead: Int
  public var size: Int?
  public var uncompressedBytes: Int
  public var counts: ImportCounts
}

/// What became of one file.
public struct FileReport: Sendable {
  public enum Status: String, Sendable {
    case imported
    /// The same bytes are in the database already.
    case known
    /// Began before and went on from there.
    case resumed
    /// Not a log that this version reads.
    case refused
    case unreadable
    case interrupted
    /// More bad records than allowed.
    case stopped
  }

  public var path: String
  public var status: Status
  public var format: String?
  public var container: String?
  public var message: String?
  /// Given on the command line, not found in a folder.
  public var isExplicit: Bool
  /// The same import again goes on where this one was interrupted; not from standard input or a pipe.
  public var canGoOn = false
  public var counts = ImportCounts()
  public var bytes = 0
  public var uncompressedBytes = 0
  public var seconds = 0.0
  /// How many trajectories the log's `end` record announces, where the database has another number of them.
  public var announced: (trajectories: Int, held: Int)?
  /// Its row in the table `source`.
  var source: Int64?
  /// Uncompressed bytes that earlier imports had done.
  var begin = 0
  /// Tool calls that earlier imports had brought.
  var knownToolCalls = 0
}

/// What an import did.
public struct ImportReport: Sendable {
  public struct SharedRun: Sendable, Equatable {
    public var name: String
    /// At least two, in the order in which their files came.
    public var folders: [String]
  }

  public struct Tally: Sendable {
    public var name: String
    public var count: Int
    public var trajectories: Int
    /// The first one, as `path:line`.
    public var first: String
  }

  public var files: [FileReport] = []
  /// Runs that files of several folders came into because of a name that was taken from their paths.
  public var sharedRuns: [SharedRun] = []
  /// Quarantined records of these files, by reason; also those of earlier imports of the same files.
  public var quarantine: [Tally] = []
  /// Forensic findings in these files, by check.
  public var findings: [Tally] = []
  /// Trajectories of these files by evidence.
  public var evidence: [(evidence: Evidence, trajectories: Int)] = []
  public var seconds = 0.0
  public var databaseBytes = 0

  public var counts: ImportCounts {
    files.reduce(into: ImportCounts()) { sum, file in
      sum.records += file.counts.records
      sum.calls += file.counts.calls
      sum.trajectories += file.counts.trajectories
      sum.tokens += file.counts.tokens
      sum.toolCalls += file.counts.toolCalls
      sum.duplicates += file.counts.duplicates
      sum.copies += file.counts.copies
      sum.quarantined += file.counts.quarantined
    }
  }
}

/// The state of a source while it is read; its row in the database is written at every commit.
struct SourceState {
  var id: Int64
  var defaultRunName: String
  var currentRun: Int64?
  /// The run record that should hold for the next record could not be read: nobody knows its run.
  var isRunLost = false
  var records: Int
  var announced: Int?
  var resume: ResumePoint
  var bytes: Int
  /// Asked for at every commit.
  var hash: () -> String
}
