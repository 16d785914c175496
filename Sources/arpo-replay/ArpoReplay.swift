import ArgumentParser
import Foundation

@main
struct ArpoReplay: ParsableCommand {
  static func main() {
    #if canImport(Glibc)
      // Columns of a few hundred kilobytes come and go by the thousand: taken from the heap again and again they cost
      // nothing, mapped and unmapped each time they cost a tenth of an import in page faults.
      mallopt(M_MMAP_THRESHOLD, 64 << 20)
      mallopt(M_TRIM_THRESHOLD, 16 << 20)
    #endif
    main(nil)
  }

  static let configuration = CommandConfiguration(
    commandName: "arpo-replay",
    abstract: """
      Reads the rollout logs of tool-using LLM agents and audits what they hold.

        arpo-replay import runs.db logs/*.jsonl.zst    # read logs into a database
        arpo-replay audit runs.db                      # token entropy after tool calls, by tool
        arpo-replay analyze run.jsonl.zst              # one log, everything, no database
        arpo-replay query runs.db tools                # SQL, five queries included
      """,
    discussion: """
      stdout is data, stderr is talk. Exit codes: \(ExitStatus.summary)
      """,
    version: "0.1.0",
    subcommands: [
      ImportCommand.self, AuditCommand.self, AnalyzeCommand.self, QueryCommand.self, SchemaCommand.self,
    ])
}
