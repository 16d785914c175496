public import Replay
import Rollouts

/// Turns a prompt group into the records of one format.
///
///     let export = GroupExport(tree: tree, origin: origin, advantages: advantages, options: options)
///     let (records, tally) = export.records()
///
/// Every record says where it comes from: run, group, step, and of each trajectory id, file, line and byte offset.
public struct GroupExport {
  let tree: RolloutTree
  let origin: GroupOrigin
  let advantages: [PathAdvantages]?
  let options: ExportOptions

  /// - Parameters:
  ///   - origin: prompt and provenance, the trajectories in the tree's order.
  ///   - advantages: by trajectory; needed where ``ExportOptions/needsAdvantages`` says so.
  public init(tree: RolloutTree, origin: GroupOrigin, advantages: [PathAdvantages]?, options: ExportOptions) {
    self.tree = tree
    self.origin = origin
    self.advantages = advantages
    self.options = options
  }

  /// The records in a fixed order, and what was left out.
  public func records() -> (records: [DocumentValue], tally: ExportTally) {
    var tally = ExportTally()
    tally.groups = 1
    let records =
      switch options.format {
      case .trlDPO, .pairs: pairRecords(&tally)
      case .trlKTO: labelRecords(&tally)
      case .trlSFT: bestRecords(&tally)
      case .verl: verlRecords(&tally)
      }
    tally.records = records.count
    return (records, tally)
  }

  // MARK: Leaves

  /// The leaves that the selection keeps and that have a reward.
  func scoredLeaves(_ tally: inout ExportTally) -> [Int] {
    let selected = tree.paths.indices.filter { origin.trajectories[$0].isSelected }
    let scored = selected.filter { tree.group.trajectories[$0].reward != nil }
    tally.skip(.unscored, selected.count - scored.count)
    return scored
  }

  func reward(_ leaf: Int) -> Double? { tree.group.trajectories[leaf].reward }

  /// Mean reward of all scored leaves of the group by multiplicity; the selection does not change what is above it.
  var meanReward: Double {
    var sum = 0.0
    var count = 0.0
    for trajectory in tree.group.trajectories {
      guard let reward = trajectory.reward else { continue }
      sum += reward * Double(trajectory.multiplicity)
      count += Double(trajectory.multiplicity)
    }
    return sum / count
  }

  /// Mean advantage of the generated tokens of a path from an index on; `nil` where it has none.
  func meanAdvantage(_ leaf: Int, from index: Int) -> Double? {
    guard let advantages else { return nil }
    var sum = 0.0
    var count = 0
    advantages[leaf].forEachRun(tree.paths[leaf].generation) { range, value in
      let behind = range.upperBound - max(range.lowerBound, index)
      guard behind > 0 else { return }
      sum += value * Double(behind)
      count += behind
    }
    return count > 0 ? sum / Double(count) : nil
  }

  /// What a continuation is ranked by.
  func score(_ leaf: Int, from index: Int) -> Double? {
    options.score == .reward ? reward(leaf) : meanAdvantage(leaf, from: index)
  }

  func transcript(_ leaf: Int) -> PathTranscript {
    PathTranscript(tree, leaf: leaf, origin: origin.trajectories[leaf], decode: options.decode)
  }

  // MARK: Content

  /// The prompt's ids and a stretch of ids behind it; `nil` where the log lacks either.
  func promptIDs(_ leaf: Int, upTo index: Int) -> [Int32]? {
    guard tree.hasIDs(leaf), let prompt = origin.promptTokenIDs else { return nil }
    return tree.tokenIDs(of: leaf, 0..<index).map { prompt + $0 }
  }

  func ids(_ ids: some Sequence<Int32>) -> DocumentValue { .array(ids.map { .int(Int($0)) }) }

  func mask(_ mask: some Sequence<UInt8>) -> DocumentValue { .array(mask.map { .int(Int($0)) }) }

  /// The prompt and a path's tokens before an index, as text or messages.
  func promptContent(_ transcript: PathTranscript, upTo index: Int) throws(ExportGap) -> DocumentValue {
    let prompt = try promptText()
    if options.style == .conversational {
      return .array(
        try ChatMessages.prompt(prompt) + (index > 0 ? try ChatMessages.messages(of: transcript, 0..<index) : []))
    }
    if transcript.isChat, !tree.hasIDs(transcript.leaf) { throw .messagesOnly }
    return .string(prompt + (try transcript.text(0..<index)))
  }

  /// A continuation as text or messages.
  func content(_ transcript: PathTranscript, from index: Int) throws(ExportGap) -> DocumentValue {
    let range = index..<tree.paths[transcript.leaf].length
    return options.style == .conversational
      ? .array(try ChatMessages.messages(of: transcript, range)) : .string(try transcript.text(range))
  }

  func promptText() throws(ExportGap) -> String {
    if let text = origin.promptText { return text }
    guard let ids = origin.promptTokenIDs, let decode = options.decode else {
      throw origin.promptTokenIDs == nil ? .noPrompt : .noText
    }
    do { return try decode(ids) } catch { throw .splitCharacter }
  }

  // MARK: Provenance

  /// Where a trajectory comes from, and what it earned.
  func place(_ leaf: Int, from index: Int = 0) -> DocumentValue {
    let trajectory = tree.group.trajectories[leaf]
    let at = origin.trajectories[leaf]
    var members: [(String, DocumentValue)] = [
      ("trajectory_id", .string(trajectory.id)), ("path", .string(at.path)), ("line", .int(at.line)),
      ("byte_offset", .int(at.byteOffset)), ("reward", .number(trajectory.reward)),
      ("multiplicity", .int(trajectory.multiplicity)), ("policy_version", .integer(trajectory.policyVersion)),
    ]
    if advantages != nil { members.append(("advantage", .number(meanAdvantage(leaf, from: index)))) }
    return .object(members)
  }

  /// The group's part of a record's provenance, and more.
  func provenance(_ more: [(String, DocumentValue)]) -> DocumentValue {
    var members: [(String, DocumentValue)] = [
      ("run_id", .string(tree.group.run.id)), ("group_id", .string(tree.group.id)), ("step", .integer(tree.group.step)),
    ]
    if advantages != nil { members.append(("attribution", .text(options.attribution))) }
    return .object(members + more)
  }
}
