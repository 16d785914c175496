import Foundation
import TestSupport
import Testing

@testable import Policy

@Suite("checkpoint folders")
struct CheckpointTests {
  @Test("a folder opens; the tensors are the config's")
  func opens() throws {
    let tiny = TinyCheckpoint()
    let checkpoint = try Checkpoint(directory: try tiny.write())
    #expect(checkpoint.names.count == checkpoint.config.parameters.count)
    #expect(checkpoint.unusedNames.isEmpty)
    #expect(try checkpoint.tensor(named: "model.layers.1.mlp.up_proj.weight").shape == [12, 8])
    #expect(policyError { _ = try checkpoint.tensor(named: "x") }?.code == .mismatch)
  }

  @Test("tied embeddings: a head in the file is not used; buffers are left alone")
  func tied() throws {
    var tiny = TinyCheckpoint()
    tiny.config["tie_word_embeddings"] = true
    try tiny.write()
    let config = try PolicyConfig(path: tiny.folder.path("config.json"))
    var tensors = TinyCheckpoint.tensors(config, seed: 2)
    tensors.append(.init("lm_head.weight", shape: [20, 8], floats: [Float](repeating: 1, count: 160)))
    tensors.append(.init("model.layers.0.self_attn.rotary_emb.inv_freq", shape: [2], floats: [1, 1]))
    try SafetensorsWriter.write(tensors, to: tiny.folder.path("model.safetensors"))
    let checkpoint = try Checkpoint(directory: tiny.folder.url.path)
    #expect(checkpoint.unusedNames == ["lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"])
  }

  @Test("config and weights that do not fit are refused, naming the tensor")
  func mismatches() throws {
    var tiny = TinyCheckpoint()
    try tiny.write()
    func error(_ key: String, _ value: Any) throws -> PolicyError? {
      var other = tiny
      other.config[key] = value
      try other.writeConfig()
      return policyError { _ = try Checkpoint(directory: tiny.folder.url.path) }
    }
    #expect(try error("vocab_size", 21)?.message.contains("'model.embed_tokens.weight' is [20, 8]") == true)
    #expect(try error("num_hidden_layers", 3)?.message.contains("'model.layers.2.input_layernorm.weight'") == true)
    #expect(try error("num_hidden_layers", 1 << 28)?.message.contains("268435456 layers") == true)
    #expect(try error("num_hidden_layers", 1)?.message.contains("'model.layers.1.") == true)
    #expect(try error("attention_bias", true)?.message.contains("q_proj.bias") == true)
    // An untied head beside a config that ties is only unused.
    #expect(try error("tie_word_embeddings", true) == nil)
    tiny.config["attention_bias"] = true
    try tiny.write()
    #expect(try error("attention_bias", false)?.message.contains("_proj.bias") == true)
    let tensors = TinyCheckpoint.tensors(try PolicyConfig(path: tiny.folder.path("config.json")), seed: 1, type: .f32)
    let integers = tensors.map { tensor in
      SafetensorsWriter.Tensor(tensor.name, .i32, shape: tensor.shape) { () throws(PolicyError) in
        .bytes([UInt8](repeating: 0, count: 4 * tensor.shape.reduce(1, *)))
      }
    }
    try SafetensorsWriter.write(integers, to: tiny.folder.path("model.safetensors"))
    #expect(policyError { _ = try Checkpoint(directory: tiny.folder.url.path) }?.message.contains("I32") == true)
  }

  func sharded() throws -> TinyCheckpoint {
    let tiny = TinyCheckpoint()
    try tiny.writeConfig()
    let tensors = TinyCheckpoint.tensors(
      try PolicyConfig(path: tiny.folder.path("config.json")), seed: 3, type: .bf16)
    var map: [String: String] = [:]
    for (i, part) in [tensors[..<7], tensors[7...]].enumerated() {
      let name = "model-0000\(i + 1)-of-00002.safetensors"
      try SafetensorsWriter.write(Array(part), to: tiny.folder.path(name))
      for tensor in part { map[tensor.name] = name }
    }
    try index(tiny, map)
    return tiny
  }

