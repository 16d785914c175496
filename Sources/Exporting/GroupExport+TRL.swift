import Replay
import Rollouts

// Source of the keys: see ExportFormat.

extension GroupExport {
  /// Preference pairs at the group's forks.
  ///
  /// A pair's prompt is the group's prompt and the tokens that both share. Tool results inside the continuations are part
  /// of them (the masks say where): TRL's DPO loss has no mask of its own and counts them.
  func pairRecords(_ tally: inout ExportTally) -> [DocumentValue] {
    _ = scoredLeaves(&tally)
    let nodes = options.sharesAnyPrefix ? tree.nodes(tree.anyForks()) : tree.nodes()
    var out: [DocumentValue] = []
    for fork in nodes.forks {
      let found = SiblingPairs(at: fork, minimumMargin: options.minimumMargin, limit: options.pairsPerFork) { leaf in
        guard origin.trajectories[leaf].isSelected, reward(leaf) != nil else { return nil }
        return score(leaf, from: fork.index)
      }
      if found.scoredBranches > 1 { tally.forks += 1 }
      tally.skip(.belowMargin, found.belowMargin)
      tally.skip(.manyPairs, found.beyondLimit)
      for pair in found.pairs {
        do throws(ExportGap) {
          out.append(try record(pair, &tally))
        } catch {
          tally.skip(error)
        }
      }
    }
    return out
  }

  private func record(_ pair: SiblingPair, _ tally: inout ExportTally) throws(ExportGap) -> DocumentValue {
    let (chosen, rejected) = (transcript(pair.chosen), transcript(pair.rejected))
    let ranges = [pair.chosen, pair.rejected].map { pair.fork..<tree.paths[$0].length }
    if ranges.contains(where: \.isEmpty) { throw .emptyContinuation }
    if areSame(pair, ranges) { throw .sameContinuation }

    var members: [(String, DocumentValue)] = []
    var gap: ExportGap?
    do throws(ExportGap) {
      members = [
        ("prompt", try promptContent(chosen, upTo: pair.fork)), ("chosen", try content(chosen, from: pair.fork)),
        ("rejected", try content(rejected, from: pair.fork)),
      ]
    } catch {
      gap = error
    }
    if let prompt = promptIDs(pair.chosen, upTo: pair.fork), tree.hasIDs(pair.rejected),
      let better = tree.tokenIDs(of: pair.chosen, ranges[0]), let worse = tree.tokenIDs(of: pair.rejected, ranges[1])
    {
      members += [("prompt_ids", ids(prompt)), ("chosen_ids", ids(better)), ("rejected_ids", ids(worse))]
      members += [
        ("chosen_mask", mask(tree.lossMask(of: pair.chosen, ranges[0]) ?? [])),
        ("rejected_mask", mask(tree.lossMask(of: pair.rejected, ranges[1]) ?? [])),
      ]
      if gap != nil { tally.withoutText += 1 }
    } else {
      if let gap { throw gap }
      tally.withoutIDs += 1
    }
    members += [
      ("score_chosen", .number(score(pair.chosen, from: pair.fork))),
      ("score_rejected", .number(score(pair.rejected, from: pair.fork))), ("margin", .double(pair.margin)),
    ]
    if options.format == .pairs {
      members += [
        ("chosen_logprobs", logprobs(pair.chosen, ranges[0])),
        ("rejected_logprobs", logprobs(pair.rejected, ranges[1])),
      ]
    }
    return .object(
      members + [
        (
          "provenance",
          provenance([
            ("score", .string(options.score.rawValue)), ("fork_index", .int(pair.fork)),
            ("fork_after", .text(forkPlace(pair))), ("chosen", place(pair.chosen, from: pair.fork)),
            ("rejected", place(pair.rejected, from: pair.fork)),
          ])
        )
      ])
  }

  private func areSame(_ pair: SiblingPair, _ ranges: [Range<Int>]) -> Bool {
    if let a = tree.tokenIDs(of: pair.chosen, ranges[0]), let b = tree.tokenIDs(of: pair.rejected, ranges[1]) {
      return a == b
    }
    return segmentTexts(pair.chosen, pair.fork) == segmentTexts(pair.rejected, pair.fork)
  }

  private func segmentTexts(_ leaf: Int, _ index: Int) -> [String?] {
    transcript(leaf).parts.filter { $0.range.lowerBound >= index }.map(\.text)
  }

  /// The segment that ends at the fork: `tool_result search`; `prompt` at 0; `inside reasoning` where the fork cuts one.
  private func forkPlace(_ pair: SiblingPair) -> String? {
    if pair.fork == 0 { return "prompt" }
    let segments = tree.paths[pair.chosen].segments
    if let cut = segments.first(where: { $0.start < pair.fork && pair.fork < $0.end }) {
      return "inside " + cut.kind.rawValue
    }
    guard let before = segments.last(where: { $0.end == pair.fork && $0.start < pair.fork }) else { return nil }
    return before.kind.rawValue + (before.tool.map { " " + $0 } ?? "")
  }

