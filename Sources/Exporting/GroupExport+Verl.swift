import Replay
import Rollouts

extension GroupExport {
  /// A leaf a record, its tokens annotated with advantages.
  ///
  /// The columns of verl's RL dataset parquet (`data_source`, `prompt`, `ability`, `reward_model`, `extra_info`), and the keys
  /// that verl's trainer keeps in a `DataProto`, not padded: `prompts` and `responses` are ids (verl's `input_ids` is one behind the
  /// other), `response_mask` is 1 on sampled tokens, `rollout_log_probs` are the behaviour policy's, `old_log_probs` the
  /// same (verl's bypass mode takes them so; drop the column to let verl recompute them), `token_level_scores` has the
  /// reward on the last token, `advantages` one number a token, 0 on inserted ones. A logprob that the log lacks is null.
  /// Sources: see ``ExportFormat``.
  func verlRecords(_ tally: inout ExportTally) -> [DocumentValue] {
    var out: [DocumentValue] = []
    for leaf in scoredLeaves(&tally) {
      do throws(ExportGap) {
        out.append(try verlRecord(leaf, &tally))
      } catch {
        tally.skip(error)
      }
    }
    return out
  }

  private func verlRecord(_ leaf: Int, _ tally: inout ExportTally) throws(ExportGap) -> DocumentValue {
    let path = tree.paths[leaf]
    let range = 0..<path.length
    guard tree.hasIDs(leaf), let responses = tree.tokenIDs(of: leaf, range), let reward = reward(leaf) else {
      throw .noIDs
    }
    guard let prompts = origin.promptTokenIDs else { throw .noPrompt }
    guard let advantages, advantages[leaf] != .missing else { throw .noAdvantage }
    if range.isEmpty { throw .emptyContinuation }
    var perToken = [Double](repeating: 0, count: path.length)
    advantages[leaf].forEachRun(path.generation) { run, value in
      for i in run { perToken[i] = value }
    }
    var scores = [DocumentValue](repeating: .int(0), count: path.length)
    scores[path.length - 1] = .double(reward)
    let messages = (try? promptText()).flatMap { try? ChatMessages.prompt($0) }
    if messages == nil { tally.withoutText += 1 }
    let logged = logprobs(leaf, range)
    let uid = [tree.group.run.id, tree.group.step.map(String.init) ?? "-", tree.group.id].joined(separator: "/")
    return .object([
      ("data_source", .text(origin.dataSource ?? tree.group.trajectories[leaf].dataSource)),
      ("prompt", messages.map { .array($0) } ?? .null), ("ability", .null),
      (
        "reward_model", .object([("style", .string("rule")), ("ground_truth", .text(origin.groundTruth))])
      ),
      (
        "extra_info",
        .object([("split", .string("train")), ("index", .int(leaf)), ("provenance", verlProvenance(leaf))])
      ),
      ("uid", .string(uid)), ("prompts", ids(prompts)), ("responses", ids(responses)),
      ("response_mask", mask(tree.lossMask(of: leaf, range) ?? [])), ("rollout_log_probs", logged),
      ("old_log_probs", logged), ("token_level_scores", .array(scores)),
      ("advantages", .array(perToken.map { .double($0) })), ("reward", .double(reward)),
      ("multiplicity", .int(tree.group.trajectories[leaf].multiplicity)),
    ])
  }

  private func verlProvenance(_ leaf: Int) -> DocumentValue { provenance([("trajectory", place(leaf))]) }
}