  func index(_ tiny: TinyCheckpoint, _ map: [String: Any]) throws {
    let json: [String: Any] = ["metadata": ["total_size": 1], "weight_map": map]
    try tiny.folder.write(try JSONSerialization.data(withJSONObject: json), "model.safetensors.index.json")
  }

  func map(_ tiny: TinyCheckpoint) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(filePath: tiny.folder.path("model.safetensors.index.json")))
    return try #require(
      (try JSONSerialization.jsonObject(with: data) as? [String: Any])?["weight_map"] as? [String: Any])
  }

  @Test("shards with an index; an index that disagrees with the files is refused")
  func shards() throws {
    let tiny = try sharded()
    let open = { try Checkpoint(directory: tiny.folder.url.path) }
    #expect(try open().names.count == 21)
    var map = try map(tiny)
    let second = try #require(map["model.norm.weight"])
    map["model.embed_tokens.weight"] = second
    try index(tiny, map)
    #expect(policyError { _ = try open() }?.message.contains("index places") == true)
    map["model.embed_tokens.weight"] = "model-00001-of-00002.safetensors"
    map["model.extra"] = second
    try index(tiny, map)
    #expect(policyError { _ = try open() }?.message.contains("'model.extra'") == true)
  }

  @Test(
    "a file name in an index cannot leave the folder",
    arguments: [
      "../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", ".safetensors", ".hidden.safetensors",
      "a\\b.safetensors", "model.safetensors\u{0}", "model.bin", "a b.safetensors", "é.safetensors",
      String(repeating: "a", count: 300) + ".safetensors",
    ])
  func paths(_ name: String) throws {
    let tiny = try sharded()
    var map = try map(tiny)
    map["model.norm.weight"] = name
    try index(tiny, map)
    let error = policyError { _ = try Checkpoint(directory: tiny.folder.url.path) }
    #expect(error?.message.contains("plain name") == true, "\(String(describing: error))")
    map["model.norm.weight"] = 7
    try index(tiny, map)
    #expect(policyError { _ = try Checkpoint(directory: tiny.folder.url.path) }?.code == .malformed)
  }

  @Test("folders without readable weights say what is missing")
  func absent() throws {
    let tiny = TinyCheckpoint()
    let open = { _ = try Checkpoint(directory: tiny.folder.url.path) }
    #expect(policyError(open)?.path?.hasSuffix("config.json") == true)
    try tiny.writeConfig()
    #expect(policyError(open)?.message.contains("neither") == true)
    try tiny.folder.write(Data(), "pytorch_model.bin")
    #expect(policyError(open)?.code == .unsupported)
    try tiny.folder.write(Data("{\"a\":1,\"a\":2}".utf8), "config.json")
    #expect(policyError(open)?.message.contains("twice") == true)
    try tiny.folder.write(Data([0x7B, 0xFF, 0x7D]), "config.json")
    #expect(policyError(open)?.message.contains("UTF-8") == true)
  }

  @Test("writing keeps types, shards and companions; only what is replaced changes")
  func writing() throws {
    let tiny = try sharded()
    try tiny.folder.write(Data("{}".utf8), "tokenizer.json")
    let source = try Checkpoint(directory: tiny.folder.url.path)
    let target = try TemporaryFolder()
    let new = [Float](repeating: 0.25, count: 8)
    try source.write(to: target.path("out")) { name in name == "model.norm.weight" ? new : nil }
    let copy = try Checkpoint(directory: target.path("out"))
    #expect(copy.names == source.names)
    for name in source.names {
      let (a, b) = (try source.tensor(named: name), try copy.tensor(named: name))
      #expect(a.elementType == b.elementType && a.shape == b.shape)
      #expect(try b.floats() == (name == "model.norm.weight" ? new : try a.floats()))
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: target.path("out")).sorted()
        == FileManager.default.contentsOfDirectory(atPath: tiny.folder.url.path).sorted())
    #expect(policyError { try source.write(to: source.directory + "/./") { _ in nil } }?.code == .unwritable)
    #expect(policyError { try source.write(to: target.path("out")) { _ in [1] } }?.code == .mismatch)
  }
}