  /// The behaviour policy's logprobs, null where the log has none or the token was inserted.
  func logprobs(_ leaf: Int, _ range: Range<Int>) -> DocumentValue {
    guard let values = tree.logprobs(of: leaf, range) else { return .null }
    return .array(values.map { $0.isNaN ? .null : .double($0) })
  }

  // MARK: KTO

  /// A labelled leaf a record: true above the threshold, false below it.
  func labelRecords(_ tally: inout ExportTally) -> [DocumentValue] {
    let scored = scoredLeaves(&tally)
    if scored.isEmpty { return [] }
    let threshold = options.labelThreshold ?? (options.score == .reward ? meanReward : 0)
    // A threshold that was given is met by scores from it on; the group's mean is a dividing line.
    let isGiven = options.labelThreshold != nil
    var out: [DocumentValue] = []
    for leaf in scored {
      guard let value = score(leaf, from: 0) else {
        tally.skip(.noAdvantage)
        continue
      }
      if !isGiven, areEqual([value, threshold]) {
        tally.skip(.onThreshold)
        continue
      }
      do throws(ExportGap) {
        var members = try leafContent(leaf, &tally, ids: ("prompt_ids", "completion_ids"))
        members.append(("label", .bool(value >= threshold)))
        members.append(("score", .double(value)))
        members.append(
          (
            "provenance",
            provenance([
              ("score", .string(options.score.rawValue)), ("threshold", .double(threshold)),
              ("trajectory", place(leaf)),
            ])
          ))
        out.append(.object(members))
      } catch {
        tally.skip(error)
      }
    }
    return out
  }

  // MARK: SFT

  /// The best leaves of the group: rejection sampling.
  func bestRecords(_ tally: inout ExportTally) -> [DocumentValue] {
    let scored = scoredLeaves(&tally)
    if scored.isEmpty { return [] }
    let mean = meanReward
    let kept = scored.filter { leaf in
      guard let reward = reward(leaf) else { return false }
      return options.minimumReward.map { reward >= $0 } ?? (reward > mean && !areEqual([reward, mean]))
    }
    tally.skip(options.minimumReward == nil ? .noSignal : .belowReward, kept.isEmpty ? scored.count : 0)
    let best = kept.sorted { (-(reward($0) ?? 0), $0) < (-(reward($1) ?? 0), $1) }
    if !kept.isEmpty { tally.skip(.notBest, scored.count - min(best.count, options.best)) }
    var out: [DocumentValue] = []
    for (rank, leaf) in best.prefix(options.best).enumerated() {
      do throws(ExportGap) {
        var members = try leafContent(leaf, &tally, ids: nil)
        if let prompt = promptIDs(leaf, upTo: 0), let path = tree.tokenIDs(of: leaf, 0..<tree.paths[leaf].length) {
          members += [
            ("input_ids", ids(prompt + path)),
            (
              "assistant_masks",
              mask([UInt8](repeating: 0, count: prompt.count) + (tree.lossMask(of: leaf, 0..<path.count) ?? []))
            ),
          ]
        }
        let more: [(String, DocumentValue)] = [
          ("rank", .int(rank + 1)), ("group_mean_reward", .double(mean)), ("trajectory", place(leaf)),
        ]
        members.append(("provenance", provenance(more)))
        out.append(.object(members))
      } catch {
        tally.skip(error)
      }
    }
    return out
  }

  /// Prompt and completion of a whole leaf: text where there is text, and ids under two keys.
  private func leafContent(
    _ leaf: Int, _ tally: inout ExportTally, ids keys: (prompt: String, completion: String)?
  ) throws(ExportGap) -> [(String, DocumentValue)] {
    let transcript = transcript(leaf)
    let range = 0..<tree.paths[leaf].length
    if range.isEmpty { throw .emptyContinuation }
    var members: [(String, DocumentValue)] = []
    var gap: ExportGap?
    do throws(ExportGap) {
      members = [("prompt", try promptContent(transcript, upTo: 0)), ("completion", try content(transcript, from: 0))]
    } catch {
      gap = error
    }
    guard let prompt = promptIDs(leaf, upTo: 0), let path = tree.tokenIDs(of: leaf, range) else {
      if let gap { throw gap }
      tally.withoutIDs += 1
      return members
    }
    if gap != nil { tally.withoutText += 1 }
    if let keys {
      members += [(keys.prompt, ids(prompt)), (keys.completion, ids(path))]
      members.append(("completion_loss_mask", mask(tree.lossMask(of: leaf, range) ?? [])))
    }
    return members
  }
}
