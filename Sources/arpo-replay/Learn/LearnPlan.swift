import ArgumentParser
import Foundation
import Learner
import Policy
import Replay
import RolloutStore

/// A run worked out before it begins: its policies, its updates, its memory.
struct LearnPlan {
  typealias ScoringProgress = (_ policy: String, _ group: Int, _ count: Int) -> Void

  let objective: Objective
  let order: DataOrder
  let updates: Int
  let memory: MemoryPlan
  let temperature: Double
  let attributionFormula: String?
  private(set) var warnings: [String] = []

  private let run: LearnRun
  private let loader: PolicyLoader
  private let adapter: LoRAAdapter?
  private let set: TrainingSet
  private let digests: PolicyDigests

  /// - Parameter interruption: ends the reading of the policies.
  init(_ run: LearnRun, _ set: TrainingSet, _ interruption: Interruption) throws {
    self.run = run
    self.set = set
    let training = run.training
    let counts = set.counts
    attributionFormula = set.attributionFormula
    objective = run.loss.objective(horizon: counts.longestResponse)
    order = DataOrder(
      count: set.count, batch: run.data.batchGroups, seed: training.seed, isShuffled: !run.data.noShuffle)
    updates = min(training.epochs * order.updatesPerEpoch, training.maxUpdates ?? .max)

    if let given = run.loss.temperature {
      temperature = given
    } else if counts.temperatures.count == 1, let only = counts.temperatures.first {
      temperature = only
    } else {
      let all = counts.temperatures.sorted().map { "\($0)" }.joined(separator: ", ")
      throw LearnerError(
        "the runs' logprobs are of different temperatures (\(all)): choose among them with --run"
          + (run.loss.needsLogged ? "" : ", or a temperature with --temperature"))
    }
    warnings += try Self.judgeLog(run, counts, temperature)

    loader = try PolicyLoader(run.policy, threads: training.threads)
    digests = try PolicyDigests(run, loader, hasReference: objective.kl != nil) {
      if interruption.isRequested { throw TrainingInterrupted() }
    }
    let config = loader.checkpoint.config
    guard Int(counts.largestToken) < config.vocabularySize else {
      throw LearnerError(
        """
        the log has token id \(counts.largestToken), the policy knows \(config.vocabularySize) ids: the log was made with \
        another tokenizer
        """)
    }
    if counts.longestPath > config.maxPositions {
      warnings.append(
        "the longest path has \(counts.longestPath) tokens, the policy was made for \(config.maxPositions)")
    }
    switch training.train {
    case .full: adapter = nil
    case .lora:
      if let folder = training.adapter {
        adapter = try loader.adapter(folder)
      } else {
        var random = SeededStream(seed: training.seed, stream: "lora")
        adapter = try LoRAAdapter(
          fresh: training.loraSettings(baseModel: run.policy), for: config, using: &random)
      }
    }
    if let rank = adapter?.settings.rank, rank > 16 {
      warnings.append("vLLM's --max-lora-rank is 16 unless told otherwise; this adapter has \(rank)")
    }
    let trained =
      adapter.map { a in a.factors.values.reduce(0) { $0 + $1.a.count + $1.b.count } }
      ?? config.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    memory = try MemoryPlan(
      config: config, stored: loader.checkpoint.byteCount, trained: trained, rank: adapter?.settings.rank ?? 0,
      trainsEverything: adapter == nil,
      limit: training.memory?.bytes ?? Int(Double(ProcessInfo.processInfo.physicalMemory) * 0.8),
      wanted: training.maxTokens, longest: counts.longestPath)
    if memory.tokens < training.maxTokens {
      warnings.append(
        "forests have at most \(memory.tokens) tokens instead of \(training.maxTokens), to fit the memory")
    }
    if run.loss.policyLoss.weighting != .none, run.loss.behaviour == .start {
      warnings.append("the starting policy is taken for the one that wrote the log: importance weights say nothing")
    }
  }

  /// What to know of a policy trained on this log.
  ///
  /// - Throws: where the logged logprobs are those of another temperature.
  private static func judgeLog(
    _ run: LearnRun, _ counts: TrainingSet.Counts, _ temperature: Double
  ) throws -> [String] {
    let sampled = try LogSampling.runs(Store.open(run.database, for: .reading), counts.runs)
    if run.loss.needsLogged, let conflict = sampled.lazy.compactMap({ $0.conflict(with: temperature) }).first {
      throw LearnerError(
        conflict + ": leave --temperature out, or say --behaviour recompute:DIR with the policy that wrote the log")
    }
    let isWeighed = run.loss.needsBehaviour && run.loss.behaviour != .start
    let divisor: LogSampling.Divisor = run.loss.needsLogged ? .logged : isWeighed ? .computed : .none
    return sampled.flatMap { $0.caveats(divisor, temperature: temperature) }
  }

