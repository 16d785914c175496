import Foundation
import Learner
import Policy
import TestSupport
import Testing

/// Groups kept in memory.
private final class MadeData: TrainingData {
  let trees: [TrainingTree]
  init(_ trees: [TrainingTree]) { self.trees = trees }
  var count: Int { trees.count }
  func tree(_ index: Int) throws -> TrainingTree { trees[index] }
}

/// Counts what it sees and can end a run before any forest.
private final class Watcher: TrainingObserver {
  var reports: [UpdateReport] = []
  var checks: [PackingCheck] = []
  var saves: [Int] = []
  var forests = 0
  /// Forests after which the run is interrupted.
  var patience = Int.max
  /// Called after each update.
  var onUpdate: (UpdateReport) -> Void = { _ in }

  func willCompute(update: Int, forest: Int, of forests: Int) throws {
    self.forests += 1
    if self.forests > patience { throw TrainingInterrupted() }
  }

  func didUpdate(_ report: UpdateReport) {
    reports.append(report)
    onUpdate(report)
  }

  func didCheckPacking(_ check: PackingCheck) { checks.append(check) }
  func didSave(update: Int) { saves.append(update) }
}

/// A run on made groups in a folder of its own.
private struct MadeRun {
  let folder: TemporaryFolder
  var settings: TrainingSettings
  var seed: UInt64 = 7
  var scores = TrainingScores()
  let data: MadeData

