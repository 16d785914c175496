public import Rollouts

/// A prompt group with every path resolved: who owns which tokens, and where generation stops for a tool.
///
/// A *path* is all response tokens of a trajectory from index 0, the inherited prefix included. In a text-only
/// trajectory the unit is the segment: path index i is segment i. A tree holds a group's token columns once; a path
/// refers to them by ``RolloutPath/pieces``.
///
/// Two parents are told apart. The *storage* parent is the declared one: its stored tokens begin the path. The
/// *effective* parent is the declared one too, or, if no trajectory of the group declares any, the one inferred from
/// common prefixes that end at tool results. A token is *owned* by the trajectory whose effective branch lies at or
/// before it and which is first to have it.
///
/// Empty segments (`start == end`, text without tokens) stay on the path. An empty tool result ends the generation
/// segment before it, so that a window exists after it.
public struct RolloutTree: Sendable {
  /// The group as it was given.
  public let group: ReplayGroup
  /// One for each of the group's trajectories, in the same order.
  public internal(set) var paths: [RolloutPath]
  /// Whether any trajectory declares a parent; if none does, the forks are inferred.
  public let declaresForks: Bool

  /// Resolves a group.
  ///
  /// - Throws: ``RolloutTreeError`` where the declared forks contradict each other.
  public init(_ group: ReplayGroup) throws(RolloutTreeError) {
    self.group = group
    declaresForks = group.trajectories.contains { $0.declaredParent != nil }
    paths = try resolvePaths(group)
    if !declaresForks { inferForks() }
    setRoots()
    for t in paths.indices { setOwnership(t) }
  }

  /// Number of trajectories.
  public var count: Int { paths.count }

  private mutating func setRoots() {
    for t in paths.indices {
      var root = t
      while let parent = paths[root].parent { root = parent }
      paths[t].root = root
    }
  }

  /// Marks the results that a trajectory made itself: those that end behind its branch.
  ///
  /// An empty result ends nowhere behind anything, so it is its storing trajectory's own, unless the inferred shared
  /// prefix includes it.
  private mutating func setOwnership(_ t: Int) {
    let branch = paths[t].branch
    let shared = paths[t].sharedResults
    for r in paths[t].results.indices {
      let result = paths[t].results[r]
      if result.start < result.end {
        paths[t].results[r].isOwned = result.end > branch
      } else {
        paths[t].results[r].isOwned = result.storedBy == t && r >= shared
      }
    }
  }
}

/// One trajectory of a tree, resolved to its full path.
public struct RolloutPath: Sendable {
  /// What one path index counts.
  public enum Unit: String, Sendable, Hashable {
    case token
    case segment
  }

  /// What the indices count.
  public var unit: Unit
  /// Declared parent, whose stored tokens the path starts with.
  public var storageParent: Int?
  /// First index that the trajectory stores itself.
  public var storageBranch: Int
  /// Effective parent: declared, or inferred where the group declares none.
  public var parent: Int?
  /// First index that the trajectory owns; 0 without a parent.
  public var branch: Int
  /// The trajectory without a parent at which the chain of parents ends.
  public var root: Int
  /// Number of tokens (or segments) of the path.
  public var length: Int
  /// Where the path's tokens are stored, in path order, empty pieces left out.
  public var pieces: [PathPiece]
  /// The segments of the path, inherited ones first.
  public var segments: [PathSegment]
  /// Maximal runs of generated tokens (loss_mask 1), cut at empty tool results: one for each model call.
  public var generation: [Range<Int>]
  /// The tool results of the path, in order.
  public var results: [ToolResult]
  /// Results at the start of the path that an inferred fork shares with its parent.
  var sharedResults = 0
  /// Maximal runs of generated tokens (loss_mask 1), before empty tool results cut them.
  public internal(set) var maskRuns: [Range<Int>]

  /// The first generation segment; `nil` where the policy said something before it whose tokens are not in the log, as
  /// servers leave them out of turns that call a tool.
  public var firstGeneration: Range<Int>? {
    guard let first = generation.first else { return nil }
    let saidBefore = segments.prefix { $0.start <= first.lowerBound }.contains {
      $0.lacksTokens && [.reasoning, .toolCall, .answer].contains($0.kind)
    }
    return saidBefore ? nil : first
  }

  /// Generated tokens of the path.
  public var generatedCount: Int { generation.reduce(0) { $0 + $1.count } }

  /// Generated tokens that the trajectory owns.
  public var ownedGeneratedCount: Int {
    generation.reduce(0) { $0 + max(0, $1.upperBound - max($1.lowerBound, branch)) }
  }
}

/// A stretch of a path and the trajectory whose columns store it.
public struct PathPiece: Sendable, Hashable {
  /// Position of the trajectory in the group.
  public var owner: Int
  /// Path indices; the same index means the same token on every path through the owner.
  public var range: Range<Int>

  /// A piece of these tokens.
  public init(owner: Int, range: Range<Int>) {
    self.owner = owner
    self.range = range
  }
}

/// A segment of a path, in path indices.
public struct PathSegment: Sendable, Hashable {
  /// What the segment is.
  public var kind: SegmentKind
  /// First index.
  public var start: Int
  /// Index behind the last.
  public var end: Int
  /// Name of the tool; `nil` where the log names none.
  public var tool: String?
  /// Id that a call and its result share, as logged.
  public var toolCallID: String?
  /// The trajectory that stores it; of a segment that goes on behind a fork, the one that stores its end.
  public var storedBy: Int
  /// Its text is in the log, and its tokens are not.
  public var lacksTokens = false
}

/// A tool result on a path.
public struct ToolResult: Sendable, Hashable {
  /// First index.
  public var start: Int
  /// Index behind the last; equal to `start` where the result's tokens are not in the log.
  public var end: Int
  /// "unknown" where the log names none.
  public var tool: String
  /// Id that a call and its result share, as logged.
  public var toolCallID: String?
  /// The trajectory that stores the result's segment.
  public var storedBy: Int
  /// Whether the path's trajectory made the call, so that each call of the tree is owned once.
  public var isOwned = false
}

/// Declared forks that cannot be followed.
public enum RolloutTreeError: Error, Equatable, CustomStringConvertible {
  /// The chain of declared parents returns to the trajectory.
  case parentCycle(group: String, trajectory: String)
  /// The declared parent is not a position in the group.
  case noSuchParent(group: String, trajectory: String)
  /// The branch lies behind the end of the parent's path.
  case branchBeyondParent(group: String, trajectory: String, branch: Int, parentLength: Int)
  /// One has tokens, the other only text: their indices count different things.
  case mixedUnits(group: String, trajectory: String)

  /// The contradiction as a sentence.
  public var description: String {
    switch self {
    case .parentCycle(let group, let id):
      "group \(group): the parents of trajectory \(id) form a cycle"
    case .noSuchParent(let group, let id):
      "group \(group): the parent of trajectory \(id) is not in the group"
    case .branchBeyondParent(let group, let id, let branch, let length):
      "group \(group): trajectory \(id) branches at \(branch), its parent has only \(length)"
    case .mixedUnits(let group, let id):
      "group \(group): of trajectory \(id) and its parent one has tokens and the other only text"
    }
  }
}
