import Demonstration
import Foundation
import Replay
import RolloutStore
import Rollouts
import Testing
import TestSupport

/// `sample` from a small checkpoint with random weights.
@Suite struct SampleCommandTests {
  private let scratch: TemporaryFolder
  private let policy: String

  init() throws {
    scratch = try TemporaryFolder()
    policy = scratch.path("tiny")
    try TinyCheckpoint.write(to: policy, seed: 2)
  }

  private func sample(_ arguments: [String]) throws -> Spawned {
    try Tool.run(["sample", "--policy", policy, "--threads", "1"] + arguments)
  }

  @Test func theLogIsReadBack() throws {
    let arguments = ["--prompt", "d?", "--prompt", "3+4?", "-n", "3", "--max-tokens", "9", "--format", "ndjson"]
    let run = try sample(arguments + ["--top-logprobs", "4", "--entropies"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(try sample(arguments + ["--top-logprobs", "4", "--entropies"]).text == run.text)
    #expect(try sample(arguments + ["--top-logprobs", "4", "--entropies", "--seed", "1"]).text != run.text)
    let log = try scratch.write(Data(run.output), "log.jsonl")
    let database = scratch.path("runs.db")
    let imported = try Tool.run(["import", database, log, "--quiet"])
    #expect(imported.status == 0, "\(imported.errors)")
    let store = try Store.open(database, for: .reading)
    var groups = 0
    try store.forEachGroup(transform: { $0 }) { group in
      groups += 1
      #expect(group.trajectories.count == 3)
      for trajectory in group.trajectories {
        let columns = try #require(trajectory.columns)
        #expect((1...9).contains(columns.count))
        #expect(columns.logprobs?.widened().allSatisfy { $0 <= 0 } == true)
        #expect(columns.entropies?.count == columns.count)
        #expect(columns.topLogprobs?.counts.allSatisfy { $0 == 4 } == true)
      }
    }
    #expect(groups == 2)
    // The exact entropies are what an audit takes.
    let audit = try Tool.run(["audit", database, "--format", "json", "--bootstrap", "0"])
    #expect(audit.status == 0)
    #expect(audit.text.contains("\"exact\""))
  }

  @Test func textGoesOnUntilItsEnd() throws {
    let long = try sample(["--prompt", "d?", "--max-tokens", "40"])
    #expect(long.status == 0, "\(long.errors)")
    #expect(!long.text.isEmpty)
    let greedy = try (1...2).map {
      try sample(["--prompt", "d?", "--max-tokens", "6", "--temperature", "0", "--seed", "\($0)"]).text
    }
    #expect(greedy[0] == greedy[1])
    let ids = try sample(["--prompt-ids", "100,63", "--max-tokens", "6", "--temperature", "0"])
    #expect(ids.text == greedy[0])
  }

  @Test func stopStringsEndAResponse() throws {
    let arguments = ["--prompt-ids", "100,63", "--max-tokens", "30", "--format", "ndjson"]
    let free = try sample(arguments)
    let tokens = try #require(Self.trajectory(free.text)?["token_ids"] as? [Int])
    // The first printable character that comes.
    let stop = try #require(tokens.first { (33...126).contains($0) })
    let run = try sample(arguments + ["--stop", String(UnicodeScalar(UInt8(stop)))])
    let cut = try #require(Self.trajectory(run.text))
    #expect(cut["token_ids"] as? [Int] == Array(tokens[...(tokens.firstIndex(of: stop) ?? 0)]))
    #expect(cut["finish_reason"] as? String == "stop")
  }

  private static func trajectory(_ text: String) -> [String: Any]? {
    text.split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }.first { $0["kind"] as? String == "trajectory" }
  }

  @Test func refusals() throws {
    let outside = try sample(["--prompt-ids", "5,99999"])
    #expect(outside.status == 1)
    #expect(outside.errors.contains("99999 is not below the vocabulary's size, 265"))
    #expect(try sample(["--prompt-ids", "5,x"]).status == 64)
    #expect(try sample([]).status == 64)
    #expect(try sample(["--prompt", "d?", "--top-p", "0"]).status == 64)
    let nowhere = try Tool.run(["sample", "--policy", scratch.path("none"), "--prompt", "x"])
    #expect(nowhere.status == 1)
    #expect(nowhere.errors.contains("config.json"))
    let plain = TestPaths.ownGoldens.appending(path: "policy/qwen2-tiny/checkpoint").path
    let blind = try Tool.run(["sample", "--policy", plain, "--prompt", "hi"])
    #expect(blind.status == 1)
    #expect(blind.errors.contains("--prompt-ids"))
  }
}
