import AdaptiveRollout
import Foundation
import Policy
import Replay
import RolloutLogs
import RolloutStore
import Rollouts
import Sampling
import Testing
import TestSupport

@testable import Demonstration

/// Answers as the best policy does, or at random; knows the probabilities that it draws with.
private final class ScriptedSource: TokenSource {
  let task: ToolTask
  /// Probability of the right next token; the rest is uniform.
  let skill: Double

  init(_ task: ToolTask, skill: Double) {
    self.task = task
    self.skill = skill
  }

  func draw(
    behind contexts: [[Int32]], stops: Set<Int32>, limit: Int, seeds: [UInt64]
  ) throws -> [[DrawnToken]] {
    zip(contexts, seeds).map { draw(behind: $0, stops: stops, limit: limit, seed: $1) }
  }

  private func draw(behind context: [Int32], stops: Set<Int32>, limit: Int, seed: UInt64) -> [DrawnToken] {
    var random = SeededRandom(seed: seed, stream: "scripted")
    var out: [DrawnToken] = []
    while out.count < limit {
      let right = best(behind: context + out.map(\.id))
      let isRight = random.unit() < skill
      let other = Int32(random.below(TaskVocabulary.size - 1))
      let id = isRight ? right : other + (other >= right ? 1 : 0)
      let rest = (1 - skill) / Double(TaskVocabulary.size - 1)
      let p = isRight ? skill : rest
      let entropy = skill == 1 ? 0 : -skill * log(skill) - (1 - skill) * log(rest)
      out.append(DrawnToken(id: id, logprob: Float(log(p)), entropy: Float(entropy)))
      if stops.contains(id) { break }
    }
    return out
  }

  /// The next token of the best response.
  private func best(behind context: [Int32]) -> Int32 {
    let end = context.firstIndex(of: Int32(UInt8(ascii: "?"))) ?? 0
    let prompt = TaskVocabulary.text(context[...end])
    let question = task.questions.first { $0.prompt == prompt } ?? task.questions[0]
    var rollout = TaskRollout(question: question)
    let isLookup = question.kind == .lookup
    rollout.generate(
      [isLookup ? TaskVocabulary.search : TaskVocabulary.python] + TaskVocabulary.ids(question.argument)
        + [isLookup ? TaskVocabulary.endSearch : TaskVocabulary.endPython])
    if let call = task.call(in: rollout.ids) { rollout.insert(call) }
    rollout.generate(
      [TaskVocabulary.answer] + TaskVocabulary.ids(question.answer)
        + [TaskVocabulary.endAnswer, TaskVocabulary.endOfText])
    let at = context.count - end - 1
    return at < rollout.ids.count ? rollout.ids[at] : TaskVocabulary.endOfText
  }
}

@Suite struct ToolTaskTests {
  private let task = ToolTask(seed: 3)

  @Test func theBestPolicyEarnsTheOptimum() throws {
    let sampler = TaskSampler(task, ScriptedSource(task, skill: 1))
    let rewards = try sampler.rewards(on: task.questions, count: 1, seed: 1)
    #expect(rewards.allSatisfy { $0 == ToolTask.optimum })
    let poor = try TaskSampler(task, ScriptedSource(task, skill: 0.5)).rewards(
      on: Array(task.questions.prefix(40)), count: 2, seed: 1)
    #expect(poor.reduce(0, +) / 40 < 0.5)
  }

  @Test func toolsKnowTheirOwnThingOnly() {
    #expect(task.answer(of: "python", to: "7+8") == "5")
    #expect(task.answer(of: "python", to: "d") == nil)
    #expect(task.answer(of: "search", to: "7+8") == nil)
    #expect(task.answer(of: "search", to: "d") == task.questions.first { $0.argument == "d" }?.answer)
    #expect(task.answer(of: "search", to: "") == nil)
    #expect(task.answer(of: "python", to: "7+") == nil)
    #expect(ToolTask(seed: 3).questions == task.questions)
    #expect(ToolTask(seed: 4).questions != task.questions)
  }

