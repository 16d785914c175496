import Rollouts

/// Follows the declared parents of a group and lays out every path.
///
/// Parents may stand behind their children.
func resolvePaths(_ group: ReplayGroup) throws(RolloutTreeError) -> [RolloutPath] {
  var paths = [RolloutPath?](repeating: nil, count: group.trajectories.count)
  for t in group.trajectories.indices {
    var chain: [Int] = []
    var next: Int? = t
    while let u = next, paths[u] == nil {
      // A chain longer than the group has visited someone twice.
      guard chain.count < group.trajectories.count else {
        throw .parentCycle(group: group.id, trajectory: group.trajectories[t].id)
      }
      chain.append(u)
      next = group.trajectories[u].declaredParent
      if let p = next, !group.trajectories.indices.contains(p) {
        throw .noSuchParent(group: group.id, trajectory: group.trajectories[u].id)
      }
    }
    for u in chain.reversed() {
      paths[u] = try resolvePath(u, of: group, parent: group.trajectories[u].declaredParent.flatMap { paths[$0] })
    }
  }
  return paths.compactMap { $0 }
}

/// The path of one trajectory whose declared parent's path is known.
private func resolvePath(
  _ t: Int, of group: ReplayGroup, parent: RolloutPath?
) throws(RolloutTreeError) -> RolloutPath {
  let trajectory = group.trajectories[t]
  let unit: RolloutPath.Unit = trajectory.columns == nil ? .segment : .token
  let branch = parent == nil ? 0 : trajectory.declaredBranch
  if let parent {
    guard parent.unit == unit else { throw .mixedUnits(group: group.id, trajectory: trajectory.id) }
    guard (0...parent.length).contains(branch) else {
      throw .branchBeyondParent(
        group: group.id, trajectory: trajectory.id, branch: branch, parentLength: parent.length)
    }
  }
  let stored = trajectory.columns?.count ?? trajectory.segments.count
  let length = branch + stored

  var pieces = (parent?.pieces ?? []).filter { $0.range.lowerBound < branch }
  if let last = pieces.last { pieces[pieces.count - 1].range = last.range.clamped(to: 0..<branch) }
  if stored > 0 { pieces.append(PathPiece(owner: t, range: branch..<length)) }

  let segments = joinSegments(inherited: parent?.segments ?? [], own: trajectory.segments, branch: branch, storedBy: t)
  let ownRuns =
    if let columns = trajectory.columns {
      maskRuns(columns.lossMask, from: branch)
    } else {
      segmentRuns(trajectory.segments, from: branch)
    }
  let runs = joinRuns(parent?.maskRuns ?? [], ownRuns, at: branch)
  var results: [ToolResult] = []
  results.reserveCapacity(segments.count { $0.kind == .toolResult })
  for s in segments where s.kind == .toolResult {
    results.append(
      ToolResult(start: s.start, end: s.end, tool: s.tool ?? "unknown", toolCallID: s.toolCallID, storedBy: s.storedBy))
  }
  return RolloutPath(
    unit: unit, storageParent: trajectory.declaredParent, storageBranch: branch,
    parent: trajectory.declaredParent, branch: branch, root: t, length: length, pieces: pieces, segments: segments,
    generation: cut(runs, at: results.filter { $0.start == $0.end }.map(\.start)), results: results, maskRuns: runs)
}

/// The path's segments: the parent's up to the branch, then the own ones.
///
/// A segment that the fork cuts goes on in the child if the child's first own segment has the same kind and tool.
///
/// The parent's empty segments at the branch itself are inherited unless the child stores an empty segment there.
private func joinSegments(inherited: [PathSegment], own: [Segment], branch: Int, storedBy: Int) -> [PathSegment] {
  var path: [PathSegment] = []
  path.reserveCapacity(inherited.count + own.count)
  let storesEmpty = own.contains { $0.start == $0.end && $0.start == branch }
  var wasCut = false
  for var s in inherited {
    let isEmptyAtBranch = s.start == s.end && s.start == branch && !storesEmpty
    guard s.start < branch || isEmptyAtBranch else { continue }
    if s.end > branch {
      wasCut = true
      s.end = branch
    }
    path.append(s)
  }
  for s in own where s.end > branch || (s.start == s.end && s.start == branch) {
    var start = max(s.start, branch)
    if wasCut, let last = path.last, last.kind == s.kind, last.tool == s.tool { start = path.removeLast().start }
    wasCut = false
    path.append(
      PathSegment(
        kind: s.kind, start: start, end: s.end, tool: s.tool, toolCallID: s.toolCallID, storedBy: storedBy,
        lacksTokens: s.start == s.end && s.text?.isEmpty == false))
  }
  return path
}

/// Runs of 1 in a mask whose first entry is path index `offset`.
private func maskRuns(_ mask: [UInt8], from offset: Int) -> [Range<Int>] {
  var runs: [Range<Int>] = []
  mask.withUnsafeBufferPointer { mask in
    var i = 0
    while i < mask.count {
      while i < mask.count, mask[i] == 0 { i += 1 }
      let start = i
      while i < mask.count, mask[i] != 0 { i += 1 }
      if start < i { runs.append((offset + start)..<(offset + i)) }
    }
  }
  return runs
}

/// Runs of segments that the policy sampled, for a text-only trajectory.
private func segmentRuns(_ segments: [Segment], from offset: Int) -> [Range<Int>] {
  maskRuns(segments.map { $0.isInserted ? 0 : 1 }, from: offset)
}

/// The parent's runs up to the branch and the own ones, the two that meet there made one.
private func joinRuns(_ inherited: [Range<Int>], _ own: [Range<Int>], at branch: Int) -> [Range<Int>] {
  var runs: [Range<Int>] = []
  runs.reserveCapacity(inherited.count + own.count)
  for run in inherited where run.lowerBound < branch { runs.append(run.clamped(to: 0..<branch)) }
  if let last = runs.last, let first = own.first, last.upperBound == first.lowerBound {
    runs[runs.count - 1] = last.lowerBound..<first.upperBound
    runs += own.dropFirst()
  } else {
    runs += own
  }
  return runs
}

/// Runs cut at indices (ascending) that lie inside them.
private func cut(_ runs: [Range<Int>], at indices: [Int]) -> [Range<Int>] {
  if indices.isEmpty { return runs }
  var out: [Range<Int>] = []
  for run in runs {
    var start = run.lowerBound
    for i in indices where start < i && i < run.upperBound {
      out.append(start..<i)
      start = i
    }
    out.append(start..<run.upperBound)
  }
  return out
}
