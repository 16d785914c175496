import Demonstration
import Foundation
import Policy
import Replay
import Rollouts
import Sampling

/// One demonstration: for each seed a start, a log, and an update by every strategy, all kept in a folder.
struct DemonstrationRun {
  let folder: String
  let scale: DemonstrationScale
  let strategies: [String]
  let threads: Int
  /// More options of `learn`, behind those of the demonstration, which they overrule.
  let learnOptions: [String]
  let interruption: Interruption

  /// Mean reward of fresh responses.
  struct Reward: Sendable {
    /// Mean over the two kinds of questions of the mean over their questions.
    var all: Double
    /// Of questions that the log has, and that it does not have.
    var seen: Double
    var unseen: Double
  }

  /// What came of one seed.
  struct Outcome: Sendable {
    var seed: UInt64
    /// Mean reward of the log's rollouts, and how many of them branched off another.
    var logged: Double
    var rollouts: Int
    var branches: Int
    var before: Reward
    /// By strategy.
    var after: [Reward]
    /// By strategy, the first one whose adapter is the same byte for byte.
    var sameAs: [Int?]
  }

  func outcomes(say: (String) -> Void) throws -> [Outcome] {
    try (0..<scale.seeds).map { try outcome(seed: scale.firstSeed &+ UInt64($0), say: say) }
  }

  private func outcome(seed: UInt64, say: (String) -> Void) throws -> Outcome {
    let home = "\(folder)/seed-\(seed)"
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    let commands = OwnCommands(folder: home, interruption: interruption)
    let task = ToolTask(seed: seed)

    say("seed \(seed): a checkpoint and its supervised start")
    try TinyCheckpoint.write(to: home + "/untrained", seed: seed)
    let examples = FormatExamples().records(task, count: scale.examples, seed: seed)
    var run = RunRecord(runID: "examples")
    run.vocabSize = TaskVocabulary.size
    try write(
      [NativeLogWriter.line(run)] + examples.groups.map(NativeLogWriter.line)
        + examples.examples.map(NativeLogWriter.line), to: home + "/examples.jsonl")
    try commands.run(["import", "examples.db", "examples.jsonl", "--quiet"], log: "import-examples.log")
    try commands.run(
      [
        "learn", "examples.db", "--policy", "untrained", "--out", "start", "--loss", "sft", "--train", "full",
        "--keep-degenerate", "--kl", "none", "--held-out", "0", "--batch-groups", "64", "--epochs",
        "\(scale.exampleEpochs)",
        "--learning-rate", "3e-3", "--schedule", "cosine", "--warmup", "0.05", "--weight-decay", "0", "--seed",
        "\(seed)",
        "--threads", "\(threads)", "--quiet",
      ], log: "start.log")

    say("seed \(seed): branched rollouts")
    let start = try PolicyModel(try Checkpoint(directory: home + "/start"), threads: threads)
    let sampler = TaskSampler(task, PolicySource(start))
    let questions = logged(task, seed: seed)
    let summary = try writeLog(sampler, questions, seed: seed, to: home + "/rollouts.jsonl")
    try commands.run(["import", "runs.db", "rollouts.jsonl", "--quiet"], log: "import-rollouts.log")
    say("seed \(seed): fresh responses before")
    let before = try reward(sampler, task, questions, seed: seed)

    var after: [Reward] = []
    var adapters: [Data] = []
    for strategy in strategies {
      let name = strategy.replacingOccurrences(of: ":", with: "-")
      say("seed \(seed): \(strategy)")
      // One log has to carry the whole way, so the clip range against the start is wider than for fresh rollouts.
      try commands.run(
        [
          "learn", "runs.db", "--policy", "start", "--attribution", strategy, "--out", name, "--loss", "decoupled",
          "--clip-low", "0.5", "--clip-high", "1",
          "--rank", "8",
          "--alpha", "16", "--held-out", "0", "--batch-groups", "8", "--epochs", "\(scale.epochs)", "--learning-rate",
          "\(scale.learningRate)", "--kl-coef", "0.01", "--weight-decay", "0", "--seed", "\(seed)", "--threads",
          "\(threads)", "--quiet",
        ] + learnOptions, log: name + ".log")
      let checkpoint = try Checkpoint(directory: home + "/start")
      let adapter = try LoRAAdapter(directory: "\(home)/\(name)", for: checkpoint.config)
      let policy = try PolicyModel(checkpoint, adapter: adapter, threads: threads)
      after.append(try reward(TaskSampler(task, PolicySource(policy)), task, questions, seed: seed))
      adapters.append(try Data(contentsOf: URL(filePath: "\(home)/\(name)/adapter_model.safetensors")))
      if interruption.isRequested { throw ExitStatus.interrupted.code }
    }
    return Outcome(
      seed: seed, logged: summary.mean, rollouts: summary.rollouts, branches: summary.branches, before: before,
      after: after, sameAs: adapters.indices.map { i in adapters[..<i].firstIndex(of: adapters[i]) })
  }

  /// The questions of the log: as many of each kind.
  private func logged(_ task: ToolTask, seed: UInt64) -> [TaskQuestion] {
    task.questions(scale.groups, seed: seed)
  }

  private func writeLog(
    _ sampler: TaskSampler, _ questions: [TaskQuestion], seed: UInt64, to path: String
  ) throws -> (mean: Double, rollouts: Int, branches: Int) {
    let log = BranchedLog(sampler, rollouts: scale.rollouts, initialRollouts: scale.initialRollouts)
    var lines = [NativeLogWriter.line(log.run(id: "demonstration", model: "tiny"))]
    var (sum, rollouts, branches) = (0.0, 0, 0)
    for (i, question) in questions.enumerated() {
      let (group, trajectories) = try log.sample(question, group: "q\(i)", step: 1, seed: seed)
      lines.append(NativeLogWriter.line(group))
      for trajectory in trajectories {
        lines.append(NativeLogWriter.line(trajectory))
        sum += trajectory.reward ?? 0
        rollouts += 1
        branches += trajectory.parentID == nil ? 0 : 1
      }
    }
    lines.append(NativeLogWriter.end(trajectories: rollouts))
    try write(lines, to: path)
    return (sum / Double(max(1, rollouts)), rollouts, branches)
  }

  private func write(_ lines: [String], to path: String) throws {
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path), options: .atomic)
  }

  private func reward(
    _ sampler: TaskSampler, _ task: ToolTask, _ logged: [TaskQuestion], seed: UInt64
  ) throws -> Reward {
    // Equal seeds before and after: the same draws meet two policies.
    let rewards = try sampler.rewards(on: task.questions, count: scale.samples, seed: seed &* 1_000_003)
    let seen = Set(logged)
    func mean(_ keep: (TaskQuestion) -> Bool) -> Double {
      let kinds = TaskQuestion.Kind.allCases.compactMap { kind -> Double? in
        let kept = task.questions.indices.filter { task.questions[$0].kind == kind && keep(task.questions[$0]) }
        return kept.isEmpty ? nil : kept.reduce(0) { $0 + rewards[$1] } / Double(kept.count)
      }
      return kinds.reduce(0, +) / Double(max(1, kinds.count))
    }
    return Reward(all: mean { _ in true }, seen: mean { seen.contains($0) }, unseen: mean { !seen.contains($0) })
  }
}
