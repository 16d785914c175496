import ArgumentParser
import Foundation
import Policy
import RolloutStore

struct MismatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mismatch",
    abstract: "Is this the checkpoint that made this log? Logged logprobs against recomputed ones.",
    discussion: """
        arpo-replay mismatch runs.db                 # the only values there are
        arpo-replay mismatch runs.db --evidence base --worst 50 --tokenizer DIR
        arpo-replay mismatch runs.db --evidence base --by turn --format csv
        arpo-replay mismatch runs.db --evidence base --by token --format ndjson

      The values come from arpo-replay rescore. With x = ln(recomputed) - ln(logged) at each sampled token: mean |x|; \
      k1 = mean(-x) and k3 = mean(e^x - 1 - x), which estimate KL(log || checkpoint) in nats (verl: rollout_corr/kl, \
      k3_kl; x is clamped to +-20 in k3); ppl_ratio = e^k1.

      yes: mean |x| up to 1e-4, none above 0.01. yes, within 16-bit rounding: mean |x| up to 0.03 and k3 up to 1e-3. \
      probably not: k3 up to 0.05. Above: no.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Option(help: "Name of the recomputed values (default: the only ones that the database has).")
  var evidence: String?

  @OptionGroup var selected: SelectionArguments

  @Option(help: "Rows of ndjson and csv: run, turn or token (every token that has both values).")
  var by: MismatchRun.Rows = .run

  @Option(help: "How many of the tokens that differ most are shown.")
  var worst = 10

  @Option(help: ArgumentHelp("Folder with a tokenizer.json: shows the tokens' texts.", valueName: "dir"))
  var tokenizer: String?

  @OptionGroup var output: OutputArguments

  func validate() throws {
    guard (0...10_000).contains(worst) else { throw ValidationError("--worst is 0 to 10000") }
  }

  func run() throws {
    try Talk.guarded {
      let store = try Store.open(database, for: .reading)
      let run = MismatchRun(
        store: store, evidence: try store.evidence(namedOrOnly: evidence).name,
        selection: try selected.selection(in: store),
        tokenizer: try tokenizer.map { try Tokenizer(directory: $0) }, traits: output.traits)
      try run.write(output.format, rows: by, worst: worst)
      return .ok
    }
  }
}
