import ArgumentParser
import Foundation

/// Time and memory on logs of different lengths: time grows with the log, memory does not.
struct ScaleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale", abstract: "Import and audit of logs of different lengths.")

  @Argument(help: "Logs, shortest first.")
  var logs: [String]

  func run() throws {
    let tool = try tool()
    let scratch = try Scratch()
    print("| log | stored MB | import s | import MiB | database of log | audit s | audit MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for log in logs {
      scratch.remove("scale.db")
      let db = scratch.path("scale.db")
      let load = try Spawn.run([tool, "import", db, log, "--quiet", "--format", "json"])
      let audit = try Spawn.run([tool, "audit", db, "--format", "json"])
      guard load.status == 0, audit.status == 0 else { throw ValidationError("a run failed") }
      let stored = Double(size(log))
      print(
        "| \(URL(filePath: log).lastPathComponent) | \(fixed(stored / 1e6, 1)) | \(fixed(load.seconds, 2)) | "
          + "\(fixed(load.memory, 0)) | \(fixed(Double(size(db)) / stored, 3)) | \(fixed(audit.seconds, 2)) | "
          + "\(fixed(audit.memory, 0)) |")
    }
  }
}
