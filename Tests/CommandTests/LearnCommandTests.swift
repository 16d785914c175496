import Foundation
import Policy
import Testing
import TestSupport

/// `arpo-replay learn` as it is typed.
@Suite struct LearnCommandTests {
  private let folder: TemporaryFolder
  private let database: String

  init() throws {
    folder = try TemporaryFolder()
    database = try TrainingLog().database(in: folder)
  }

  private func learn(_ out: String?, _ more: [String] = [], database: String? = nil) throws -> Spawned {
    var arguments = ["learn", database ?? self.database, "--policy", TrainingLog.checkpoint, "--threads", "1"]
    if let out { arguments += ["--out", folder.path(out)] }
    if !more.contains("--attribution"), !more.contains("sft") { arguments += ["--attribution", "arpo-hard"] }
    return try Tool.run(arguments + more)
  }

  private func bytes(_ out: String, _ name: String = "adapter_model.safetensors") throws -> Data {
    try Data(contentsOf: URL(filePath: folder.path(out) + "/" + name))
  }

  private func manifest(_ out: String) throws -> [String: Any] {
    try GoldenJSON.object(URL(filePath: folder.path(out) + "/learner_run.json"))
  }

  private func metrics(_ out: String) throws -> [[String: Double]] {
    let text = try String(contentsOfFile: folder.path(out) + "/metrics.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      return object.compactMapValues { $0 as? Double }.filter { !$0.key.hasPrefix("perf/") }
    }
  }

  private static let small = ["--rank", "4", "--batch-groups", "2", "--learning-rate", "0.01", "--held-out", "0"]

