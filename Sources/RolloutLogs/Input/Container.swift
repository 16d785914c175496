/// How a file's bytes are wrapped, told by its first bytes and never by its name.
public enum Container: String, Sendable {
  case plain
  case zstd
  case gzip

  /// What the first bytes of a file say (eight are enough); throws for containers that cannot hold a log we read.
  static func detect(_ head: [UInt8]) throws(InputError) -> Container {
    func starts(_ bytes: [UInt8]) -> Bool { head.starts(with: bytes) }
    if starts([0x28, 0xB5, 0x2F, 0xFD]) { return .zstd }
    // A skippable frame, as pzstd and appended indexes write them.
    if head.count >= 4, head[0] & 0xF0 == 0x50, head[1] == 0x2A, head[2] == 0x4D, head[3] == 0x18 { return .zstd }
    if starts([0x1F, 0x8B]) { return .gzip }
    for (magic, what) in refused where starts(magic) { throw .refused(what) }
    return .plain
  }

  private static let refused: [([UInt8], String)] = [
    (Array("PK\u{3}\u{4}".utf8), "a zip archive (Inspect .eval, torch .pt): unpack it or export JSON Lines"),
    (
      Array("PAR1".utf8),
      "a Parquet file: write it as JSON Lines, e.g. with DuckDB: COPY … TO 'log.jsonl' (FORMAT json)"
    ),
    (Array("SQLite format 3\u{0}".utf8.prefix(8)), "a SQLite database; audit reads databases, import reads logs"),
    ([0x42, 0x5A, 0x68], "bzip2: recompress it with zstd"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "xz: recompress it with zstd"),
    ([0x80, 0x02], Self.pickle), ([0x80, 0x03], Self.pickle), ([0x80, 0x04], Self.pickle), ([0x80, 0x05], Self.pickle),
  ]

  private static let pickle =
    "a Python pickle, which can run code when read: load it in Python and write one JSON object a line"
}

/// A file that cannot be read on.
public enum InputError: Error, Sendable, Equatable, CustomStringConvertible {
  case unreadable(String)
  case refused(String)
  /// The compressed stream ends inside a frame.
  case truncated(String)
  case corrupt(String)
  case bomb(String)
  /// Whoever waited for input does so no longer; the log may go on.
  case interrupted

  public var description: String {
    switch self {
    case .unreadable(let why): why
    case .refused(let what): "this is \(what)"
    case .truncated(let why), .corrupt(let why), .bomb(let why): why
    case .interrupted: "interrupted while it was read"
    }
  }

  /// The reason under which the rest of the file goes to the quarantine.
  public var reason: QuarantineReason {
    switch self {
    case .truncated: .truncatedStream
    case .bomb: .decompressionBomb
    case .unreadable, .refused, .corrupt, .interrupted: .corruptStream
    }
  }
}
