import Rollouts

/// What a run's log does not hold, which numbers are therefore not there, and what would provide them.
func missingEvidence(_ run: RunAccumulator, _ choice: EstimatorChoice?, _ options: AuditOptions) -> [MissingEvidence] {
  func without(_ evidence: Evidence) -> Int {
    run.evidence.reduce(0) { $1.key.contains(evidence) ? $0 : $0 + $1.value }
  }
  var out: [MissingEvidence] = []
  func add(_ what: String, _ trajectories: Int, _ consequence: String, _ remedy: String) {
    if trajectories == 0 { return }
    out.append(
      MissingEvidence(what: what, trajectories: trajectories, consequence: consequence, remedy: remedy))
  }
  // Logs of token texts with logprobs have all that an entropy needs; only who wants the ids misses them.
  let named = run.evidence.reduce(0) { sum, entry in
    !entry.key.contains(.tokenIDs) && entry.key.contains(.sampledLogprobs) ? sum + entry.value : sum
  }
  add(
    "token ids", without(.tokenIDs) - named, "no token has an entropy; windows and baselines cannot be placed",
    "log the sampled token ids (vLLM: return_token_ids, or logprobs with token ids), not the decoded text alone")
  add(
    "token ids", named, "tokens are known by their texts: enough for entropies, not for scoring again or learning",
    "log the sampled token ids (vLLM: return_token_ids, or return_tokens_as_token_ids)")
  add(
    "sampled logprobs", without(.sampledLogprobs), "no sampled-nll; no surprisal of the sampled tokens",
    "log the logprob of every sampled token under the policy that sampled it (vLLM: logprobs=0 or more)")
  add(
    "top-k logprobs", without(.topLogprobs), "no topk entropy, no bounds, no ARPO entropy value",
    "log the most likely tokens at each position (vLLM: logprobs=20; ARPO's own worker uses 10)")
  add(
    "exact entropies", without(.entropies), "no full-vocabulary entropy; topk leaves out the unlisted tokens",
    "log the trainer's entropies with entropy_kind exact, or rescore the trajectories with the policy's weights")
  if run.run.vocabSize == nil, run.evidence.contains(where: { $0.key.contains(.topLogprobs) }) {
    add(
      "vocabulary size", run.budget.trajectories, "no upper bound, no value normalised by ln V or V",
      "name tokenizer.vocab_size in the run record")
  }
  if let change = options.rescaling(of: run.run), choice == nil {
    if let estimator = options.estimator, !estimator.canBeRescaled {
      add(
        "values of \(estimator.rawValue) at temperature \(change.to)", run.budget.trajectories,
        "logged entropies and bounds hold at the temperature of the log",
        "ask for topk, topk-renormalized or sampled-nll, or audit without a temperature")
    } else {
      add(
        "candidates to rescale", without(.topLogprobs),
        "no entropy at another temperature: it needs top-k logprobs",
        "log top-k logprobs, or audit without a temperature")
    }
  }
  return out
}