  @Test func callsAreFoundByTheirTags() {
    let search = [TaskVocabulary.search] + TaskVocabulary.ids("d") + [TaskVocabulary.endSearch]
    let call = task.call(in: TaskVocabulary.ids("so ") + search)
    #expect(call?.tool == "search")
    #expect(call?.argument == "d")
    #expect(call?.start == 3)
    #expect(task.call(in: [TaskVocabulary.search]) == nil)
    // The closing tag of the other tool: nothing was asked of it.
    #expect(task.call(in: [TaskVocabulary.search, TaskVocabulary.endPython])?.result == nil)
    #expect(task.call(in: [Int32]()) == nil)
  }

  @Test func examplesAreRightAsOftenAsTheyShould() throws {
    let (groups, examples) = FormatExamples().records(task, count: 4000, seed: 1)
    #expect(groups.count == 4000)
    var right = 0.0
    for (group, example) in zip(groups, examples) {
      let question = try #require(task.questions.first { $0.prompt == group.promptText })
      right += task.reward(of: example.columns?.tokenIDs ?? [], to: question)
    }
    #expect((0.2...0.5).contains(right / 4000), "\(right / 4000)")
  }
}

@Suite struct BranchedLogTests {
  private let task = ToolTask(seed: 5)

  /// The sampler's log is read back as what it was: same tokens, forks, rewards, nothing quarantined.
  @Test func theLogIsImportedAsItWasSampled() throws {
    let scratch = try TemporaryFolder()
    let log = BranchedLog(TaskSampler(task, ScriptedSource(task, skill: 0.8)), rollouts: 8, initialRollouts: 3)
    var lines = [NativeLogWriter.line(log.run(id: "r", model: "tiny"))]
    var records: [TrajectoryRecord] = []
    for i in 0..<12 {
      let (group, trajectories) = try log.sample(task.questions[i * 9], group: "g\(i)", step: 1, seed: 11)
      lines.append(NativeLogWriter.line(group))
      lines += trajectories.map(NativeLogWriter.line)
      records += trajectories
      #expect(trajectories.count == 8)
    }
    lines.append(NativeLogWriter.end(trajectories: records.count))
    let path = try scratch.write(lines, "log.jsonl")
    let store = try Store.temporary()
    let report = try Importer(store: store, options: ImportOptions()).run([path])
    #expect(report.counts.trajectories == records.count)
    #expect(report.quarantine.isEmpty)
    #expect(records.contains { $0.parentID != nil })
    var seen: [ReplayTrajectory] = []
    try store.forEachGroup(transform: { $0 }, consume: { seen += $0.trajectories })
    for record in records {
      let read = try #require(seen.first { $0.id == record.trajectoryID })
      #expect(read.columns?.tokenIDs == record.columns?.tokenIDs)
      #expect(read.columns?.lossMask == record.columns?.lossMask)
      #expect(
        read.columns?.logprobs?.widened().map(\.bitPattern) == record.columns?.logprobs?.widened().map(\.bitPattern))
      #expect(read.reward == record.reward)
      #expect(read.declaredBranch == record.branchIndex)
      #expect(read.segments.map(\.kind) == record.segments.map(\.kind))
    }
  }

  @Test func theSameSeedGivesTheSameGroup() throws {
    let log = BranchedLog(TaskSampler(task, ScriptedSource(task, skill: 0.7)), rollouts: 6, initialRollouts: 3)
    let lines = try (0..<2).map { _ in
      try log.sample(task.questions[40], group: "g", step: 1, seed: 2).trajectories.map(NativeLogWriter.line)
    }
    #expect(lines[0] == lines[1])
    let other = try log.sample(task.questions[40], group: "g", step: 1, seed: 3).trajectories
    #expect(other.map(NativeLogWriter.line) != lines[0])
  }

  /// What a record says is what is read, whatever the record holds.
  @Test func recordsSurviveTheWayThroughTheFormat() throws {
    var record = TrajectoryRecord(groupID: "g\n\"", trajectoryID: "t")
    record.rolloutIndex = 4
    record.parentID = "p"
    record.branchIndex = 2
    record.firstIndex = 2
    record.branch = #"{"reason":"entropy","draw":0.25}"#
    record.step = 7
    record.reward = 1.1
    record.rewards = [
      RewardPart(name: "answer", score: 1, weight: 1), RewardPart(name: "tools", score: nil, weight: 0.1),
    ]
    record.policyVersion = 3
    record.finishReason = "stop"
    record.multiplicity = 2
    record.columns = TokenColumns(
      tokenIDs: [5, 6, 7], lossMask: [1, 0, 1], logprobs: RealColumn(floats: [-0.1, .nan, -2.5e-7]),
      topLogprobs: TopLogprobs(counts: [2, 0, 1], tokenIDs: [5, 9, 7], logprobs: RealColumn(floats: [-0.1, -3, -1])),
      entropies: RealColumn(floats: [0.5, .nan, 1]))
    record.entropyKind = "exact"
    record.segments = [
      Segment(
        kind: .toolCall, start: 2, end: 3, tool: "search", toolCallID: "c", arguments: "{\"q\": \"x\"}", text: "a"),
      Segment(kind: .toolResult, start: 3, end: 4, tool: "search", status: "ok", latency: 0.5),
      Segment(kind: .answer, start: 4, end: 5, text: "é\u{1}"),
    ]
    let line = NativeLogWriter.line(record)
    let bytes = Array(line.utf8)
    let read = try bytes.withUnsafeBufferPointer {
      try NativeLog(file: LogFile(path: "x", runName: "x", folderName: "x", stem: "x")).records(
        in: $0, at: RecordPosition(line: 1, byteOffset: 0, length: bytes.count))
    }
    guard case .trajectory(let back)? = read.first else {
      Issue.record("not a trajectory: \(line)")
      return
    }
    #expect(back.columns == record.columns)
    #expect(back.segments == record.segments)
    #expect(back.rewards == record.rewards)
    #expect(NativeLogWriter.line(back) == line)
  }
}

