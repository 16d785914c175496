import ArgumentParser
import Foundation
import RolloutStore

/// What a run trains on.
struct LearnDataOptions: ParsableArguments {
  @OptionGroup var selected: SelectionArguments

  @Option(
    name: .customLong("where"),
    help: "Only trajectories for which this SQL holds, over the columns of the view trajectories.")
  var condition: String?

  @Option(
    help: "Where advantages come from: a name kept by arpo-replay attribute, or a strategy (arpo-hard, grpo:verl, …).")
  var attribution: String?

  @Option(help: "Least evidence of a trajectory: token_ids, or sampled_logprobs; others are left out and counted.")
  var minEvidence: MinimumEvidence = .tokenIDs

  @Flag(help: "Keep groups whose rewards are all equal; their advantages are 0.")
  var keepDegenerate = false

  @Option(help: "Share of the groups that is kept out of training, by a hash of run and group.")
  var heldOut = 0.1

  @Option(help: "Groups of an update; gradients add up over its forests.")
  var batchGroups = 8

  @Flag(help: "Take groups in the database's order instead of a seeded one.")
  var noShuffle = false

  func validate() throws {
    guard heldOut >= 0, heldOut < 1 else { throw ValidationError("--held-out is 0 or more and less than 1") }
    guard batchGroups > 0 else { throw ValidationError("--batch-groups is 1 or more") }
  }
}

/// What a trajectory must have to be trained on.
enum MinimumEvidence: String, CaseIterable, Sendable, ExpressibleByArgument {
  case tokenIDs = "token_ids"
  case sampledLogprobs = "sampled_logprobs"
}
