import Foundation
import Testing
import TestSupport

/// Logs that others wrote, imported and audited end to end: the facts that a correct import reproduces.
@Suite(.enabled(if: TestPaths.realLogs != nil)) struct RealLogTests {
  private func imported(_ folder: String, in scratch: TemporaryFolder) throws -> String {
    let logs = try #require(TestPaths.realLogs).appending(path: folder).path
    let database = scratch.path("runs.db")
    let run = try Tool.run(["import", database, logs, "--quiet", "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    return database
  }

  private func rows(_ database: String, _ sql: String) throws -> [[String: Any]] {
    let run = try Tool.run(["query", database, sql, "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: run.output) as? [[String: Any]])
  }

  private func audit(_ database: String, _ arguments: String...) throws -> [[String: Any]] {
    let run = try Tool.run(["audit", database, "--format", "json"] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    return try #require(report["runs"] as? [[String: Any]])
  }

  @Test func nemoGymTokens() throws {
    let scratch = try TemporaryFolder()
    let database = try imported("nemo-gym-tokens", in: scratch)
    let trajectories = try rows(
      database,
      """
      SELECT rollout_index, generated, length, reward, parent_id, line, evidence, (
        SELECT sum(value) FROM segment s JOIN segment_tokens t ON t.segment = s.id, json_each(json_column(t.logprobs))
        WHERE s.trajectory = x.id) AS logprob, (
        SELECT -avg(value) FROM segment s JOIN segment_tokens t ON t.segment = s.id, json_each(json_column(t.logprobs))
        WHERE s.trajectory = x.id AND key < 20) AS early
      FROM trajectories x ORDER BY rollout_index
      """)
    #expect(trajectories.map { $0["rollout_index"] as? Int } == [0, 1, 2, 3, 4])
    #expect(trajectories.map { $0["generated"] as? Int } == [964, 785, 1277, 959, 1038])
    // File order 1, 3, 4, 0, 2.
    #expect(trajectories.map { $0["line"] as? Int } == [4, 1, 5, 2, 3])
    #expect(trajectories.allSatisfy { $0["reward"] as? Double == 0 && $0["parent_id"] is NSNull })
    #expect(trajectories.allSatisfy { $0["evidence"] as? String == "text,token_ids,sampled_logprobs" })
    let sums = [-208.004269, -172.421344, -187.371892, -175.446652, -160.040748]
    let early = [0.080209, 0.054941, 0.164680, 0.054941, 0.054941]
    for (row, (sum, mean)) in zip(trajectories, zip(sums, early)) {
      #expect(abs((row["logprob"] as? Double ?? 0) - sum) < 1e-4)
      #expect(abs((row["early"] as? Double ?? 0) - mean) < 1e-6)
    }
    let groups = try rows(
      database,
      "SELECT trajectories, forks, json_array_length(json_column(p.prompt_token_ids)) AS n FROM groups g JOIN prompt_group p USING (id)"
    )
    #expect(groups.count == 1)
    #expect(groups[0]["trajectories"] as? Int == 5 && groups[0]["forks"] as? Int == 0 && groups[0]["n"] as? Int == 109)
    // Surprisal only: no entropy is made up.
    let run = try #require(try audit(database).first)
    let estimator = try #require(run["estimator"] as? [String: Any])
    #expect(estimator["name"] as? String == "sampled-nll")
  }

  @Test func nemoGymToolsWithoutTokens() throws {
    let scratch = try TemporaryFolder()
    let database = try imported("nemo-gym-tools-group", in: scratch)
    let trajectories = try rows(
      database,
      """
      SELECT rollout_index, reward, line, generated, evidence,
        (SELECT count(*) FROM segment s WHERE s.trajectory = x.id AND kind = 'tool_call') AS calls,
        (SELECT count(*) FROM segment s WHERE s.trajectory = x.id AND kind = 'tool_result') AS results,
        (SELECT count(*) FROM segment s JOIN segment_tokens t ON t.segment = s.id WHERE s.trajectory = x.id) AS blobs
      FROM trajectories x ORDER BY rollout_index
      """)
    #expect(trajectories.map { $0["reward"] as? Double } == [0, 0, 1, 1, 0])
    #expect(trajectories.map { $0["calls"] as? Int } == [9, 11, 18, 14, 16])
    #expect(trajectories.map { $0["results"] as? Int } == [9, 11, 18, 14, 16])
    #expect(trajectories.map { $0["line"] as? Int } == [1, 4, 5, 2, 3])
    // Empty arrays mean that no tokens were captured, not completions of no tokens.
    #expect(trajectories.allSatisfy { $0["evidence"] as? String == "text" && $0["blobs"] as? Int == 0 })
    let run = try Tool.run(["audit", database])
    #expect(run.text.contains("no entropy can be computed from this log"))
  }

  @Test(arguments: [
    ("openai_gpt-4o_top3_largest_ocean", 31, 3, -3.585828742, 0.081022676, 0.080984890),
    ("openai_gpt-4o_top5_smallest_continent", 9, 5, -0.055612610, 0.028215218, 0.028215037),
    ("openai_gpt-4o_top3_turn1", 8, 3, -0.025943987, 0.019648977, 0.019648729),
  ])
  func openAITopLogprobs(
    name: String, tokens: Int, k: Int, sum: Double, truncated: Double, renormalised: Double
  ) throws {
    let log = try #require(TestPaths.realLogs).appending(path: "openai-top-logprobs/\(name).json").path
    let run = try Tool.run(["analyze", log, "--format", "json"])
    #expect(run.status == 0, "\(run.errors)")
    let got = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    let entropy = try #require((got["entropy"] as? [String: Any])?.values.first as? [String: [Double]])
    let surprisal = try #require(entropy["sampled-nll"])
    #expect(surprisal.count == tokens)
    #expect(abs(surprisal.reduce(0, +) + sum) < 1e-6)
    func early(_ estimator: String) throws -> Double {
      let values = try #require(entropy[estimator]).prefix(20)
      return values.reduce(0, +) / Double(values.count)
    }
    #expect(abs(try early("topk") - truncated) < 1e-8)
    #expect(abs(try early("topk-renormalized") - renormalised) < 1e-8)
    let scratch = try TemporaryFolder()
    _ = try Tool.run(["import", scratch.path("one.db"), log, "--quiet"])
    let text = try rows(
      scratch.path("one.db"),
      """
      SELECT (SELECT group_concat(s.text, '') FROM (SELECT text FROM segment ORDER BY start_index) s) AS said,
        (SELECT max(json_array_length(value)) FROM segment_tokens, json_each(json_column(top_logprobs, top_token_ids))) AS k,
        (SELECT group_concat(text, '') FROM (
          SELECT n.text FROM segment s JOIN segment_tokens t ON t.segment = s.id, json_each(json_column(t.token_ids)) j
          JOIN token_string n ON n.number = j.value ORDER BY s.ordinal, j.key)) AS joined
      """)
    #expect(text[0]["k"] as? Int == k)
    // The text of the deltas is the text of the tokens.
    #expect(text[0]["said"] as? String == text[0]["joined"] as? String)
  }
}
