import Rollouts

extension EntropyAudit {
  /// Computes what one group contributes.
  ///
  /// Pure: the same group gives the same numbers on any thread.
  ///
  /// - Throws: where the declared forks contradict each other.
  public static func analyse(_ group: ReplayGroup, options: AuditOptions) throws(RolloutTreeError) -> GroupAudit {
    let tree = try RolloutTree(group)
    return GroupAnalysis(tree, options: options).audit()
  }
}

/// The analysis of one group under way.
private struct GroupAnalysis {
  let tree: RolloutTree
  let options: AuditOptions
  /// By estimator.
  let values: [PathValues]
  /// By estimator: bounds beside `topk`.
  let bounds: [(lower: PathValues, upper: PathValues)?]
  let branching: [[Int: BranchEvent]]

  init(_ tree: RolloutTree, options: AuditOptions) {
    self.tree = tree
    self.options = options
    let group = tree.group
    let temperature = options.rescaling(of: group.run)
    var wanted = Set(options.estimators)
    let hasBounds = wanted.contains(.topk) && temperature == nil
    if hasBounds { wanted.formUnion([.lower, .upper]) }
    // ARPO's own values are of the logged probabilities, whatever the estimator.
    if temperature == nil { wanted.insert(.topk) }
    let entropy = GroupEntropy(group, estimators: wanted, temperature: temperature)
    values = options.estimators.map { entropy.values($0, in: tree) }
    bounds = options.estimators.map {
      $0 == .topk && hasBounds ? (entropy.values(.lower, in: tree), entropy.values(.upper, in: tree)) : nil
    }
    let logged = temperature == nil ? entropy : GroupEntropy(group, estimators: [.topk])
    var branching = [[Int: BranchEvent]](repeating: [:], count: tree.count)
    for event in BranchReplay(tree, topk: logged.values(.topk, in: tree)).events {
      branching[event.trajectory][event.result] = event
    }
    self.branching = branching
  }

  func audit() -> GroupAudit {
    let group = tree.group
    var out = GroupAudit(run: group.run, record: GroupRecord(id: group.id, step: group.step))
    out.budget = ToolBudget(tree)
    out.record.trajectories = tree.paths.indices.map(trajectory)
    for values in values {
      var blocks: [[Double]] = []
      for window in options.windows {
        // Windows of the same length have the same blocks.
        if let same = options.windows.prefix(blocks.count).firstIndex(where: { $0.count == window.count }) {
          blocks.append(blocks[same])
        } else {
          blocks.append(tree.paths.indices.flatMap { values.controlBlocks($0, length: window.count) })
        }
      }
      out.record.control.append(blocks.map { MeanSum(sum: $0.reduce(0, +), count: $0.count) })
      out.controlBlocks.append(blocks)
      let curves = curves(values)
      out.startCurves.append(curves.start)
      out.toolCurves.append(curves.byTool)
    }
    return out
  }

  private func trajectory(_ t: Int) -> TrajectoryRecordEntry {
    let source = tree.group.trajectories[t]
    let path = tree.paths[t]
    var out = TrajectoryRecordEntry(
      id: source.id, isTextOnly: path.unit == .segment, step: source.step, dataSource: source.dataSource,
      policyVersion: source.policyVersion, reward: source.reward, evidence: source.evidence,
      generated: path.unit == .token ? path.ownedGeneratedCount : 0)
    for e in values.indices {
      let first = path.firstGeneration ?? 0..<0
      out.entropy.append(
        TrajectoryEntropyEntry(
          covered: values[e].coverage(t), baseline: values[e].baseline(t, tokens: options.baselineTokens),
          early: options.windows.map { window(t, $0, of: first, estimator: e) }))
    }
    out.calls = path.results.indices.map { call(t, $0) }
    return out
  }

  private func call(_ t: Int, _ r: Int) -> CallEntry {
    let path = tree.paths[t]
    let result = path.results[r]
    let segment = path.window(after: r)
    let event = branching[t][r]
    var out = CallEntry(
      result: r, tool: result.tool, toolCallID: result.toolCallID, position: result.end, isOwned: result.isOwned,
      start: segment?.lowerBound, arpoLagged: event?.codeLagged.now, arpoPostResult: event?.codePostResult.now,
      arpoBaseline: event?.codeBaseline, paperDeltaV: event?.paperPostResult.byV.deltaH,
      paperDeltaLnV: event?.paperPostResult.byLnV.deltaH)
    if let segment {
      out.windows = values.indices.map { e in options.windows.map { window(t, $0, of: segment, estimator: e) } }
    }
    return out
  }

  private func window(_ t: Int, _ window: Range<Int>, of segment: Range<Int>, estimator e: Int) -> CallWindow {
    let cell = values[e].cell(t, window, of: segment)
    guard let bounds = bounds[e] else { return CallWindow(cell) }
    let range = segment.window(window)
    return CallWindow(
      cell, lower: bounds.lower.statistics(t, range).mean, upper: bounds.upper.statistics(t, range).mean)
  }

  /// Entropy by offset from the start of a trajectory, and behind a result; each token of the tree once.
  private func curves(_ values: PathValues) -> (start: CurveSums, byTool: [String: CurveSums]) {
    let length = options.curveLength
    var start = CurveSums(length: length)
    var byTool: [String: CurveSums] = [:]
    func add(_ t: Int, _ segment: Range<Int>, to curve: inout CurveSums) {
      let range = segment.prefix(length)
      let owned = range.clamped(to: tree.paths[t].branch..<max(tree.paths[t].branch, range.upperBound))
      for (i, x) in zip(owned, values.values(t, owned)) { curve.add(x, at: i - segment.lowerBound) }
    }
    for (t, path) in tree.paths.enumerated() where path.unit == .token {
      if let first = path.firstGeneration { add(t, first, to: &start) }
      for (r, result) in path.results.enumerated() {
        guard let segment = path.window(after: r) else { continue }
        add(t, segment, to: &byTool[result.tool, default: CurveSums(length: length)])
      }
    }
    return (start, byTool)
  }
}
