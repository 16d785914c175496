import Foundation
import RolloutLogs

/// One bad record of every class that a line can have, with the reason under which it is put aside.
enum BadRecords {
  static let all: [(line: String, reason: QuarantineReason)] = [
    (#"{"kind":"trajectory","group_id":"b","#, .invalidJSON),
    ("no json at all", .invalidJSON),
    (#"{"kind":"end"} {"kind":"end"}"#, .invalidJSON),
    (#"[{"kind":"end"}]"#, .wrongType),
    (tokens(#""token_ids":[1,2],"logprobs":[NaN,-1]"#), .notFinite),
    (tokens(#""token_ids":[1,2],"logprobs":[-Infinity,-1]"#), .notFinite),
    (tokens(#""token_ids":[1,2],"reward":Infinity"#), .notFinite),
    (tokens(#""token_ids":"1,2""#), .wrongType),
    (tokens(#""token_ids":[1,"2"]"#), .wrongType),
    (tokens(#""token_ids":[1],"step":"one""#), .wrongType),
    (tokens(#""token_ids":[1],"loss_mask":[2]"#), .wrongType),
    (tokens(#""token_ids":[1,-2]"#), .outOfRange),
    (tokens(#""token_ids":[1,99999999999]"#), .outOfRange),
    (tokens(#""token_ids":[1],"multiplicity":0"#), .outOfRange),
    (tokens(#""token_ids":[1,2,3],"logprobs":[-1,-2]"#), .lengthMismatch),
    (tokens(#""token_ids":[1,2,3],"loss_mask":[1]"#), .lengthMismatch),
    (tokens(#""token_ids":[1],"top_logprobs":{"counts":[2],"token_ids":[1],"logprobs":[-1]}"#), .lengthMismatch),
    (tokens(#""token_ids":[1,2],"logprobs":[-1,0.5]"#), .positiveLogprob),
    (tokens(#""token_ids":[1,2],"segments":[{"kind":"answer","start":0,"end":1}]"#), .badSegments),
    (tokens(#""token_ids":[1,2],"segments":[{"kind":"thought","start":0,"end":2}]"#), .badSegments),
    (tokens(#""token_ids":[1],"parent_id":"r","branch_token_index":-1"#), .badBranch),
    (tokens(#""token_ids":[1],"parent_id":"r","branch_token_index":99"#), .badBranch),
    (tokens(#""token_ids":[1],"parent_id":"r""#), .missingField),
    (#"{"kind":"trajectory","group_id":"b","token_ids":[1]}"#, .missingField),
    (#"{"group_id":"b"}"#, .missingField),
    (tokens(#""token_ids":[1],"parent_id":"nobody","branch_token_index":0"#), .missingParent),
    (tokens(#""token_ids":[1],"parent_id":"BAD","branch_token_index":0"#), .parentCycle),
    (tokens(#""token_ids":[7,1],"parent_id":"r","branch_token_index":1,"prefix":"full""#), .prefixDisagrees),
    (#"{"schema":"arpo-rollout/2","kind":"end"}"#, .unsupportedSchema),
    (#"{"kind":"comment"}"#, .unknownRecord),
    (
      tokens(#""token_ids":[1],"x":\#(String(repeating: "[", count: 300) + String(repeating: "]", count: 300))"#),
      .tooDeep
    ),
    (#"{"kind":"trajectory","group_id":"g","trajectory_id":"r","token_ids":[9]}"#, .duplicateDisagrees),
    (#"{"kind":"group","group_id":"g","prompt_text":"another"}"#, .promptDisagrees),
  ]

  private static func tokens(_ members: String) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"BAD",\#(members)}"#
  }

  /// What the bad records refer to.
  static let group = #"{"kind":"group","group_id":"g","prompt_text":"the prompt","prompt_token_ids":[1]}"#
  static let root = #"{"kind":"trajectory","group_id":"g","trajectory_id":"r","token_ids":[1,2,3]}"#

  /// A bad record with ids of its own.
  static func line(_ index: Int) -> String { all[index].line.replacing("BAD", with: "bad\(index)") }

  /// A good record that stands behind a bad one.
  static func good(_ index: Int) -> String {
    #"{"kind":"trajectory","group_id":"g","trajectory_id":"good\#(index)","token_ids":[\#(index)],"logprobs":[-0.5]}"#
  }
}