@Suite struct TinyCheckpointTests {
  @Test func theFolderIsAHuggingFaceCheckpoint() throws {
    let scratch = try TemporaryFolder()
    let folder = scratch.path("tiny")
    try TinyCheckpoint.write(to: folder, seed: 1)
    let checkpoint = try Checkpoint(directory: folder)
    #expect(checkpoint.config == TinyCheckpoint.config)
    #expect(checkpoint.unusedNames.isEmpty)
    let again = scratch.path("again")
    try TinyCheckpoint.write(to: again, seed: 1)
    let files = try [folder, again].map { try Data(contentsOf: URL(filePath: $0 + "/model.safetensors")) }
    #expect(files[0] == files[1])
  }

  @Test func theTokenizerKnowsTagsAndBytes() throws {
    let scratch = try TemporaryFolder()
    try TinyCheckpoint.write(to: scratch.path("tiny"), seed: 1)
    let tokenizer = try Tokenizer(directory: scratch.path("tiny"))
    #expect(tokenizer.vocabularySize == TaskVocabulary.size)
    let text = "3+4?<python>3+4</python><result>7</result><answer>7</answer><|endoftext|>"
    let ids = tokenizer.encode(text)
    #expect(ids.count == 4 + 5 + 3 + 3 + 1)
    #expect(ids[4] == TaskVocabulary.python)
    #expect(try tokenizer.decode(ids) == text)
    #expect(TaskVocabulary.text(ids) == text)
    #expect(tokenizer.encode("é") == [0xC3, 0xA9])
  }
}
