import Foundation
import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct EntropyAuditGoldenTests {
  private func estimatorOptions(_ name: String) -> AuditOptions {
    var options = AuditOptions()
    options.estimator = Estimator(rawValue: name)
    options.bootstrapReplicates = 50
    return options
  }

  private static let logs = [
    ("mini", "topk"), ("branched", "topk"), ("entropy", "exact"), ("entropy", "topk"), ("entropy", "sampled-nll"),
    ("rewards", "sampled-nll"), ("undeclared", "topk"),
  ]

  /// Rows, control blocks and calls are those of the reference.
  @Test(arguments: logs)
  func rowsAndCalls(log: String, estimator: String) throws {
    let windows = try #require(try Goldens.expected(log)["windows"] as? [String: Any])
    let expected = try #require(windows[estimator] as? [String: Any])
    var calls: [AuditCall] = []
    let report = try report(Goldens.groups(log), estimatorOptions(estimator)) { calls.append($0) }
    let run = try #require(report.runs.first)
    #expect(report.runs.count == 1 && run.estimator?.estimator.rawValue == estimator)

    let control = try #require(expected["control"] as? [String: [String: Any]])
    for summary in run.control {
      let row = try #require(control[String(summary.window.count)])
      #expect(summary.blocks == row["blocks"] as? Int)
      #expect(isClose(summary.median, row["median"] as? Double) && isClose(summary.mad, row["mad"] as? Double))
    }
    for (key, dimension) in [
      ("by_tool", AuditDimension.tool), ("by_source", .dataSource), ("by_step", .step),
      ("by_policy_version", .policyVersion),
    ] {
      let rows = try #require(expected[key] as? [String: [String: [String: Any]]])
      let table = try #require(run.tables.first { $0.dimension == dimension })
      #expect(Set(table.rows.map(\.key)) == Set(rows.keys))
      for row in table.rows {
        for summary in row.windows {
          let w = try #require(rows[row.key]?["\(summary.window.lowerBound)-\(summary.window.upperBound)"])
          #expect(summary.events == w["events"] as? Int && summary.spikes == w["spikes"] as? Int)
          #expect(summary.tokens == w["tokens"] as? Int)
          #expect(isClose(summary.eventMean.value, w["event_mean"] as? Double))
          #expect(isClose(summary.eventDelta.value, w["event_delta"] as? Double))
          #expect(isClose(summary.tokenMean, w["token_mean"] as? Double))
          #expect(isClose(summary.tokenMax, w["token_max"] as? Double))
        }
      }
    }
    let events = try #require(expected["events"] as? [[String: Any]])
    let placed = calls.filter { $0.start != nil }
    #expect(placed.count == events.count)
    for (call, event) in zip(placed, events) {
      #expect(call.trajectoryID == event["trajectory"] as? String && call.result == event["result"] as? Int)
      #expect(call.tool == event["tool"] as? String && call.start == event["start"] as? Int)
      #expect(isClose(call.baseline, event["baseline"] as? Double))
      let cells = try #require(event["windows"] as? [String: [String: Any]])
      for (window, value) in zip(report.windows, call.windows) {
        let cell = try #require(cells["\(window.lowerBound)-\(window.upperBound)"])
        #expect(value.count == cell["n"] as? Int && value.spike == cell["spike"] as? Bool)
        #expect(isClose(value.mean, cell["mean"] as? Double) && isClose(value.max, cell["max"] as? Double))
        #expect(isClose(value.delta, cell["delta"] as? Double) && isClose(value.z, cell["z"] as? Double))
      }
    }
  }

  /// Each call carries both ARPO values of its decision.
  @Test(arguments: ["mini", "branched", "undeclared"])
  func branchingValues(log: String) throws {
    let branching = try #require(try Goldens.expected(log)["branching"] as? [String: Any])
    let events = try #require(branching["events"] as? [[String: Any]])
    var calls: [AuditCall] = []
    let options = estimatorOptions("sampled-nll")
    _ = try report(Goldens.groups(log), options) { calls.append($0) }
    for event in events {
      let call = try #require(
        calls.first {
          $0.trajectoryID == event["trajectory"] as? String && $0.result == event["result"] as? Int
        })
      #expect(call.owned && call.position == event["at"] as? Int)
      let code = try #require(event["code"] as? [String: Any])
      #expect(isClose(call.arpoBaseline, code["baseline"] as? Double))
      #expect(isClose(call.arpoLagged, (code["lagged"] as? [String: Any])?["now"] as? Double))
      #expect(isClose(call.arpoPostResult, (code["post-result"] as? [String: Any])?["now"] as? Double))
      let paper = try #require((event["paper"] as? [String: Any])?["post-result"] as? [String: Any])
      #expect(isClose(call.paperDeltaV, (paper["V"] as? [String: Any])?["dh"] as? Double))
      #expect(isClose(call.paperDeltaLnV, (paper["lnV"] as? [String: Any])?["dh"] as? Double))
    }
  }

  /// Without being asked the audit takes the strongest estimator that covers the log.
  @Test func estimatorOfItsOwnChoice() throws {
    let choices = try ["mini", "branched", "entropy", "rewards", "undeclared", "textonly"].map {
      try report(Goldens.groups($0)).runs.first?.estimator
    }
    #expect(choices.map { $0?.estimator } == [.topk, .topk, .topk, .sampledNLL, .topk, nil])
    let entropy = try #require(choices[2])
    #expect(entropy.coverage.map(\.estimator) == [.exact, .topk, .sampledNLL])
    // In that log the stronger ones have values for part of the tokens only.
    #expect(entropy.coverage.map(\.tokens) == entropy.coverage.map(\.tokens).sorted())
    #expect(entropy.reason.contains("exact only for"))
    #expect(choices[0]?.formula.contains("listed tokens of p ln p") == true)
  }

  @Test func textOnlyLogSaysWhatIsMissing() throws {
    var calls: [AuditCall] = []
    let run = try #require(try report(Goldens.groups("textonly")) { calls.append($0) }.runs.first)
    #expect(run.estimator == nil && run.overall.isEmpty && run.tables.isEmpty && run.generatedTokens == 0)
    #expect(run.textOnlyTrajectories == run.trajectories)
    #expect(run.missing.map(\.what) == ["token ids", "sampled logprobs", "top-k logprobs", "exact entropies"])
    #expect(run.findings.map(\.verdict) == [.cannotTell, .cannotTell, .cannotTell])
    // The calls themselves are known.
    #expect(calls.count == run.toolResults && calls.count > 5)
    #expect(calls.allSatisfy { $0.windows.allSatisfy { $0.count == 0 && $0.mean == nil } && $0.evidence == "text" })
  }

  @Test func boundsStandBesideTopK() throws {
    let run = try #require(try report(Goldens.groups("branched")).runs.first)
    for row in run.overall {
      let (low, mean, high) = try (
        #require(row.lowerMean), #require(row.eventMean.value), #require(row.upperMean)
      )
      #expect(mean <= low + 1e-12 && low <= high)
    }
    let exact = try #require(try report(Goldens.groups("rewards")).runs.first)
    #expect(exact.overall.allSatisfy { $0.lowerMean == nil && $0.upperMean == nil })
  }

  /// Rescaling to another temperature changes the estimates and not ARPO's own values.
  @Test func anotherTemperature() throws {
    var options = estimatorOptions("topk")
    var plain: [AuditCall] = []
    var hot: [AuditCall] = []
    _ = try report(Goldens.groups("mini"), options) { plain.append($0) }
    options.temperature = 1.5
    _ = try report(Goldens.groups("mini"), options) { hot.append($0) }
    #expect(plain.map(\.arpoLagged) == hot.map(\.arpoLagged) && plain.map(\.paperDeltaV) == hot.map(\.paperDeltaV))
    #expect(plain.map(\.windows) != hot.map(\.windows))
    #expect(hot.allSatisfy { $0.windows.allSatisfy { $0.lower == nil } })
    options.temperature = 1
    var same: [AuditCall] = []
    _ = try report(Goldens.groups("mini"), options) { same.append($0) }
    #expect(same == plain)
  }
}
