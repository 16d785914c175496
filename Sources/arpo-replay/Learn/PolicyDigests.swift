import Learner
import Policy

/// SHA-256 of the policies that a run reads, so that one that goes on does so with the same.
struct PolicyDigests {
  /// Of the checkpoint.
  let policy: String
  /// Of the adapter that training starts from.
  private(set) var adapter: String?
  /// Of the reference policy, where it is another folder.
  private(set) var reference: String?
  /// Of the policy that the behaviour's logprobs are recomputed with.
  private(set) var behaviour: String?

  /// - Parameter tick: called now and then; what it throws ends the work.
  init(_ run: LearnRun, _ loader: PolicyLoader, hasReference: Bool, tick: () throws -> Void) throws {
    func digest(_ directory: String) throws -> String {
      PolicyLoader.isAdapter(directory)
        ? try LoRAAdapter.sha256(directory: directory)
        : try Checkpoint(directory: directory).sha256(interruption: tick)
    }
    policy = try loader.checkpoint.sha256(interruption: tick)
    adapter = try run.training.adapter.map { try LoRAAdapter.sha256(directory: $0) }
    if hasReference, !["start", "base"].contains(run.loss.reference) { reference = try digest(run.loss.reference) }
    if run.loss.needsBehaviour, case .recompute(let folder) = run.loss.behaviour { behaviour = try digest(folder) }
  }
}
