import Foundation
import Policy

/// Forward and backward passes of a policy with random weights, on the shapes of `peer_torch.py`.
struct PolicyBenchmark {
  enum Case: String, CaseIterable {
    case tiny, qwen05
    case treeTiny = "tree-tiny"
    case treeQwen05 = "tree-qwen05"

    var isLarge: Bool { self == .qwen05 || self == .treeQwen05 }
  }

  /// One timed computation.
  struct Figure: Codable {
    var variant: String
    /// Seconds of a forward and a backward pass, sorted.
    var seconds: [Double]
    /// Median seconds of the forward pass.
    var forward: Double
    /// Tokens of the flattened trajectories.
    var tokens: Int
  }

  struct Result: Codable {
    var figures: [Figure]
    var instructionSet: String
  }

  let shape: Case
  let threads: Int
  let repetitions: Int
  var flattened = true
  /// Bytes for the layers' activations.
  var budget: Int?

  // MARK: Checkpoint

  private var config: [String: Any] {
    var config: [String: Any] = [
      "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-6,
      "max_position_embeddings": 4096, "tie_word_embeddings": true,
      "torch_dtype": shape.isLarge ? "bfloat16" : "float32",
    ]
    let sizes: [String: Any] =
      shape.isLarge
      ? [
        "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "rope_theta": 1_000_000.0,
      ]
      : [
        "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 10_000.0,
      ]
    config.merge(sizes) { $1 }
    return config
  }

  /// Writes a checkpoint of the shape: F32, or BF16 as Qwen2.5-0.5B is published.
  func writeCheckpoint(to folder: String) throws {
    try JSONSerialization.data(withJSONObject: config).write(to: URL(filePath: folder + "/config.json"))
    let config = try PolicyConfig(path: folder + "/config.json")
    let size = shape.isLarge ? 2 : 4
    var header: [String: Any] = [:]
    var end = 0
    for parameter in config.parameters {
      let bytes = parameter.shape.reduce(size, *)
      header[parameter.name] = [
        "dtype": shape.isLarge ? "BF16" : "F32", "shape": parameter.shape, "data_offsets": [end, end + bytes],
      ]
      end += bytes
    }
    let json = try JSONSerialization.data(withJSONObject: header)
    let path = folder + "/model.safetensors"
    try Data().write(to: URL(filePath: path))
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    defer { try? file.close() }
    try withUnsafeBytes(of: UInt64(json.count).littleEndian) { try file.write(contentsOf: Data($0)) }
    try file.write(contentsOf: json)
    var state: UInt64 = 1
    for parameter in config.parameters {
      let isNorm = parameter.name.hasSuffix("norm.weight")
      let count = parameter.shape.reduce(1, *)
      var bytes = Data(capacity: count * size)
      for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        // Uniform with transformers' standard deviation of 0.02.
        let value = isNorm ? 1 : Float(Int32(truncatingIfNeeded: state >> 32)) * Float(0.0346 / 2_147_483_648.0)
        if size == 4 {
          withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        } else {
          withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian) { bytes.append(contentsOf: $0) }
        }
      }
      try file.write(contentsOf: bytes)
    }
  }

  // MARK: Timing

  private struct Batch {
    var variant: String
    var forest: TokenForest
    var nodes: [Int32]
    var tokens: Int
  }

  private func batches(vocabulary: Int) throws -> [Batch] {
    var generator = SystemRandomNumberGenerator()
    func tokens(_ count: Int) -> [Int32] {
      (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &generator) }
    }
    func chains(_ variant: String, _ sequences: [[Int32]], from first: Int) throws -> Batch {
      let forest = try TokenForest(sequences: sequences)
      let nodes = forest.positions.indices.filter { Int(forest.positions[$0]) >= first }.map(Int32.init)
      return Batch(variant: variant, forest: forest, nodes: nodes, tokens: forest.count)
    }
    switch shape {
    case .tiny: return [try chains("batch 4 x 512, all parameters", (0..<4).map { _ in tokens(512) }, from: 1)]
    case .qwen05: return [try chains("batch 1 x 256, LoRA r=16", [tokens(256)], from: 1)]
    case .treeTiny, .treeQwen05:
      let prefix = tokens(384)
      let branches = (0..<8).map { _ in tokens(128) }
      var parents = (0..<384).map { Int32($0) - 1 }
      for branch in 0..<8 { parents += (0..<128).map { Int32($0 == 0 ? 383 : 384 + branch * 128 + $0 - 1) } }
      let packed = try TokenForest(tokens: prefix + branches.flatMap { $0 }, parents: parents)
      let flat = flattened ? [try chains("flattened 8 x 512", branches.map { prefix + $0 }, from: 384)] : []
      return flat + [
        Batch(variant: "packed 384 + 8 x 128", forest: packed, nodes: (384..<1408).map(Int32.init), tokens: 8 * 512)
      ]
    }
  }

  /// PPO-clip with k3 KL, as the peer's loss; what it costs is nothing beside the passes.
  private func slopes(_ logprobs: [Float]) -> [Float] {
    logprobs.map { lp in
      let old = lp + Float.random(in: -0.1...0.1)
      let ref = lp + Float.random(in: -0.1...0.1)
      let advantage = Float.random(in: -1...1)
      let ratio = exp(lp - old)
      let isClipped = advantage > 0 ? ratio > 1.2 : ratio < 0.8
      return ((isClipped ? 0 : -advantage * ratio) + 0.001 * (1 - exp(ref - lp))) / Float(logprobs.count)
    }
  }

  func run(checkpoint folder: String) throws -> Result {
    let checkpoint = try Checkpoint(directory: folder)
    var generator = SystemRandomNumberGenerator()
    var adapter: LoRAAdapter?
    if shape.isLarge {
      var fresh = try LoRAAdapter(
        fresh: LoRASettings(rank: 16, alpha: 32), for: checkpoint.config, using: &generator)
      for module in fresh.modules { fresh.factors[module]?.b.indices.forEach { fresh.factors[module]?.b[$0] = 0.001 } }
      adapter = fresh
    }
    let model = try PolicyModel(
      checkpoint, adapter: adapter, training: shape.isLarge ? .adapter : .everything, threads: threads)
    adapter = nil
    let gradients = GradientBuffer(zerosLike: model.parameters)
    let clock = ContinuousClock()
    func seconds(_ d: Duration) -> Double { Double(d.components.seconds) + Double(d.components.attoseconds) * 1e-18 }
    var figures: [Figure] = []
    for batch in try batches(vocabulary: checkpoint.config.vocabularySize) {
      var whole: [Double] = []
      var forward: [Double] = []
      for repetition in 0...repetitions {
        gradients.zero()
        let start = clock.now
        let pass = try model.forward(
          batch.forest, scoring: batch.nodes, options: .init(keepsForBackward: true, activationBudget: budget))
        let slopes = slopes(pass.logprobs)
        let middle = clock.now
        try pass.backward(logprobGradients: slopes, into: gradients)
        if repetition > 0 {
          whole.append(seconds(clock.now - start))
          forward.append(seconds(middle - start))
        }
      }
      figures.append(
        Figure(
          variant: batch.variant, seconds: whole.sorted(), forward: forward.sorted()[forward.count / 2],
          tokens: batch.tokens))
    }
    return Result(figures: figures, instructionSet: "\(model.instructionSet)")
  }
}
