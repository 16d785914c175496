import ArgumentParser
import Foundation
import Policy
import Replay
import Rescoring
import RolloutStore

/// One `rescore`: a checkpoint over the groups of a database, one transaction a group.
struct RescoreRun {
  let database: String
  let policy: String
  let adapter: String?
  let name: String?
  let options: RescoreOptions
  let selection: GroupSelection
  let replace: Bool
  let threads: Int

  /// Groups that are read at a time, so that no reading holds the database's log of changes for long.
  private static let groupsAtATime = 64

  /// Scores what is not scored yet.
  /// - Returns: the name of the evidence set.
  func execute() throws -> String {
    guard FileManager.default.fileExists(atPath: database) else { throw Store.noDatabase(database) }
    let checkpoint = try Checkpoint(directory: policy)
    let loaded = try adapter.map { try LoRAAdapter(directory: $0, for: checkpoint.config) }
    let tokenizer = try tokenizer()
    let interruption = Interruption()
    let check = { if interruption.isRequested { throw ExitStatus.interrupted.code } }
    let recipe = EvidenceRecipe(
      policy: Self.folderName(policy), policySHA256: try checkpoint.sha256(interruption: check),
      adapter: adapter.map(Self.folderName), adapterSHA256: try adapter.map { try LoRAAdapter.sha256(directory: $0) },
      vocabSize: checkpoint.config.vocabularySize, temperature: options.temperature, topK: options.topK,
      withInserted: options.withInserted, allowsNoPrompt: options.allowsNoPrompt)
    let name = name ?? ([recipe.policy] + [recipe.adapter].compactMap { $0 }).joined(separator: "+")

    // Writing brings the schema up to date, so it is opened first; reading goes on beside it.
    let target = try Store.open(database, for: .writing)
    let source = try Store.open(database, for: .reading)
    try source.checkNames(of: selection)
    let writer = try EvidenceWriter(target, name, recipe, replace: replace)
    let pending = try writer.pending(selection)
    let model = try PolicyModel(checkpoint, adapter: loaded, training: .nothing, threads: threads)
    let rescorer = GroupRescorer(scorer: model, tokenizer: tokenizer, options: options)
    warn(checkpoint, tokenizer, pending)

    let progress = RescoreProgress(pending)
    defer { progress.finish() }
    for start in stride(from: 0, to: pending.count, by: Self.groupsAtATime) {
      let part = pending[start..<min(pending.count, start + Self.groupsAtATime)]
      var selection = selection
      selection.rows = part.map(\.row)
      var number = start
      try source.forEachGroup(selection, workers: 1, transform: { $0 }) { group in
        try check()
        let origin = try target.origin(of: group)
        let rescored = try rescorer.rescore(
          group, prompt: GroupPrompt(tokenIDs: origin.promptTokenIDs, text: origin.promptText),
          tokenTexts: { try target.tokenBytes(run: group.run.id, number: $0) }, interruption: check)
        try writer.add(rescored, of: group)
        progress.advance(pending[number], tokens: rescorer.computedTokens)
        number += 1
      }
    }
    progress.finish()
    try writer.finish()
    try say(name, target, progress, rescorer, checkpoint)
    return name
  }

  private func tokenizer() throws -> Tokenizer? {
    guard FileManager.default.fileExists(atPath: policy + "/tokenizer.json") else { return nil }
    do {
      return try Tokenizer(directory: policy)
    } catch {
      // Only logs without ids need it.
      Talk.warn("\(error); logs without token ids are left out")
      return nil
    }
  }

  private func warn(_ checkpoint: Checkpoint, _ tokenizer: Tokenizer?, _ pending: [PendingGroup]) {
    let unused = checkpoint.unusedNames.filter { $0 != "lm_head.weight" && !$0.hasSuffix("inv_freq") }
    if let first = unused.first {
      let others = unused.count > 1 ? " and \(unused.count - 1) more" : ""
      Talk.warn("\(policy) holds \(first)\(others), which the policy does not use")
    }
    if let tokenizer, tokenizer.vocabularySize > checkpoint.config.vocabularySize {
      Talk.warn(
        "tokenizer.json has \(tokenizer.vocabularySize) ids, the policy knows \(checkpoint.config.vocabularySize)")
    }
  }

  private func say(
    _ name: String, _ store: Store, _ progress: RescoreProgress, _ rescorer: GroupRescorer, _ checkpoint: Checkpoint
  ) throws {
    let traits = TerminalTraits.standardError
    let (gaps, count) = try store.gaps(of: name, first: 5)
    let summary = try store.summary(of: name)
    var text = "\(name): \(traits.counted(summary.reduce(0) { $0 + $1.tokens }, "token")) of"
    text += " \(traits.counted(summary.reduce(0) { $0 + $1.scored }, "trajectory", "trajectories")) in the database"
    Talk.say(text + progress.summary(traits))
    if rescorer.longestPath > checkpoint.config.maxPositions {
      Talk.warn(
        "a path has \(rescorer.longestPath) tokens; the checkpoint was trained for \(checkpoint.config.maxPositions)")
    }
    let fromText = summary.reduce(0) { $0 + $1.promptRetokenized }
    if fromText > 0 {
      Talk.warn(
        "the prompts of \(traits.counted(fromText, "trajectory", "trajectories")) were tokenised from their text: exact "
          + "only if that text, its chat template included, is what the policy saw")
    }
    let bare = summary.reduce(0) { $0 + $1.promptAbsent }
    if bare > 0 {
      let trajectories = traits.counted(bare, "trajectory", "trajectories")
      Talk.warn("\(trajectories) were scored without a prompt, which is not how they were sampled")
    }
    for gap in gaps {
      Talk.warn(
        "trajectory \(gap.trajectory) of group \(gap.group): \(gap.reason) "
          + "(\(traits.counted(gap.missing, "generated token")) without values)")
    }
    if count > gaps.count {
      Talk.say(
        "… \(traits.counted(count, "trajectory", "trajectories")) lack values: arpo-replay query \(database) "
          + "\"SELECT * FROM rescored WHERE name = '\(name)' AND missing > 0\"")
    }
    guard summary.contains(where: { $0.scored > 0 }) else {
      throw StoreError(.failed, "no trajectory could be scored")
    }
  }

  /// The name of a folder; of a download cache's snapshot, the model's.
  static func folderName(_ path: String) -> String {
    let url = URL(filePath: path).standardizedFileURL
    let folder = url.deletingLastPathComponent()
    guard folder.lastPathComponent == "snapshots" else { return url.lastPathComponent }
    let model = folder.deletingLastPathComponent().lastPathComponent
    return model.components(separatedBy: "--").last ?? url.lastPathComponent
  }
}
