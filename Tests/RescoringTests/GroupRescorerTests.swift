import Foundation
import Policy
import Replay
import Rescoring
import Rollouts
import TestSupport
import Testing

@Suite("rescoring of groups")
struct GroupRescorerTests {
  static let tokenizer = Result {
    try Tokenizer(directory: TestPaths.fixtures.appending(path: "tokenizers/qwen2").path)
  }

  static let run = ReplayRun(
    id: "r", algorithm: nil, vocabSize: nil, logprobTemperature: 0.5, branching: BranchingSettings())

  static func trajectory(
    _ id: String, parent: Int? = nil, branch: Int = 0, ids: [Int32]?, mask: [UInt8]? = nil,
    evidence: Evidence = .tokenIDs,
    segments: [Segment]? = nil
  ) -> ReplayTrajectory {
    let count = ids?.count ?? 0
    let columns = ids.map { TokenColumns(tokenIDs: $0, lossMask: mask ?? $0.map { _ in 1 }) }
    return ReplayTrajectory(
      id: id, declaredParent: parent, declaredBranch: branch, rolloutIndex: nil, reward: nil, multiplicity: 1,
      step: nil,
      dataSource: nil, policyVersion: nil, finishReason: nil, evidence: evidence, entropyKind: nil,
      segments: segments ?? [Segment(kind: .answer, start: branch, end: branch + count)], columns: columns)
  }

  static func group(_ trajectories: [ReplayTrajectory]) -> ReplayGroup {
    ReplayGroup(run: run, id: "g", step: nil, trajectories: trajectories)
  }

  let scorer = HashScorer(vocabularySize: 100)

  func rescore(
    _ trajectories: [ReplayTrajectory], prompt: GroupPrompt = GroupPrompt(tokenIDs: [7, 8]),
    tokenizer: Tokenizer? = nil, texts: [Int32: [UInt8]] = [:], _ change: (inout RescoreOptions) -> Void = { _ in }
  ) throws -> [RescoredTrajectory] {
    var options = RescoreOptions()
    change(&options)
    let rescorer = GroupRescorer(scorer: scorer, tokenizer: tokenizer, options: options)
    let result = try rescorer.rescore(Self.group(trajectories), prompt: prompt, tokenTexts: { texts[$0] })
    #expect(result.temperature == options.temperature ?? 0.5)
    return result.trajectories
  }

  @Test("each own token is scored behind the prompt and the inherited tokens; shared ones are computed once")
  func shared() throws {
    let out = try rescore([
      Self.trajectory("a", ids: [1, 2, 3, 4]), Self.trajectory("b", parent: 0, branch: 2, ids: [3, 9]),
    ])
    #expect(out.map(\.scored) == [4, 2] && out.map(\.missing) == [0, 0])
    #expect(out[0].segments[0].logprobs[3] == HashScorer.value([7, 8, 1, 2, 3, 4], 1) / 0.5)
    // The child repeats its parent's third token; it has the same value there.
    #expect(out[1].segments[0].logprobs[0] == out[0].segments[0].logprobs[2])
    #expect(out[1].segments[0].logprobs[1] == HashScorer.value([7, 8, 1, 2, 3, 9], 1) / 0.5)
    #expect(out[1].segments[0].entropies[1] == -HashScorer.value([7, 8, 1, 2, 3], 2) / 0.5)
    #expect(scorer.batches.count == 1 && scorer.batches[0].tokens.count == 7)
    #expect(out.allSatisfy { $0.ids == .logged && $0.prompt == .logged && $0.reason == nil })
  }

  @Test("inserted tokens are context; they are scored unless that is switched off")
  func inserted() throws {
    let trajectory = Self.trajectory("a", ids: [1, 2, 3], mask: [1, 0, 1])
    #expect(try rescore([trajectory])[0].scored == 3)
    let out = try rescore([trajectory]) { $0.withInserted = false }
    #expect(out[0].segments[0].logprobs.map(\.isNaN) == [false, true, false])
    #expect(out[0].scored == 2 && out[0].missing == 0)
    #expect(out[0].segments[0].logprobs[2] == HashScorer.value([7, 8, 1, 2, 3], 1) / 0.5)
  }

  @Test("candidates are kept where a token was scored, at the temperature asked for")
  func candidates() throws {
    let out = try rescore([Self.trajectory("a", ids: [1, 2], mask: [0, 1])]) {
      $0.topK = 3
      $0.withInserted = false
      $0.temperature = 2
    }
    let top = try #require(out[0].segments[0].topLogprobs)
    #expect(top.counts == [0, 3] && top.tokenIDs == [0, 1, 2] && top.logprobs.floats.count == 3)
    #expect(out[0].segments[0].logprobs[1] == HashScorer.value([7, 8, 1, 2], 1) / 2)
  }

