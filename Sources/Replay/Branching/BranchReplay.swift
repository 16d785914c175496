import AdaptiveRollout

/// ARPO's branching rule replayed on one prompt group: what the code and what the paper would have decided.
public struct BranchReplay: Sendable, Equatable {
  /// By trajectory: its owned generation segments.
  public var segments: [[ARPOSegment]]
  /// In canonical order of trajectories, then by result.
  public var events: [BranchEvent]
}

/// One decision point: an owned tool result that no other follows before the next generated token.
public struct BranchEvent: Sendable, Equatable {
  /// Position of the trajectory in the group.
  public var trajectory: Int
  /// Number of the result on the path.
  public var result: Int
  /// Name of the tool; "unknown" where the log names none.
  public var tool: String
  /// Index behind the result.
  public var at: Int
  /// The code's H of the trajectory's first owned segment.
  ///
  /// A fork has its own, so its first decision has dH = 0.
  public var codeBaseline: Double?
  /// On the segment before the result: what the code used.
  public var codeLagged: CodeDecision
  /// On the segment after the result: what the paper says.
  public var codePostResult: CodeDecision
  /// The paper's rule on the segment before the result.
  public var paperLagged: PaperDecision
  /// The paper's rule on the segment after the result.
  public var paperPostResult: PaperDecision
}

/// The code's rule at one point.
public struct CodeDecision: Sendable, Equatable {
  /// H of the segment in question.
  public var now: Double?
  /// H_now - H_baseline.
  public var deltaH: Double?
  /// Probability of a fork.
  public var probability: Double?
}

/// The paper's rule at one point.
public struct PaperDecision: Sendable, Equatable {
  /// Positions at which both the segment and the initial one have a value.
  public var pairs: Int
  /// dH divided by the vocabulary's size V, as the paper prints it.
  public var byV: PaperChange
  /// dH divided by ln V.
  public var byLnV: PaperChange
}

/// The paper's dH under one normaliser.
public struct PaperChange: Sendable, Equatable {
  /// Sum of H_now - H_initial, divided by the normaliser.
  public var deltaH: Double?
  /// alpha + beta dH, not clipped.
  public var probability: Double?
  /// P > tau.
  public var branches: Bool?
}

extension BranchReplay {
  /// Replays the rule.
  ///
  /// Code: H = sum over the first k positions of the owned part of a segment over the ten largest candidates and the
  /// sampled token, divided by ln V. Paper: H per position is `topk` (all candidates); H_initial = the first k
  /// tokens of the path's first generation segment, H_now = the first k of the whole segment in question. Without a
  /// known vocabulary nothing has a value.
  ///
  /// - Parameters:
  ///   - tree: the group.
  ///   - topk: its `topk` entropies, as logged (not rescaled), or another estimator's for the paper's rule.
  ///   - settings: the rules' parameters; `nil`: those of the run.
  ///   - codeValues: entropies that the code's H sums up in place of its own.
  public init(
    _ tree: RolloutTree, topk: PathValues, settings: BranchingSettings? = nil, codeValues: PathValues? = nil
  ) {
    let settings = settings ?? tree.group.run.branching
    let vocabulary = tree.group.run.vocabSize.flatMap { $0 > 1 ? Double($0) : nil }
    segments = []
    events = []
    for (t, path) in tree.paths.enumerated() {
      let candidates = ARPOCandidates(tree.group.trajectories[t], path: path, topK: settings.topK)
      let own = path.ownedSegments.map { range in
        let (sum, positions) =
          codeValues.map { knownSum($0.values(t, range.prefix(settings.windowTokens))) }
          ?? candidates.sum(over: range, window: settings.windowTokens)
        let value = vocabulary.flatMap { v in sum.map { $0 / logarithm(v) } }
        return ARPOSegment(range: range, positions: positions, sum: sum, value: value)
      }
      segments.append(own)
      let rule = RunRules(settings: settings, vocabulary: vocabulary)
      let initial = path.firstGeneration.map { topk.values(t, $0.prefix(settings.windowTokens)) } ?? []
      for (r, result) in path.results.enumerated() where result.isOwned {
        let after = path.window(after: r)
        if after == nil, r + 1 < path.results.count { continue }
        let before = path.segment(before: r)
        let baseline = path.firstGeneration == nil ? nil : own.first?.value
        func now(_ segment: Range<Int>?) -> Double? {
          segment.flatMap { s in own.first { $0.range.upperBound == s.upperBound } }?.value
        }
        func paper(_ segment: Range<Int>?) -> PaperDecision {
          rule.paper(now: segment.map { topk.values(t, $0.prefix(settings.windowTokens)) }, initial: initial)
        }
        events.append(
          BranchEvent(
            trajectory: t, result: r, tool: result.tool, at: result.end, codeBaseline: baseline,
            codeLagged: rule.code(now: now(before), baseline: baseline),
            codePostResult: rule.code(now: now(after), baseline: baseline),
            paperLagged: paper(before), paperPostResult: paper(after)))
      }
    }
  }
}

