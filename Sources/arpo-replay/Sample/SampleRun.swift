import Foundation
import Policy
import RolloutLogs
import Rollouts
import Sampling

/// One `sample`: prompts through a policy, each response written as it comes.
struct SampleRun {
  private struct Prompt {
    var text: String?
    var ids: [Int32]
  }

  private let command: SampleCommand
  private let tokenizer: Tokenizer?
  private let model: PolicyModel
  private let prompts: [Prompt]
  private let sampler: ResponseSampler
  private let traits = TerminalTraits.standardOutput

  init(_ command: SampleCommand) throws {
    self.command = command
    let checkpoint = try Checkpoint(directory: command.policy)
    let hasTokenizer = FileManager.default.fileExists(atPath: command.policy + "/tokenizer.json")
    let tokenizer = hasTokenizer ? try Tokenizer(directory: command.policy) : nil
    self.tokenizer = tokenizer
    var texts = command.prompt
    if let file = command.promptFile { texts += try Self.lines(file) }
    if !texts.isEmpty || !command.stop.isEmpty, tokenizer == nil {
      throw PolicyError(.unreadable, "has no tokenizer.json: give --prompt-ids, and no --stop", path: command.policy)
    }
    prompts =
      try texts.map { Prompt(text: $0, ids: tokenizer?.encode($0, addingSpecialTokens: true) ?? []) }
      + command.promptIds.map { Prompt(text: nil, ids: try SampleCommand.parsed($0)) }
    for prompt in prompts {
      guard !prompt.ids.isEmpty else {
        throw PolicyError(.mismatch, "a prompt without tokens gives nothing to go on from")
      }
      if let bad = prompt.ids.first(where: { $0 >= checkpoint.config.vocabularySize }) {
        throw PolicyError(
          .mismatch, "the id \(bad) is not below the vocabulary's size, \(checkpoint.config.vocabularySize)",
          path: command.policy)
      }
    }
    model = try PolicyModel(
      checkpoint,
      adapter: try command.adapter.map { try LoRAAdapter(directory: $0, for: checkpoint.config) },
      threads: command.threads)
    var sampler = ResponseSampler()
    sampler.settings = SamplingSettings(temperature: command.temperature, topP: command.topP, topK: command.topK)
    sampler.maximumTokens = command.maxTokens
    sampler.topLogprobs = command.format == .ndjson ? command.topLogprobs : 0
    sampler.endTokens = try Self.endTokens(command.policy)
    self.sampler = sampler
  }

  private static func lines(_ path: String) throws -> [String] {
    let data = path == "-" ? FileHandle.standardInput.readDataToEndOfFile() : try Data(contentsOf: URL(filePath: path))
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// `eos_token_id` of `generation_config.json`, else of `config.json`: a number or several.
  private static func endTokens(_ folder: String) throws -> Set<Int32> {
    for name in ["generation_config.json", "config.json"] {
      guard let data = try? Data(contentsOf: URL(filePath: folder + "/" + name)) else { continue }
      let value = try JSONValue(parsing: String(decoding: data, as: UTF8.self))["eos_token_id"]
      let ids = value?.array?.compactMap(\.int) ?? (value?.int.map { [$0] } ?? [])
      if !ids.isEmpty { return Set(ids.compactMap { Int32(exactly: $0) }) }
    }
    return []
  }

  func execute() throws -> ExitStatus {
    let interruption = Interruption()
    let output = BufferedOutput()
    let generator = Generator(model)
    if command.format == .ndjson { try write(header, output) }
    var written = 0
    for (p, prompt) in prompts.enumerated() {
      if command.format == .ndjson { try write(NativeLogWriter.line(group(p, prompt)), output) }
      for start in stride(from: 0, to: command.count, by: Self.together) {
        let numbers = start..<min(start + Self.together, command.count)
        for (n, response) in zip(numbers, try respond(p, numbers, prompt, generator, output, interruption)) {
          guard response.finish != .interrupted else { return .interrupted }
          if command.format == .ndjson {
            let record = response.record(
              group: "prompt\(p)", id: "prompt\(p)/\(n)", index: n, text: try text(response.ids),
              withEntropies: command.entropies)
            try write(NativeLogWriter.line(record), output)
          }
          written += 1
        }
      }
    }
    if command.format == .ndjson { try write(NativeLogWriter.end(trajectories: written), output) }
    return .ok
  }

  /// Responses that are sampled at once: the weights are read once for all of them.
  private static let together = 32

  private func respond(
    _ p: Int, _ numbers: Range<Int>, _ prompt: Prompt, _ generator: Generator, _ output: BufferedOutput,
    _ interruption: Interruption
  ) throws -> [ResponseSampler.Response] {
    let isText = command.format == .table
    // One response can be shown as it comes; of several the first would hold up the others.
    let isStreamed = isText && numbers.count == 1
    if isStreamed { try heading(p, numbers.lowerBound, output) }
    var decoders = numbers.map { _ in tokenizer.map { StreamingDecoder($0) } }
    var said = numbers.map { _ in "" }
    let responses = try sampler.sample(
      generator, prompt: prompt.ids, seed: command.seed &+ UInt64(p), numbers: numbers
    ) { i, draw in
      let piece = try decoders[i]?.append(draw.id) ?? "\(draw.id) "
      said[i] += piece
      if isStreamed {
        output.write(shown(piece))
        try output.flush()
      }
      if interruption.isRequested { return .interrupted }
      return command.stop.contains { said[i].contains($0) } ? .stop : nil
    }
    guard isText else { return responses }
    for i in said.indices {
      let rest = decoders[i]?.finish() ?? ""
      if !isStreamed { try heading(p, numbers.lowerBound + i, output) }
      output.write(shown((isStreamed ? "" : said[i]) + rest) + "\n")
    }
    try output.flush()
    return responses
  }

  /// Text on its way to a terminal cannot command it; line feeds stay.
  private func shown(_ text: String) -> String {
    guard traits.isTTY else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { terminalSafe(String($0), unicode: traits.unicode) }.joined(separator: "\n")
  }

  private func heading(_ p: Int, _ n: Int, _ output: BufferedOutput) throws {
    if prompts.count * command.count == 1 { return }
    var title = "response \(n + 1) of \(command.count)"
    if prompts.count > 1 { title = "prompt \(p + 1) of \(prompts.count), " + title }
    output.write(traits.styled((p + n > 0 ? "\n" : "") + title, .dim) + "\n")
    try output.flush()
  }

  private func text(_ ids: [Int32]) throws -> String? { try tokenizer?.decode(ids) }

  private func write(_ line: String, _ output: BufferedOutput) throws {
    output.write(line + "\n")
    try output.flush()
  }

  private var header: String {
    var run = RunRecord(runID: command.run_)
    run.model = URL(filePath: command.policy).lastPathComponent
    run.tokenizerName = tokenizer == nil ? nil : run.model
    run.vocabSize = model.config.vocabularySize
    // Greedy decoding has no temperature that logprobs could be rescaled by.
    run.temperature = command.temperature == 0 ? nil : command.temperature
    run.topP = command.topP
    run.topK = command.topK == 0 ? -1 : command.topK
    run.logprobsMode = "processed_logprobs"
    return NativeLogWriter.line(run)
  }

  private func group(_ p: Int, _ prompt: Prompt) throws -> GroupRecord {
    var group = GroupRecord(groupID: "prompt\(p)")
    group.promptText = try prompt.text ?? text(prompt.ids)
    group.promptTokenIDs = prompt.ids
    return group
  }
}