  @Test func anAdapterComesOutAndCanBeStartedFrom() throws {
    let run = try learn("a", Self.small + ["--epochs", "2", "--verify-packing", "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("relative gradient error"))
    #expect(run.errors.contains("2 groups dropped: equal rewards"))
    let rows = try #require(try JSONSerialization.jsonObject(with: run.output) as? [[String: Any]])
    #expect(rows.first?["state"] as? String == "complete" && rows.first?["updates"] as? Int == 4)
    let config = try Checkpoint(directory: TrainingLog.checkpoint).config
    let adapter = try LoRAAdapter(directory: folder.path("a"), for: config)
    #expect(adapter.settings.rank == 4 && adapter.modules.count == 14)
    #expect(adapter.factors.values.contains { $0.b.contains { $0 != 0 } })
    let manifest = try manifest("a")
    #expect(manifest["state"] as? String == "complete")
    let options = try #require(manifest["options"] as? [String: Any])
    #expect(options["loss"] as? String == "decoupled" && (options["data_hash"] as? String)?.count == 64)
    let lines = try metrics("a")
    #expect(lines.map { $0["step"] } == [1, 2, 3, 4])
    // The same numbers are in the database.
    let kept = try DatabaseDump.value(
      database, "SELECT count(*) FROM learner_metrics WHERE name = 'actor/pg_loss' AND step <= 4")
    #expect(kept == "4")
    #expect(try DatabaseDump.value(database, "SELECT state FROM learner_runs") == "complete")
    #expect(
      try DatabaseDump.value(database, "SELECT group_concat(group_id) FROM learner_groups WHERE split = 'dropped'")
        == "p2,p5")
    #expect(!FileManager.default.fileExists(atPath: folder.path("a") + "/checkpoints"))
    // Nothing changes a finished run, but a new one may begin with it.
    let again = try learn("a", Self.small + ["--epochs", "2"])
    #expect(again.status == 1 && again.errors.contains("--resume"))
    let next = try learn(
      "b", ["--adapter", folder.path("a"), "--batch-groups", "2", "--held-out", "0", "--reference", "base"])
    #expect(next.status == 0, "\(next.errors)")
    #expect(try bytes("b") != bytes("a"))
    #expect((try self.metrics("b").first?["kl"] ?? 0) > 0)
  }

  @Test func everyParameterInTheSourcesShards() throws {
    let source = TrainingLog.model("qwen2-bf16-sharded/checkpoint")
    var log = TrainingLog()
    log.vocabulary = 96
    let database = try log.database(in: folder, "small.db")
    let run = try Tool.run([
      "learn", database, "--policy", source, "--train", "full", "--attribution", "grpo", "--out", folder.path("full"),
      "--learning-rate", "0.01", "--batch-groups", "3", "--held-out", "0", "--threads", "1",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let before = try Checkpoint(directory: source)
    let after = try Checkpoint(directory: folder.path("full"))
    #expect(before.names == after.names && before.config == after.config)
    var changed = 0
    for name in before.names {
      let (a, b) = try (before.tensor(named: name), after.tensor(named: name))
      #expect(a.elementType == b.elementType && a.shape == b.shape)
      if try a.floats() != b.floats() { changed += 1 }
    }
    #expect(changed > before.names.count / 2)
  }

  @Test(arguments: [
    ["--loss", "ppo-clip"], ["--loss", "gspo"], ["--loss", "cispo"], ["--loss", "aepo"], ["--loss", "topr"],
    ["--loss", "sft"], ["--loss", "reinforce-is", "--weights", "sequence", "--weight-cap", "5"],
    ["--loss", "decoupled", "--weight-band", "0.001..1000", "--weight-veto", "1e-9", "--weights", "geometric"],
    ["--loss", "decoupled:gspo", "--aggregation", "seq-mean-token-mean"], ["--shared", "hard"],
    ["--shared", "hard-once", "--normalise-weights"], ["--proximal", "step"], ["--behaviour", "start"],
    ["--behaviour", "none"], ["--kl", "k3+", "--kl-target", "0.01", "--kl-coef", "0.1"], ["--kl", "none"],
    ["--kl", "k2", "--kl-correction", "--entropy-coef", "0.01"], ["--max-tokens", "30"],
    ["--aggregation", "seq-mean-token-sum-norm", "--horizon", "16"], ["--rslora", "--targets", "q_proj,v_proj"],
    ["--schedule", "cosine", "--warmup", "0.5", "--epochs", "3"], ["--memory", "900MB"],
  ])
  func everyChoiceTrains(choice: [String]) throws {
    let run = try learn("run", Self.small + choice + ["--quiet"])
    #expect(run.status == 0, "\(choice): \(run.errors)")
    let lines = try metrics("run")
    #expect(lines.count >= 2 && lines.allSatisfy { $0["training/applied"] == 1 && ($0["actor/grad_norm"] ?? 0) > 0 })
  }

  @Test func behaviourMayComeFromAnotherPolicy() throws {
    let run = try learn("run", Self.small + ["--behaviour", "recompute:" + TrainingLog.model("qwen2-tiny/adapter")])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("recomputed with"))
    // The policy that starts is the one that "wrote" the log: all weights are 1.
    let own = try learn("own", Self.small + ["--behaviour", "recompute:" + TrainingLog.checkpoint])
    #expect(own.status == 0, "\(own.errors)")
    #expect(try metrics("own")[0]["rollout_corr/rollout_is_eff_sample_size"] == 1)
    #expect(try #require(metrics("run")[0]["rollout_corr/rollout_is_eff_sample_size"]) < 1)
  }

  @Test func missingLogprobsAreNeverSilent() throws {
    var log = TrainingLog()
    log.lacksLogprobs = true
    let database = try log.database(in: folder, "gaps.db")
    let refused = try learn("run", Self.small, database: database)
    #expect(refused.status == 1)
    for word in ["no logprob in the log", "--behaviour start", "--min-evidence sampled_logprobs", "4 of 16"] {
      #expect(refused.errors.contains(word), "\(word): \(refused.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("run")))
    let fewer = try learn("fewer", Self.small + ["--min-evidence", "sampled_logprobs"], database: database)
    #expect(fewer.status == 0 && fewer.errors.contains("6 trajectories left out: generated tokens without logprob"))
    #expect(try learn("none", Self.small + ["--behaviour", "none"], database: database).status == 0)
  }

  @Test func filtersAndSplits() throws {
    let run = try learn(
      "run", ["--where", "group_id <> 'p0' AND rollout_index < 3", "--held-out", "0.5", "--rank", "2", "--seed", "2"])
    #expect(run.status == 0, "\(run.errors)")
    let data = try #require(try manifest("run")["data"] as? [String: Any])
    let dropped = try #require(data["groups_dropped"] as? [String: Int])
    #expect(dropped["no trajectory left"] == 1)
    let (train, held) = (data["groups_train"] as? Int ?? 0, data["groups_held_out"] as? Int ?? 0)
    #expect(train + held == 3 && held > 0 && train > 0)
    #expect(data["trajectories_train"] as? Int == 3 * train)
    let bad = try learn("bad", ["--where", "nonsense = 1"])
    #expect(bad.status == 1 && bad.errors.contains("--where"))
  }

  @Test func dryRunChangesNothing() throws {
    let before = try DatabaseDump.rows(database)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted()
    let run = try learn(nil, Self.small + ["--dry-run", "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    let rows = try #require(try JSONSerialization.jsonObject(with: run.output) as? [[String: Any]])
    let names = Set(rows.compactMap { $0["name"] as? String })
    for name in [
      "actor/pg_clipfrac", "rollout_corr/rollout_is_eff_sample_size", "plan/memory_bytes", "plan/seconds",
      "rollout_corr/rollout_is_max",
    ] { #expect(names.contains(name), "\(name)") }
    #expect(DatabaseDump.differences(before, try DatabaseDump.rows(database)).isEmpty)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() == files)
  }

  @Test func memoryThatDoesNotSufficeIsSaidAtOnce() throws {
    let run = try learn("run", Self.small + ["--memory", "10MB"])
    #expect(run.status == 1 && run.errors.contains("longest path has 16 tokens"), "\(run.errors)")
  }

  @Test func limitsStopTheRun() throws {
    let run = try learn("run", Self.small + ["--stop-ess", "1.5"])
    #expect(run.status == 6 && run.errors.contains("stopped: effective sample size"), "\(run.errors)")
    #expect(try manifest("run")["state"] as? String == "stopped")
    // The policy that had been reached is there.
    #expect(try bytes("run").count > 1000)
  }

  @Test func wrongUsageAndWrongFolders() throws {
    #expect(try learn("x", ["--loss", "ppo-clip", "--behaviour", "none"]).status == 64)
    #expect(try learn("x", ["--loss", "nonsense"]).status == 64)
    #expect(try learn("x", ["--attribution", "nonsense"]).status == 64)
    #expect(try learn(nil).status == 64)
    try folder.write(["mine"], "full/notes.txt")
    let refused = try learn("full", Self.small + ["--overwrite"])
    #expect(refused.status == 1 && refused.errors.contains("holds no run"))
    #expect(try String(contentsOfFile: folder.path("full/notes.txt"), encoding: .utf8) == "mine\n")
    #expect(try learn("run", Self.small).status == 0)
    let first = try bytes("run")
    #expect(try learn("run", Self.small + ["--overwrite", "--seed", "9"]).status == 0)
    #expect(try bytes("run") != first)
  }

  /// A run that was killed while it made its folder has not begun: the same command begins it.
  @Test func killedOverTheManifest() throws {
    let left = try folder.write(["{"], "run/learner_run.json.writing-a1B2c3")
    #expect(try learn("run", Self.small + ["--resume"]).status == 0)
    #expect(!FileManager.default.fileExists(atPath: left))
    #expect(try manifest("run")["state"] as? String == "complete")
  }

  /// What somebody put beside a run is never deleted, and starting over leaves nothing of the old run.
  @Test func overwritingDeletesOnlyWhatTheLearnerWrote() throws {
    #expect(try learn("run", Self.small + ["--keep-checkpoints", "--epochs", "2"]).status == 0)
    let before = try bytes("run")
    for name in [".gitignore", "my_notes/notes.txt", "metrics.jsonl.backup"] {
      let path = try folder.write(["mine"], "run/" + name)
      let refused = try learn("run", Self.small + ["--overwrite"])
      let entry = try #require(name.split(separator: "/").first)
      #expect(refused.status == 1 && refused.errors.contains(entry), "\(refused.errors)")
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine\n" && bytes("run") == before)
      try FileManager.default.removeItem(atPath: folder.path("run/\(entry)"))
    }
    // What killed runs leave is the learner's.
    for name in [
      "learner_run.json.writing", "adapter_model.safetensors.writing-aB3x9Z", "model-00001-of-00002.safetensors",
    ] {
      try folder.write(["left"], "run/" + name)
    }
    #expect(try learn("run", Self.small + ["--overwrite"]).status == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("run"))
    #expect(
      names.filter { !$0.hasPrefix("tokenizer") }.sorted() == [
        "adapter_config.json", "adapter_model.safetensors", "learner_run.json", "metrics.jsonl",
      ], "\(names)")
  }

  /// A run ended at random points, and started again each time, equals one that was left alone, bit for bit.
  @Test(arguments: [SIGKILL, SIGINT])
  func endedAnywhereIsTheSame(signal: Int32) throws {
    let options =
      Self.small + [
        "--epochs", "12", "--checkpoint-every", "3", "--kl-target", "0.01", "--kl-coef", "0.05", "--schedule", "cosine",
        "--warmup", "4", "--quiet",
      ]
    let start = Date.now
    #expect(try learn("alone", options).status == 0)
    let seconds = -start.timeIntervalSinceNow
    var random = SeededGenerator(seed: UInt64(signal))
    var ended = 0
    for round in 0..<2 {
      let out = "ended\(round)"
      for _ in 0..<4 {
        let resume = FileManager.default.fileExists(atPath: folder.path(out) + "/learner_run.json") ? ["--resume"] : []
        let running = try Tool.start(
          [
            "learn", database, "--policy", TrainingLog.checkpoint, "--threads", "1", "--attribution", "arpo-hard",
            "--out",
            folder.path(out),
          ] + options + resume)
        usleep(UInt32(Double.random(in: 0.1...0.9, using: &random) * seconds * 1e6))
        running.send(signal: signal)
        let status = try running.wait().status
        if status == -SIGKILL || status == 130 { ended += 1 }
      }
      let last = try learn(out, options + ["--resume"])
      #expect(last.status == 0, "\(last.errors)")
      #expect(try bytes(out) == bytes("alone"))
      #expect(try metrics(out) == metrics("alone"))
      let inDatabase = try DatabaseDump.value(
        database,
        """
        SELECT count(*) FROM learner_metrics a JOIN learner_metrics b ON b.step = a.step AND b.name = a.name
          AND b.directory LIKE '%/alone' AND b.value = a.value
        WHERE a.directory LIKE '%/\(out)' AND a.name NOT LIKE 'perf/%'
        """)
      let expected = try metrics("alone").reduce(0) { $0 + $1.count - 2 }
      #expect(inDatabase == "\(expected)")
    }
    // The blows must hit, or the test shows nothing.
    #expect(ended > 0)
  }

  /// A run goes on only with what it was begun with.
  @Test func anotherSeedCannotGoOn() throws {
    let options = Self.small + ["--stop-ess", "1.5"]
    #expect(try learn("run", options).status == 6)
    let other = try learn("run", options + ["--resume", "--seed", "3"])
    #expect(other.status == 1 && other.errors.contains("seed was 0, is now 3"), "\(other.errors)")
  }

  /// The same folder with other weights is another policy.
  @Test func anotherCheckpointCannotGoOn() throws {
    let policy = folder.path("policy")
    try FileManager.default.copyItem(atPath: TrainingLog.checkpoint, toPath: policy)
    func run(_ more: [String]) throws -> Spawned {
      try Tool.run(
        [
          "learn", database, "--policy", policy, "--threads", "1", "--attribution", "arpo-hard", "--out",
          folder.path("run"), "--stop-ess", "1.5",
        ] + Self.small + more)
    }
    #expect(try run([]).status == 6)
    let options = try #require(try manifest("run")["options"] as? [String: Any])
    #expect((options["policy_sha256"] as? String)?.count == 64 && options["adapter_sha256"] is NSNull)
    #expect(options["instruction_set"] is String)
    #expect(try run(["--resume"]).errors.contains("was begun otherwise") == false)
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: policy).first { $0.hasSuffix(".safetensors") })
    var weights = try Data(contentsOf: URL(filePath: policy + "/" + name))
    weights[weights.count - 2] ^= 1
    try weights.write(to: URL(filePath: policy + "/" + name))
    let other = try run(["--resume"])
    #expect(other.status == 1 && other.errors.contains("policy_sha256 was"), "\(other.errors)")
  }

  /// Scores of another policy, other data or another temperature are made anew, whatever folder they lie in.
  @Test func scoresOfAnotherRunAreNotReused() throws {
    let start = "scores/start.scores"
    #expect(try learn("run", Self.small + ["--stop-ess", "1.5"]).status == 6)
    let own = try bytes("run", start)
    let adapter = ["--adapter", TrainingLog.model("qwen2-tiny/adapter"), "--batch-groups", "2", "--held-out", "0"]
    #expect(try learn("other", adapter + ["--stop-ess", "1.5"]).status == 6)
    let foreign = try bytes("other", start)
    #expect(foreign != own && foreign.count > own.count)
    try foreign.write(to: URL(filePath: folder.path("run") + "/" + start))
    _ = try learn("run", Self.small + ["--stop-ess", "1.5", "--resume"])
    #expect(try bytes("run", start) == own)
  }

  @Test func whatTheLogBiasesIsSaid() throws {
    var log = TrainingLog()
    log.sampling = #""sampling":{"temperature":0.6,"top_p":0.9,"top_k":20},"logprobs_mode":"raw_logprobs""#
    let database = try log.database(in: folder, "cut.db")
    let run = try learn("run", Self.small, database: database)
    #expect(run.status == 0, "\(run.errors)")
    for word in ["sampled with top_p 0.9, top_k 20", "raw logprobs and was sampled at temperature 0.6"] {
      #expect(run.errors.contains(word), "\(run.errors)")
    }
    let data = try #require(try manifest("run")["data"] as? [String: Any])
    #expect((data["notes"] as? [String])?.count == 2)
    // Nothing is divided by the log: the cuts do not matter, the temperature still does.
    let plain = try learn(nil, Self.small + ["--dry-run", "--behaviour", "none"], database: database)
    #expect(plain.status == 0 && !plain.errors.contains("top_p 0.9"), "\(plain.errors)")
    #expect(plain.errors.contains("sampled at temperature 0.6, and counts as sampled at 1"))
  }

  /// Logprobs of two temperatures are never divided by each other.
  @Test func anotherTemperatureThanTheLogs() throws {
    let refused = try learn("run", Self.small + ["--temperature", "0.3"])
    #expect(refused.status == 1 && refused.errors.contains("cannot be compared"), "\(refused.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder.path("run")))
    let policy = try learn(
      nil,
      Self.small + ["--dry-run", "--temperature", "0.3", "--behaviour", "recompute:" + TrainingLog.checkpoint])
    #expect(policy.status == 0 && policy.errors.contains("counts as sampled at 0.3"), "\(policy.errors)")
    #expect(try learn(nil, Self.small + ["--dry-run", "--temperature", "1"]).status == 0)
    // A log that does not say may be told.
    var log = TrainingLog()
    log.sampling = #""sampling":{"top_k":-1}"#
    let silent = try log.database(in: folder, "silent.db")
    #expect(try learn(nil, Self.small + ["--dry-run", "--temperature", "0.3"], database: silent).status == 0)
  }

  /// A tool that printed nothing hides nothing from the policy.
  @Test func emptyResultsLeaveNothingOut() throws {
    var log = TrainingLog()
    log.hasEmptyResults = true
    let database = try log.database(in: folder, "empty.db")
    #expect(
      try DatabaseDump.value(database, "SELECT count(*) FROM segment WHERE start_index = end_index") == "24")
    let run = try learn("run", Self.small, database: database)
    #expect(run.status == 0 && !run.errors.contains("tokens without ids"), "\(run.errors)")
    #expect((try manifest("run")["data"] as? [String: Any])?["trajectories_train"] as? Int == 16)
    // One that printed what the log has no tokens of does.
    let texts = log.lines.map { $0.replacing(#""text":"""#, with: #""text":"found""#) }
    let path = try folder.write(texts, "hidden.jsonl")
    let hidden = folder.path("hidden.db")
    #expect(try Tool.run(["import", hidden, path, "--quiet"]).status == 0)
    let refused = try learn("hidden", Self.small, database: hidden)
    #expect(refused.status == 1 && refused.errors.contains("tokens without ids"), "\(refused.errors)")
  }
}
