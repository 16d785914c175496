public import ArgumentParser
public import Exporting
import Foundation
import Policy
import Replay
import RolloutStore
import Rollouts

extension ExportFormat: ExpressibleByArgument {}
extension ExportStyle: ExpressibleByArgument {}
extension ExportScore: ExpressibleByArgument {}

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Training data for TRL, verl and others: sibling pairs, labels, best leaves, token batches.",
    discussion: """
        arpo-replay export runs.db --as trl-dpo -o pairs.jsonl
        arpo-replay export runs.db --as trl-dpo --style conversational
        arpo-replay export runs.db --as trl-kto --score advantage \\
          --attribution arpo-hard
        arpo-replay export runs.db --as verl-parquet-jsonl -o train.json
        arpo-replay export runs.db --as trl-sft --best 2 --min-reward 1

      JSON Lines, a record a line, each with its provenance: run, group, trajectory, file, line, byte offset.

        trl-dpo, pairs      two continuations of one prefix at a fork: prompt,
                            chosen, rejected; ids and masks where the log has ids
        trl-kto             a leaf and whether it is good: prompt, completion, label
        trl-sft             the best leaves of each group: prompt, completion;
                            input_ids, assistant_masks
        verl-parquet-jsonl  a leaf, not padded

      verl-parquet-jsonl has the columns of verl's RL dataset parquet (data_source, prompt, ability, reward_model, \
      extra_info) and the keys of verl's DataProto (prompts, responses, response_mask, rollout_log_probs, old_log_probs, \
      token_level_scores, advantages, uid). verl reads JSON Lines from a file named *.json; pandas turns it into parquet: \
      pd.read_json(f, lines=True).to_parquet(g).

      Text comes from the log; ids are never turned into text without --tokenizer. What a log lacks is left out, counted \
      and said. The fields' sources: TRL docs/source/dataset_formats.md and its trainers' collators, verl \
      rl_dataset.py and ray_trainer.py.

      Exit codes: \(ExitStatus.summary)
      """)

  @Argument(help: "The database.")
  var database: String

  @Option(name: .customLong("as"), help: "trl-dpo, trl-kto, trl-sft, verl-parquet-jsonl or pairs.")
  var kind: ExportFormat

  @Option(name: [.short, .customLong("out")], help: "File to write; it appears when it is complete (default: stdout).")
  var out: String?

  @OptionGroup var selected: SelectionArguments

  @Option(
    name: .customLong("where"),
    help:
      "Only trajectories for which this SQL holds, over the columns of the view trajectories. Advantages and means are of the whole group all the same."
  )
  var condition: String?

  @Option(
    help:
      "Where advantages come from: a name that attribute keeps in the database, or else that of a strategy (default of verl-parquet-jsonl: grpo:verl)."
  )
  var attribution: String?

  @Option(help: "What ranks continuations and labels leaves: reward or advantage.")
  var score: ExportScore = .reward

  @Option(help: "Text as standard strings or as conversational messages.")
  var style: ExportStyle = .standard

  @Option(help: "Pairs: least difference of the scores; equal scores never make a pair.")
  var minMargin = 0.0

  @Option(help: "Pairs: at most so many a fork, those of the largest margins.")
  var maxPairsPerFork = 4

  @Option(
    name: .sharedPrefix,
    help: "Pairs: forks are the logged branches (own) or every common token prefix (any).")
  var sharedPrefix: SharedPrefix = .own

  @Option(help: "trl-sft: leaves of a group.")
  var best = 1

  @Option(help: "trl-sft: least reward (default: above the group's mean).")
  var minReward: Double?

  @Option(help: "trl-kto: label true from this score on (default: above the group's mean reward, or advantage 0).")
  var threshold: Double?

  @Option(help: "Folder with a tokenizer.json (or the file): ids become text where the log has none.")
  var tokenizer: String?

  @OptionGroup var threads: ThreadArguments

  func validate() throws {
    guard minMargin >= 0, minMargin.isFinite else { throw ValidationError("--min-margin is 0 or more") }
    guard maxPairsPerFork > 0 else { throw ValidationError("--max-pairs-per-fork is 1 or more") }
    guard best > 0 else { throw ValidationError("--best is 1 or more") }
    if score == .advantage, attribution == nil { throw ValidationError("--score advantage wants an --attribution") }
  }

  func run() throws {
    try Talk.guarded {
      let store = try Store.open(database, for: .reading)
      if let condition { try store.check(condition: condition) }
      let file = try OutputFile(path: out)
      do {
        let tally = try write(store, to: file.output)
        try file.finish()
        say(tally)
        return .ok
      } catch {
        file.abandon()
        throw error
      }
    }
  }

  private func options() throws -> ExportOptions {
    var options = ExportOptions(format: kind)
    options.style = style
    options.score = score
    options.minimumMargin = minMargin
    options.pairsPerFork = maxPairsPerFork
    options.sharesAnyPrefix = sharedPrefix == .any
    options.best = best
    options.minimumReward = minReward
    options.labelThreshold = threshold
    options.attribution = attribution ?? (kind == .verl ? "grpo:verl" : nil)
    if let tokenizer {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: tokenizer, isDirectory: &isFolder)
      let read = try isFolder.boolValue ? Tokenizer(directory: tokenizer) : Tokenizer(path: tokenizer)
      options.decode = { ids in
        var bytes: [UInt8] = []
        for id in ids {
          guard read.contains(id) else { throw PolicyError(.mismatch, "no token has the id \(id)", path: tokenizer) }
          bytes += read.bytes(of: id)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw ExportGap.splitCharacter }
        return text
      }
    }
    return options
  }

  private func write(_ store: Store, to output: BufferedOutput) throws -> ExportTally {
    let options = try options()
    let condition = condition
    let selection = try selected.selection(in: store)
    let progress = GroupProgress(of: try store.groupCount(selection), traits: .standardError)
    defer { progress.finish() }
    let interruption = Interruption()
    func tick() throws {
      progress.advance()
      if interruption.isRequested { throw ExitStatus.interrupted.code }
    }
    // A store reads groups with its one connection; what belongs to a group is read with another.
    let origins = try Store.open(database, for: .reading)
    let advantages = try options.attribution.map {
      try NamedAdvantages(named: $0, store, selection, threads: threads.count, tick: tick)
    }
    var tally = ExportTally()
    try store.forEachGroup(selection, workers: threads.count) { group in
      let tree = try RolloutTree(group)
      let export = GroupExport(
        tree: tree, origin: try origins.origin(of: group, where: condition), advantages: try advantages?.of(tree),
        options: options)
      let (records, tally) = export.records()
      var text = ""
      for record in records {
        record.write(into: &text)
        text += "\n"
      }
      return (text: text, tally: tally)
    } consume: { part in
      output.write(part.text)
      try output.drain()
      tally += part.tally
      try tick()
    }
    return tally
  }

  private func say(_ tally: ExportTally) {
    let traits = TerminalTraits.standardError
    var text = "\(traits.counted(tally.records, "record")) of \(traits.counted(tally.groups, "group"))"
    if kind == .trlDPO || kind == .pairs { text += ", \(traits.counted(tally.forks, "fork"))" }
    Talk.say(text)
    if tally.withoutText > 0 { Talk.say("\(traits.grouped(tally.withoutText)) of them have ids and no text") }
    if tally.withoutIDs > 0 { Talk.say("\(traits.grouped(tally.withoutIDs)) of them have text and no ids") }
    for gap in ExportGap.allCases {
      guard let count = tally.skipped[gap] else { continue }
      Talk.say("left out \(traits.grouped(count)): \(gap.rawValue)")
    }
  }
}
