import AdaptiveRollout
import Sampling
import Foundation
public import Policy
import Replay

/// A small Llama of the demonstration's own making, as a Hugging Face folder.
public enum TinyCheckpoint {
  static let maxPositions = 256

  /// The shape: about 140 000 parameters.
  public static let config = PolicyConfig(
    family: .llama, hiddenSize: 64, layerCount: 2, headCount: 4, keyValueHeadCount: 2, headDimension: 16,
    intermediateSize: 160, vocabularySize: TaskVocabulary.size, rmsNormEpsilon: 1e-5, tiesEmbeddings: true,
    hasQKVBias: false, hasOutputBias: false, hasMLPBias: false, hasQKNorm: false, rope: RoPESettings(theta: 10_000),
    maxPositions: maxPositions)

  /// Writes config, random weights and tokenizer.
  ///
  /// Matrices are normal with deviation 1 / sqrt(input), embeddings 1 / sqrt(hidden) (they are the head's rows too), norms 1.
  public static func write(to folder: String, seed: UInt64) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var random = SeededRandom(seed: seed, stream: "weights")
    let tensors = config.parameters.map { parameter in
      let count = parameter.shape.reduce(1, *)
      let deviation = 1 / Double(parameter.shape.last ?? 1).squareRoot()
      let values: [Float] =
        parameter.shape.count == 1
        ? [Float](repeating: 1, count: count) : (0..<count).map { _ in Float(deviation * random.normal()) }
      return SafetensorsWriter.Tensor(parameter.name, shape: parameter.shape, floats: values)
    }
    for (name, text) in [
      ("config.json", configJSON), ("generation_config.json", generationJSON),
      ("tokenizer.json", TaskVocabulary.tokenizerJSON), ("tokenizer_config.json", TaskVocabulary.tokenizerConfigJSON),
    ] {
      try Data((text + "\n").utf8).write(to: URL(filePath: folder).appending(path: name), options: .atomic)
    }
    try SafetensorsWriter.write(tensors, to: folder + "/model.safetensors")
  }

  private static var configJSON: String {
    DocumentValue.object([
      ("architectures", .array([.string("LlamaForCausalLM")])), ("model_type", .string("llama")),
      ("hidden_act", .string("silu")), ("hidden_size", .int(config.hiddenSize)),
      ("intermediate_size", .int(config.intermediateSize)), ("num_hidden_layers", .int(config.layerCount)),
      ("num_attention_heads", .int(config.headCount)), ("num_key_value_heads", .int(config.keyValueHeadCount)),
      ("head_dim", .int(config.headDimension)), ("vocab_size", .int(config.vocabularySize)),
      ("max_position_embeddings", .int(maxPositions)), ("rms_norm_eps", .double(1e-5)), ("rope_theta", .double(10_000)),
      ("attention_bias", .bool(false)), ("mlp_bias", .bool(false)), ("tie_word_embeddings", .bool(true)),
      ("torch_dtype", .string("float32")), ("bos_token_id", .null),
      ("eos_token_id", .int(Int(TaskVocabulary.endOfText))),
    ]).json
  }

  private static var generationJSON: String {
    DocumentValue.object([("eos_token_id", .int(Int(TaskVocabulary.endOfText)))]).json
  }
}
