import Foundation
import RolloutLogs
import Testing

@testable import Policy

@Suite("config.json")
struct PolicyConfigTests {
  static let llama =
    #""model_type":"llama","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":48,"vocab_size":99"#

  func config(_ text: String) throws -> PolicyConfig {
    try PolicyConfig.read(try JSONValue(parsing: "{\(text)}"))
  }

  @Test("both dialects say the same")
  func dialects() throws {
    let scaling =
      #""rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":64"#
    let old = try config(Self.llama + #","rope_theta":500000.0,"torch_dtype":"bfloat16","rope_scaling":{\#(scaling)}"#)
    let new = try config(Self.llama + #","dtype":"bfloat16","rope_parameters":{"rope_theta":500000.0,\#(scaling)}"#)
    #expect(old == new)
    #expect(
      old.rope.scaling == .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 64))
    #expect(try config(Self.llama + #","rope_theta":3e5,"rope_scaling":null"#).rope == RoPESettings(theta: 3e5))
    #expect(
      try config(Self.llama + #","rope_scaling":{"type":"linear","factor":2.0}"#).rope.scaling == .linear(factor: 2))
    #expect(try config(Self.llama + #","rope_parameters":{"rope_theta":7.0}"#).rope == RoPESettings(theta: 7))
  }

  @Test("defaults and family rules")
  func defaults() throws {
    let llama = try config(Self.llama)
    #expect(llama.keyValueHeadCount == 4 && llama.headDimension == 8 && llama.rope.theta == 10_000)
    #expect(llama.rmsNormEpsilon == 1e-6 && !llama.tiesEmbeddings && !llama.hasQKVBias && !llama.hasMLPBias)
    let biased = try config(
      Self.llama + #","attention_bias":true,"mlp_bias":true,"head_dim":null,"num_key_value_heads":null"#)
    #expect(biased.hasQKVBias && biased.hasOutputBias && biased.hasMLPBias && biased.headDimension == 8)
    let qwen2 = try config(Self.llama.replacing("llama", with: "qwen2"))
    #expect(qwen2.hasQKVBias && !qwen2.hasOutputBias && !qwen2.hasQKNorm)
    let qwen3 = try config(Self.llama.replacing("llama", with: "qwen3"))
    #expect(qwen3.hasQKNorm && !qwen3.hasQKVBias && qwen3.headDimension == 128)
  }

  @Test(
    "what the engine does not compute is refused by name",
    arguments: [
      (#""hidden_act":"gelu""#, "hidden_act = 'gelu'"),
      (#""use_sliding_window":true"#, "use_sliding_window"),
      (#""layer_types":["full_attention","sliding_attention"]"#, "'sliding_attention'"),
      (#""rope_scaling":{"rope_type":"yarn","factor":4.0}"#, "'yarn'"),
      (#""rope_scaling":{"type":"dynamic","factor":4.0}"#, "'dynamic'"),
      (#""rope_scaling":{"factor":4.0}"#, "without a name"),
      (#""rope_parameters":{"full_attention":{"rope_type":"yarn","factor":4.0},"factor":1}"#, "without a name"),
      (#""partial_rotary_factor":0.5"#, "partial_rotary_factor"),
      (#""quantization_config":{"quant_method":"gptq"}"#, "'gptq'"),
      (#""num_experts":8"#, "num_experts"),
      (#""architectures":["LlamaForSequenceClassification"]"#, "LlamaForSequenceClassification"),
      (#""head_dim":7"#, "odd head_dim"),
    ])
  func refused(_ extra: String, name: String) {
    let error = policyError { _ = try config(Self.llama + "," + extra) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(name) == true, "\(String(describing: error))")
  }

  @Test(
    "other models are refused by name",
    arguments: ["qwen2_moe", "qwen3_moe", "mistral", "gemma2", "gpt2", "deepseek_v3", "mixtral", "qwen2_vl"])
  func otherModels(_ type: String) {
    let error = policyError { _ = try config(Self.llama.replacing("\"llama\"", with: "\"\(type)\"")) }
    #expect(error?.message.contains("'\(type)'") == true)
  }

  @Test(
    "wrong values are refused",
    arguments: [
      #""hidden_size":0"#, #""hidden_size":-8"#, #""hidden_size":"32""#, #""hidden_size":1e3"#, #""vocab_size":9e18"#,
      #""vocab_size":9223372036854775807"#, #""num_key_value_heads":3"#, #""rms_norm_eps":-1"#, #""rms_norm_eps":NaN"#,
      #""rope_theta":0"#, #""rope_theta":Infinity"#, #""tie_word_embeddings":1"#, #""hidden_size":30"#,
      #""rope_scaling":7"#, #""rope_scaling":{"type":"linear"}"#, #""rope_scaling":{"type":"linear","factor":0}"#,
      #""rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":64}"#,
    ])
  func malformed(_ wrong: String) {
    let key = String(wrong.dropFirst().prefix { $0 != "\"" })
    let rest = Self.llama.split(separator: ",").filter { !$0.hasPrefix("\"\(key)\"") }.joined(separator: ",")
    #expect(policyError { _ = try config("\(rest),\(wrong)") }?.code == .malformed)
  }

  @Test("missing sizes are named")
  func missing() {
    for key in ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"] {
      let rest = Self.llama.split(separator: ",").filter { !$0.contains(key) }.joined(separator: ",")
      #expect(policyError { _ = try config(rest) }?.message == "has no \(key)")
    }
  }
}
