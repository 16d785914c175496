import Demonstration
import Foundation
import Policy
import Rollouts
import Sampling
import Testing
import TestSupport

/// `evaluate` on branched rollouts that a small policy sampled itself.
@Suite struct EvaluateCommandTests {
  private typealias Record = [String: Any]

  private let scratch: TemporaryFolder
  private let database: String

  /// Rewards that the task would never give to a policy of random weights: the number of a leaf decides.
  init() throws {
    scratch = try TemporaryFolder()
    database = scratch.path("runs.db")
    try TinyCheckpoint.write(to: scratch.path("tiny"), seed: 4)
    let model = try PolicyModel(try Checkpoint(directory: scratch.path("tiny")), threads: 1)
    let task = ToolTask(seed: 4)
    let log = BranchedLog(TaskSampler(task, PolicySource(model)), rollouts: 4, initialRollouts: 4)
    var lines = [NativeLogWriter.line(log.run(id: "r", model: "tiny"))]
    for (i, question) in task.questions(24, seed: 1).enumerated() {
      let (group, trajectories) = try log.sample(question, group: "g\(i)", step: 1, seed: 9)
      lines.append(NativeLogWriter.line(group))
      for (k, trajectory) in trajectories.enumerated() {
        var trajectory = trajectory
        trajectory.reward = Double((k + i) % 4) / 3
        lines.append(NativeLogWriter.line(trajectory))
      }
    }
    let path = try scratch.write(lines, "log.jsonl")
    let imported = try Tool.run(["import", database, path, "--quiet"])
    #expect(imported.status == 0, "\(imported.errors)")
  }

  private func learn(_ arguments: [String] = []) throws {
    let run = try Tool.run(
      [
        "learn", database, "--policy", scratch.path("tiny"), "--attribution", "grpo", "--out", scratch.path("run"),
        "--rank", "4", "--learning-rate", "2e-3", "--held-out", "0.4", "--batch-groups", "4", "--max-updates", "3",
        "--threads", "1", "--quiet",
      ] + arguments)
    #expect(run.status == 0, "\(run.errors)")
  }

  private func evaluate(_ arguments: [String], status: Int32 = 0) throws -> (Record, String) {
    let run = try Tool.run(
      ["evaluate", database, "--policy", scratch.path("tiny"), "--threads", "1", "--format", "json"] + arguments)
    #expect(run.status == status, "\(run.errors)")
    let value = run.text.isEmpty ? [:] : try JSONSerialization.jsonObject(with: run.output) as? Record ?? [:]
    return (value, run.errors)
  }

  private func member(_ value: Any?, _ path: String...) -> Any? { path.reduce(value) { ($0 as? Record)?[$1] } }

  private func number(_ value: Any?, _ path: String...) -> Double {
    path.reduce(value) { ($0 as? Record)?[$1] } as? Double ?? .nan
  }

