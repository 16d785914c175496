/// Tool calls and tokens of a group or a run: what was spent, and what the same leaves would have cost alone.
///
/// Multiplicity is ignored; in text-only trajectories tokens are segments.
public struct ToolBudget: Sendable, Equatable {
  /// Trajectories of the group or run.
  public var trajectories = 0
  /// Tool results owned by a trajectory: each one of the tree once.
  public var executed = 0
  /// Tool results on all paths.
  public var independent = 0
  /// `executed` by tool name; "unknown" where the log names none.
  public var executedByTool: [String: Int] = [:]
  /// `independent` by tool name.
  public var independentByTool: [String: Int] = [:]
  /// Generated tokens, each of the tree once.
  public var generatedUnique = 0
  /// Generated tokens of all paths.
  public var generatedFlat = 0
  /// Tokens, each of the tree once.
  public var totalUnique = 0
  /// Tokens of all paths.
  public var totalFlat = 0

  /// Calls that sharing prefixes saved.
  public var saved: Int { independent - executed }

  /// An empty budget, to add to.
  public init() {}

  /// The budget of one group.
  public init(_ tree: RolloutTree) {
    trajectories = tree.count
    for path in tree.paths {
      for result in path.results {
        independent += 1
        independentByTool[result.tool, default: 0] += 1
        if result.isOwned {
          executed += 1
          executedByTool[result.tool, default: 0] += 1
        }
      }
      generatedFlat += path.generatedCount
      generatedUnique += path.ownedGeneratedCount
      totalFlat += path.length
      totalUnique += path.length - path.branch
    }
  }

  /// Adds another group's.
  public static func += (a: inout ToolBudget, b: ToolBudget) {
    a.trajectories += b.trajectories
    a.executed += b.executed
    a.independent += b.independent
    a.executedByTool.merge(b.executedByTool, uniquingKeysWith: +)
    a.independentByTool.merge(b.independentByTool, uniquingKeysWith: +)
    a.generatedUnique += b.generatedUnique
    a.generatedFlat += b.generatedFlat
    a.totalUnique += b.totalUnique
    a.totalFlat += b.totalFlat
  }
}
