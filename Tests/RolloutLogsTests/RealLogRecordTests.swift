import Foundation
import RolloutLogs
import Rollouts
import TestSupport
import Testing

/// What is known of logs that others wrote, found independently of this project.
@Suite(.enabled(if: TestPaths.realLogs != nil)) struct RealLogRecordTests {
  typealias Checks = LogFormatChecks

  static func read(_ name: String) throws -> [RolloutRecord] {
    let url = try #require(TestPaths.realLogs).appending(path: name)
    let log = try Checks.read(url)
    #expect(log.errors.isEmpty, "\(log.errors)")
    return log.records
  }

  // MARK: OpenAI

  static let streams: [(name: String, tokens: Int, k: Int32, sum: Double, means: [Double])] = [
    ("top3_largest_ocean", 31, 3, -3.585828742, [0.081022676, 0.080984890, 0.081397894]),
    ("top5_smallest_continent", 9, 5, -0.055612610, [0.028215218, 0.028215037, 0.028218054]),
    ("top3_turn1", 8, 3, -0.025943987, [0.019648977, 0.019648729, 0.019652560]),
  ]

  @Test(arguments: streams.indices) func streamedTopLogprobs(index: Int) throws {
    let fact = Self.streams[index]
    let calls = Checks.calls(try Self.read("openai-top-logprobs/openai_gpt-4o_\(fact.name).json"))
    let call = try #require(calls.first)
    let columns = try #require(call.columns)
    let top = try #require(columns.topLogprobs)
    #expect(calls.count == 1 && columns.count == fact.tokens)
    #expect(top.counts == [Int32](repeating: fact.k, count: fact.tokens))
    #expect(columns.logprobs?.precision == .float32 && top.logprobs.precision == .float32)
    #expect(abs(Checks.sum(columns) - fact.sum) < 5e-10)
    let strings = try #require(columns.strings)
    // The text of the tokens is the text of the message, which the reply's canonical form holds.
    let text = columns.tokenIDs.map { strings[Int($0)].text }.joined()
    #expect(call.segments.map { $0.text ?? "" }.joined() == text)
    #expect(try JSONValue(parsing: call.replyCanonical)["content"]?.string == text)
    #expect(call.findings.isEmpty)
    #expect(call.messages.map(\.role) == ["user"] && call.model == "gpt-4o-2024-08-06" && call.finishReason == "stop")
    let means = Self.meanEntropies(columns, top, first: 20)
    for (mean, expected) in zip(means, fact.means) { #expect(abs(mean - expected) < 5e-10) }
  }

  /// Means over the first tokens of three entropies of the listed candidates, in nats.
  ///
  /// As they are, renormalised, and with the rest of the mass as one more symbol.
  static func meanEntropies(_ columns: TokenColumns, _ top: TopLogprobs, first: Int) -> [Double] {
    let n = min(first, columns.count)
    var sums = [0.0, 0, 0]
    var offset = 0
    for i in 0..<n {
      let logprobs = (offset..<(offset + Int(top.counts[i]))).compactMap { top.logprobs[$0] }
      offset += Int(top.counts[i])
      let mass = logprobs.reduce(0) { $0 + exp($1) }
      let h = -logprobs.reduce(0) { $0 + exp($1) * $1 }
      sums[0] += h
      sums[1] += h / mass + log(mass)
      sums[2] += mass < 1 ? h - (1 - mass) * log(1 - mass) : h
    }
    return sums.map { $0 / Double(n) }
  }

  // MARK: NeMo Gym

  @Test func gymTokens() throws {
    let rows = Checks.trajectories(
      try Self.read("nemo-gym-tokens/competitive_coding_challenges.example_rollouts.jsonl"))
    #expect(rows.map(\.rolloutIndex) == [1, 3, 4, 0, 2] && Set(rows.map(\.groupID)).count == 1)
    #expect(rows.allSatisfy { $0.reward == 0 })
    #expect(Set(rows.map(\.promptTokenIDs)).count == 1 && rows[0].promptTokenIDs?.count == 109)
    let sorted = rows.sorted { ($0.rolloutIndex ?? 0) < ($1.rolloutIndex ?? 0) }
    #expect(sorted.map { $0.columns?.count } == [964, 785, 1277, 959, 1038])
    let sums = [-208.004269, -172.421344, -187.371892, -175.446652, -160.040748]
    let surprisals = [0.080209, 0.054941, 0.164680, 0.054941, 0.054941]
    for (i, row) in sorted.enumerated() {
      let columns = try #require(row.columns)
      #expect(abs(Checks.sum(columns) - sums[i]) < 5e-7)
      let surprisal = -(0..<20).reduce(0) { $0 + (columns.logprobs?[$1] ?? .nan) } / 20
      #expect(abs(surprisal - surprisals[i]) < 5e-7)
      #expect(columns.topLogprobs == nil && columns.lossMask.allSatisfy { $0 == 1 })
      #expect(columns.logprobs?.precision == .float32)
      Checks.expectCover(row.segments, 0, columns.count)
      #expect(row.segments.map(\.kind) == [.answer] && row.parentID == nil)
    }
    let (one, three) = (sorted[1].columns?.tokenIDs ?? [], sorted[3].columns?.tokenIDs ?? [])
    // By chance: they are independent samples.
    #expect(zip(one, three).prefix { $0 == $1 }.count == 57)
  }

  @Test func gymToolsWithoutTokens() throws {
    let rows = Checks.trajectories(try Self.read("nemo-gym-tools-group/anyswe_hermes.example_rollouts.jsonl"))
    #expect(rows.map(\.rolloutIndex) == [0, 3, 4, 1, 2] && Set(rows.map(\.groupID)).count == 1)
    let sorted = rows.sorted { ($0.rolloutIndex ?? 0) < ($1.rolloutIndex ?? 0) }
    #expect(sorted.map(\.reward) == [0, 0, 1, 1, 0])
    #expect(sorted.map { $0.segments.filter { $0.kind == .toolCall }.count } == [9, 11, 18, 14, 16])
    #expect(sorted.map { $0.segments.filter { $0.kind == .toolResult }.count } == [9, 11, 18, 14, 16])
    for row in rows {
      #expect(row.columns == nil && row.dataSource == "princeton-nlp/SWE-bench_Verified")
      #expect(row.segments.allSatisfy { $0.text != nil })
      #expect(row.segments.filter { $0.kind == .toolResult }.allSatisfy { $0.tool != nil && $0.toolCallID != nil })
    }
  }
}
