import Replay
import Rollouts

/// Names of trajectories short enough to be drawn, and nodes in words.
struct TreeLabels {
  private let names: [String]
  private let traits: TerminalTraits

  /// The longest name that is shown.
  private static let longest = 14

  init(_ report: TreeReport, traits: TerminalTraits) {
    self.traits = traits
    let ids = report.tree.group.trajectories.map(\.id)
    // What all have in common says nothing: cut at the last separator before the first difference.
    var shared = 0
    if let first = ids.first, ids.count > 1 {
      var common = first
      for id in ids { while !id.hasPrefix(common) { common.removeLast() } }
      if let at = common.lastIndex(where: { "/-_:.#".contains($0) }) {
        shared = common.distance(from: common.startIndex, to: at) + (common[at] == "/" ? 0 : 1)
      }
    }
    names = ids.map { id in
      let rest = id.dropFirst(shared)
      return traits.cut(traits.safe(String(rest.isEmpty ? id[...] : rest)), to: Self.longest)
    }
  }

  /// The trajectory's short name.
  func name(_ t: Int) -> String { names[t] }

  /// Whose tokens a node has, which tools it calls, and what ends there.
  func node(_ report: NodeReport) -> String {
    var parts = [name(report.node.owner)]
    if let fork = report.fork, let words = words(fork) { parts.append(words) }
    let tools = tools(report)
    if !tools.isEmpty { parts.append(tools) }
    if report.segments.contains(where: { $0.kind == .answer }) { parts.append("answer") }
    let others = report.node.ends.filter { $0 != report.node.owner }
    if !others.isEmpty {
      parts.append("(ends: \(others.prefix(4).map(name).joined(separator: " "))\(others.count > 4 ? " …" : ""))")
    }
    return parts.joined(separator: " ")
  }

  /// Where the fork is, unless it is where forks are expected: after a tool's result.
  private func words(_ fork: NodeFork) -> String? {
    switch fork.place {
    case .afterResult: nil
    case .start: "[from the start]"
    case .after(let kind): "[after \(kind.words)]"
    case .inside(let kind): "[inside \(kind.words)]"
    }
  }

  /// The tools of the node's calls in order, repetitions counted; of results where the calls are elsewhere.
  private func tools(_ report: NodeReport) -> String {
    let calls = report.segments.filter { $0.kind == .toolCall }
    let shown = calls.isEmpty ? report.segments.filter { $0.kind == .toolResult } : calls
    var runs: [(tool: String, count: Int)] = []
    for segment in shown {
      let tool = segment.tool ?? "tool"
      if runs.last?.tool == tool { runs[runs.count - 1].count += 1 } else { runs.append((tool, 1)) }
    }
    let times = traits.unicode ? "×" : "x"
    return runs.map { traits.safe($0.tool) + ($0.count > 1 ? "\(times)\($0.count)" : "") }.joined(separator: ", ")
  }
}

extension SegmentKind {
  /// In words.
  var words: String { rawValue.replacing("_", with: " ") }
}
