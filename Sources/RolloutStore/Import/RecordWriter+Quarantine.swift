import CZstd
import Foundation
import GRDB
import RolloutLogs
import Rollouts

extension RecordWriter {
  /// Records longer than this are not kept in the quarantine.
  static let keptBytes = 64 << 20
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
      if raw.count <= Self.keptBytes { kept = Self.compressed(raw) }
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
        try execute("DELETE FROM quarantine WHERE id = ?", [row["id"] as Int64])
        waiting -= 1
        if let next = try retry(row, run: run) { keys.append(next) }
      }
    }
  }

  /// Tries a record again that had to wait.
  ///
  /// Returns the key of what was written.
  private func retry(_ row: Row, run: Int64) throws -> String? {
    let source: Int64 = row["source"]
    let origin = Origin(
      source: source,
      position: RecordPosition(line: row["line"], byteOffset: row["byte_offset"], length: row["length"]))
    guard let data = row["raw"] as Data?, let format = try format(of: source) else { return nil }
    var bytes = try Self.decompressed(data)
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding + 1))
    return try bytes.withUnsafeBufferPointer { all in
      let raw = UnsafeBufferPointer(rebasing: all[..<count])
      do {
        for record in try format.records(in: raw, at: origin.position) {
          guard case .trajectory(let trajectory) = record else { continue }
          let prepared = preparer.prepare(trajectory)
          let outcome = try write(prepared, run: run, origin)
          if case .waits(let reason, let key, let name, let message) = outcome {
            try quarantine(
              reason, message, raw: raw, origin, waiting: Waiting(run: run, forKey: key, asKey: name))
            return nil
          }
          return (row["waits_as"] as String?) ?? Self.key(trajectory.trajectoryID, trajectory.step)
        }
      } catch let error as RecordError {
        try quarantine(error.reason, error.message, raw: raw, origin)
      }
      return nil
    }
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

  static func decompressed(_ data: Data) throws -> [UInt8] {
    try data.withUnsafeBytes { raw in
      let size = ZSTD_getFrameContentSize(raw.baseAddress, raw.count)
      guard size <= UInt64(keptBytes) else { throw ColumnError("a quarantined record is damaged") }
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
