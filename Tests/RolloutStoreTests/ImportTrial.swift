import Foundation
import Replay
import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

/// A folder with logs and a database for one test.
final class ImportTrial {
  let folder: TemporaryFolder
  let database: String
  var options = ImportOptions()

  init(database: String = "runs.db") throws {
    folder = try TemporaryFolder()
    self.database = folder.path(database)
  }

  /// Imports files of the folder.
  @discardableResult
  func run(
    _ names: String..., onProgress: @escaping (ImportProgress) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> ImportReport {
    let store = try Store.open(database, for: .writing)
    return try Importer(store: store, options: options, onProgress: onProgress, isCancelled: isCancelled).run(
      names.map(folder.path))
  }

  /// Imports lines as one file.
  @discardableResult
  func run(lines: [String], _ name: String = "log.jsonl") throws -> ImportReport {
    try folder.write(lines, name)
    return try run(name)
  }

  func dump() throws -> [String] { try DatabaseDump.rows(database) }

  /// The first column of a query's first row.
  func value(_ sql: String) throws -> String? { try DatabaseDump.value(database, sql) }

  /// The first column of a query's rows.
  func strings(_ sql: String) throws -> [String?] { try DatabaseDump.strings(database, sql) }

  /// What is in the quarantine, as `line byte_offset reason`, in the order of the log.
  func quarantine() throws -> [String?] {
    try strings(
      "SELECT line || ' ' || byte_offset || ' ' || reason FROM quarantine ORDER BY source, byte_offset, id")
  }

  func count(_ table: String) throws -> Int { Int(try value("SELECT count(*) FROM \(table)") ?? "") ?? -1 }

  /// All groups in canonical order.
  func groups() throws -> [ReplayGroup] {
    var out: [ReplayGroup] = []
    try Store.open(database, for: .reading).forEachGroup(transform: { $0 }, consume: { out.append($0) })
    return out
  }

  /// Everything that an analysis sees, as text: no ids of rows, no places in files.
  func reading() throws -> [String] {
    let sql =
      "SELECT run_id || '/' || number || '=' || text || coalesce(hex(bytes), '') FROM token_string JOIN run ON run = id"
    var texts: [String: String] = [:]
    for case .some(let row) in try strings(sql) {
      let parts = row.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      texts[String(parts[0])] = String(parts[1])
    }
    return try groups().flatMap { group in
      ["group \(group.run.id) \(group.id) \(group.step.map(String.init) ?? "-")"]
        + group.trajectories.map { t in
          guard !t.evidence.contains(.tokenIDs), var columns = t.columns else { return "\(t)" }
          // Tokens that are known by their texts have numbers in the order in which they came.
          let ids = columns.tokenIDs + (columns.topLogprobs?.tokenIDs ?? [])
          columns.tokenIDs = []
          columns.topLogprobs?.tokenIDs = []
          var t = t
          t.columns = columns
          return "\(t) \(ids.map { texts["\(group.run.id)/\($0)"] ?? "?" })"
        }
    }
  }
}

extension ReplayGroup {
  /// The owners of the tokens of a trajectory's path: positions in the group, and where each stretch begins and ends.
  func stretches(of position: Int) -> [(owner: Int, range: Range<Int>)] {
    var out: [(owner: Int, range: Range<Int>)] = []
    var at: Int? = position
    var end = trajectories[position].length
    while let owner = at {
      let t = trajectories[owner]
      let start = t.declaredParent == nil ? 0 : min(t.declaredBranch, end)
      if start < end { out.append((owner, start..<end)) }
      end = start
      at = t.declaredParent
    }
    return out.reversed()
  }
}

extension ReplayTrajectory {
  var length: Int { (declaredParent == nil ? 0 : declaredBranch) + (columns?.count ?? segments.count) }

  /// The token at a response index that this trajectory owns.
  func token(at index: Int) -> SyntheticLog.Token? {
    guard let columns else { return nil }
    let i = index - (declaredParent == nil ? 0 : declaredBranch)
    var candidates: [SyntheticLog.Candidate] = []
    if let top = columns.topLogprobs {
      let first = top.counts[..<i].reduce(0) { $0 + Int($1) }
      for k in first..<(first + Int(top.counts[i])) {
        candidates.append(SyntheticLog.Candidate(id: top.tokenIDs[k], logprob: top.logprobs[k] ?? .nan))
      }
    }
    return SyntheticLog.Token(
      id: columns.tokenIDs[i], isGenerated: columns.lossMask[i] == 1, logprob: columns.logprobs?[i],
      entropy: columns.entropies?[i], candidates: candidates)
  }
}
