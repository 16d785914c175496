import Evaluation
import Learner
import Policy
import Replay

/// Scores the trajectories of a group under a policy before and after an update, each shared token once.
final class GroupScorer {
  /// Why a trajectory or a whole group is not looked at.
  enum Gap: String, CaseIterable {
    case noPrompt = "groups without prompt_token_ids"
    case notSelected = "trajectories not selected by --where"
    case noIDs = "trajectories without token ids"
    case nothingGenerated = "trajectories without a generated token"
    case outsideVocabulary = "groups with token ids beyond the policy's vocabulary"
  }

  private let before: PolicyModel
  private let after: PolicyModel
  private let tokenBudget: Int
  private let interruption: Interruption
  private(set) var gaps: [Gap: Int] = [:]

  init(before: PolicyModel, after: PolicyModel, tokenBudget: Int, interruption: Interruption) {
    self.before = before
    self.after = after
    self.tokenBudget = tokenBudget
    self.interruption = interruption
  }

  /// The leaves of a group with the numbers of their generated tokens; `nil`: there is nothing to score.
  ///
  /// - Parameter temperature: of the log's logprobs.
  func leaves(
    _ tree: RolloutTree, _ origin: GroupOrigin, temperature: Double
  ) throws -> [ScoredLeaf?]? {
    guard let prompt = origin.promptTokenIDs, !prompt.isEmpty else {
      gaps[.noPrompt, default: 0] += 1
      return nil
    }
    let chosen = tree.paths.indices.filter { t in
      let gap: Gap? =
        !origin.trajectories[t].isSelected
        ? .notSelected : !tree.hasIDs(t) ? .noIDs : tree.paths[t].generatedCount == 0 ? .nothingGenerated : nil
      if let gap { gaps[gap, default: 0] += 1 }
      return gap == nil
    }
    if chosen.isEmpty { return nil }
    // Every generated token is scored, whatever it earned.
    let training = TrainingTree(
      label: tree.group.id, prompt: prompt, tree: tree, leaves: chosen,
      advantages: tree.paths.map { _ in .constant(0) })
    if let largest = training.tokens.max(), largest >= before.config.vocabularySize {
      gaps[.outsideVocabulary, default: 0] += 1
      return nil
    }
    let old = try scores(training, before, temperature)
    let new = try scores(training, after, temperature)
    var place: [Int32: Int] = [:]
    for (i, node) in training.trainedNodes.enumerated() { place[node] = i }
    var out = [ScoredLeaf?](repeating: nil, count: tree.count)
    for (leaf, t) in zip(training.leaves, chosen) {
      let places = leaf.nodes.compactMap { place[$0] }
      out[t] = ScoredLeaf(
        behaviour: leaf.behaviour, before: places.map { old.logprobs[$0] }, after: places.map { new.logprobs[$0] },
        entropyBefore: places.map { old.entropies[$0] }, entropyAfter: places.map { new.entropies[$0] })
    }
    return out
  }

  /// By trained node, ascending.
  private func scores(
    _ tree: TrainingTree, _ model: PolicyModel, _ temperature: Double
  ) throws -> (logprobs: [Float], entropies: [Float]) {
    let count = tree.trainedNodes.count
    var logprobs = [Float](repeating: .nan, count: count)
    var entropies = logprobs
    let options = ForwardOptions(
      temperature: Float(temperature), entropies: true,
      interruption: { [interruption] in
        if interruption.isRequested { throw ExitStatus.interrupted.code }
      })
    for bundle in try TreePacking(budget: tokenBudget).bundles([tree]) {
      for forest in bundle.forests {
        let pass = try model.forward(forest.forest, scoring: forest.scored, options: options)
        for (k, place) in forest.places.enumerated() {
          logprobs[place] = pass.logprobs[k]
          entropies[place] = pass.entropies?[k] ?? .nan
        }
      }
    }
    return (logprobs, entropies)
  }
}
