import Foundation
import TestSupport
import Testing

@testable import Policy

@Suite("LoRA adapters")
struct LoRAAdapterTests {
  let folder = try! TemporaryFolder()
  let config: PolicyConfig

  init() throws {
    let tiny = TinyCheckpoint()
    config = try Checkpoint(directory: try tiny.write()).config
  }

  func fresh(_ targets: LoRATargets = .allLinear, rslora: Bool = false) throws -> LoRAAdapter {
    var generator = SeededGenerator(seed: 9)
    let settings = LoRASettings(
      rank: 3, alpha: 6, targets: targets, usesRSLoRA: rslora, baseModel: "base", dropout: 0.1)
    return try LoRAAdapter(fresh: settings, for: config, using: &generator)
  }

  @Test("a new adapter changes nothing and is uniform within 1/√input")
  func new() throws {
    let adapter = try fresh()
    #expect(adapter.modules.count == 14)
    for module in adapter.modules {
      let pair = try #require(adapter.factors[module])
      #expect(pair.b.allSatisfy { $0 == 0 })
      let bound = 1 / Float(LoRAAdapter.size(of: module, in: config).input).squareRoot()
      #expect(pair.a.allSatisfy { abs($0) <= bound } && pair.a.contains { abs($0) > bound / 2 })
    }
    #expect(adapter.settings.scale == 2)
    #expect(abs(try fresh(rslora: true).settings.scale - 6 / 3.0.squareRoot()) < 1e-12)
  }

  @Test("what is written is read again, whatever the form of the targets")
  func roundTrip() throws {
    let forms: [LoRATargets] = [
      .allLinear, ["q_proj", "self_attn.v_proj"], .pattern(#".*\.layers\.1\.(self_attn|mlp)\.(q|down)_proj"#),
    ]
    for (i, form) in forms.enumerated() {
      var adapter = try fresh(form, rslora: i == 1)
      for module in adapter.modules { adapter.factors[module]?.b[0] = 0.5 }
      try adapter.write(to: folder.path("\(i)"))
      #expect(try LoRAAdapter(directory: folder.path("\(i)"), for: config) == adapter)
    }
    #expect(try fresh(forms[1]).modules.count == 4)
    #expect(try fresh(forms[2]).modules == ["layers.1.self_attn.q_proj", "layers.1.mlp.down_proj"])
  }

  @Test(
    "other adapters are refused by name",
    arguments: [
      ("use_dora", "true"), ("bias", "\"lora_only\""), ("modules_to_save", "[\"lm_head\"]"),
      ("rank_pattern", "{\"q_proj\":2}"), ("alpha_pattern", "{\"q_proj\":2}"), ("peft_type", "\"IA3\""),
      ("init_lora_weights", "\"pissa\""), ("layers_to_transform", "[0]"), ("lora_bias", "true"),
      ("fan_in_fan_out", "true"), ("task_type", "\"SEQ_CLS\""), ("exclude_modules", "\"x\""),
      ("target_modules", "[\"q_proj\",\"lm_head\"]"), ("target_modules", "\".*\""), ("target_modules", "\"(?=a)\""),
    ])
  func refused(_ key: String, _ value: String) throws {
    let error = try changed(key, value)
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(key) == true, "\(String(describing: error))")
  }

  @Test(
    "wrong values are refused",
    arguments: [
      ("r", "0"), ("r", "\"4\""), ("r", "2.5"), ("lora_alpha", "null"), ("lora_alpha", "Infinity"),
      ("use_rslora", "1"), ("lora_dropout", "2"), ("target_modules", "[1]"), ("target_modules", "null"),
      ("target_modules", "[\"c_attn\"]"), ("r", "4"), ("target_modules", "[\"q_proj\"]"),
      ("target_modules", "[\"q_proj\",\"k_proj\",\"v_proj\"]"),
    ])
  func wrong(_ key: String, _ value: String) throws {
    let error = try changed(key, value, targets: ["q_proj", "k_proj"])
    #expect(error?.code == .malformed || error?.code == .mismatch, "\(String(describing: error))")
  }

  func changed(_ key: String, _ value: String, targets: LoRATargets = .allLinear) throws -> PolicyError? {
    try fresh(targets).write(to: folder.path("x"))
    let path = folder.path("x/adapter_config.json")
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      .filter { !$0.contains("\"\(key)\"") }
    var text = lines.dropLast().joined(separator: "\n")
    if !text.hasSuffix(",") { text += "," }
    try (text + "\"\(key)\":\(value)}").write(toFile: path, atomically: true, encoding: .utf8)
    return policyError { _ = try LoRAAdapter(directory: folder.path("x"), for: config) }
  }

  @Test(
    "patterns over module names",
    arguments: [
      ("q_proj", "q_proj", true), ("q_proj", "a.q_proj", false), (".*q_proj", "a.q_proj", true),
      (#"model\.layers\.\d+\.mlp\.(gate|up)_proj"#, "model.layers.12.mlp.up_proj", true),
      (#"model\.layers\.\d+\.mlp\.(gate|up)_proj"#, "model.layers.x.mlp.up_proj", false),
      ("[a-c]+", "abcab", true), ("[^a-c]+", "xyz", true), ("[^a-c]+", "xbz", false), ("a{2,3}", "aaa", true),
      ("a{2,3}", "a", false), ("a{2,}", "aaaaa", true), ("a{2}", "aaa", false), ("^a|b$", "b", true),
      ("(?:ab)*?c?", "ababc", true), ("", "", true), ("(a|)b", "b", true), (#"\w+\.\W"#, "a_9.-", true),
      (#"a\.b"#, "axb", false), ("[]a]", "]", true), ("(a*)*b", "aaab", true),
    ])
  func patterns(_ pattern: String, _ name: String, _ expected: Bool) throws {
    #expect(try ModulePattern(pattern).matches(name) == expected)
  }

  @Test("patterns that would take a backtracking matcher for ever are quick; broken ones are refused")
  func hostilePatterns() throws {
    let name = String(repeating: "a", count: 60)
    #expect(try !ModulePattern("(a+)+b").matches(name))
    #expect(try !ModulePattern("(.*)*(.*)*(.*)*x").matches(name))
    for bad in [
      "(", ")", "[", "a**", "*", "a{3,2}", #"\1"#, "(?<n>a)", "a\\", "[z-a]", "x{1000}{1000}", "((a{900}){900})", "é",
      String(repeating: "(", count: 100) + String(repeating: ")", count: 100),
    ] {
      #expect(policyError { _ = try ModulePattern(bad) }?.code == .unsupported, "\(bad)")
    }
  }

  /// Whatever the standard library's random floats become.
  @Test("a seed's adapter stays what it is")
  func pinned() throws {
    var generator = SeededGenerator(seed: 1)
    let settings = LoRASettings(rank: 1, alpha: 1, targets: ["q_proj"], usesRSLoRA: false, baseModel: "base")
    let adapter = try LoRAAdapter(fresh: settings, for: config, using: &generator)
    let bound = 1 / Float(config.hiddenSize).squareRoot()
    let expected = [8_979_037, 6_655_724, 16_462_422].map { 2 * bound * (Float($0) * 0x1p-24) - bound }
    #expect(Array(try #require(adapter.factors["layers.0.self_attn.q_proj"]).a.prefix(3)) == expected)
  }
}
