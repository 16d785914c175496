import ArgumentParser
import Foundation
import Learner
import Policy

/// How a run trains.
struct LearnTrainingOptions: ParsableArguments {
  @Option(help: "What is trained: a LoRA adapter, or every parameter (full).")
  var train = TrainedPart.lora

  @Option(help: "Start from this PEFT adapter; its rank, alpha and targets hold.")
  var adapter: String?

  @Option(help: "LoRA rank (default: 16).")
  var rank: Int?

  @Option(help: "LoRA alpha (default: 32).")
  var alpha: Double?

  @Option(help: "LoRA targets: all-linear, or names with commas (q_proj,v_proj).")
  var targets: String?

  @Flag(help: "Scale by alpha/sqrt(rank) instead of alpha/rank.")
  var rslora = false

  @Option(help: "Passes over the training groups.")
  var epochs = 1

  @Option(help: "Updates at the most.")
  var maxUpdates: Int?

  @Option(help: "Highest learning rate (default: 1e-5; full: 1e-6).")
  var learningRate: Double?

  @Option(help: "After the warm-up: constant, cosine or linear.")
  var schedule: LearningRateSchedule.Shape = .constant

  @Option(help: "Updates of the warm-up, or a share of all below 1.")
  var warmup = 0.0

  @Option(help: "Learning rate at the end, as a share of the highest.")
  var minLr = 0.0

  @Option(help: "Decoupled weight decay.")
  var weightDecay = 0.01

  @Option(help: "Adam's beta1.")
  var beta1 = 0.9

  @Option(help: "Adam's beta2.")
  var beta2 = 0.999

  @Option(help: "Adam's epsilon.")
  var adamEpsilon = 1e-8

  @Option(help: "Gradients are scaled down to this norm; 0 = never.")
  var maxGradNorm = 1.0

  @Option(help: "Tokens that are computed at once, shared prefixes counted once.")
  var maxTokens = 4096

  @Option(help: ArgumentHelp("Memory that the run may use, such as 8GB or 900MB.", valueName: "bytes"))
  var memory: ByteCount?

  @Option(help: "Seed of order, held-out split and initial adapter.")
  var seed: UInt64 = 0

  @Option(help: "Threads; equal results need equal threads.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  func validate() throws {
    func check(_ condition: Bool, _ text: String) throws { if !condition { throw ValidationError(text) } }
    try check(rank.map { (1...1024).contains($0) } ?? true, "--rank is 1 to 1024")
    try check(alpha.map { $0 > 0 && $0.isFinite } ?? true, "--alpha is above 0")
    try check(epochs > 0, "--epochs is 1 or more")
    try check(maxUpdates.map { $0 > 0 } ?? true, "--max-updates is 1 or more")
    try check(learningRate.map { $0 > 0 && $0.isFinite } ?? true, "--learning-rate is above 0")
    try check((0...1e9).contains(warmup), "--warmup is 0 to 1e9")
    try check((0...1).contains(minLr), "--min-lr is 0 to 1")
    try check(weightDecay >= 0 && weightDecay.isFinite, "--weight-decay is 0 or more")
    try check((0..<1).contains(beta1) && (0..<1).contains(beta2), "--beta1 and --beta2 are 0 or more and less than 1")
    try check(adamEpsilon > 0 && adamEpsilon.isFinite, "--adam-epsilon is above 0")
    try check(maxGradNorm >= 0 && maxGradNorm.isFinite, "--max-grad-norm is 0 or more")
    try check(maxTokens > 0, "--max-tokens is 1 or more")
    try check((1...256).contains(threads), "--threads is 1 to 256")
    if train == .full {
      try check(adapter == nil, "--train full cannot start from an adapter")
      try check(
        rank == nil && alpha == nil && targets == nil && !rslora, "--rank, --alpha, --targets and --rslora are LoRA's")
    }
    if adapter != nil {
      try check(
        rank == nil && alpha == nil && targets == nil && !rslora, "rank, alpha and targets are those of --adapter")
    }
  }

  var optimiser: OptimiserSettings {
    var settings = OptimiserSettings()
    settings.beta1 = beta1
    settings.beta2 = beta2
    settings.epsilon = adamEpsilon
    settings.weightDecay = weightDecay
    settings.maxGradientNorm = maxGradNorm == 0 ? nil : maxGradNorm
    return settings
  }

  func learningRates(updates: Int) -> LearningRateSchedule {
    LearningRateSchedule(
      shape: schedule, peak: learningRate ?? (train == .full ? 1e-6 : 1e-5),
      warmup: warmup < 1 ? Int((warmup * Double(updates)).rounded()) : Int(warmup), total: updates, floor: minLr)
  }

  /// A new adapter's settings.
  func loraSettings(baseModel: String) -> LoRASettings {
    let names = targets.map { $0.split(separator: ",").map(String.init) }
    let chosen: LoRATargets = names.map { $0 == ["all-linear"] ? .allLinear : .names($0) } ?? .names(Self.projections)
    return LoRASettings(
      rank: rank ?? 16, alpha: alpha ?? 32, targets: chosen, usesRSLoRA: rslora, baseModel: baseModel)
  }

  private static let projections = [
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
  ]
}

/// What is trained.
enum TrainedPart: String, CaseIterable, Sendable, ExpressibleByArgument {
  case lora
  case full
}

/// A number of bytes, as `8GB`, `900MB`, `2GiB` or a plain number.
struct ByteCount: Equatable, Sendable, ExpressibleByArgument {
  var bytes: Int

  init?(argument: String) {
    let units: [(String, Double)] = [
      ("gib", 1_073_741_824), ("mib", 1_048_576), ("kib", 1024), ("gb", 1e9), ("mb", 1e6), ("kb", 1e3), ("g", 1e9),
      ("m", 1e6), ("b", 1), ("", 1),
    ]
    let text = argument.lowercased()
    guard let unit = units.first(where: { text.hasSuffix($0.0) }),
      let number = Double(text.dropLast(unit.0.count).trimmingCharacters(in: .whitespaces)), number > 0,
      number * unit.1 < 1e15
    else { return nil }
    bytes = Int(number * unit.1)
  }

  var defaultValueDescription: String { "\(bytes)" }
}
