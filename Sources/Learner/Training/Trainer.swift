import Foundation
import Replay

/// The training loop: updates in a fixed order, each from whole groups, with checkpoints between them.
///
/// Given the same data, settings, seed and thread count, a run is the same bit for bit, whether it was interrupted or not.
public final class Trainer<Policy: TrainablePolicy> {
  /// How it trains.
  public let settings: TrainingSettings
  /// Where it is.
  public private(set) var state: TrainingState
  private let policy: Policy
  private let data: any TrainingData
  private let order: DataOrder
  private let scores: TrainingScores
  private let optimiser: AdamW
  private let gradient: any GradientStore
  private let checkpoints: TrainingCheckpoints
  private let metrics: MetricsFile
  private let observer: any TrainingObserver

  /// Prepares a run, or one that goes on from its newest checkpoint.
  ///
  /// - Parameters:
  ///   - directory: folder of the run; gets `metrics.jsonl` and `checkpoints/`.
  ///   - scores: logprobs under policies that do not change.
  public init(
    _ policy: Policy, data: any TrainingData, order: DataOrder, settings: TrainingSettings, scores: TrainingScores,
    directory: String, observer: any TrainingObserver
  ) throws {
    self.policy = policy
    self.data = data
    self.order = order
    self.settings = settings
    self.scores = scores
    self.observer = observer
    optimiser = AdamW(count: policy.parameterCount, settings: settings.optimiser)
    gradient = policy.makeGradient()
    checkpoints = TrainingCheckpoints(directory: directory + "/checkpoints")
    state =
      try checkpoints.restore(policy: policy, optimiser: optimiser) ?? TrainingState(kl: settings.kl)
    metrics = try MetricsFile(path: directory + "/metrics.jsonl", keeping: state.metricsBytes)
  }

  /// Trains to the end.
  public func run() throws -> TrainingOutcome {
    var saved = state.update
    func save() throws {
      if saved == state.update, checkpoints.latest != nil { return }
      try metrics.flush()
      state.metricsBytes = metrics.byteCount
      state.optimiserSteps = optimiser.step
      try checkpoints.save(state, policy: policy, optimiser: optimiser)
      saved = state.update
      try observer.didSave(update: state.update)
    }
    while state.update < settings.schedule.total {
      do {
        if let reason = try runUpdate() {
          try save()
          return .stopped(reason)
        }
      } catch is TrainingInterrupted {
        try save()
        return .interrupted
      }
      if settings.checkpointEvery > 0, state.update % settings.checkpointEvery == 0 { try save() }
    }
    try save()
    return .complete
  }

  /// One update; returns why the run must stop.
  private func runUpdate() throws -> String? {
    let clock = ContinuousClock()
    let start = clock.now
    let groups = order.groups(ofUpdate: state.update)
    let prepared = try prepare(groups)
    var computation = UpdateComputation(
      objective: settings.objective, klCoefficient: state.kl.coefficient, scoring: settings.scoring)
    let update = state.update
    computation.willCompute = { [observer] in try observer.willCompute(update: update, forest: $0, of: $1) }
    if settings.verifiesPacking, update == 0 {
      let check = try PackingCheck(
        policy, prepared.batch, prepared.bundles, packing: TreePacking(budget: settings.tokenBudget),
        computation: computation)
      observer.didCheckPacking(check)
      guard check.gradientError <= PackingCheck.limit else {
        return "packed and flattened gradients differ by \(check.gradientError), more than \(PackingCheck.limit)"
      }
    }
    gradient.clear()
    let statistics = try computation.run(policy, prepared.batch, prepared.bundles, gradient: gradient)
    let norm = gradient.withElements { GradientStatistics(UnsafeBufferPointer($0)) }
    let rate = settings.schedule.rate(update: update)
    let notFinite = statistics.notFinite + norm.notFinite
    var findings: [GuardFinding] = []
    if notFinite > 0 {
      state.skipped += 1
      state.skippedInARow += 1
      state.notFinite += notFinite
      findings.append(
        GuardFinding(
          kind: .notFinite, text: "\(notFinite) numbers are not finite: the update is skipped",
          isStop: state.skippedInARow >= settings.guards.skippedInARow))
    } else {
      findings = settings.guards.findings(statistics, gradientNorm: norm.norm, recentNorms: state.recentNorms)
      if !findings.contains(where: \.isStop) {
        let scale = settings.optimiser.maxGradientNorm.map { norm.clipFactor(maxNorm: $0) } ?? 1
        gradient.withElements {
          optimiser.update(policy, gradient: UnsafeBufferPointer($0), scale: scale, learningRate: rate)
        }
        state.skippedInARow = 0
        state.recentNorms = Array((state.recentNorms + [norm.norm]).suffix(TrainingGuards.window))
      }
    }
    for finding in findings { state.warnings[finding.kind.rawValue, default: 0] += 1 }
    let stop = findings.first(where: \.isStop)
    let isApplied = notFinite == 0 && stop == nil
    let coefficient = state.kl.coefficient
    if isApplied, let kl = statistics.trajectoryKL {
      state.kl.observe(kl: kl, trajectories: prepared.batch.multiplicities.reduce(0, +))
    }
    state.update += 1
    state.tokens += statistics.flatTokens
    var list = statistics.metrics(settings.objective, klCoefficient: coefficient)
    list["actor/grad_norm"] = norm.notFinite == 0 ? norm.norm : nil
    list["actor/lr"] = rate
    list["training/applied"] = isApplied ? 1 : 0
    if state.skipped > 0 { list["training/skipped"] = Double(state.skipped) }
    if notFinite > 0 { list["training/not_finite"] = Double(notFinite) }
    list["num_tokens"] = Double(state.tokens)
    list.add(prepared.batch.describe())
    list.add(
      PerformanceMetrics.list(
        tokens: statistics.flatTokens, seconds: (clock.now - start) / .seconds(1)))
    let report = UpdateReport(
      update: state.update, updates: settings.schedule.total,
      epoch: Double(state.update) / Double(order.updatesPerEpoch), metrics: list, findings: findings,
      isApplied: isApplied)
    try metrics.append(report.document)
    try observer.didUpdate(report)
    return stop?.text
  }