/// The two rules with a run's parameters.
private struct RunRules {
  let settings: BranchingSettings
  let vocabulary: Double?

  func code(now: Double?, baseline: Double?) -> CodeDecision {
    guard let now, let baseline, (now - baseline).isFinite else {
      return CodeDecision(now: now, deltaH: nil, probability: nil)
    }
    let p = arpoBranchProbability(
      deltaH: now - baseline, branchProbability: settings.branchProbability, entropyWeight: settings.entropyWeight)
    return CodeDecision(now: now, deltaH: now - baseline, probability: p)
  }

  func paper(now: [Double]?, initial: [Double]) -> PaperDecision {
    guard let now, let vocabulary else { return PaperDecision(pairs: 0, byV: change(nil), byLnV: change(nil)) }
    let (sum, pairs) = entropyChange(now: now, initial: initial)
    return PaperDecision(
      pairs: pairs, byV: change(sum.map { $0 / vocabulary }), byLnV: change(sum.map { $0 / logarithm(vocabulary) }))
  }

  private func change(_ deltaH: Double?) -> PaperChange {
    let deltaH = deltaH.flatMap { $0.isFinite ? $0 : nil }
    let p = deltaH.map { settings.alpha + settings.entropyWeight * $0 }
    return PaperChange(deltaH: deltaH, probability: p, branches: p.map { $0 > settings.tau })
  }
}

/// The sum of known entropies, and how many are known.
private func knownSum(_ values: [Double]) -> (sum: Double?, positions: Int) {
  (entropySum(values), values.count { !$0.isNaN })
}

/// Where a group's forks lie, and how many the code's rule would expect.
public struct ForkSummary: Sendable, Equatable {
  /// Forks at index 0.
  public var atStart = 0
  /// Forks at the end of a tool result of the parent.
  public var afterToolResult = 0
  /// Forks at any other index.
  public var elsewhere = 0
  /// Decision points.
  public var decisions = 0
  /// Sum of the code's P on the segment before; `nil` if no decision has one.
  public var expectedLagged: Double?
  /// Sum of the code's P on the segment after.
  public var expectedPostResult: Double?

  /// Sums up one group.
  public init(_ tree: RolloutTree, _ replay: BranchReplay) {
    for path in tree.paths {
      guard let parent = path.parent else { continue }
      if path.branch == 0 {
        atStart += 1
      } else if tree.paths[parent].results.contains(where: { $0.end == path.branch }) {
        afterToolResult += 1
      } else {
        elsewhere += 1
      }
    }
    decisions = replay.events.count
    let lagged = replay.events.compactMap(\.codeLagged.probability)
    let post = replay.events.compactMap(\.codePostResult.probability)
    expectedLagged = lagged.isEmpty ? nil : lagged.reduce(0, +)
    expectedPostResult = post.isEmpty ? nil : post.reduce(0, +)
  }
}
