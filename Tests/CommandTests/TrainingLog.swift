import Foundation
import TestSupport

/// Small branched logs whose token ids fit the policies of the goldens, and those policies.
struct TrainingLog {
  var groups = 6
  var vocabulary = 512
  /// Generated tokens without a logprob in the last trajectory of each group.
  var lacksLogprobs = false
  var seed: UInt64 = 1
  /// How the run says that it was sampled.
  var sampling = #""sampling":{"temperature":1.0,"top_p":1.0,"top_k":-1}"#
  /// Whether each trajectory has the result of a tool that printed nothing.
  var hasEmptyResults = false

  /// A small checkpoint, with all seven projections.
  static var checkpoint: String { model("qwen2-tiny/checkpoint") }

  static func model(_ name: String) -> String { TestPaths.ownGoldens.appending(path: "policy/\(name)").path }

  /// Native records; in each third group all rewards are equal.
  var lines: [String] {
    var random = SeededGenerator(seed: seed)
    func tokens(_ n: Int) -> [Int] { (0..<n).map { _ in Int.random(in: 0..<vocabulary, using: &random) } }
    var out = [
      #"{"schema":"arpo-rollout/1","kind":"run","run_id":"small","tokenizer":{"name":"small","vocab_size":512},"#
        + sampling + "}"
    ]
    for g in 0..<groups {
      out.append(#"{"kind":"group","group_id":"p\#(g)","step":0,"prompt_token_ids":\#(tokens(4))}"#)
      for t in 0..<4 {
        let branch = t < 2 ? 0 : 5
        let parent = t < 2 ? "" : #""parent_id":"p\#(g)/\#(t - 2)","branch_token_index":5,"#
        // Five sampled tokens, three of a tool, four sampled; a child begins behind the first five.
        let kinds = [(0, 5, 1), (5, 8, 0), (8, 12, 1)].filter { $0.0 >= branch }
        let mask = kinds.flatMap { [Int](repeating: $0.2, count: $0.1 - $0.0) }
        let logprobs = mask.enumerated().map { i, m in
          m == 0 || (lacksLogprobs && t == 3 && i > 4) ? "null" : "\(-6 - Double.random(in: 0..<1, using: &random))"
        }
        let reward = g % 3 == 2 ? 1 : Double((t * 7 + g) % 4) / 2
        var segments: [String] = []
        for (start, end, m) in kinds where hasEmptyResults {
          let kind = m == 1 ? "reasoning" : "tool_result"
          segments.append(#"{"kind":"\#(kind)","start":\#(start),"end":\#(end)}"#)
        }
        if hasEmptyResults { segments.append(#"{"kind":"tool_result","start":12,"end":12,"text":""}"#) }
        out.append(
          #"{"kind":"trajectory","group_id":"p\#(g)","step":0,"trajectory_id":"p\#(g)/\#(t)","rollout_index":\#(t),"#
            + parent + #""token_ids":\#(tokens(mask.count)),"loss_mask":\#(mask),"#
            + (segments.isEmpty ? "" : #""segments":[\#(segments.joined(separator: ","))],"#)
            + #""logprobs":[\#(logprobs.joined(separator: ","))],"reward":\#(reward)}"#)
      }
    }
    return out
  }

  /// Imports the log into a new database.
  func database(in folder: TemporaryFolder, _ name: String = "runs.db") throws -> String {
    let log = try folder.write(lines, "\(name).jsonl")
    let run = try Tool.run(["import", folder.path(name), log, "--quiet"])
    guard run.status == 0 else { throw TrainingLogError(text: run.errors) }
    return folder.path(name)
  }
}

struct TrainingLogError: Error {
  var text: String
}