  /// Measures the next update and its gradient without taking it.
  public func rehearse() throws -> Rehearsal {
    let clock = ContinuousClock()
    let start = clock.now
    let prepared = try prepare(order.groups(ofUpdate: state.update))
    var computation = UpdateComputation(
      objective: settings.objective, klCoefficient: state.kl.coefficient, scoring: settings.scoring)
    let update = state.update
    computation.willCompute = { [observer] in try observer.willCompute(update: update, forest: $0, of: $1) }
    gradient.clear()
    let statistics = try computation.run(policy, prepared.batch, prepared.bundles, gradient: gradient)
    let norm = gradient.withElements { GradientStatistics(UnsafeBufferPointer($0)) }
    let seconds = (clock.now - start) / .seconds(1)
    var list = statistics.metrics(settings.objective, klCoefficient: state.kl.coefficient)
    list["actor/grad_norm"] = norm.notFinite == 0 ? norm.norm : nil
    list["actor/lr"] = settings.schedule.rate(update: update)
    list.add(prepared.batch.describe())
    list.add(PerformanceMetrics.list(tokens: statistics.flatTokens, seconds: seconds))
    return Rehearsal(
      metrics: list, secondsPerUpdate: seconds, notFinite: statistics.notFinite + norm.notFinite,
      findings: settings.guards.findings(statistics, gradientNorm: norm.norm, recentNorms: []))
  }

  private func prepare(_ groups: [Int]) throws -> (batch: UpdateBatch, bundles: [PackedBundle]) {
    let trees = try groups.map { try data.tree($0) }
    let batch = UpdateBatch(
      trees, objective: settings.objective, proximal: try scores.proximal?.values(of: groups),
      reference: try scores.reference?.values(of: groups), behaviour: try scores.behaviour?.values(of: groups))
    return (batch, try TreePacking(budget: settings.tokenBudget).bundles(trees))
  }
}

/// Logprobs under policies that stay what they are during a run.
public struct TrainingScores {
  /// pi_old; `nil`: the policy itself at each update, gradient stopped.
  public var proximal: ScoreFile?
  /// pi_ref; `nil`: no KL term.
  public var reference: ScoreFile?
  /// mu; `nil`: as logged.
  public var behaviour: ScoreFile?

  /// No scores.
  public init(proximal: ScoreFile? = nil, reference: ScoreFile? = nil, behaviour: ScoreFile? = nil) {
    self.proximal = proximal
    self.reference = reference
    self.behaviour = behaviour
  }
}

extension ScoreFile {
  fileprivate func values(of groups: [Int]) throws -> [[Float]] { try groups.map { try values($0) } }
}

/// What an update would do.
public struct Rehearsal: Sendable {
  /// By name, as in `metrics.jsonl`.
  public var metrics: MetricList
  /// Of this update.
  public var secondsPerUpdate: Double
  /// Logprobs, entropies and gradient elements that are not finite.
  public var notFinite: Int
  /// What is beyond a limit.
  public var findings: [GuardFinding]
}

extension UpdateReport {
  /// The report as a line of `metrics.jsonl`.
  var document: DocumentValue {
    var members: [(String, DocumentValue)] = [("step", .int(update)), ("epoch", .double(epoch))]
    for entry in metrics.entries { members.append((entry.name, .double(entry.value))) }
    if !findings.isEmpty {
      members.append(("warnings", .array(findings.map { .string("\($0.kind.rawValue): \($0.text)") })))
    }
    return .object(members)
  }
}
