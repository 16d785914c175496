import CZstd
import Foundation
import GRDB
import RolloutLogs
import Rollouts

extension RecordWriter {
  static let excerptBytes = 200

  /// What a record waits for, and what others may wait for in it.
  struct Waiting {
    var run: Int64
    var forKey: String
    var asKey: String
  }

  /// Puts a record that cannot be imported aside.
  func quarantine(
    _ reason: QuarantineReason, _ message: String, raw: UnsafeBufferPointer<UInt8>?, _ origin: Origin,
    waiting: Waiting? = nil
  ) throws {
    var kept: Data?
    var excerpt: String?
    if let raw {
      excerpt = String(decoding: raw.prefix(Self.excerptBytes), as: UTF8.self)
      if raw.count <= keptBytes { kept = Self.compressed(raw) }
    }
    try execute(
      """
      INSERT INTO quarantine (source, line, byte_offset, length, reason, message, excerpt, raw, waits_in, waits_for,
        waits_as) VALUES (?,?,?,?,?,?,?,?,?,?,?)
      """,
      [
        origin.source, origin.position.line, origin.position.byteOffset, origin.position.length,
        reason.rawValue, message, excerpt, kept, waiting?.run, waiting?.forKey, waiting?.asKey,
      ])
    if waiting != nil {
      self.waiting += 1
    } else {
      counts.quarantined += 1
      bad += 1
    }
  }

  /// Writes the records that waited for this one, and those that waited for them.
  func release(_ key: String, run: Int64) throws {
    guard waiting > 0 else { return }
    var keys = [key]
    while let key = keys.popLast() {
      let rows = try Row.fetchAll(
        statement("SELECT * FROM quarantine WHERE waits_in = ? AND waits_for = ? ORDER BY source, byte_offset, id"),
        arguments: [run, key.withoutZeros])
      for row in rows {
        waiting -= 1
        switch try retry(row, run: run) {
        case .done(let next):
          try execute("DELETE FROM quarantine WHERE id = ?", [row["id"] as Int64])
          if let next { keys.append(next) }
        case .impossible(let reason, let message): try keep(row["id"], reason, message)
        }
      }
    }
  }

  /// What became of a record that was tried again.
  private enum Retried {
    /// It is written, with the key of what waits for it, or stands in the quarantine for another reason.
    case done(next: String?)
    /// It cannot be read again: its row is all that is left of it.
    case impossible(QuarantineReason, String)
  }

  /// A record that waits no more and is bad.
  private func keep(_ id: Int64, _ reason: QuarantineReason, _ message: String) throws {
    try execute(
      """
      UPDATE quarantine SET reason = ?, message = ?, waits_in = NULL, waits_for = NULL, waits_as = NULL WHERE id = ?
      """, [reason.rawValue, message, id])
    counts.quarantined += 1
    bad += 1
  }

