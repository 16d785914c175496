import ArgumentParser
import Foundation
import Policy
import RolloutLogs
import Rollouts
import Sampling

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Samples responses from a checkpoint, as text or as a log.",
    discussion: """
        arpo-replay sample --policy Qwen2.5-0.5B --prompt "Who wrote Emma?"
        arpo-replay sample --policy DIR --adapter run1 --prompt "…" -n 4 --seed 7
        arpo-replay sample --policy tiny --prompt-ids 51,43,52 --format ndjson
        arpo-replay sample --policy tiny --prompt-file questions.txt -n 8 \\
          --format ndjson --top-logprobs 10 --entropies | \\
          arpo-replay import runs.db -

      A prompt is taken as it is: no chat template is put around it. --format ndjson writes the native format \
      arpo-rollout/1 with ids and logprobs, which import reads; logprobs are those of the distribution that was drawn \
      from (after temperature, top-k, top-p: processed_logprobs). Equal seeds give equal responses.

      Exit codes: \(ExitStatus.summary)
      """)

  @Option(help: "The checkpoint: a Hugging Face folder (qwen2, qwen3, llama).")
  var policy: String

  @Option(help: "A PEFT adapter of it.")
  var adapter: String?

  @Option(help: "Text to go on from; repeatable.")
  var prompt: [String] = []

  @Option(help: ArgumentHelp("A prompt as token ids; repeatable.", valueName: "id,id,…"))
  var promptIds: [String] = []

  @Option(help: "A file with a prompt a line; - for standard input.")
  var promptFile: String?

  @Option(name: [.customShort("n"), .customLong("count")], help: "Responses to each prompt.")
  var count = 1

  @Option(parsing: .unconditional, help: "Sampling temperature; 0: always the likeliest token.")
  var temperature = 1.0

  @Option(help: "Only the likeliest tokens that make up this probability.")
  var topP = 1.0

  @Option(help: "Only so many of the likeliest tokens; 0: all.")
  var topK = 0

  @Option(help: "Tokens of a response at the most.")
  var maxTokens = 256

  @Option(help: "Text that ends a response; it stays in it; repeatable.")
  var stop: [String] = []

  @Option(help: "Seed; each response has draws of its own.")
  var seed: UInt64 = 0

  @Option(help: "ndjson: likely tokens of each position.")
  var topLogprobs = 0

  @Flag(help: "ndjson: the entropy of each token's distribution.")
  var entropies = false

  @Option(name: .customLong("run"), help: "ndjson: name of the run.")
  var run_ = "sample"

  @Option(help: "Output: text, or the native log format.")
  var format: Format = .table

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, ndjson
  }

  @Option(help: "Threads; equal results need equal threads.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  func validate() throws {
    guard !prompt.isEmpty || !promptIds.isEmpty || promptFile != nil else {
      throw ValidationError("give --prompt, --prompt-ids or --prompt-file")
    }
    for ids in promptIds { _ = try Self.parsed(ids) }
    guard count > 0 else { throw ValidationError("-n is 1 or more") }
    guard temperature >= 0, temperature.isFinite else { throw ValidationError("--temperature is 0 or more") }
    guard topP > 0, topP <= 1 else { throw ValidationError("--top-p is above 0 and at most 1") }
    guard topK >= 0, topLogprobs >= 0 else { throw ValidationError("--top-k and --top-logprobs are 0 or more") }
    guard maxTokens > 0 else { throw ValidationError("--max-tokens is 1 or more") }
    guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
    if stop.contains("") { throw ValidationError("--stop is some text") }
  }

  static func parsed(_ text: String) throws -> [Int32] {
    let parts = text.split(whereSeparator: { $0 == "," || $0.isWhitespace })
    let ids = parts.compactMap { Int32($0) }
    guard !ids.isEmpty, ids.count == parts.count, ids.allSatisfy({ $0 >= 0 }) else {
      throw ValidationError("--prompt-ids wants token ids with commas between, not \(text)")
    }
    return ids
  }

  func run() throws {
    try Talk.guarded { try SampleRun(self).execute() }
  }
}
