import Replay
import Rollouts

/// A segment of a made-up trajectory: what it is and how many tokens, or which.
struct Stretch {
  var kind: SegmentKind
  var tokens: [Int32]
  var tool: String?
  var text: String?

  static func think(_ tokens: [Int32]) -> Stretch { Stretch(kind: .reasoning, tokens: tokens) }
  static func call(_ tokens: [Int32], _ tool: String) -> Stretch {
    Stretch(kind: .toolCall, tokens: tokens, tool: tool)
  }
  static func result(_ tokens: [Int32], _ tool: String?, text: String? = nil) -> Stretch {
    Stretch(kind: .toolResult, tokens: tokens, tool: tool, text: text)
  }
}

/// A trajectory with token ids only, or with text only.
func madeTrajectory(
  _ id: String, parent: Int? = nil, at branch: Int = 0, _ stretches: [Stretch], textOnly: Bool = false,
  reward: Double? = nil, logprobs: ((Int) -> Double)? = nil
) -> ReplayTrajectory {
  var segments: [Segment] = []
  var at = branch
  for s in stretches {
    let n = textOnly ? 1 : s.tokens.count
    let text = textOnly ? s.tokens.map(String.init).joined(separator: " ") : s.text
    segments.append(Segment(kind: s.kind, start: at, end: at + n, tool: s.tool, text: text))
    at += n
  }
  let tokens = stretches.flatMap(\.tokens)
  let mask = stretches.flatMap { s in s.tokens.map { _ in s.kind == .toolResult ? 0 : 1 as UInt8 } }
  let columns = TokenColumns(
    tokenIDs: tokens, lossMask: mask,
    logprobs: logprobs.map { f in RealColumn(doubles: tokens.indices.map { mask[$0] == 1 ? f(branch + $0) : .nan }) })
  return ReplayTrajectory(
    id: id, declaredParent: parent, declaredBranch: branch, rolloutIndex: nil, reward: reward, multiplicity: 1,
    step: 1, dataSource: nil, policyVersion: nil, finishReason: nil,
    evidence: textOnly ? .text : logprobs == nil ? .tokenIDs : [.tokenIDs, .sampledLogprobs], entropyKind: nil,
    segments: segments, columns: textOnly ? nil : columns)
}

func madeRun(_ id: String = "run", vocabSize: Int? = 1000) -> ReplayRun {
  ReplayRun(
    id: id, algorithm: nil, vocabSize: vocabSize, logprobTemperature: 1, branching: BranchingSettings())
}

func madeGroup(_ trajectories: [ReplayTrajectory], id: String = "g", run: ReplayRun = madeRun()) -> ReplayGroup {
  ReplayGroup(run: run, id: id, step: 1, trajectories: trajectories)
}
