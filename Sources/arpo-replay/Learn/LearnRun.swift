import Foundation
import Learner
import Policy
import Replay
import RolloutStore

/// A run of the learner from the database to the output folder.
struct LearnRun {
  let database: String
  let policy: String
  let out: String
  let data: LearnDataOptions
  let loss: LearnLossOptions
  let training: LearnTrainingOptions
  let stops: LearnStopOptions
  var isResumed = false
  var overwrites = false
  var isDryRun = false
  var verifiesPacking = false
  var checkpointEvery = 10
  var keepsCheckpoints = false
  var isQuiet = false
  var format = OutputFormat.table
  var outputTraits = TerminalTraits.standardOutput

  private var traits: TerminalTraits { .standardError }

  func execute() throws -> ExitStatus {
    let interruption = Interruption()
    do {
      return try isDryRun ? rehearse(interruption) : train(interruption)
    } catch is TrainingInterrupted {
      return .interrupted
    }
  }

  // MARK: Training

  private func train(_ interruption: Interruption) throws -> ExitStatus {
    let folder = LearnFolder(out)
    if try folder.isComplete(isResumed: isResumed) {
      Talk.say("\(out) is complete")
      return .ok
    }
    try folder.check(isResumed: isResumed, overwrites: overwrites)
    let set = try readData(interruption)
    let plan = try LearnPlan(self, set, interruption)
    let manifest = plan.manifest
    let goesOn = try isResumed && LearnManifest.state(in: out) != nil
    if goesOn {
      let differences = try manifest.differences(from: out)
      guard differences.isEmpty else {
        throw LearnerError("\(out) was begun otherwise, so it cannot go on: \(differences.joined(separator: "; "))")
      }
    }
    try folder.begin(overwrites: overwrites && !goesOn)
    say(plan, set)
    try manifest.write(to: out)
    let scores = try plan.scores(set, in: out, interruption, progress: scoringProgress)
    let model = try plan.trainedModel()
    let store = try Store.open(database, for: .writing)
    let trainerState = TrainingCheckpoints(directory: out + "/checkpoints")
    let run = try store.beginLearnerRun(
      plan.record, groups: set.groups, resumingAfter: goesOn ? trainerState.latestUpdate ?? 0 : nil)
    let watcher = LearnWatcher(
      interruption: interruption, traits: traits, quiet: isQuiet, database: store, run: run)
    let trainer = try Trainer(
      model, data: set, order: plan.order, settings: settings(plan, interruption), scores: scores, directory: out,
      observer: watcher)
    if goesOn {
      Talk.say("going on after update \(trainer.state.update) of \(plan.updates)")
      try folder.restoreMetrics(of: run, in: store)
    }
    let outcome: TrainingOutcome
    do {
      outcome = try trainer.run()
      try watcher.finish()
    } catch {
      try? watcher.finish()
      throw error
    }
    return try end(outcome, trainer, model, plan, manifest, folder, store, run, watcher)
  }

