import Replay
import Rollouts

/// A tree as JSON, and as rows: one a node.
struct TreeDocument {
  let report: TreeReport
  /// Whether every common prefix counts as shared.
  let isAny: Bool

  /// Everything, under the schema `arpo-replay/tree/1`.
  var value: DocumentValue {
    let group = report.tree.group
    let budget = ToolBudget(report.tree)
    return .object([
      ("schema", .string("arpo-replay/tree/1")), ("run_id", .string(group.run.id)), ("group_id", .string(group.id)),
      ("step", .integer(group.step)), ("recomputed_by", .text(group.run.evidence)),
      ("shared_prefix", .string(isAny ? "any" : "own")),
      ("forks_declared", .bool(report.tree.declaresForks)), ("leaves", .int(report.rewards.leaves)),
      ("scored", .int(report.rewards.scored)), ("reward_mean", .number(report.rewards.mean)),
      ("reward_std", .number(report.rewards.std)), ("forks", .int(report.forks)), ("budget", budget.document),
      ("entropy_estimator", .text(report.estimator?.rawValue)), ("entropy_window", .int(report.windowTokens)),
      ("strategies", .array(report.strategies.map { .string($0) })),
      ("nodes", .array(report.nodes.indices.map(node))),
    ])
  }

  private func node(_ n: Int) -> DocumentValue {
    let report = report.nodes[n]
    let segments = report.segments.map { s in
      DocumentValue.object([
        ("kind", .string(s.kind.rawValue)), ("tool", .text(s.tool)), ("start", .int(s.start)), ("end", .int(s.end)),
      ])
    }
    return .object([
      ("node", .int(n)), ("parent", .integer(report.node.parent)), ("depth", .int(report.depth)),
      ("owner", .string(id(report.node.owner))), ("start", .int(report.node.range.lowerBound)),
      ("end", .int(report.node.range.upperBound)), ("generated", .int(report.generated)),
      ("fork", .text(report.fork?.name)), ("segments", .array(segments)),
      ("leaves", .array(report.node.leaves.map { .string(id($0)) })),
      ("ends", .array(report.node.ends.map { .string(id($0)) })), ("scored", .int(report.rewards.scored)),
      ("reward_mean", .number(report.rewards.mean)), ("reward_std", .number(report.rewards.std)),
      ("entropy_rise", .number(report.entropyRise)),
      ("advantages", .object(zip(self.report.strategies, report.advantages).map { ($0, .number($1)) })),
    ])
  }

  private func id(_ t: Int) -> String { report.tree.group.trajectories[t].id }

  /// Columns of ``rows``.
  var columns: [OutputColumn] {
    [
      "run_id", "group_id", "step", "node", "parent", "depth", "owner", "start", "end", "generated", "fork", "tools",
      "leaves", "ends", "scored", "reward_mean", "reward_std", "entropy_rise",
    ] + report.strategies.map { OutputColumn($0) }
  }

  /// One row for each node.
  var rows: [[CellValue]] {
    let group = report.tree.group
    return report.nodes.enumerated().map { n, node in
      let tools = node.segments.filter { $0.kind == .toolCall }.map { $0.tool ?? "unknown" }
      return [
        .text(group.run.id), .text(group.id), .integer(group.step), .int(n), .integer(node.node.parent),
        .int(node.depth), .text(id(node.node.owner)), .int(node.node.range.lowerBound),
        .int(node.node.range.upperBound), .int(node.generated), .string(node.fork?.name),
        .string(tools.isEmpty ? nil : tools.joined(separator: " ")), .int(node.rewards.leaves),
        .string(node.node.ends.isEmpty ? nil : node.node.ends.map(id).joined(separator: " ")),
        .int(node.rewards.scored), .number(node.rewards.mean), .number(node.rewards.std), .number(node.entropyRise),
      ] + node.advantages.map { .number($0) }
    }
  }
}

extension NodeFork {
  /// For other programs.
  var name: String {
    switch place {
    case .start: "start"
    case .afterResult(let tool): "after_tool_result:\(tool)"
    case .after(let kind): "after:\(kind.rawValue)"
    case .inside(let kind): "inside:\(kind.rawValue)"
    }
  }
}
