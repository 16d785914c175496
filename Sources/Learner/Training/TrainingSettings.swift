/// How a run trains.
public struct TrainingSettings: Sendable {
  /// What is minimised.
  public var objective: Objective
  /// The optimiser.
  public var optimiser = OptimiserSettings()
  /// Learning rates; its total is the number of updates of the run.
  public var schedule: LearningRateSchedule
  /// The KL coefficient at the start, and what it is led by.
  public var kl = KLController(coefficient: 0)
  /// Most tokens of a forest.
  public var tokenBudget = 4096
  /// How the policy is asked.
  public var scoring = ScoringOptions(entropies: true)
  /// Warnings and stops.
  public var guards = TrainingGuards()
  /// Updates between checkpoints; 0: only at the end and when interrupted.
  public var checkpointEvery = 10
  /// Whether the first update is computed packed and flattened.
  public var verifiesPacking = false

  /// Settings with defaults for the rest.
  public init(objective: Objective, schedule: LearningRateSchedule) {
    self.objective = objective
    self.schedule = schedule
  }
}
