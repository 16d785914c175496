@testable import Replay
import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

/// The audit for programs: JSON and rows.
struct AuditDataTests {
  private func document(_ report: AuditReport) -> DocumentValue {
    AuditRenderer(report: report, traits: .file).document
  }

  /// The elements of a value that must be an array.
  private func elements(_ value: DocumentValue?) throws -> [DocumentValue] {
    try #require(value.flatMap { if case .array(let elements) = $0 { elements } else { nil } })
  }

  private func renderer(_ report: AuditReport) -> AuditRenderer { AuditRenderer(report: report, traits: .file) }

  @Test func keysOfTheDocument() throws {
    let value = document(SampleReport.full)
    #expect(
      keys(value) == ["schema", "unit", "windows", "baseline_tokens", "temperature", "intervals", "runs"])
    #expect(value["schema"] == .string("arpo-replay/audit/1"))
    let runs = try elements(value["runs"])
    #expect(
      keys(runs[0]) == [
        "run_id", "algorithm", "vocab_size", "recomputed_by", "groups", "trajectories", "text_only_trajectories",
        "tool_results",
        "executed_calls", "generated_tokens", "tokens_with_value", "evidence", "estimator", "baseline",
        "early_reasoning", "control", "overall", "by", "findings", "curves", "start_curve", "missing",
      ])
    #expect(
      runs[0]["baseline"]?.json
        == #"{"unit":"nats","estimator":"topk","tokens":20,"trajectories":2000,"mean":0.5,"mean_low":0.49,"#
        + #""mean_high":0.52}"#)
    #expect(runs[0]["by"].map(keys) == ["tool", "data_source"])
    let window = runs[0]["overall"]?["windows"]?["0-50"]
    #expect(window?["events"] == .int(1497))
    #expect(
      window.map(keys) == [
        "events", "event_mean", "event_mean_low", "event_mean_high", "event_delta", "event_delta_low",
        "event_delta_high", "spikes", "scored", "spike_share", "tokens", "token_mean", "token_max", "lower_mean",
        "upper_mean",
      ])
  }

  @Test func numbersNameTheirUnitAndEstimator() throws {
    let runs = try elements(document(SampleReport.full)["runs"])
    for key in ["baseline", "early_reasoning", "control", "overall", "start_curve"] {
      #expect(runs[0][key]?["unit"] == .string("nats"), "\(key)")
      #expect(runs[0][key]?["estimator"] == .string("topk"), "\(key)")
    }
    #expect(runs[0]["estimator"]?["formula"] == .string(Estimator.topk.formula))
    #expect(runs[0]["by"]?["tool"]?["estimator"] == .string("topk"))
    let findings = try elements(runs[0]["findings"])
    #expect(findings.map { $0["verdict"] } == [.string("supported"), .string("not_supported"), .string("cannot_tell")])
    #expect(findings.allSatisfy { $0["unit"] == .string("nats") })
  }

  @Test func aRunWithoutEstimatorIsAllThere() throws {
    let runs = try elements(document(SampleReport.textOnly)["runs"])
    #expect(runs[0]["estimator"] == .null)
    #expect(runs[0]["baseline"]?["mean"] == .null)
    #expect(runs[0]["start_curve"] == .null)
    let missing = try elements(runs[0]["missing"])
    #expect(missing.count == 2)
  }

  @Test func keysAreUniqueThoughWindowsRepeat() throws {
    var report = SampleReport.full
    report.windows += report.windows
    report.runs[0].overall += report.runs[0].overall
    report.runs[0].control += report.runs[0].control
    let runs = try elements(document(report)["runs"])
    #expect(runs[0]["overall"]?["windows"].map(keys) == ["0-10", "10-50", "0-20", "0-50"])
    #expect(runs[0]["control"]?["windows"].map(keys) == ["0-10", "10-50", "0-20", "0-50"])
  }

  @Test func largeSeedsStayExact() {
    var report = SampleReport.full
    #expect(document(report)["intervals"]?["seed"] == .int(7))
    report.seed = .max
    #expect(document(report)["intervals"]?["seed"] == .string("18446744073709551615"))
  }

  @Test func rowsInLongForm() throws {
    let rows = renderer(SampleReport.full).rows
    // The initial entropy; then first segments, all calls, two tools, two sources in four windows each.
    #expect(rows.count == 1 + 6 * 4)
    #expect(rows.allSatisfy { $0.count == AuditRenderer.columns.count })
    #expect(
      rows[0].map(\.csv).joined(separator: ",")
        == "qwen-arpo,baseline,,0-20,0,20,topk,nats,2000,0.5,0.49,0.52,,,,,,,,,,,,,,,,")
    #expect(
      rows[9].map(\.csv).joined(separator: ",")
        == "qwen-arpo,tool,python,0-10,0,10,topk,nats,600,0.45,0.43,0.48,-0.04999999999999999,-0.07,"
        + "-0.019999999999999962,120,600,0.2,312,0.4017,0.391,0.0312,0.0411,6000,0.45,2.5,0.44,0.7")
    #expect(rows[5][1] == .text("all"))
    #expect(rows[5][2] == .null)
  }

  @Test func aRunWithoutEstimatorHasOneRow() {
    let rows = renderer(SampleReport.textOnly).rows
    #expect(
      rows.map { $0.map(\.csv).joined(separator: ",") } == [
        "verl-dump,baseline,,0-20,0,20,,nats,0" + String(repeating: ",", count: 19)
      ])
  }

  @Test func curveRows() {
    let rows = renderer(SampleReport.full).curveRows
    #expect(rows.count == 4 * 64)
    #expect(
      AuditRenderer.curveColumns.map(\.name) == ["run_id", "curve", "tool", "offset", "n", "mean", "estimator", "unit"])
    #expect(rows[0].map(\.csv).joined(separator: ",") == "qwen-arpo,after_result,,0,1500,0.8,topk,nats")
    #expect(rows[64].map(\.csv).joined(separator: ",") == "qwen-arpo,after_result,python,0,1500,0.9,topk,nats")
    #expect(rows[192].map(\.csv).joined(separator: ",") == "qwen-arpo,start,,0,1500,0.3,topk,nats")
  }

  @Test func callRows() {
    let call = AuditCall(
      runID: "r", groupID: "g", step: 3, trajectoryID: "t", result: 1, tool: "search", toolCallID: nil, position: 40,
      owned: true, start: 44,
      windows: [WindowValue(count: 10, mean: 0.5, max: 1.5, delta: 0.25, z: 3.5, spike: true, lower: 0.4, upper: 0.75)],
      baseline: 0.25, arpoLagged: 0.5, arpoPostResult: nil, arpoBaseline: 0.125, paperDeltaV: 0.001, paperDeltaLnV: 2,
      reward: 1, dataSource: "hotpotqa", policyVersion: nil, evidence: "text,token_ids")
    let columns = AuditRenderer.callColumns([0..<10]).map(\.name)
    let row = AuditRenderer.callRow(call, estimator: .topk)
    #expect(columns.count == row.count)
    let expected = [
      "run_id=r group_id=g step=3 trajectory_id=t result=1 tool=search tool_call_id= position=40 owned=true start=44",
      "estimator=topk unit=nats baseline=0.25 w0_10_count=10 w0_10_mean=0.5 w0_10_max=1.5 w0_10_delta=0.25",
      "w0_10_z=3.5 w0_10_spike=true w0_10_lower=0.4 w0_10_upper=0.75 arpo_lagged=0.5 arpo_post_result=",
      "arpo_baseline=0.125 paper_delta_v=0.001 paper_delta_ln_v=2 reward=1 data_source=hotpotqa policy_version=",
      #"evidence="text,token_ids""#,
    ]
    #expect(zip(columns, row).map { $0 + "=" + $1.csv }.joined(separator: " ") == expected.joined(separator: " "))
  }

  private func keys(_ value: DocumentValue) -> [String] {
    guard case .object(let members) = value else { return [] }
    return members.map(\.0)
  }
}