  private func end(
    _ outcome: TrainingOutcome, _ trainer: Trainer<PolicyModel>, _ model: PolicyModel, _ plan: LearnPlan,
    _ manifest: LearnManifest, _ folder: LearnFolder, _ store: Store, _ run: Int64, _ watcher: LearnWatcher
  ) throws -> ExitStatus {
    var manifest = manifest
    let state: LearnerRunRecord.State
    var reason: String?
    switch outcome {
    case .complete: state = .complete
    case .interrupted: state = .interrupted
    case .stopped(let text):
      state = .stopped
      reason = text
    }
    if state != .interrupted { try plan.writePolicy(model, to: out) }
    manifest.outcome = [
      ("state", .string(state.rawValue)), ("reason", .text(reason)), ("updates_done", .int(trainer.state.update)),
      ("optimizer_steps", .int(trainer.state.optimiserSteps)), ("updates_skipped", .int(trainer.state.skipped)),
      ("numbers_not_finite", .int(trainer.state.notFinite)), ("tokens", .int(trainer.state.tokens)),
      ("kl_coefficient", .double(trainer.state.kl.coefficient)),
      ("warnings", .object(trainer.state.warnings.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) })),
      ("last_metrics", .object((watcher.last?.metrics.entries ?? []).map { ($0.name, .double($0.value)) })),
    ]
    try manifest.write(to: out)
    try store.endLearnerRun(run, state, reason: reason)
    if state == .complete, !keepsCheckpoints { folder.removeWorkingFiles() }
    for (kind, count) in trainer.state.warnings.sorted(by: { $0.key < $1.key }) {
      Talk.say("\(kind): in \(traits.counted(count, "update"))")
    }
    if let reason { Talk.say("stopped: \(reason)") }
    if state == .interrupted { Talk.say("interrupted; the same command with --resume goes on") }
    try LearnSummary(out: out, state: state, trainerState: trainer.state, last: watcher.last).write(
      format, outputTraits)
    return
      switch state
    {
    case .complete: .ok
    case .interrupted: .interrupted
    case .stopped, .running: .stoppedByLimit
    }
  }

  private func settings(_ plan: LearnPlan, _ interruption: Interruption) -> TrainingSettings {
    var settings = TrainingSettings(
      objective: plan.objective, schedule: training.learningRates(updates: plan.updates))
    settings.optimiser = training.optimiser
    settings.kl = KLController(coefficient: loss.klCoef, target: loss.klTarget, horizon: loss.klHorizon)
    settings.tokenBudget = plan.memory.tokens
    settings.scoring = plan.scoring(interruption)
    settings.scoring.activationBudget = plan.memory.activations
    settings.guards = stops.guards
    settings.checkpointEvery = checkpointEvery
    settings.verifiesPacking = verifiesPacking
    return settings
  }

  // MARK: Rehearsal

  private func rehearse(_ interruption: Interruption) throws -> ExitStatus {
    let set = try readData(interruption)
    let plan = try LearnPlan(self, set, interruption)
    say(plan, set)
    let folder = FileManager.default.temporaryDirectory.appending(path: "arpo-learn-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // One update needs the scores of its own groups only.
    let sample = TrainingSample(set, plan.order.groups(ofUpdate: 0))
    let scores = try plan.scores(sample, in: folder, interruption, progress: scoringProgress)
    let model = try plan.trainedModel()
    let watcher = LearnWatcher(interruption: interruption, traits: traits, quiet: isQuiet, database: nil, run: 0)
    let trainer = try Trainer(
      model, data: sample, order: DataOrder(count: sample.count, batch: sample.count, seed: 0, isShuffled: false),
      settings: settings(plan, interruption), scores: scores, directory: folder, observer: watcher)
    let rehearsal = try trainer.rehearse()
    try watcher.finish()
    for finding in rehearsal.findings { Talk.warn(finding.text) }
    if rehearsal.notFinite > 0 {
      Talk.warn("\(rehearsal.notFinite) numbers are not finite: the update would be skipped")
    }
    var rows = rehearsal.metrics
    rows["plan/updates"] = Double(plan.updates)
    rows["plan/seconds"] = rehearsal.secondsPerUpdate * Double(plan.updates)
    rows["plan/memory_bytes"] = Double(plan.memory.total)
    rows["plan/weights_bytes"] = Double(plan.memory.weights)
    rows["plan/training_bytes"] = Double(plan.memory.training)
    rows["plan/activation_bytes"] = Double(plan.memory.activations)
    rows["plan/tokens_per_forest"] = Double(plan.memory.tokens)
    rows["plan/trained_parameters"] = Double(model.parameterCount)
    let writer = RowWriter(format: format, columns: ["name", "value"], traits: outputTraits)
    for entry in rows.entries { try writer.write([.text(entry.name), .double(entry.value)]) }
    try writer.finish()
    return .ok
  }

  // MARK: Data

  private func readData(_ interruption: Interruption) throws -> TrainingSet {
    var rules = TrainingSelection.Rules()
    rules.selection = try data.selected.selection(in: Store.open(database, for: .reading))
    rules.selection.withTexts = false
    rules.condition = data.condition
    rules.attribution = loss.needsAdvantages ? data.attribution : nil
    rules.split = HeldOutSplit(fraction: data.heldOut, seed: training.seed)
    rules.wantsLogprobs = data.minEvidence == .sampledLogprobs
    rules.dropsDegenerate = !data.keepDegenerate && loss.needsAdvantages
    rules.threads = max(1, min(8, training.threads))
    let line = StatusLine(traits: traits)
    defer { line.finish() }
    func tick() throws { if interruption.isRequested { throw TrainingInterrupted() } }
    let set = try TrainingSet(TrainingSelection(database: database, rules: rules, tick: tick)) { groups in
      try tick()
      if !isQuiet { line.update("reading groups: \(groups)") }
    }
    let counts = set.counts
    guard set.count > 0 else {
      throw LearnerError("there is nothing to train on: \(describe(counts))")
    }
    if loss.needsLogged, counts.tokensWithoutLogprob > 0 {
      throw LearnerError(
        """
        \(counts.tokensWithoutLogprob) generated tokens in \(counts.trajectoriesWithoutLogprob) of \
        \(counts.trainTrajectories) trajectories have no logprob in the log, and \(loss.loss) needs those of the policy \
        that wrote it. Choose one:
          --min-evidence sampled_logprobs  leave those trajectories out
          --behaviour recompute:DIR        take them from the checkpoint or adapter that wrote the log
          --behaviour start                take the starting policy for it: importance weights are 1
          --behaviour none                 no ratio to it (decoupled, topr, reinforce-is, sft)
        """)
    }
    return set
  }

  private func describe(_ counts: TrainingSet.Counts) -> String {
    var parts = ["\(traits.counted(counts.trajectories, "trajectory", "trajectories"))"]
    for (split, n) in counts.groups.sorted(by: { $0.key.rawValue < $1.key.rawValue }) where split != .dropped {
      parts.append("\(traits.counted(n, "group")) \(split == .train ? "to train on" : "held out")")
    }
    for (reason, n) in counts.dropped.sorted(by: { $0.key < $1.key }) {
      parts.append("\(traits.counted(n, "group")) dropped: \(reason)")
    }
    for (reason, n) in counts.leftOut.sorted(by: { $0.key < $1.key }) {
      parts.append("\(traits.counted(n, "trajectory", "trajectories")) left out: \(reason)")
    }
    return parts.joined(separator: "; ")
  }

  private func say(_ plan: LearnPlan, _ set: TrainingSet) {
    guard !isQuiet else { return }
    let counts = set.counts
    Talk.say(describe(counts))
    Talk.say(
      """
      \(traits.grouped(counts.trainedTokens)) trained tokens; \(traits.grouped(counts.uniqueTokens)) computed instead of \
      \(traits.grouped(counts.flatTokens)) (\(percentText(Double(counts.uniqueTokens) / Double(max(1, counts.flatTokens)))))
      """)
    Talk.say("\(plan.objective.loss.name): \(plan.objective.loss.formula); \(plan.objective.aggregation.rawValue)")
    if let formula = plan.attributionFormula { Talk.say("advantages: \(formula)") }
    Talk.say("behaviour policy: \(plan.behaviourText)")
    Talk.say(
      """
      \(traits.counted(plan.updates, "update")) of \(traits.counted(plan.order.batch, "group")), forests of at most \
      \(traits.grouped(plan.memory.tokens)) tokens; about \(MemoryPlan.text(plan.memory.total)) of memory
      """)
    for warning in plan.warnings { Talk.warn(warning) }
  }

  private var scoringProgress: LearnPlan.ScoringProgress {
    let line = StatusLine(traits: traits)
    let quiet = isQuiet
    return { what, group, count in
      guard !quiet else { return }
      if group == count { line.finish() } else { line.update("scoring with the \(what): group \(group) of \(count)") }
    }
  }
}

/// The groups of one update as a data set of their own.
private final class TrainingSample: TrainingData {
  private let set: TrainingSet
  private let groups: [Int]

  init(_ set: TrainingSet, _ groups: [Int]) {
    self.set = set
    self.groups = groups
  }

  var count: Int { groups.count }

  func tree(_ index: Int) throws -> TrainingTree { try set.tree(groups[index]) }
}