  @Test func theHeldOutGroupsAreJudged() throws {
    try learn()
    let held = try Tool.run(
      ["query", database, "SELECT count(*) AS n FROM learner_groups WHERE split = 'held_out'", "--format", "csv"])
    let count = try #require(Int(held.text.split(whereSeparator: \.isNewline).last ?? ""))
    let (page, _) = try evaluate(["--adapter", scratch.path("run"), "--min-ess", "0"])
    #expect(page["groups"] as? Int == count)
    #expect(page["status"] as? String == "estimated")
    #expect((page["judged_on"] as? String)?.contains("held out") == true)
    // The policy before wrote the log: its weights are 1, but for rounding.
    let log = number(page, "reward", "behaviour", "value")
    for estimator in ["pdis", "snis", "dr"] {
      #expect(abs(number(page, "reward", estimator, "before", "value") - log) < 1e-3)
      let after = number(page, "reward", estimator, "after", "value")
      let change = number(page, "reward", estimator, "change", "value")
      #expect(abs(after - number(page, "reward", estimator, "before", "value") - change) < 1e-9)
    }
    #expect(abs(number(page, "effective_sample_size", "before", "share") - 1) < 1e-3)
    #expect(number(page, "effective_sample_size", "after", "share") <= 1)
    let windows = try #require(page["windows"] as? [Record])
    #expect(windows.first?["window"] as? String == "all tokens")
    #expect(windows.allSatisfy { number($0, "kl_k3", "value") >= 0 })
    #expect(number(page, "preference_margin", "pairs") > 0)
    // The same again, and every group.
    #expect(
      NSDictionary(dictionary: try evaluate(["--adapter", scratch.path("run"), "--min-ess", "0"]).0)
        == NSDictionary(dictionary: page))
    let all = try evaluate(["--adapter", scratch.path("run"), "--all", "--min-ess", "0"]).0
    #expect(all["groups"] as? Int == 24)
    #expect((all["notes"] as? [String])?.contains { $0.contains("trained on") } == true)
    let table = try Tool.run(
      ["evaluate", database, "--policy", scratch.path("tiny"), "--adapter", scratch.path("run"), "--min-ess", "0"])
    #expect(table.text.contains("Expected reward"))
    #expect(table.text.contains("Preference at forks"))
  }

  @Test func anUnchangedPolicyChangesNothing() throws {
    let (page, _) = try evaluate(["--after", scratch.path("tiny"), "--all"])
    #expect(number(page, "reward", "dr", "change", "value") == 0)
    #expect(number(page, "preference_margin", "change", "value") == 0)
    let windows = try #require(page["windows"] as? [Record])
    #expect(windows.allSatisfy { number($0, "kl_k1", "value") == 0 && number($0, "kl_k3", "value") == 0 })
  }

  @Test func whatTheLogDoesNotAllowIsRefused() throws {
    try learn()
    let (page, said) = try evaluate(["--adapter", scratch.path("run"), "--all", "--min-ess", "1"], status: 7)
    #expect(page["status"] as? String == "refused")
    #expect(page["refusal"] as? String == "effective_sample_size")
    #expect(member(page, "reward", "dr") == nil)
    #expect(number(page, "preference_margin", "pairs") > 0)
    #expect(said.contains("below the floor"))

    // A log without logprobs: nothing to weigh by, unless the user says who wrote it.
    let lines = [
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"bare","tokenizer":{"vocab_size":265},"sampling":{"top_p":0.9}}"#,
      #"{"kind":"group","group_id":"p","prompt_token_ids":[100,63]}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"a","token_ids":[257,100,258],"reward":1}"#,
      #"{"kind":"trajectory","group_id":"p","trajectory_id":"b","token_ids":[259],"reward":0}"#,
    ]
    let log = try scratch.write(lines, "bare.jsonl")
    _ = try Tool.run(["import", database, log, "--quiet"])
    let bare = try evaluate(["--adapter", scratch.path("run"), "--run", "bare"], status: 7)
    #expect(bare.0["refusal"] as? String == "no_behaviour_logprobs")
    #expect(bare.0["without_behaviour_logprobs"] as? Int == 2)
    #expect(bare.1.contains("--behaviour before"))
    #expect((bare.0["notes"] as? [String])?.contains { $0.contains("top_p 0.9") } == true)
    let told = try evaluate(
      ["--adapter", scratch.path("run"), "--run", "bare", "--behaviour", "before", "--min-ess", "0"])
    #expect(told.0["status"] as? String == "estimated")
  }

  /// The log's logprobs are of temperature 1, so a policy at another one is not divided by them.
  @Test func anotherTemperatureThanTheLogs() throws {
    let after = ["--after", scratch.path("tiny"), "--all"]
    #expect(try evaluate(after + ["--temperature", "0.3"], status: 1).1.contains("cannot be compared"))
    #expect(try evaluate(after + ["--temperature", "1"]).0["status"] as? String == "estimated")
    let told = try evaluate(after + ["--temperature", "0.3", "--behaviour", "before"]).0
    #expect((told["notes"] as? [String])?.contains { $0.contains("counts as sampled at 0.3") } == true)
  }

  @Test func wrongUsage() throws {
    #expect(try evaluate([], status: 64).1.contains("--adapter or --after"))
    #expect(try evaluate(["--after", scratch.path("tiny")], status: 64).1.contains("--all"))
    #expect(try evaluate(["--after", scratch.path("none"), "--all"], status: 1).1.contains("config.json"))
    #expect(
      try evaluate(["--after", scratch.path("tiny"), "--all", "--where", "nothing = 1"], status: 1).1.contains(
        "--where"))
  }
}
