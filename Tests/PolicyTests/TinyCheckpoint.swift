import Foundation
import TestSupport

@testable import Policy

/// A small random checkpoint on disk, in any family and dialect that a test asks for.
struct TinyCheckpoint {
  let folder = try! TemporaryFolder()
  var config: [String: Any] = [
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": 20,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "hidden_act": "silu", "rope_theta": 10000.0,
    "max_position_embeddings": 64,
  ]

  func writeConfig() throws {
    let json = try JSONSerialization.data(withJSONObject: config)
    try folder.write(json, "config.json")
  }

  /// Writes the config and random weights for it.
  @discardableResult
  func write(seed: UInt64 = 1, type: ElementType = .f32) throws -> String {
    try writeConfig()
    let shape = try PolicyConfig(path: folder.path("config.json"))
    try SafetensorsWriter.write(Self.tensors(shape, seed: seed, type: type), to: folder.path("model.safetensors"))
    return folder.url.path
  }

  static func tensors(_ config: PolicyConfig, seed: UInt64, type: ElementType = .f32) -> [SafetensorsWriter.Tensor] {
    var generator = SeededGenerator(seed: seed)
    return config.parameters.map { parameter in
      let count = parameter.shape.reduce(1, *)
      let floats = (0..<count).map { _ in Float.random(in: -0.5...0.5, using: &generator) }
      return SafetensorsWriter.Tensor(parameter.name, type, shape: parameter.shape, floats: floats)
    }
  }
}

/// A safetensors file from header text and data, as nobody's writer would make it.
func rawSafetensors(_ header: String, data: Int = 0, announced: UInt64? = nil) -> Data {
  var bytes = Data()
  withUnsafeBytes(of: (announced ?? UInt64(header.utf8.count)).littleEndian) { bytes.append(contentsOf: $0) }
  bytes.append(contentsOf: header.utf8)
  bytes.append(Data(repeating: 7, count: data))
  return bytes
}

/// The error that a body throws.
func policyError(_ body: () throws -> Void) -> PolicyError? {
  do { try body() } catch { return error as? PolicyError }
  return nil
}
