import ArgumentParser
import Evaluation
import Foundation
import Policy
import Replay
import RolloutStore

/// One `evaluate`: the groups to judge, the two policies, and what the log says of them.
struct EvaluateRun {
  let command: EvaluateCommand

  func execute() throws -> ExitStatus {
    let store = try Store.open(command.database, for: .reading)
    if let condition = command.condition { try store.check(condition: condition) }
    let selection = try command.selected.selection(in: store)
    let (rows, what) = try groups(store, selection)
    guard !rows.isEmpty else { throw StoreError(.failed, "\(what): no group to judge") }
    let interruption = Interruption()
    let loader = try PolicyLoader(command.policy, threads: command.threads)
    let before = try loader.model(command.beforeAdapter.map { try loader.adapter($0) })
    let after = try after(loader)
    guard after.config.vocabularySize == before.config.vocabularySize else {
      throw PolicyError(.mismatch, "the two policies have vocabularies of different size")
    }
    let scorer = GroupScorer(
      before: before, after: after, tokenBudget: command.maxTokens, interruption: interruption)
    var evaluator = GroupEvaluator()
    evaluator.behaviour = command.behaviour
    evaluator.windows = try WindowList.parse(command.windows)
    let progress = GroupProgress(of: rows.count, traits: .standardError)
    defer { progress.finish() }
    var report = EvaluationReport(replicates: command.bootstrap.replicates, seed: command.bootstrap.seed)
    var runs: [String] = []
    for row in rows {
      if interruption.isRequested { throw ExitStatus.interrupted.code }
      let group = try store.group(row, selection)
      if !runs.contains(group.run.id) {
        runs.append(group.run.id)
        try checkTemperature(store, group.run.id)
      }
      let tree = try RolloutTree(group)
      let origin = try store.origin(of: group, where: command.condition)
      let temperature = command.temperature ?? group.run.logprobTemperature
      if let leaves = try scorer.leaves(tree, origin, temperature: temperature) {
        report.add(evaluator.evaluate(tree, leaves))
      }
      progress.advance()
    }
    progress.finish()
    for gap in GroupScorer.Gap.allCases {
      if let count = scorer.gaps[gap] { Talk.say("left out \(count) \(gap.rawValue)") }
    }
    let page = EvaluationPage(
      report: report, minimumShare: command.minEss, facts: facts(what, runs),
      caveats: try caveats(store, runs) + trained(store, rows), replicates: command.bootstrap.replicates)
    let output = BufferedOutput()
    output.write(
      command.output.format == .json ? DocumentText.json(page.document) + "\n" : page.text(command.output.traits))
    try output.flush()
    guard let refusal = page.report.refusal(floor: command.minEss) else { return .ok }
    Talk.warn("no reward is estimated: \(refusal.description)")
    return .refused
  }

  /// The groups and what they are in words: held out by the adapter's run, or chosen by hand.
  private func groups(_ store: Store, _ selection: GroupSelection) throws -> ([GroupRow], String) {
    let chosen = try store.groupRows(selection)
    let isNarrowed = command.selected.isNarrowed || command.condition != nil
    if command.all { return (chosen, "all groups") }
    if let folder = command.adapter ?? command.after {
      let directory = URL(filePath: folder).standardizedFileURL.path
      if let held = try store.learnerGroups(directory: directory, .heldOut) {
        let kept = Set(chosen)
        let rows = held.filter { kept.contains($0) }
        if !rows.isEmpty { return (rows, "groups held out by the run in \(folder)") }
        if !isNarrowed {
          throw StoreError(
            .failed,
            "the run in \(folder) held no group out: learn with --held-out, or say --all, --group, --step or --where")
        }
      }
    }
    guard isNarrowed else {
      throw ValidationError(
        "the database knows no run of learn in that folder, so no held-out groups: say --all, --run, --group, --step or --where"
      )
    }
    return (chosen, "groups chosen by hand")
  }

  private func after(_ loader: PolicyLoader) throws -> PolicyModel {
    if let adapter = command.adapter { return try loader.model(loader.adapter(adapter)) }
    if let other = command.after { return try loader.other(other) }
    return try loader.model()
  }

  private func facts(_ what: String, _ runs: [String]) -> [(String, DocumentValue)] {
    [
      ("before", .string(command.policy + (command.beforeAdapter.map { " with \($0)" } ?? ""))),
      ("after", .string(command.adapter.map { "\(command.policy) with \($0)" } ?? command.after ?? command.policy)),
      ("judged_on", .string(what)), ("runs", .string(runs.joined(separator: ", "))),
      ("behaviour_policy", .string(command.behaviour.rawValue)),
    ]
  }

  /// Whether the update has seen the groups that it is judged on.
  private func trained(_ store: Store, _ rows: [GroupRow]) throws -> [String] {
    guard let folder = command.adapter ?? command.after,
      let seen = try store.learnerGroups(directory: URL(filePath: folder).standardizedFileURL.path, .train)
    else { return [] }
    let count = Set(rows).intersection(seen).count
    return count == 0
      ? []
      : ["\(count) of the groups are those that the update was trained on: its gain on them says little about others"]
  }

  /// - Throws: where the logged logprobs are of another temperature than `--temperature`.
  private func checkTemperature(_ store: Store, _ run: String) throws {
    guard command.behaviour == .logged, let temperature = command.temperature else { return }
    if let conflict = try LogSampling.runs(store, [run]).lazy.compactMap({ $0.conflict(with: temperature) }).first {
      throw PolicyError(.mismatch, conflict + ": leave --temperature out, or say --behaviour before")
    }
  }

  /// What a user must know before believing the numbers.
  private func caveats(_ store: Store, _ runs: [String]) throws -> [String] {
    var out = try LogSampling.runs(store, runs).flatMap {
      $0.caveats(command.behaviour == .logged ? .logged : .computed, temperature: command.temperature)
    }
    if command.behaviour == .before {
      out.append("the policy before counts as the one that wrote the log, by --behaviour before")
    }
    return out
  }
}