  @Test("without a prompt nothing is scored, unless asked for; then the first token has no value")
  func noPrompt() throws {
    let trajectory = Self.trajectory("a", ids: [1, 2, 3])
    let refused = try rescore([trajectory], prompt: GroupPrompt())
    #expect(refused[0].scored == 0 && refused[0].missing == 3 && refused[0].segments.isEmpty)
    #expect(refused[0].reason == "the log has no prompt")
    #expect(try rescore([trajectory], prompt: GroupPrompt(text: "x"))[0].reason?.contains("tokenizer.json") == true)
    let allowed = try rescore([trajectory], prompt: GroupPrompt()) { $0.allowsNoPrompt = true }
    #expect(allowed[0].scored == 2 && allowed[0].missing == 1 && allowed[0].prompt == .none)
    #expect(allowed[0].segments[0].logprobs[0].isNaN && allowed[0].reason != nil)
    #expect(allowed[0].segments[0].logprobs[1] == HashScorer.value([1, 2], 1) / 0.5)
  }

  @Test("an id outside the vocabulary is named; what stands before it is scored")
  func outside() throws {
    let out = try rescore([
      Self.trajectory("a", ids: [1, 2, 100, 3]), Self.trajectory("b", parent: 0, branch: 4, ids: [4]),
      Self.trajectory("c", parent: 0, branch: 2, ids: [5]), Self.trajectory("d", ids: [-1]),
    ])
    #expect(out.map(\.scored) == [2, 0, 1, 0] && out.map(\.missing) == [2, 1, 0, 1])
    #expect(out[0].reason == "the id 100 at response index 2 is outside the vocabulary of 100")
    #expect(out[1].reason == out[0].reason && out[2].reason == nil)
    #expect(
      try rescore([Self.trajectory("a", ids: [1])], prompt: GroupPrompt(tokenIDs: [5, 100]))[0].reason?.contains(
        "prompt's id 100") == true)
  }

  @Test("text whose tokens are unknown ends what can be scored")
  func gap() throws {
    let segments = [
      Segment(kind: .toolCall, start: 0, end: 2), Segment(kind: .toolResult, start: 2, end: 2, text: "it rains"),
      Segment(kind: .answer, start: 2, end: 4),
    ]
    let out = try rescore([Self.trajectory("a", ids: [1, 2, 3, 4], segments: segments)])
    #expect(out[0].scored == 2 && out[0].missing == 2)
    #expect(out[0].reason?.contains("from response index 2 on") == true)
    #expect(out[0].segments.map(\.ordinal) == [0, 2] && out[0].segments[1].logprobs.allSatisfy(\.isNaN))
    // An empty result without text hides nothing.
    let plain = segments.map { Segment(kind: $0.kind, start: $0.start, end: $0.end) }
    #expect(try rescore([Self.trajectory("a", ids: [1, 2, 3, 4], segments: plain)])[0].scored == 4)
  }

  @Test("tokens that the log names by their texts are looked up; one that is not there ends what can be scored")
  func matched() throws {
    let tokenizer = try Self.tokenizer.get()
    let scorer = HashScorer(vocabularySize: tokenizer.vocabularySize)
    let rescorer = GroupRescorer(scorer: scorer, tokenizer: tokenizer, options: RescoreOptions())
    let ids = tokenizer.encode("The agent<|im_end|>é")
    let texts = Dictionary(
      ids.enumerated().map { (Int32($0.offset), tokenizer.bytes(of: $0.element)) }, uniquingKeysWith: { a, _ in a })
    let numbers = ids.indices.map { Int32($0) } + [1000, 0]
    let group = Self.group([Self.trajectory("a", ids: numbers, evidence: [.sampledLogprobs])])
    let out = try rescorer.rescore(group, prompt: GroupPrompt(tokenIDs: [7]), tokenTexts: { texts[$0] })
    let trajectory = out.trajectories[0]
    #expect(trajectory.ids == .matched && trajectory.scored == ids.count && trajectory.missing == 2)
    #expect(trajectory.segments[0].tokenIDs == ids + [-1, -1])
    #expect(trajectory.segments[0].logprobs[ids.count - 1] == HashScorer.value([7] + ids, 1) / 0.5)
    #expect(trajectory.reason == "the logged token at response index \(ids.count) is not in the vocabulary")
    #expect(try rescore([Self.trajectory("a", ids: [1], evidence: [])])[0].reason?.contains("tokenizer.json") == true)
  }

  static func text(_ id: String, parent: Int? = nil, branch: Int = 0, _ texts: [(SegmentKind, String)])
    -> ReplayTrajectory
  {
    let segments = texts.enumerated().map { i, part in
      Segment(kind: part.0, start: branch + i, end: branch + i + 1, text: part.1)
    }
    return trajectory(id, parent: parent, branch: branch, ids: nil, evidence: .text, segments: segments)
  }

  @Test("text is tokenised: what the policy sampled in one go as one text, tool results by themselves")
  func retokenized() throws {
    let tokenizer = try Self.tokenizer.get()
    let scorer = HashScorer(vocabularySize: tokenizer.vocabularySize)
    let rescorer = GroupRescorer(scorer: scorer, tokenizer: tokenizer, options: RescoreOptions())
    let group = Self.group([
      Self.text(
        "a", [(.reasoning, "The ag"), (.toolCall, "ent calls"), (.toolResult, " a tool"), (.answer, " a tool")]),
      Self.text("b", parent: 0, branch: 3, [(.answer, " the outil")]),
    ])
    let out = try rescorer.rescore(group, prompt: GroupPrompt(text: "<|im_start|>user"), tokenTexts: { _ in nil })
    let generated = tokenizer.encode("The agent calls")
    let result = tokenizer.encode(" a tool")
    let prompt = tokenizer.encode("<|im_start|>user")
    let a = out.trajectories[0]
    #expect(a.ids == .retokenized && a.prompt == .retokenized && a.missing == 0)
    #expect(a.segments.flatMap { $0.tokenIDs ?? [] } == generated + result + result)
    // A token belongs to the segment in which it begins.
    #expect(a.segments.first?.count == tokenizer.encode("The agent").count)
    #expect(a.scored == (generated + result + result).count)
    let b = out.trajectories[1]
    let own = tokenizer.encode(" the outil")
    #expect(b.segments.flatMap { $0.tokenIDs ?? [] } == own)
    #expect(b.segments[0].logprobs.last == HashScorer.value(prompt + generated + result + own, 1) / 0.5)
    #expect(try rescore([Self.text("a", [(.answer, "x")])])[0].reason?.contains("tokenizer.json") == true)
  }

  @Test("a fork inside what was sampled in one go cuts the text there, for parent and child alike")
  func forkInsideText() throws {
    let tokenizer = try Self.tokenizer.get()
    let scorer = HashScorer(vocabularySize: tokenizer.vocabularySize)
    let rescorer = GroupRescorer(scorer: scorer, tokenizer: tokenizer, options: RescoreOptions())
    let group = Self.group([
      Self.text("a", [(.reasoning, "The ag"), (.answer, "ent calls")]),
      Self.text("b", parent: 0, branch: 1, [(.answer, "ile")]),
    ])
    let out = try rescorer.rescore(group, prompt: GroupPrompt(tokenIDs: [7]), tokenTexts: { _ in nil })
    #expect(out.trajectories[0].segments[0].tokenIDs == tokenizer.encode("The ag"))
    #expect(out.trajectories[0].segments[1].tokenIDs == tokenizer.encode("ent calls"))
    #expect(
      out.trajectories[1].segments[0].logprobs.last
        == HashScorer.value([7] + tokenizer.encode("The ag") + tokenizer.encode("ile"), 1) / 0.5)
  }

  @Test("drift: tokens that their own text does not lead back to are counted, the first one named")
  func drift() throws {
    let tokenizer = try Self.tokenizer.get()
    let scorer = HashScorer(vocabularySize: tokenizer.vocabularySize)
    let rescorer = GroupRescorer(scorer: scorer, tokenizer: tokenizer, options: RescoreOptions())
    let good = tokenizer.encode("The agent calls a search tool")
    let letters = "entropy".unicodeScalars.flatMap { tokenizer.encode(String($0)) }
    let out = try rescorer.rescore(
      Self.group([Self.trajectory("a", ids: good), Self.trajectory("b", ids: good + letters)]),
      prompt: GroupPrompt(tokenIDs: [7]), tokenTexts: { _ in nil })
    #expect(out.trajectories[0].drift?.differing == 0 && out.trajectories[0].drift?.checked == good.count)
    let drift = try #require(out.trajectories[1].drift)
    #expect(drift.checked == good.count + letters.count && drift.differing > 0 && drift.first != nil)
    #expect(drift.differing <= letters.count + 1)
    // An id that the tokenizer does not know is not checked, the others are.
    let unknown = try rescorer.rescore(
      Self.group([Self.trajectory("a", ids: [5, Int32(tokenizer.vocabularySize)])]),
      prompt: GroupPrompt(tokenIDs: [7]), tokenTexts: { _ in nil })
    #expect(unknown.trajectories[0].drift?.checked == 1 && unknown.trajectories[0].drift?.differing == 0)
  }
}
