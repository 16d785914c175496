import ArgumentParser
import Foundation
import Rescoring
import RolloutStore

struct RescoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rescore",
    abstract: "Exact entropies, logprobs and candidates of logged tokens, by a checkpoint.",
    discussion: """
        arpo-replay rescore runs.db --policy Qwen2.5-0.5B    # kept under that name
        arpo-replay rescore runs.db --policy base --adapter lora --name tuned
        arpo-replay rescore runs.db --policy base --top-k 20 --report
        arpo-replay audit runs.db --evidence Qwen2.5-0.5B    # stands on it

      DIR is a Hugging Face folder: config.json and safetensors (Qwen2, Qwen2.5, Qwen3, Llama), and tokenizer.json for \
      logs without ids. Values stand beside the logged ones, under the checkpoint's name or --name, never over them. \
      Entropies are of the whole vocabulary, in nats. The same command again goes on where it was stopped.

      Without --temperature logits are divided by the temperature of each run's logged logprobs: the sampling \
      temperature, or 1 where they are raw or nothing is known.

      Ids of the log are scored as they are. A log that names tokens by text has each looked up in the vocabulary; a log \
      of plain text is tokenised and marked retokenized. A prompt that is there as text alone is tokenised and marked. A \
      trajectory without a prompt, or with an id outside the vocabulary, is left out, counted and named; \
      --without-prompt scores those without a prompt as if nothing stood before them, which is not what was sampled.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Option(help: ArgumentHelp("The checkpoint's folder.", valueName: "dir"))
  var policy: String

  @Option(help: ArgumentHelp("A PEFT LoRA adapter's folder.", valueName: "dir"))
  var adapter: String?

  @Option(
    parsing: .unconditional, help: "Logits are divided by it (default: the temperature of each run's logged logprobs).")
  var temperature: Double?

  @Option(help: "Candidates to keep a token, likeliest first.")
  var topK = 0

  @Option(help: "Name of the values (default: the checkpoint's folder).")
  var name: String?

  @OptionGroup var selected: SelectionArguments

  @Flag(help: "Leave out tokens that the policy did not sample (tool results).")
  var generatedOnly = false

  @Flag(help: "Score trajectories without a prompt as if nothing stood before them.")
  var withoutPrompt = false

  @Flag(help: "Overwrite values of the same name that another checkpoint or other options made.")
  var replace = false

  @Flag(help: "Compare with the logged logprobs, as arpo-replay mismatch does.")
  var report = false

  @OptionGroup var output: OutputArguments

  @Option(help: ArgumentHelp("Threads.", visibility: .hidden))
  var threads = max(1, ProcessInfo.processInfo.activeProcessorCount)

  @Option(help: ArgumentHelp("Tokens of a batch.", visibility: .hidden))
  var batchTokens = 4096

  func validate() throws {
    if let temperature, !(temperature > 0 && temperature.isFinite) { throw ValidationError("--temperature is above 0") }
    guard (0...1000).contains(topK) else { throw ValidationError("--top-k is 0 to 1000") }
    guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
    guard (1...1_000_000).contains(batchTokens) else { throw ValidationError("--batch-tokens is 1 to 1000000") }
    if name?.isEmpty == true { throw ValidationError("--name is empty") }
  }

  func run() throws {
    try Talk.guarded {
      var options = RescoreOptions()
      options.temperature = temperature
      options.topK = topK
      options.withInserted = !generatedOnly
      options.allowsNoPrompt = withoutPrompt
      options.batchTokens = batchTokens
      let run = RescoreRun(
        database: database, policy: policy, adapter: adapter, name: name, options: options,
        selection: selected.unchecked, replace: replace, threads: threads)
      let name = try run.execute()
      let store = try Store.open(database, for: .reading)
      if report {
        try MismatchRun(store: store, evidence: name, selection: selected.unchecked, traits: output.traits).write(
          output.format, rows: .run, worst: 10)
      } else {
        try RescoreSummary.write(try store.summary(of: name), output.format, output.traits)
      }
      return .ok
    }
  }
}
