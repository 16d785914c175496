import Foundation
import GRDB

/// Finds the runs that are named after a file or a folder, and that files of several folders came into: two experiments,
/// perhaps, that are called the same.
struct SharedRunNames {
  let db: Database

  /// - Parameter sources: the logs of this import; those that were known before take no part.
  func find(_ sources: [SourceState]) throws -> [ImportReport.SharedRun] {
    var found: [ImportReport.SharedRun] = []
    var seen: Set<Int64> = []
    for source in sources {
      guard let run = source.currentRun, seen.insert(run).inserted else { continue }
      // A run with a record of its own is what the log calls it.
      let name = try String.fetchOne(
        db, sql: "SELECT run_id FROM run WHERE id = ? AND source IS NULL AND run_id = ?",
        arguments: [run, source.defaultRunName])
      guard let name else { continue }
      let folders = try folders(of: run)
      if folders.count > 1 { found.append(ImportReport.SharedRun(name: name, folders: folders)) }
    }
    return found
  }

  /// The folders that a run's files are in, as they are on disk.
  private func folders(of run: Int64) throws -> [String] {
    var folders: [String] = []
    let paths = try String.fetchCursor(
      db, sql: "SELECT path FROM source WHERE current_run = ? AND path <> '-' ORDER BY id", arguments: [run])
    while let path = try paths.next() {
      let folder = URL(filePath: path).deletingLastPathComponent().resolvingSymlinksInPath().path
      // What an earlier import was given may have been relative to another folder.
      guard path.hasPrefix("/") || FileManager.default.fileExists(atPath: folder) else { continue }
      if !folders.contains(folder) { folders.append(folder) }
    }
    return folders
  }
}
