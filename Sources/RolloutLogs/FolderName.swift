import Foundation

/// The name that a folder gives to the run of the files in it.
enum FolderName {
  /// What trainers and their scripts call a folder in every experiment, such as ARPO's `${SAVE_PATH}/rollout`: alone
  /// such a name would put the rollouts of several experiments into one run.
  static let common: Set<String> = [
    "rollout", "rollouts", "rollout_data", "rollout_data_dir", "validation", "validation_data", "validation_data_dir",
    "val", "train", "test", "eval", "log", "logs", "output", "outputs", "data", "dump", "dumps", "result", "results",
  ]

  /// The folder's own name, behind those above it as far as it takes to come to one that is not common; empty for a
  /// file at the root and for standard input.
  ///
  /// It is the same however the path is spelled: `.` and `..` are resolved, and a relative path is continued upwards.
  static func of(path: String, workingDirectory: String) -> String {
    guard path != "-" else { return "" }
    var folders: [Substring] = []
    for part in (path.hasPrefix("/") ? path : workingDirectory + "/" + path).split(separator: "/") {
      switch part {
      case ".": break
      case "..": _ = folders.popLast()
      default: folders.append(part)
      }
    }
    let above = folders.dropLast()
    let first = above.lastIndex { !common.contains($0.lowercased()) } ?? above.startIndex
    return above[first...].joined(separator: "/")
  }
}