  init(loss: String = "decoupled", updates: Int = 9, rate: Double = 0.05) throws {
    folder = try TemporaryFolder()
    var maker = TreeMaker(seed: 31)
    data = MadeData(try maker.trees(7))
    var objective = Objective(loss: try #require(PolicyLosses.named(loss)))
    objective.kl = .k3
    objective.weights = BehaviourWeights(.token, .truncate(2))
    settings = TrainingSettings(
      objective: objective, schedule: LearningRateSchedule(shape: .cosine, peak: rate, warmup: 2, total: updates))
    settings.kl = KLController(coefficient: 0.05, target: 0.01, horizon: 50)
    settings.tokenBudget = 60
    settings.checkpointEvery = 2
    let policy = BigramPolicy(vocabularySize: 7)
    try ScoreFile.write(
      folder.path("start.scores"), ScoreIdentity(policy: "p", data: "d", temperature: 1), policy: policy, data: data,
      tokenBudget: 40, scoring: ScoringOptions()
    ) { _ in }
    scores.reference = try ScoreFile(path: folder.path("start.scores"))
    scores.proximal = scores.reference
  }

  func trainer(_ policy: BigramPolicy, _ watcher: Watcher, in name: String) throws -> Trainer<BigramPolicy> {
    let path = folder.path(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return try Trainer(
      policy, data: data, order: DataOrder(count: data.count, batch: 3, seed: seed), settings: settings, scores: scores,
      directory: path, observer: watcher)
  }

  /// Lines of metrics without what the clock and the machine decide.
  func metrics(_ name: String) throws -> [[String: Double]] {
    let text = try String(contentsOfFile: folder.path(name) + "/metrics.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      return object.compactMapValues { $0 as? Double }.filter { !$0.key.hasPrefix("perf/") }
    }
  }
}

private func bits(_ policy: BigramPolicy) -> [UInt32] { policy.table.elements.map(\.bitPattern) }

@Suite struct TrainerTests {
  @Test(arguments: PolicyLosses.names)
  func interruptedAnywhereIsTheSame(loss: String) throws {
    let run = try MadeRun(loss: loss)
    let alone = BigramPolicy(vocabularySize: 7)
    let watcher = Watcher()
    #expect(try run.trainer(alone, watcher, in: "alone").run() == .complete)
    #expect(watcher.reports.count == 9 && watcher.reports.allSatisfy(\.isApplied))
    #expect(bits(alone) != bits(BigramPolicy(vocabularySize: 7)))
    for patience in [1, 4, 5, 11] {
      var outcome = TrainingOutcome.interrupted
      var policy = BigramPolicy(vocabularySize: 7)
      var rounds = 0
      while outcome == .interrupted, rounds < 100 {
        // A new process knows nothing but the folder.
        policy = BigramPolicy(vocabularySize: 7)
        let impatient = Watcher()
        impatient.patience = patience + rounds
        outcome = try run.trainer(policy, impatient, in: "cut\(patience)").run()
        rounds += 1
      }
      #expect(outcome == .complete && rounds > 1)
      #expect(bits(policy) == bits(alone), "\(loss) \(patience)")
      #expect(try run.metrics("cut\(patience)") == run.metrics("alone"))
    }
  }

  /// A run that was killed has lines and folders behind its checkpoint; they are dropped.
  @Test func killedGoesOnFromItsCheckpoint() throws {
    let run = try MadeRun()
    let alone = BigramPolicy(vocabularySize: 7)
    _ = try run.trainer(alone, Watcher(), in: "alone").run()
    struct Killed: Error {}
    // Four updates and a checkpoint at each second: the fifth is lost.
    final class Bomb: TrainingObserver {
      var updates = 0
      func willCompute(update: Int, forest: Int, of forests: Int) throws { if update == 5 { throw Killed() } }
      func didUpdate(_ report: UpdateReport) { updates += 1 }
      func didCheckPacking(_ check: PackingCheck) {}
      func didSave(update: Int) {}
    }
    try FileManager.default.createDirectory(atPath: run.folder.path("killed"), withIntermediateDirectories: true)
    let bomb = Bomb()
    #expect(throws: Killed.self) {
      try Trainer(
        BigramPolicy(vocabularySize: 7), data: run.data, order: DataOrder(count: 7, batch: 3, seed: 7),
        settings: run.settings, scores: run.scores, directory: run.folder.path("killed"), observer: bomb
      ).run()
    }
    #expect(bomb.updates == 5)
    #expect(try run.metrics("killed").count == 5)
    try FileManager.default.createDirectory(
      atPath: run.folder.path("killed") + "/checkpoints/.writing", withIntermediateDirectories: true)
    let policy = BigramPolicy(vocabularySize: 7)
    let last = Watcher()
    #expect(try run.trainer(policy, last, in: "killed").run() == .complete)
    #expect(last.reports.map(\.update) == [5, 6, 7, 8, 9])
    #expect(bits(policy) == bits(alone))
    #expect(try run.metrics("killed") == run.metrics("alone"))
  }

  @Test func seedsDecideTheOrder() throws {
    var run = try MadeRun()
    let a = BigramPolicy(vocabularySize: 7)
    _ = try run.trainer(a, Watcher(), in: "a").run()
    run.seed = 8
    let b = BigramPolicy(vocabularySize: 7)
    _ = try run.trainer(b, Watcher(), in: "b").run()
    #expect(bits(a) != bits(b))
  }

  /// Numbers that are not finite are counted, the update is not applied, and in a row they end the run.
  @Test func notFiniteIsSkippedAndStops() throws {
    let run = try MadeRun(updates: 12)
    let policy = BigramPolicy(vocabularySize: 7)
    for token in 0..<7 { policy.table.elements[7 * token + 3] = .infinity }
    let before = bits(policy)
    let watcher = Watcher()
    let outcome = try run.trainer(policy, watcher, in: "bad").run()
    guard case .stopped = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(watcher.reports.count == 3 && watcher.reports.allSatisfy { !$0.isApplied })
    #expect(bits(policy) == before)
    #expect(watcher.reports[2].metrics["training/skipped"] == 3)
    #expect((watcher.reports[0].metrics["training/not_finite"] ?? 0) > 0)
  }

  @Test func limitsStopBeforeTheUpdate() throws {
    var run = try MadeRun()
    run.settings.guards.effectiveSample.stop = 1.1
    let policy = BigramPolicy(vocabularySize: 7)
    let before = bits(policy)
    let outcome = try run.trainer(policy, Watcher(), in: "stopped").run()
    guard case .stopped(let reason) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(reason.contains("effective sample"))
    #expect(bits(policy) == before)
  }

  @Test func rehearsalChangesNothing() throws {
    let run = try MadeRun()
    let policy = BigramPolicy(vocabularySize: 7)
    let before = bits(policy)
    let trainer = try run.trainer(policy, Watcher(), in: "dry")
    let rehearsal = try trainer.rehearse()
    #expect(bits(policy) == before && trainer.state.update == 0)
    let report = Watcher()
    _ = try run.trainer(policy, report, in: "wet").run()
    for entry in rehearsal.metrics.entries where !entry.name.hasPrefix("perf/") {
      #expect(report.reports[0].metrics[entry.name] == entry.value, "\(entry.name)")
    }
  }

  @Test func packingIsVerifiedOnce() throws {
    var run = try MadeRun(updates: 3)
    run.settings.verifiesPacking = true
    let watcher = Watcher()
    #expect(try run.trainer(BigramPolicy(vocabularySize: 7), watcher, in: "checked").run() == .complete)
    #expect(watcher.checks.count == 1)
    #expect(watcher.checks[0].gradientError < 1e-5 && watcher.checks[0].gradientError > 0)
  }

  /// What is rewarded becomes likelier, what is punished less.
  @Test(arguments: ["decoupled", "ppo-clip", "topr", "cispo", "reinforce-is", "gspo", "aepo"])
  func rewardedTokensGain(loss: String) throws {
    var run = try MadeRun(loss: loss, updates: 6, rate: 0.02)
    run.settings.objective.kl = nil
    run.scores.behaviour = run.scores.reference
    let policy = BigramPolicy(vocabularySize: 7)
    func value() throws -> Double {
      let objective = Objective(loss: ReinforceIS())
      let batch = UpdateBatch(run.data.trees, objective: objective)
      return try -UpdateComputation(objective: objective).run(
        policy, batch, TreePacking(budget: 500).bundles(run.data.trees), gradient: nil
      ).loss(objective, klCoefficient: 0)
    }
    let before = try value()
    _ = try run.trainer(policy, Watcher(), in: "learn").run()
    #expect(try value() > before)
  }

  @Test func metricsHaveTheFieldsNames() throws {
    let run = try MadeRun(updates: 2)
    _ = try run.trainer(BigramPolicy(vocabularySize: 7), Watcher(), in: "named").run()
    let line = try #require(try run.metrics("named").first)
    for name in [
      "step", "actor/pg_loss", "actor/pg_clipfrac", "actor/pg_clipfrac_lower", "actor/ppo_kl", "actor/kl_loss",
      "actor/kl_coef", "actor/entropy", "actor/grad_norm", "actor/lr", "rollout_corr/rollout_is_mean",
      "rollout_corr/rollout_is_std", "rollout_corr/rollout_is_min", "rollout_corr/rollout_is_max",
      "rollout_corr/rollout_is_eff_sample_size", "rollout_corr/rollout_is_ratio_fraction_high",
      "rollout_corr/rollout_is_ratio_fraction_low", "rollout_corr/rollout_is_seq_mean",
      "rollout_corr/rollout_rs_masked_fraction", "rollout_corr/rollout_rs_seq_masked_fraction",
      "rollout_corr/training_ppl", "rollout_corr/rollout_ppl", "rollout_corr/ppl_ratio", "rollout_corr/log_ppl_diff",
      "rollout_corr/kl", "rollout_corr/k3_kl", "rollout_corr/chi2_token", "rollout_corr/chi2_seq",
      "critic/advantages/mean", "critic/advantages/max", "critic/advantages/min", "critic/score/mean",
      "critic/score/max", "critic/score/min", "response_length/mean", "response_length/clip_ratio",
      "prompt_length/mean", "kl", "entropy", "clip_ratio/low_mean", "clip_ratio/low_min", "clip_ratio/high_mean",
      "clip_ratio/high_max", "clip_ratio/region_mean", "sampling/sampling_logp_difference/mean",
      "sampling/importance_sampling_ratio/mean", "num_tokens", "tree/token_ratio", "tree/trees", "tree/leaves",
    ] {
      #expect(line[name] != nil, "\(name)")
    }
    #expect(try #require(line["rollout_corr/rollout_is_eff_sample_size"]) <= 1)
    #expect(try #require(line["tree/token_ratio"]) < 1)
  }
}

@Suite struct TrainingPartTests {
  /// A plan keeps to its limit, gives up activations before tokens, and says when nothing fits.
  @Test func memoryPlansKeepToTheirLimit() throws {
    let config = try Checkpoint(
      directory: TestPaths.ownGoldens.appending(path: "policy/qwen2-tiny/checkpoint").path
    ).config
    func plan(_ limit: Int?, trainsEverything: Bool = true) throws -> MemoryPlan {
      try MemoryPlan(
        config: config, stored: 428_288, trained: 107_072, rank: 0, trainsEverything: trainsEverything, limit: limit,
        wanted: 4096, longest: 500)
    }
    let free = try plan(nil)
    #expect(free.tokens == 4096)
    #expect(try plan(free.total + 1_000_000) == free)
    var tokens = Int.max
    var fitted = 0
    for limit in stride(from: free.total, to: 80_000_000, by: -500_000) {
      guard let fit = try? plan(limit) else { break }
      fitted += 1
      #expect(fit.total <= limit && fit.activations >= 4 * fit.tokens * config.layerCount * config.hiddenSize)
      #expect(fit.tokens <= tokens && fit.tokens >= 500)
      tokens = fit.tokens
    }
    #expect(fitted > 5)
    #expect(throws: LearnerError.self) { try plan(70_000_000) }
  }

