import Foundation
import Testing
import TestSupport

/// `demonstrate` at its smallest: every step runs, nothing is learned in so short a time.
@Suite struct DemonstrateCommandTests {
  private typealias Record = [String: Any]

  @Test func everyStepRunsAndStaysInTheFolder() throws {
    let scratch = try TemporaryFolder()
    let out = scratch.path("demo")
    let run = try Tool.run([
      "demonstrate", "--out", out, "--seeds", "1", "--examples", "64", "--example-epochs", "1", "--groups", "4",
      "--rollouts", "4", "--initial-rollouts", "2", "--epochs", "1", "--samples", "1", "--threads", "1", "--strategies",
      "arpo-hard,arpo-soft,grpo:verl", "--format", "json", "--learn", "--keep-degenerate",
    ])
    try #require(run.status == 0, "\(run.errors)")
    let page = try #require(try JSONSerialization.jsonObject(with: run.output) as? Record)
    let strategies = try #require(page["strategies"] as? [Record])
    #expect(strategies.map { $0["attribution"] as? String } == ["arpo-hard", "arpo-soft", "grpo:verl"])
    // ARPO's soft attribution is GRPO: the same updates, and it is said. (Where no rollout earned anything, so is hard.)
    #expect(["arpo-soft", "arpo-hard"].contains(strategies[2]["same_adapters_as"] as? String))
    for strategy in strategies {
      for key in ["before", "after"] {
        let mean = try #require((strategy[key] as? Record)?["mean"] as? Double)
        #expect((0...1).contains(mean))
        #expect((strategy[key] as? Record)?["low"] is NSNull)
      }
    }
    let comparisons = try #require(page["comparisons"] as? [Record])
    #expect(comparisons.count == 3)
    #expect((comparisons[0]["difference"] as? Record)?["low"] is NSNull)
    #expect(comparisons[2]["verdict"] as? String == "the same adapters, byte for byte")
    let seed = try #require((page["seeds"] as? [Record])?.first)
    #expect(seed["rollouts"] as? Int == 16)

    let home = out + "/seed-1"
    for name in [
      "untrained/model.safetensors", "untrained/tokenizer.json", "start/model.safetensors", "start/tokenizer.json",
      "rollouts.jsonl", "runs.db", "arpo-hard/adapter_model.safetensors", "grpo-verl/metrics.jsonl", "commands.sh",
    ] {
      #expect(FileManager.default.fileExists(atPath: "\(home)/\(name)"), "\(name)")
    }
    #expect(FileManager.default.fileExists(atPath: out + "/demonstration.json"))
    let commands = try String(contentsOfFile: home + "/commands.sh", encoding: .utf8)
    #expect(commands.contains("arpo-replay learn runs.db --policy start --attribution arpo-hard"))

    // What it leaves can be looked at with the other commands.
    let judged = try Tool.run(
      ["evaluate", home + "/runs.db", "--policy", home + "/start", "--adapter", home + "/arpo-hard", "--all"])
    #expect(judged.status == 0 || judged.status == 7, "\(judged.errors)")
    let said = try Tool.run(
      [
        "sample", "--policy", home + "/start", "--adapter", home + "/arpo-hard", "--prompt", "3+4?", "--max-tokens",
        "8",
      ])
    #expect(said.status == 0, "\(said.errors)")

    let again = try Tool.run(["demonstrate", "--out", out])
    #expect(again.status == 1)
    #expect(again.errors.contains("is not empty"))
  }

  @Test func wrongUsage() throws {
    let scratch = try TemporaryFolder()
    for arguments in [
      ["--strategies", "nobody"], ["--strategies", "grpo,grpo"], ["--groups", "1"], ["--groups", "90"],
      ["--rollouts", "2"], ["--seeds", "0"],
    ] {
      #expect(try Tool.run(["demonstrate", "--out", scratch.path("x")] + arguments).status == 64)
    }
  }
}