  func scoring(_ interruption: Interruption) -> ScoringOptions {
    var options = ScoringOptions(temperature: temperature, entropies: true)
    options.interruption = { if interruption.isRequested { throw TrainingInterrupted() } }
    return options
  }

  func trainedModel() throws -> PolicyModel {
    try loader.model(adapter, training: adapter == nil ? .everything : .adapter)
  }

  /// The policy before the first update, to be scored with.
  private func startModel() throws -> PolicyModel {
    // A new adapter changes nothing, and without one the base is faster.
    try loader.model(run.training.adapter == nil ? nil : adapter)
  }

  var behaviourText: String {
    guard run.loss.needsBehaviour else { return run.loss.behaviour == .none ? "none" : "not needed" }
    return
      switch run.loss.behaviour
    {
    case .logged: "as logged"
    case .recompute(let folder): "recomputed with \(folder)"
    case .start: "the starting policy"
    case .none: "none"
    }
  }

  /// Logprobs under the policies that do not change, each computed once and kept in the run's folder.
  func scores(
    _ data: any TrainingData, in folder: String, _ interruption: Interruption, progress: @escaping ScoringProgress
  ) throws -> TrainingScores {
    var out = TrainingScores()
    let directory = folder + "/scores"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    func file(
      _ name: String, _ what: String, _ digest: String?, _ model: () throws -> PolicyModel
    ) throws -> ScoreFile {
      let path = directory + "/" + name
      let identity = ScoreIdentity(
        policy: [digest, digests.policy].compactMap { $0 }.joined(separator: "+"), data: set.hash,
        temperature: temperature)
      if let done = try? ScoreFile(path: path), done.count == data.count, done.identity == identity.text { return done }
      do {
        try ScoreFile.write(
          path, identity, policy: model(), data: data, tokenBudget: memory.tokens, scoring: scoring(interruption)
        ) { group in
          if interruption.isRequested { throw TrainingInterrupted() }
          progress(what, group, data.count)
        }
      } catch is NotFiniteScore {
        throw LearnerError("the \(what) gives a logprob that is not finite")
      }
      progress(what, data.count, data.count)
      return try ScoreFile(path: path)
    }
    func start() throws -> ScoreFile { try file("start.scores", "starting policy", digests.adapter, startModel) }
    if run.loss.needsProximal { out.proximal = try start() }
    if objective.kl != nil {
      switch run.loss.reference {
      case "start": out.reference = try start()
      case "base":
        out.reference =
          run.training.adapter == nil ? try start() : try file("base.scores", "checkpoint", nil) { try loader.model() }
      case let other:
        out.reference = try file("reference.scores", "reference policy", digests.reference) { try loader.other(other) }
      }
    }
    if run.loss.needsBehaviour {
      switch run.loss.behaviour {
      case .start: out.behaviour = try start()
      case .recompute(let other):
        out.behaviour = try file("behaviour.scores", "behaviour policy", digests.behaviour) { try loader.other(other) }
      case .logged, .none: break
      }
    }
    return out
  }

  /// Writes what was trained, and the files that belong to it.
  func writePolicy(_ model: PolicyModel, to folder: String) throws {
    if let adapter = model.adapter {
      try adapter.write(to: folder)
      for name in Self.tokenizerFiles {
        let source = loader.checkpoint.directory + "/" + name
        guard FileManager.default.fileExists(atPath: source) else { continue }
        try AtomicFile.write(Array(Data(contentsOf: URL(filePath: source))), to: folder + "/" + name)
      }
    } else {
      try loader.checkpoint.write(to: folder) { (name) throws(PolicyError) in model.parameters.values(of: name) }
    }
  }

  private static let tokenizerFiles = Checkpoint.companions.filter {
    !["config.json", "generation_config.json"].contains($0)
  }
}

extension LearnPlan {
  var record: LearnerRunRecord {
    LearnerRunRecord(
      directory: URL(filePath: run.out).standardizedFileURL.path, policy: run.policy, adapter: run.training.adapter,
      attribution: run.loss.needsAdvantages ? run.data.attribution : nil, loss: run.loss.loss, seed: run.training.seed,
      options: DocumentValue.object(manifest.options).json, dataHash: set.hash, updates: updates)
  }

