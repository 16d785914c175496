import Foundation
import TestSupport
import Testing

@testable import RolloutLogs

/// A last record that the log breaks off in is torn, whatever its format makes of the rest.
@Suite struct TornRecordTests {
  /// The error of a log's last record, and what it is told as if the log ends inside it.
  private func errors(
    _ format: any LogFormat.Type, _ data: Data
  ) throws -> (own: RecordError?, torn: RecordError?) {
    let folder = try TemporaryFolder()
    let path = try folder.write(data, "log")
    let stream = RecordStream(input: try LogInput(path: path), blockSize: 1 << 14)
    let block = try #require(stream.next())
    let slice = try #require(block.slices.last)
    do throws(RecordError) {
      _ = try format.init(file: LogFile(path: path)).records(in: block.bytes(of: slice), at: slice.position)
    } catch { return (error, block.torn(slice, error)) }
    return (nil, nil)
  }

  private static let native =
    #"{"kind":"trajectory","run_id":"r","group_id":"g","trajectory_id":"t","step":4,"rollout_index":12,"#
    + #""token_ids":[1,2,3],"logprobs":[-0.5,null,-1.5e-1],"entropies":[0.1,0.2,null],"loss_mask":[1,0,1],"#
    + #""top_logprobs":{"counts":[2,0,1],"token_ids":[1,2,3],"logprobs":[-0.1,-2,-1]},"prompt_text":"a \" b","#
    + #""branch":{"parent_id":"p","token_index":2},"segments":[{"kind":"reasoning","start":0,"end":2,"text":"x"},"#
    + #"{"kind":"answer","start":2,"end":3}],"reward":1.5,"rewards":{"format":{"value":0.5}},"truncated":false,"#
    + #""meta":{"é":[true,null,{}]}}"#

  @Test(arguments: [
    ("arpo-rollout", "", native), ("openai", "openai/openai-chat.jsonl", ""),
    ("sglang", "sglang/sglang-generate.jsonl", ""), ("verl", "verl-v1/7.jsonl", ""),
    ("nemo-gym", "nemo-gym/nemo-gym_rollouts.jsonl", ""),
  ]) func aRecordCutAnywhereIsTorn(name: String, fixture: String, text: String) throws {
    let format = try #require(LogFormats.named(name))
    var record = text
    if !fixture.isEmpty {
      let log = try String(contentsOf: TestPaths.fixtures.appending(path: "logs/\(fixture)"), encoding: .utf8)
      record = try #require(log.split(separator: "\n").map(String.init).min { $0.utf8.count < $1.utf8.count })
    }
    let bytes = Data(record.utf8)
    let whole = try errors(format, bytes).own
    #expect(whole == nil)
    for cut in 1..<bytes.count {
      let found = try errors(format, bytes.prefix(cut))
      #expect(found.torn?.reason == .tornLine, "cut at \(cut): \(String(describing: found.own))")
    }
  }

  /// A whole value is what it is, although nothing ends its line.
  @Test(
    arguments: [
      (#""rollout_index":"12""#, .wrongType), (#""logprobs":{}"#, .wrongType), (#""segments":"{""#, .wrongType),
      (#""logprobs":[0.5]"#, .positiveLogprob),
    ] as [(String, QuarantineReason)]) func aWholeRecordIsNotTorn(member: String, reason: QuarantineReason) throws
  {
    let record = #"{"kind":"trajectory","group_id":"g","trajectory_id":"t","token_ids":[1],\#(member)}"#
    for end in ["", "\n"] {
      let found = try errors(NativeLog.self, Data((record + end).utf8))
      #expect(found.own?.reason == reason && found.torn == nil)
    }
  }
}