  @Test func epochsSeeEveryGroupOnce() {
    for (count, batch) in [(1, 1), (7, 3), (12, 4), (5, 50)] {
      let order = DataOrder(count: count, batch: batch, seed: 3)
      for epoch in 0..<3 {
        let updates = (0..<order.updatesPerEpoch).flatMap { order.groups(ofUpdate: epoch * order.updatesPerEpoch + $0) }
        #expect(updates.sorted() == Array(0..<count))
        #expect(updates == order.permutation(epoch: epoch))
      }
    }
    let order = DataOrder(count: 40, batch: 4, seed: 3)
    #expect(order.permutation(epoch: 0) != order.permutation(epoch: 1))
    #expect(DataOrder(count: 5, batch: 2, seed: 1, isShuffled: false).permutation(epoch: 4) == [0, 1, 2, 3, 4])
  }

  @Test func heldOutGroupsStayHeldOut() {
    let split = HeldOutSplit(fraction: 0.2, seed: 1)
    let names = (0..<5000).map { "p\($0)" }
    let held = names.filter { split.holdsOut(run: "r", group: $0) }
    #expect(abs(Double(held.count) / 5000 - 0.2) < 0.02)
    #expect(held == names.filter { HeldOutSplit(fraction: 0.2, seed: 1).holdsOut(run: "r", group: $0) })
    // A larger share holds out more and lets none go.
    let more = HeldOutSplit(fraction: 0.5, seed: 1)
    #expect(held.allSatisfy { more.holdsOut(run: "r", group: $0) })
    #expect(held != names.filter { HeldOutSplit(fraction: 0.2, seed: 2).holdsOut(run: "r", group: $0) })
    #expect(!HeldOutSplit(fraction: 0, seed: 1).holdsOut(run: "r", group: "p1"))
  }