  var manifest: LearnManifest {
    let (data, loss, training) = (run.data, run.loss, run.training)
    let lora = adapter?.settings
    let clip = loss.policyLoss
    let options: [(String, DocumentValue)] = [
      ("policy", .string(run.policy)), ("adapter", .text(training.adapter)), ("run", .strings(data.selected.runs)),
      ("group", .strings(data.selected.groups)), ("step", .integer(data.selected.step)),
      ("where", .text(data.condition)),
      ("attribution", .text(loss.needsAdvantages ? data.attribution : nil)),
      ("min_evidence", .string(data.minEvidence.rawValue)), ("keep_degenerate", .bool(data.keepDegenerate)),
      ("held_out", .double(data.heldOut)), ("batch_groups", .int(data.batchGroups)),
      ("shuffle", .bool(!data.noShuffle)), ("loss", .string(clip.name)), ("clip_low", .number(loss.clipLow)),
      ("clip_high", .number(loss.clipHigh)), ("clip_c", .double(loss.clipC)),
      ("behaviour", .string(loss.behaviour.defaultValueDescription)), ("proximal", .string(loss.proximal.rawValue)),
      ("weights", .string(loss.weights.rawValue)), ("weight_cap", .double(loss.weightCap)),
      ("weight_band", .text(loss.weightBand?.defaultValueDescription)), ("weight_veto", .number(loss.weightVeto)),
      ("normalise_weights", .bool(loss.normaliseWeights)), ("shared", .string(loss.shared.rawValue)),
      ("aggregation", .string(objective.aggregation.rawValue)), ("horizon", .double(objective.horizon)),
      ("kl", .string(objective.kl?.rawValue ?? "none")), ("kl_coef", .double(loss.klCoef)),
      ("kl_target", .number(loss.klTarget)), ("kl_horizon", .double(loss.klHorizon)),
      ("kl_correction", .bool(loss.klCorrection)), ("reference", .string(loss.reference)),
      ("entropy_coef", .double(loss.entropyCoef)), ("temperature", .double(temperature)),
      ("train", .string(training.train.rawValue)), ("rank", .integer(lora?.rank)), ("alpha", .number(lora?.alpha)),
      ("targets", lora.map { .string($0.targets.text) } ?? .null),
      ("rslora", lora.map { .bool($0.usesRSLoRA) } ?? .null),
      ("epochs", .int(training.epochs)), ("updates", .int(updates)),
      ("learning_rate", .double(training.learningRates(updates: updates).peak)),
      ("schedule", .string(training.schedule.rawValue)), ("warmup", .double(training.warmup)),
      ("min_lr", .double(training.minLr)), ("weight_decay", .double(training.weightDecay)),
      ("beta1", .double(training.beta1)), ("beta2", .double(training.beta2)),
      ("adam_epsilon", .double(training.adamEpsilon)), ("max_grad_norm", .double(training.maxGradNorm)),
      ("tokens_per_forest", .int(memory.tokens)), ("seed", .string("\(training.seed)")),
      ("threads", .int(training.threads)), ("stop_ess", .number(run.stops.stopEss)),
      ("stop_kl", .number(run.stops.stopKl)), ("stop_clip_share", .number(run.stops.stopClipShare)),
      ("stop_grad_spike", .number(run.stops.stopGradSpike)), ("max_skipped", .int(run.stops.maxSkipped)),
      ("data_hash", .string(set.hash)), ("policy_sha256", .string(digests.policy)),
      ("adapter_sha256", .text(digests.adapter)), ("reference_sha256", .text(digests.reference)),
      ("behaviour_sha256", .text(digests.behaviour)), ("instruction_set", .string("\(InstructionSet.best)")),
    ]
    let counts = set.counts
    func tally(_ x: [String: Int]) -> DocumentValue {
      .object(x.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) })
    }
    let facts: [(String, DocumentValue)] = [
      (
        "objective",
        .object([
          ("formula", .string(clip.formula)), ("source", .string(clip.source)),
          ("ratio_against", .string(clip.anchor.rawValue)),
          ("divisor", .string("tokens and trajectories before any masking by importance weights")),
          ("attribution", .text(attributionFormula)), ("behaviour", .string(behaviourText)),
        ])
      ),
      (
        "data",
        .object([
          ("database", .string(run.database)), ("groups_train", .int(counts.groups[.train] ?? 0)),
          ("groups_held_out", .int(counts.groups[.heldOut] ?? 0)), ("groups_dropped", tally(counts.dropped)),
          ("trajectories_train", .int(counts.trainTrajectories)), ("trajectories_left_out", tally(counts.leftOut)),
          ("tokens_trained", .int(counts.trainedTokens)), ("tokens_unique", .int(counts.uniqueTokens)),
          ("tokens_flat", .int(counts.flatTokens)), ("longest_path", .int(counts.longestPath)),
          ("held_out_by", .string("hash of seed, run and group")), ("notes", .array(warnings.map { .string($0) })),
        ])
      ),
      (
        "versions",
        .object([
          ("arpo_replay", .string(ArpoReplay.configuration.version)),
          ("schema", .int(Store.schemaVersion)),
        ])
      ),
      (
        "memory",
        .object([
          ("weights", .int(memory.weights)), ("training", .int(memory.training)), ("working", .int(memory.working)),
          ("activations", .int(memory.activations)),
        ])
      ),
    ]
    return LearnManifest(options: options, facts: facts)
  }
}

extension DocumentValue {
  fileprivate static func strings(_ x: [String]) -> DocumentValue { .array(x.map { .string($0) }) }
}

extension LoRATargets {
  fileprivate var text: String {
    switch self {
    case .names(let names): names.joined(separator: ",")
    case .pattern(let pattern): pattern
    case .allLinear: "all-linear"
    }
  }
}