  /// Tries a record again that had to wait.
  private func retry(_ row: Row, run: Int64) throws -> Retried {
    let source: Int64 = row["source"]
    let origin = Origin(
      source: source,
      position: RecordPosition(line: row["line"], byteOffset: row["byte_offset"], length: row["length"]))
    guard let data = row["raw"] as Data? else {
      return .impossible(
        .tooLong,
        "\(origin.position.length) bytes are too many to keep while it waits: put it behind the record that it builds on"
      )
    }
    guard let format = try format(of: source) else {
      return .impossible(
        .unknownRecord, "the record that it waited for came, but the format of its log is not read now")
    }
    var bytes = try Self.decompressed(data, count: origin.position.length)
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding + 1))
    return try bytes.withUnsafeBufferPointer { all in
      let raw = UnsafeBufferPointer(rebasing: all[..<count])
      do {
        let name: String? = row["waits_as"]
        for record in try format.records(in: raw, at: origin.position) {
          // Of the rows of one record only some may have waited.
          guard case .trajectory(let trajectory) = record, Self.names(of: trajectory).contains(ByteString(name ?? ""))
          else {
            continue
          }
          let outcome = try write(preparer.prepare(trajectory), run: run, origin)
          if case .waits(let reason, let key, let name, let message) = outcome {
            try quarantine(
              reason, message, raw: raw, origin, waiting: Waiting(run: run, forKey: key, asKey: name))
            return .done(next: nil)
          }
          return .done(next: name)
        }
        return .impossible(.unknownRecord, "no trajectory \(name ?? "") is in the record any more")
      } catch let error as RecordError {
        try quarantine(error.reason, error.message, raw: raw, origin)
        return .done(next: nil)
      }
    }
  }

  /// The keys under which a trajectory may wait.
  private static func names(of trajectory: TrajectoryRecord) -> [ByteString] {
    let key = key(trajectory.trajectoryID, trajectory.step).withoutZeros
    return [ByteString(key), ByteString("\(key)#\(trajectory.part)")]
  }

  private func format(of source: Int64) throws -> (any LogFormat)? {
    if let format = formats[source] { return format }
    guard let row = try fetch("SELECT path, format FROM source WHERE id = ?", [source]),
      let type = LogFormats.named(row["format"])
    else { return nil }
    let path: String = row["path"]
    let format = type.init(file: LogFile(path: path))
    formats[source] = format
    return format
  }

  /// Names cycles among the records that still wait, and counts what is left.
  func settleWaiting() throws {
    guard waiting > 0 else { return }
    let rows = try Row.fetchAll(
      db,
      sql: "SELECT id, waits_in, waits_for, waits_as, reason FROM quarantine WHERE waits_for IS NOT NULL ORDER BY id")
    var parent: [String: String] = [:]
    func name(_ run: Int64, _ key: String) -> String { "\(run)/\(key)" }
    for row in rows { parent[name(row["waits_in"], row["waits_as"])] = name(row["waits_in"], row["waits_for"]) }
    var inCycle: [String: Bool] = [:]
    for start in parent.keys.sorted() where inCycle[start] == nil {
      var path: [String] = []
      var seen: [String: Int] = [:]
      var at: String? = start
      while let here = at, inCycle[here] == nil, seen[here] == nil {
        seen[here] = path.count
        path.append(here)
        at = parent[here]
      }
      let first = at.flatMap { seen[$0] } ?? path.count
      for (i, key) in path.enumerated() { inCycle[key] = i >= first }
    }
    for row in rows where row["reason"] == QuarantineReason.missingParent.rawValue {
      let key = name(row["waits_in"], row["waits_as"])
      guard inCycle[key] == true else { continue }
      try execute(
        "UPDATE quarantine SET reason = ?, message = ? WHERE id = ?",
        [
          QuarantineReason.parentCycle.rawValue, "its parents lead back to itself", row["id"] as Int64,
        ])
    }
  }

  // MARK: Raw records

  static func compressed(_ raw: UnsafeBufferPointer<UInt8>) -> Data {
    var out = [UInt8](repeating: 0, count: ZSTD_compressBound(raw.count))
    let n = out.withUnsafeMutableBytes { ZSTD_compress($0.baseAddress, $0.count, raw.baseAddress, raw.count, 1) }
    return ZSTD_isError(n) != 0 ? Data(raw) : Data(out[..<n])
  }

  /// - Parameter count: bytes of the record.
  static func decompressed(_ data: Data, count length: Int) throws -> [UInt8] {
    try data.withUnsafeBytes { raw in
      let size = ZSTD_getFrameContentSize(raw.baseAddress, raw.count)
      guard size == UInt64(length) else { throw ColumnError("a quarantined record is damaged") }
      return try [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
        count = ZSTD_decompress(buffer.baseAddress, buffer.count, raw.baseAddress, raw.count)
        guard count == Int(size) else {
          count = 0
          throw ColumnError("a quarantined record is damaged")
        }
      }
    }
  }
}
