import Foundation
import GRDB
import Replay
import RolloutLogs

/// A number for everything in the database that decides what a strategy gives: whatever an import changes of it, added
/// trajectories, filled groups, parents that came late, changes the number.
///
/// It holds ids of rows, so it tells states of one database apart, not databases.
struct AttributionDataKey {
  let selection: GroupSelection
  /// The evidence set that the results stand on; `nil`: the log's own values.
  let evidence: EvidenceRecord?

  /// Whether kept results are of what the database holds now; `nil`: an earlier version kept them, whose keys do not tell.
  static func isCurrent(_ record: AttributionRecord, _ db: Database) throws -> Bool? {
    guard record.dataKey.wholeMatch(of: /\d+:[0-9a-f]+/) != nil, let value = try? JSONValue(parsing: record.selection)
    else { return nil }
    var selection = GroupSelection()
    selection.runs = (value["runs"]?.array ?? []).compactMap(\.string)
    selection.groups = (value["groups"]?.array ?? []).compactMap(\.string)
    selection.step = value["step"]?.int
    var evidence: EvidenceRecord?
    if let description = value["evidence"]?.string {
      evidence = try Store.evidenceSets(db).first { $0.description == description }
      if evidence == nil { return false }
    }
    return try AttributionDataKey(selection: selection, evidence: evidence).value(record.scope, db) == record.dataKey
  }

  /// The key of a strategy's results.
  ///
  /// - Parameter scope: statistics of a batch run over all groups of the selected runs, whichever are selected.
  func value(_ scope: AttributionScope, _ db: Database) throws -> String {
    var sql = """
      SELECT t.id, t.prompt_group, g.group_id, g.step, t.step, t.parent, t.branch_index, t.content_hash, t.multiplicity,
        t.length, t.reward
      FROM trajectory t JOIN run r ON r.id = t.run JOIN prompt_group g ON g.id = t.prompt_group WHERE 1
      """
    var arguments: [any DatabaseValueConvertible] = []
    if !selection.runs.isEmpty {
      sql += " AND r.run_id IN (SELECT value FROM json_each(?))"
      arguments.append(AttributionJSON.strings(selection.runs))
    }
    if scope == .group, !selection.groups.isEmpty {
      sql += " AND g.group_id IN (SELECT value FROM json_each(?))"
      arguments.append(AttributionJSON.strings(selection.groups))
    }
    if scope == .group, let step = selection.step {
      sql += " AND g.step = ?"
      arguments.append(step)
    }
    var hash = ContentHash64()
    var count = 0
    let rows = try Row.fetchCursor(db, sql: sql + " ORDER BY t.id", arguments: StatementArguments(arguments))
    while let row = try rows.next() {
      count += 1
      for column in [0, 1, 3, 4, 5, 6, 7, 8, 9] { hash.add(row[column] as Int?) }
      hash.add(row[2] as String)
      hash.add(row[10] as Double?)
    }
    // Entropies depend on these.
    let runs = try Row.fetchCursor(db, sql: "SELECT vocab_size, temperature, logprobs_mode FROM run ORDER BY id")
    while let row = try runs.next() {
      hash.add(row[0] as Int?)
      hash.add(row[1] as Double?)
      hash.add(row[2] as String?)
    }
    if let evidence {
      let row = try Row.fetchOne(
        db, sql: "SELECT count(*), sum(scored) FROM rescored_trajectory WHERE evidence_set = ?",
        arguments: [evidence.id])
      hash.add(row?[0] as Int?)
      hash.add(row?[1] as Int?)
    }
    return "\(count):\(String(hash.value, radix: 16))"
  }
}

/// Small JSON texts of the attribution table.
enum AttributionJSON {
  static func strings(_ values: [String]) -> String { DocumentValue.array(values.map { .string($0) }).json }

  static func selection(_ selection: GroupSelection, _ evidence: EvidenceRecord?) -> String {
    var members: [(String, DocumentValue)] = [
      ("runs", .array(selection.runs.sorted().map { .string($0) })),
      ("groups", .array(selection.groups.sorted().map { .string($0) })),
    ]
    if let step = selection.step { members.append(("step", .int(step))) }
    if let evidence { members.append(("evidence", .string(evidence.description))) }
    return DocumentValue.object(members).json
  }
}
