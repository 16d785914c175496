/// The kinds of training data that an export writes, as JSON Lines.
///
/// Field names are those that the consumers read; sources: TRL `docs/source/dataset_formats.md`, `trl/trainer/dpo_trainer.py`,
/// `kto_trainer.py` and `sft_trainer.py` (commit f2cd5771), verl `verl/utils/dataset/rl_dataset.py`,
/// `verl/trainer/ppo/ray_trainer.py` and `examples/data_preprocess/gsm8k.py` (commit b178a3cd).
public enum ExportFormat: String, Sendable, CaseIterable {
  /// TRL's preference type: `prompt`, `chosen`, `rejected`; with ids also `prompt_ids`, `chosen_ids`, `rejected_ids`,
  /// which are the keys that TRL's `DataCollatorForPreference` reads.
  case trlDPO = "trl-dpo"
  /// TRL's unpaired preference type: `prompt`, `completion`, `label`; with ids also `prompt_ids`, `completion_ids`.
  case trlKTO = "trl-kto"
  /// TRL's prompt-completion type: `prompt`, `completion`; with ids also `input_ids` and `assistant_masks`, which
  /// TRL's `SFTTrainer` takes as tokenised already.
  case trlSFT = "trl-sft"
  /// The columns of verl's RL dataset parquet (`data_source`, `prompt`, `ability`, `reward_model`, `extra_info`), one JSON object a line,
  /// and beside them the trajectory under the keys of verl's `DataProto`: `uid`, `prompts`, `responses`, `response_mask`,
  /// `rollout_log_probs`, `old_log_probs`, `token_level_scores`, `advantages`; not padded.
  case verl = "verl-parquet-jsonl"
  /// Sibling pairs with everything that is known of them, in a form of no framework.
  case pairs
}

/// How text is laid out.
public enum ExportStyle: String, Sendable, CaseIterable {
  /// Plain strings: TRL's standard format.
  case standard
  /// Lists of messages with `role` and `content`: TRL's conversational format.
  case conversational
}

/// What ranks the continuations of a fork.
public enum ExportScore: String, Sendable, CaseIterable {
  /// The leaf's reward.
  case reward
  /// The mean advantage of the continuation's generated tokens.
  case advantage
}

/// What an export writes and leaves out.
public struct ExportOptions: Sendable {
  /// Kind of record.
  public var format: ExportFormat
  /// Layout of text.
  public var style = ExportStyle.standard
  /// What ranks continuations, and labels leaves in ``ExportFormat/trlKTO``.
  public var score = ExportScore.reward
  /// Name of the attribution that the advantages come from.
  public var attribution: String?
  /// Least difference of the scores of a pair; a pair of equal scores is never written.
  public var minimumMargin = 0.0
  /// Pairs of a fork at most, those of the largest margins first.
  public var pairsPerFork = 4
  /// Whether forks are all common token prefixes instead of the logged branches.
  public var sharesAnyPrefix = false
  /// Leaves of a group that ``ExportFormat/trlSFT`` keeps.
  public var best = 1
  /// Least reward of a leaf that ``ExportFormat/trlSFT`` keeps; `nil`: above the group's mean.
  public var minimumReward: Double?
  /// Score from which ``ExportFormat/trlKTO`` labels a leaf true; `nil`: the group's mean reward, or advantage 0.
  public var labelThreshold: Double?
  /// Turns token ids into text; throws if they are no whole characters.
  public var decode: (@Sendable ([Int32]) throws -> String)?

  /// The defaults of a format.
  public init(format: ExportFormat) { self.format = format }

  /// Whether records cannot be made without advantages.
  public var needsAdvantages: Bool { format == .verl || score == .advantage }
}