  @Test func schedules() {
    let cosine = LearningRateSchedule(shape: .cosine, peak: 1, warmup: 4, total: 13, floor: 0.1)
    #expect((0..<4).map { cosine.rate(update: $0) } == [0.25, 0.5, 0.75, 1])
    #expect(cosine.rate(update: 4) == 1)
    #expect(abs(cosine.rate(update: 8) - 0.55) < 1e-12)
    #expect(abs(cosine.rate(update: 12) - 0.1) < 1e-12)
    let constant = LearningRateSchedule(peak: 3e-5, total: 100)
    #expect((0..<100).allSatisfy { constant.rate(update: $0) == 3e-5 })
    let linear = LearningRateSchedule(shape: .linear, peak: 2, total: 5)
    #expect((0..<5).map { linear.rate(update: $0) } == [2, 1.5, 1, 0.5, 0])
  }

  /// Against the textbook in double precision.
  @Test func adamWFollowsItsFormula() {
    let policy = BigramPolicy(vocabularySize: 6)
    var settings = OptimiserSettings()
    settings.weightDecay = 0.1
    let optimiser = AdamW(count: 36, settings: settings)
    var p = policy.table.elements.map(Double.init)
    var m = [Double](repeating: 0, count: 36)
    var v = m
    for step in 1...5 {
      let gradient = ParameterBuffer(count: 36)
      for i in 0..<36 { gradient.elements[i] = Float(cos(Double(i * step))) }
      let norm = GradientStatistics(UnsafeBufferPointer(gradient.elements))
      let exact = gradient.elements.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(abs(norm.norm - exact) < 1e-12 && norm.notFinite == 0)
      let scale = norm.clipFactor(maxNorm: 1)
      optimiser.update(policy, gradient: UnsafeBufferPointer(gradient.elements), scale: scale, learningRate: 0.01)
      for i in 0..<36 {
        let g = Double(gradient.elements[i]) / max(1, exact + 1e-6)
        p[i] *= 1 - 0.01 * 0.1
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.999 * v[i] + 0.001 * g * g
        p[i] -=
          0.01 * (m[i] / (1 - pow(0.9, Double(step)))) / ((v[i] / (1 - pow(0.999, Double(step)))).squareRoot() + 1e-8)
      }
    }
    for i in 0..<36 { #expect(abs(Double(policy.table.elements[i]) - p[i]) < 1e-6) }
  }

  @Test func gradientsThatAreNoNumbersAreCounted() {
    let gradient = ParameterBuffer(count: 200_000)
    gradient.elements[70_000] = .nan
    gradient.elements[199_999] = -.infinity
    let got = GradientStatistics(UnsafeBufferPointer(gradient.elements))
    #expect(got.notFinite == 2 && !got.norm.isFinite)
  }

  @Test func klCoefficientIsLedToItsTarget() {
    var fixed = KLController(coefficient: 0.1)
    fixed.observe(kl: 5, trajectories: 100)
    #expect(fixed.coefficient == 0.1)
    var led = KLController(coefficient: 0.2, target: 0.1, horizon: 1000)
    led.observe(kl: 0.11, trajectories: 100)
    #expect(abs(led.coefficient - 0.2 * (1 + 0.1 * 0.1)) < 1e-12)
    led = KLController(coefficient: 0.2, target: 0.1, horizon: 1000)
    led.observe(kl: 0, trajectories: 100)
    #expect(abs(led.coefficient - 0.2 * (1 - 0.2 * 0.1)) < 1e-12)
  }

  /// r k3(x) with the ratio's gradient has the slope r x, that of KL(pi || ref).
  @Test func correctedKL() {
    for (lp, ref, mu) in [(-1.0, -1.3, -0.7), (-0.2, -0.1, -2.0), (-3.0, -2.5, -3.0)] {
      let term = KLEstimator.k3.corrected(logprob: lp, reference: ref, anchor: mu)
      #expect(abs(term.gradient - exp(lp - mu) * (lp - ref)) < 1e-12)
      let h = 1e-6
      let slope =
        (KLEstimator.k3.corrected(logprob: lp + h, reference: ref, anchor: mu).value
          - KLEstimator.k3.corrected(logprob: lp - h, reference: ref, anchor: mu).value) / (2 * h)
      #expect(abs(slope - term.gradient) < 1e-6)
    }
  }

  @Test func vetoesAndNormalisation() {
    let rows = [0..<2, 2..<4]
    let numerator = [-1.0, -1, -1, -1]
    let behaviour = [-1.0, 10, -1.5, -0.5]
    let vetoed = BehaviourWeights(.token, .truncate(2), veto: 1e-4)
      .weights(numerator: numerator, behaviour: behaviour, rows: rows, multiplicities: [1, 1])
    #expect(vetoed.weights[0] == 0 && vetoed.weights[1] == 0 && vetoed.vetoedRows == 1)
    #expect(abs(vetoed.weights[2] - exp(0.5)) < 1e-12)
    for level in BehaviourWeights.Level.allCases {
      let normal = BehaviourWeights(level, .truncate(3), isNormalised: true)
        .weights(numerator: numerator, behaviour: [-1.2, -0.4, -1.5, -0.5], rows: rows, multiplicities: [1, 3])
      let sum = normal.weights[0] + normal.weights[1] + 3 * (normal.weights[2] + normal.weights[3])
      #expect(abs(sum / 8 - 1) < 1e-12, "\(level)")
    }
  }

  @Test func aFileOfScoresThatWasNotFinishedDoesNotOpen() throws {
    let folder = try TemporaryFolder()
    var maker = TreeMaker(seed: 2)
    let data = MadeData(try maker.trees(5))
    let policy = BigramPolicy(vocabularySize: 7)
    let path = folder.path("a.scores")
    let identity = ScoreIdentity(policy: "p", data: "d", temperature: 0.7)
    try ScoreFile.write(path, identity, policy: policy, data: data, tokenBudget: 30, scoring: ScoringOptions()) { _ in }
    let file = try ScoreFile(path: path)
    #expect(file.count == 5 && file.identity == identity.text)
    for t in 0..<5 {
      let expected = data.trees[t].trainedNodes.map { n in
        let parent = data.trees[t].tokens[Int(data.trees[t].parents[Int(n)])]
        return Float(policy.distribution(after: parent, temperature: 1)[Int(data.trees[t].tokens[Int(n)])])
      }
      #expect(try file.values(t) == expected)
    }
    let whole = try Data(contentsOf: URL(filePath: path))
    for length in [0, 7, 16, 24, whole.count / 2, whole.count - 1] {
      let cut = try folder.write(whole.prefix(length), "cut")
      #expect(throws: (any Error).self) { try ScoreFile(path: cut) }
    }
  }

  /// Ended between the two renames of a checkpoint that replaces one of the same update, a run goes on from the older one.
  @Test func aReplacedCheckpointIsNotLost() throws {
    let folder = try TemporaryFolder()
    let checkpoints = TrainingCheckpoints(directory: folder.path("c"))
    var state = TrainingState(kl: KLController(coefficient: 0.1))
    func save(_ update: Int, _ policy: BigramPolicy) throws {
      state.update = update
      try checkpoints.save(state, policy: policy, optimiser: AdamW(count: policy.parameterCount, settings: .init()))
    }
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path("c")).sorted() }
    let first = BigramPolicy(vocabularySize: 4, seed: 1)
    try save(9, first)
    try FileManager.default.moveItem(
      atPath: folder.path("c/update-00000009"), toPath: folder.path("c/update-00000009.replaced"))
    #expect(checkpoints.latestUpdate == 9)
    let restored = BigramPolicy(vocabularySize: 4, seed: 2)
    let optimiser = AdamW(count: 16, settings: .init())
    #expect(try checkpoints.restore(policy: restored, optimiser: optimiser)?.update == 9)
    #expect(bits(restored) == bits(first))
    // The successor counts as soon as it is there, and clears up.
    let second = BigramPolicy(vocabularySize: 4, seed: 3)
    try FileManager.default.createDirectory(
      atPath: folder.path("c/update-00000009"), withIntermediateDirectories: true)
    #expect(checkpoints.latest?.hasSuffix("update-00000009") == true)
    try save(9, second)
    #expect(try names() == ["update-00000009"])
    #expect(try checkpoints.restore(policy: restored, optimiser: optimiser) != nil)
    #expect(bits(restored) == bits(second))
    try save(10, second)
    #expect(try names() == ["update-00000010"])
  }
}
