import CKernels
import Foundation
import Learner
import Replay
import RolloutStore
import Rollouts

/// Turns groups of the database into training trees, or says why not.
final class TrainingSelection: Sendable {
  /// What decides.
  struct Rules: Sendable {
    var selection = GroupSelection()
    /// SQL over the view `trajectories`.
    var condition: String?
    /// Where advantages come from; `nil`: the loss needs none.
    var attribution: String?
    var split = HeldOutSplit(fraction: 0, seed: 0)
    /// Leave out trajectories without all logprobs.
    var wantsLogprobs = false
    /// Drop groups whose rewards are all equal.
    var dropsDegenerate = true
    var threads = 2
  }

  /// A group that can be trained on, or why it cannot.
  struct Prepared: Sendable {
    var tree: TrainingTree?
    var split = LearnerGroup.Split.dropped
    var reason: String?
    /// Trajectories of the group, and those left out by reason.
    var trajectories = 0
    var leftOut: [String: Int] = [:]
    /// Trained tokens without a logged logprob, and the trajectories that have them.
    var tokensWithoutLogprob = 0
    var trajectoriesWithoutLogprob = 0
    var temperature = 1.0
    var run = ""
  }

  let rules: Rules
  /// What advantages are, for the record.
  let attributionFormula: String?
  private let store: Store
  /// ``Store/forEachGroup`` holds its store's one connection.
  private let origins: Store
  private let named: NamedAdvantages?

  /// - Parameter tick: called now and then while batches are looked at; it may throw to stop.
  init(database: String, rules: Rules, tick: () throws -> Void = {}) throws {
    self.rules = rules
    let store = try Store.open(database, for: .reading)
    self.store = store
    origins = try Store.open(database, for: .reading)
    if let condition = rules.condition { try store.check(condition: condition) }
    named = try rules.attribution.map {
      try NamedAdvantages(named: $0, store, rules.selection, threads: rules.threads, tick: tick)
    }
    attributionFormula =
      switch named {
      case .stored(let reader): "\(reader.record.strategy): \(reader.record.formula)"
      case .computed:
        rules.attribution.flatMap { AttributionStrategies.named($0) }.map { "\($0.name): \($0.formula)" }
      case nil: nil
      }
  }

  /// The groups of the database in their order, each with what becomes of it.
  func forEach(_ body: (GroupRow, Prepared) throws -> Void) throws {
    let rows = try store.groupRows(rules.selection)
    var next = 0
    try store.forEachGroup(rules.selection, workers: rules.threads) { [self] group in
      try prepare(group)
    } consume: { prepared in
      guard next < rows.count else { throw StoreError(.failed, "the database changed while it was read") }
      try body(rows[next], prepared)
      next += 1
    }
  }

  /// One group's tree.
  func tree(_ row: GroupRow) throws -> TrainingTree {
    guard let tree = try prepare(store.group(row, rules.selection)).tree else {
      throw StoreError(.failed, "a group of the training set cannot be read again: the database changed")
    }
    return tree
  }

  private func prepare(_ group: ReplayGroup) throws -> Prepared {
    var out = Prepared()
    out.trajectories = group.trajectories.count
    out.temperature = group.run.logprobTemperature
    out.run = group.run.id
    let tree = try RolloutTree(group)
    let origin = try origins.origin(of: group, where: rules.condition)
    let label = "\(group.run.id)/\(group.id)" + (group.step.map { "@\($0)" } ?? "")
    guard let prompt = origin.promptTokenIDs, !prompt.isEmpty else {
      out.reason = "no prompt_token_ids"
      return out
    }
    let advantages = try self.advantages(tree)
    var leaves: [Int] = []
    func leaveOut(_ reason: String) { out.leftOut[reason, default: 0] += 1 }
    for t in tree.paths.indices {
      if !origin.trajectories[t].isSelected {
        leaveOut("not selected by --where")
      } else if !tree.hasIDs(t) {
        leaveOut("tokens without ids")
      } else if tree.paths[t].generatedCount == 0 {
        leaveOut("no generated token")
      } else if case .missing = advantages[t] {
        leaveOut("no advantage (unscored)")
      } else {
        let missing = tree.paths[t].generation.reduce(0) { sum, range in
          sum + (tree.logprobs(of: t, range) ?? []).count { $0.isNaN }
        }
        if missing > 0, rules.wantsLogprobs {
          leaveOut("generated tokens without logprob")
          continue
        }
        if missing > 0 {
          out.tokensWithoutLogprob += missing
          out.trajectoriesWithoutLogprob += 1
        }
        leaves.append(t)
      }
    }
    guard !leaves.isEmpty else {
      out.reason = "no trajectory left"
      return out
    }
    let rewards = group.trajectories.flatMap { t in
      t.reward.map { [Double](repeating: $0, count: min(2, t.multiplicity)) } ?? []
    }
    if rules.dropsDegenerate, rewards.count > 1, areEqual(rewards) {
      out.reason = "equal rewards"
      return out
    }
    out.split = rules.split.holdsOut(run: group.run.id, group: group.id) ? .heldOut : .train
    out.tree = TrainingTree(label: label, prompt: prompt, tree: tree, leaves: leaves, advantages: advantages)
    return out
  }

  private func advantages(_ tree: RolloutTree) throws -> [PathAdvantages] {
    if let named { return try named.of(tree) }
    // Supervised: every trajectory counts, whatever it earned.
    return tree.paths.map { _ in .constant(1) }
  }
}
