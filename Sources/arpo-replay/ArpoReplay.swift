import ArgumentParser

@main
struct ArpoReplay: ParsableCommand {
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
